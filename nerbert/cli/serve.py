"""`nerbert serve`: taggers behind HTTP."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from nerbert.cli.options import LOADING, Flag, Loading
from nerbert.serve.settings import Limits

Limited = Annotated[Limits, Parameter(name="*", group=Group("Limits", sort_key=2))]
_LIMITS = Limits()
Several = Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)]


def serve(
    *taggers: str, host: str = "127.0.0.1", port: int = 8000, token_file: Path | None = None, no_token: Flag = False,
    cors: Several = None, protocols: Several = None, allow_reload: Flag = False, check: Flag = False,
    labels: str = "", min_confidence: str = "", loading: Loading = LOADING, limits: Limited = _LIMITS,
) -> None:  # fmt: skip
    """Serve taggers over HTTP: nerbert's own protocol, Hugging Face's, GLiNER's and Presidio's.

    SIGTERM and Ctrl-C finish the requests that were taken. SIGHUP loads all models again. GET /openapi.json describes
    all operations, with examples.

    Parameters
    ----------
    taggers
        Folders or hub names, as TAGGER or NAME=TAGGER; the first is the default. A name in addresses is a folder's own.
    host
        Address to listen on. Others than this machine's own (127.0.0.1, localhost, ::1) need a token.
    port
        Port; 0 takes a free one.
    token_file
        File with the token that clients must send (Authorization: Bearer …); default: the variable NERBERT_TOKEN.
    no_token
        Let anyone who reaches the address use it.
    cors
        Origins whose pages may ask, such as https://example.org; * for all.
    protocols
        tag, hugging-face, gliner, presidio, or your own as module:name; default: all of these.
    allow_reload
        Let clients load a model again (POST /models/NAME/reload).
    check
        Load the models, print what would be served and how much memory it may need, and end.
    labels
        Labels to find by default, for taggers that take labels at run time; as in `nerbert tag`.
    min_confidence
        Leave out entities below this confidence: a number from 0 to 1, or type=number,type=number.
    """
    from nerbert.serve.server import ServeJob
    from nerbert.serve.server import serve as run

    job = ServeJob(
        taggers=taggers, host=host, port=port, token_file=token_file, no_token=no_token, cors=tuple(cors or ()),
        protocols=tuple(protocols or ()), allow_reload=allow_reload, labels=labels, min_confidence=min_confidence,
        loading=asdict(loading), limits=limits,
    )  # fmt: skip
    run(job, check=check)
