"""The page: static files of the package, and a text with its entities in any format, for copying.

The page runs only its own scripts, and asks nobody but this server. It needs no token; what it asks for does.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from nerbert.artifacts import json_line
from nerbert.errors import InputError
from nerbert.formats.convert import convert_data
from nerbert.formats.documents import Reading, example_of_spans
from nerbert.formats.format import format_name, usable
from nerbert.registry import FORMATS
from nerbert.serve.protocol import Call, Operation

_FILES = Path(__file__).parent.parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_INLINE = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)


class PlacedEntity(BaseModel):
    """An entity in a text; `start` and `end` (exclusive) count code points."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    type: str = Field(min_length=1, max_length=200)


class ConvertBody(BaseModel):
    """A text with entities that don't overlap, and the format wanted."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1)
    entities: list[PlacedEntity] = Field(default_factory=list, max_length=10_000)
    format: str = Field("jsonl", max_length=40)


class Converted(BaseModel):
    """The text in the format."""

    content: str


def operations() -> Sequence[Operation]:
    """Return the operations."""
    entity = {"start": 0, "end": 12, "type": "person"}
    example = {"text": "Ada Lovelace came to London.", "entities": [entity], "format": "conll"}
    return [
        Operation(path="/", method="GET", run=_index, summary="The page", open=True),
        Operation(path="/page/{name}", method="GET", run=_file, summary="A file of the page", open=True),
        Operation(path="/convert", run=_convert, body=ConvertBody, answer=Converted, examples={"CoNLL": example},
                  summary="A text with entities in a format of annotated data"),
    ]  # fmt: skip


async def _index(_: Call) -> Response:
    return _answer("index.html")


async def _file(call: Call) -> Response:
    return _answer(call.path["name"])


def _answer(name: str) -> Response:
    """Return a file of the page, with the policy that browsers hold it to; raise HTTPException if there is none."""
    files, policy = _page()
    if name not in files:
        raise HTTPException(404, f"no file {name!r:.80} on this page")
    kind = f"{_TYPES.get(Path(name).suffix, 'text/plain')}; charset=utf-8"
    safety = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return Response(files[name], headers={"Content-Type": kind, "Cache-Control": "no-cache", **safety})


@cache
def _page() -> tuple[dict[str, bytes], str]:
    """Return the page's files by name, and its policy; the import map is the one script that stands in the page."""
    files = {path.name: path.read_bytes() for path in _FILES.iterdir() if path.is_file()}
    inline = _INLINE.search(files["index.html"])
    digest = base64.b64encode(hashlib.sha256(inline[1] if inline else b"").digest()).decode()
    return files, (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


async def _convert(call: Call) -> dict[str, Any]:
    body: ConvertBody = call.body
    tagger = call.service.find(call.query.model).tagger
    reading = Reading(language=tagger.language, word_splitter=tagger.splitter)
    return {"content": await asyncio.to_thread(_converted, body, reading)}


def _converted(body: ConvertBody, reading: Reading) -> str:
    spans = [(each.start, each.end, each.type) for each in body.entities]
    example_of_spans(body.text, spans)  # raises what is wrong with them
    one = usable(FORMATS.find(body.format)()) if ":" not in body.format else None
    if one is None or not one.suffixes:
        raise InputError(f"format {body.format!r}: is no file that can be copied")
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "text.jsonl", Path(folder) / f"copy{one.suffixes[0]}"
        row = {"text": body.text, "spans": [{"start": s, "end": e, "type": t} for s, e, t in spans]}
        source.write_text(json_line(row) + "\n", encoding="utf-8")
        convert_data(source, target, to=format_name(one), reading=reading)
        try:
            return target.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"format {body.format!r}: is no text that can be copied") from error
