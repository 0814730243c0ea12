"""Every route of the labelling page."""

from collections.abc import Sequence
from pathlib import Path

from nerbert.serve.protocol import Operation
from nerbert.serve.routes import get, page_routes, post
from nerbert_label import labelling as bodies

_PAGE = Path(__file__).parent / "page"


def label_routes(work: bodies.Labelling) -> Sequence[Operation]:
    """Return the routes of the labelling page, with its files."""
    saved = {"tab": "a1", "id": 0, "revision": 0, "entities": [{"start": 0, "end": 3, "type": "ship"}]}
    return [
        get("/label", work.describe_state),
        get("/label/list", work.list_answered),
        post("/label/next", work.next, bodies.TabBody, {"tab": "a1"}),
        post("/label/open", work.open_sentence, bodies.OpenBody, {"tab": "a1", "id": 0}),
        post("/label/save", work.save, bodies.SaveBody, saved),
        post("/label/undo", work.undo, bodies.TabBody, {"tab": "a1"}),
        post("/label/types", work.set_types, bodies.TypesBody, {"types": [{"name": "ship"}]}),
        post("/label/train", work.train, bodies.NoBody, {}),
        post("/label/cancel", work.cancel, bodies.NoBody, {}),
        post("/label/sample", work.sample, bodies.NoBody, {}),
        Operation(path="/label/load", run=work.load, query=bodies.LoadQuery, streams=True),
        get("/label/export", work.export, query=bodies.ExportQuery),
        *page_routes(_PAGE),
    ]
