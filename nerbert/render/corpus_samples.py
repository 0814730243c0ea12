"""Sentences to show: some of each category, some of what each step dropped, and their text cut into marked pieces.

The shards are read once, in batches. Of each category only the sentences with the smallest random numbers are
kept, so memory doesn't grow with the corpus; the price is a hash for each category of each sentence.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow as pa

from nerbert.corpus.mentions import categories_of
from nerbert.corpus.shards import sentence_batches
from nerbert.records import ENTITY
from nerbert.render.facts import Mark, pieces_of
from nerbert.rng import uniform
from nerbert.schema import parse_json

EACH = 3
"""Sentences shown of each category."""
_COLUMNS = ["id", "title", "text", "mentions", "split", "copies"]
_BATCH = 8_000
_LONGEST_LINE = 1 << 22
_COLOURS = 10
_LONGEST_TEXT, _BEFORE = 600, 200

Row = dict[str, Any]
_Lead = list[tuple[float, str, Row]]


def draw_sentences(corpus: Path, manifest: Mapping[str, Any], each: int = EACH) -> dict[str, list[Row]]:
    """Return category → up to `each` of its sentences, drawn at random; categories in the manifest's order."""
    leads: dict[str, _Lead] = {name: [] for name in manifest["categories"]}
    for shard in manifest["shards"]:
        for batch in sentence_batches(corpus / shard, _COLUMNS, _BATCH):
            _offer(batch, leads, each)
    return {name: [row for _, _, row in lead] for name, lead in leads.items()}


def _offer(batch: pa.RecordBatch, leads: dict[str, _Lead], each: int) -> None:
    rows = zip(batch["id"].to_pylist(), categories_of(batch["mentions"]), strict=True)
    for number, (identity, categories) in enumerate(rows):
        for category in sorted(set(categories)):
            lead = leads.get(category)
            if lead is None:
                continue
            place = uniform(0, f"show {category}", identity)
            if len(lead) == each and (place, identity) >= lead[-1][:2]:
                continue
            lead.append((place, identity, batch.slice(number, 1).to_pylist()[0]))
            lead.sort(key=lambda entry: entry[:2])
            del lead[each:]


@dataclass(frozen=True)
class DroppedSentence:
    """A line of `dropped.jsonl`."""

    step: str
    reason: str
    id: str
    text: str


def read_dropped(corpus: Path, steps: Iterable[str] = (), each: int = EACH) -> dict[str, dict[str, list[Row]]]:
    """Return step → reason → up to `each` dropped sentences of `dropped.jsonl`; empty if there is no such file.

    `steps` come first, in their order.
    """
    path = corpus / "dropped.jsonl"
    found: dict[str, dict[str, list[Row]]] = {step: {} for step in steps}
    if not path.is_file():
        return {}
    with path.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), 1):
            row = parse_json(line.strip(), DroppedSentence, f"{path}:{number}", remedy="build the corpus again")
            rows = found.setdefault(row.step, {}).setdefault(row.reason, [])
            if len(rows) < each:
                rows.append({"id": row.id, "text": row.text})
    return {step: reasons for step, reasons in found.items() if reasons}


def marked_pieces(text: str, mentions: Sequence[Mapping[str, Any]], category: str) -> list[tuple[str, Mark | None]]:
    """Return a sentence in pieces, its mentions marked; a long one is cut around the first mention of `category`."""
    begin, end = _window(text, mentions, category)
    marks = []
    for each in sorted(mentions, key=lambda mention: (mention["start"], mention["end"])):
        style = colour_of(each["category"]) + (" wanted" if each["category"] == category else "")
        marks.append((each["start"], each["end"], Mark(each["category"], style, _leads_to(each))))
    cut = pieces_of(text, marks, begin, end)
    return [("… " if begin else "", None), *cut, (" …" if end < len(text) else "", None)]


def colour_of(category: str) -> str:
    """Return the style classes of a category's colour."""
    if category == ENTITY:
        return "k entity"
    return f"k k{crc32(category.encode('utf-8', 'surrogatepass')) % _COLOURS}"


def _window(text: str, mentions: Sequence[Mapping[str, Any]], category: str) -> tuple[int, int]:
    if len(text) <= _LONGEST_TEXT:
        return 0, len(text)
    first = min((each["start"] for each in mentions if each["category"] == category), default=0)
    begin = max(0, min(first - _BEFORE, len(text) - _LONGEST_TEXT))
    return begin, begin + _LONGEST_TEXT


def _leads_to(mention: Mapping[str, Any]) -> str:
    path = " › ".join(mention["class_path"]) or "class unknown"
    source = f"; by {mention['source']}" if mention["source"] else ""
    return f"{mention['resolved_target']}: {path}{source}"
