"""`nerbert serve`, `nerbert mcp`: taggers behind HTTP, and tools of an assistant."""

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from nerbert.cli import options as opt
from nerbert.errors import need
from nerbert.serve.settings import Limits

Limited = Annotated[Limits, Parameter(name="*", group=Group("Limits", sort_key=2))]
_LIMITS = Limits()
DefaultLabels = Annotated[
    str, Parameter(help="Labels to find by default, for models without their own types; as in `nerbert tag`.")
]
Several = Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)]


def serve(
    *taggers: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    no_token: opt.Flag = False,
    cors: Several = None,
    protocols: Several = None,
    check: opt.Flag = False,
    labels: DefaultLabels = "",
    min_confidence: opt.MinConfidence = "",
    loading: opt.Loading = opt.LOADING,
    limits: Limited = _LIMITS,
) -> None:
    """Serve taggers over HTTP: a page to try them, nerbert's own protocol, and those of other servers.

    SIGTERM and Ctrl-C finish accepted requests. SIGHUP reloads all models. GET /openapi.json describes all operations,
    with examples.

    Parameters
    ----------
    taggers
        Folders or hub names, as TAGGER or NAME=TAGGER; the first is the default. The default NAME is the folder's own.
    host
        Address to listen on. Addresses other than this machine's own (127.0.0.1, localhost, ::1) need a token.
    port
        Port; 0 chooses a free one.
    token_file
        File with the token that clients must send (Authorization: Bearer …); default: the variable NERBERT_TOKEN.
    no_token
        Let anyone who can reach the address use it.
    cors
        Origins of pages that may send requests, such as https://example.org; * for all.
    protocols
        tag, hugging-face, gliner, presidio, nemo, label-studio, page, or your own as module:name; default:
        all of these.
    check
        Load the models, print what would be served, and exit.
    """
    from nerbert.serve.server import ServeJob
    from nerbert.serve.server import serve as run

    job = ServeJob(
        taggers=taggers,
        host=host,
        port=port,
        token_file=token_file,
        no_token=no_token,
        cors=tuple(cors or ()),
        protocols=tuple(protocols or ()),
        labels=labels,
        min_confidence=min_confidence,
        loading=loading,
        limits=limits,
    )
    run(job, check=check)


def mcp(
    tagger: opt.Tagger,
    *,
    labels: DefaultLabels = "",
    min_confidence: opt.MinConfidence = "",
    loading: opt.Loading = opt.LOADING,
) -> None:
    """Give an assistant a tagger as tools, by the Model Context Protocol on standard input and output.

    The assistant starts this command. Its tools are `tag` (entities of texts) and `types` (the tagger's types).
    """
    need("mcp", "mcp")
    from nerbert.integrations.mcp import serve_mcp
    from nerbert.serve.server import ServeJob

    job = ServeJob(
        taggers=(tagger,),
        labels=labels,
        min_confidence=min_confidence,
        loading=loading,
        limits=Limits(workers=1, batch=1 << 15, deadline=60_000),  # one client, so its texts don't wait for others
    )
    serve_mcp(job)
