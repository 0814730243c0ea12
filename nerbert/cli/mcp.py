"""`nerbert mcp`: a tagger as tools of an assistant."""

from dataclasses import asdict

from nerbert.cli.options import LOADING, Loading
from nerbert.errors import need
from nerbert.serve.settings import Limits


def mcp(tagger: str, *, labels: str = "", min_confidence: str = "", loading: Loading = LOADING) -> None:
    """Give an assistant a tagger as tools, by the Model Context Protocol on standard input and output.

    The assistant starts this command. Its tools are `tag` (entities of texts) and `types` (what the tagger finds).

    Parameters
    ----------
    tagger
        Tagger's folder or hub name.
    labels
        Labels to find by default, for taggers that take labels at run time; as in `nerbert tag`.
    min_confidence
        Leave out entities below this confidence: a number from 0 to 1, or by type: 0.8,city=0.5.
    """
    need("mcp", "mcp")
    from nerbert.integrations.mcp import serve_mcp
    from nerbert.serve.server import ServeJob

    job = ServeJob(
        taggers=(tagger,), labels=labels, min_confidence=min_confidence, loading=asdict(loading),
        limits=Limits(workers=1, batch=1 << 15, deadline=60_000),  # one client: its texts wait for no others
    )  # fmt: skip
    serve_mcp(job)
