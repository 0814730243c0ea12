"""`nerbert serve`, `nerbert label`, `nerbert mcp`: taggers behind HTTP, a labelling page, and tools of an assistant."""

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


def label(
    *files: Path,
    output: opt.OptionalOutput = None,
    types: str = "",
    tagger: str = "",
    encoder: str = "",
    config: opt.Config = None,
    seed: int = 0,
    port: int = 8010,
    browser: Annotated[bool, Parameter(negative="--no-browser")] = True,
    reading: opt.Read = opt.READ,
) -> None:
    """Label sentences in the browser while a tagger learns from them, and is tested on held-out sentences.

    Everything is kept in one folder: labels.jsonl (the labels), journal.jsonl (all actions), rounds (the taggers). The
    command can be stopped and run again. The page is available on this machine only.

    Parameters
    ----------
    files
        Files or folders with the sentences, in any format that `nerbert tag` reads; more can be added on the page.
    output
        Folder for the work; default: the first file's name with -labels, or else labels.
    types
        Types to label, as labels of `nerbert tag`: "ship,port: where ships stay"; more can be added on the page.
    tagger
        Tagger that takes labels at run time, for the first suggestions; default: `minilm`, or `many` with a --language
        that isn't English.
    encoder
        Encoder to fine-tune on the labels: a model folder or hub name; default: as for `tagger`.
    seed
        Seed of the random order of sentences.
    port
        Port of the page; 0 chooses a free one.
    browser
        Open the page in the browser.
    """
    from nerbert.entity_labels import parse_labels
    from nerbert.model.folder import usual_model
    from nerbert.serve.labelling.labelling import LabelJob, Labelling
    from nerbert.serve.labelling.routes import label_routes
    from nerbert.serve.protocol import PROTOCOLS
    from nerbert.serve.server import ServeJob
    from nerbert.serve.server import serve as run

    usual = "" if tagger and encoder else usual_model(reading.language)
    folder = output or Path(f"{files[0].absolute().stem[:60]}-labels" if files else "labels")
    job = LabelJob(
        folder=folder,
        files=files,
        types=tuple(parse_labels(types)) if types else (),
        encoder=encoder or usual,
        config=config,
        seed=seed,
        reading=reading,
    )
    work = Labelling(job)
    served = ServeJob(
        taggers=(tagger or usual,),
        port=port,
        protocols=tuple(name for name in PROTOCOLS if name != "page"),
        limits=_LIMITS,
        operations=label_routes(work),
        lifespan=work.run,
        browser=browser,
    )
    run(served)


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
