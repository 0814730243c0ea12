"""What the page shows beyond the manifest: sentences drawn by coin, dropped sentences, sizes.

The shards are read once, piece by piece, and of each category only the sentences in the lead are kept, so memory
doesn't grow with the corpus. A row becomes Python objects only when it takes the lead; the price is a coin a category
of each sentence.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from nerbert.corpus.mentions import categories_of
from nerbert.corpus.shards import sentence_batches
from nerbert.errors import InputError
from nerbert.rng import coin

EACH = 3
"""Sentences shown of each category."""
_COLUMNS = ["id", "title", "text", "mentions", "split", "copies"]
_BATCH = 8_000
_LONGEST_LINE = 1 << 22

Row = dict[str, Any]
_Lead = list[tuple[float, str, Row]]


def draw_sentences(corpus: Path, manifest: Mapping[str, Any], each: int = EACH) -> dict[str, list[Row]]:
    """Category → up to `each` of its sentences, drawn by coin; categories in the manifest's order."""
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
            place = coin(0, f"show {category}", identity)
            if len(lead) == each and (place, identity) >= lead[-1][:2]:
                continue
            lead.append((place, identity, batch.slice(number, 1).to_pylist()[0]))
            lead.sort(key=lambda entry: entry[:2])
            del lead[each:]


def read_dropped(corpus: Path, steps: Iterable[str] = (), each: int = EACH) -> dict[str, dict[str, list[Row]]]:
    """Step → reason → up to `each` dropped sentences of `dropped.jsonl`; empty if there is no such file.

    `steps` come first, in their order.
    """
    path = corpus / "dropped.jsonl"
    found: dict[str, dict[str, list[Row]]] = {step: {} for step in steps}
    if not path.is_file():
        return {}
    with path.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), 1):
            row = _dropped(line, f"{path}:{number}")
            rows = found.setdefault(row["step"], {}).setdefault(row["reason"], [])
            if len(rows) < each:
                rows.append({"id": row["id"], "text": row["text"]})
    return {step: reasons for step, reasons in found.items() if reasons}


def _dropped(line: bytes, place: str) -> dict[str, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not a line of JSON ({error}); build the corpus again") from error
    keys = ("step", "reason", "id", "text")
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in keys):
        raise InputError(f"{place}: {line[:60]!r} lacks one of {', '.join(keys)}; build the corpus again")
    return {key: row[key] for key in keys}


def size_on_disk(corpus: Path, manifest: Mapping[str, Any]) -> int:
    """Bytes of the sentences' files."""
    paths = (corpus / shard for shard in manifest["shards"])
    return sum(path.stat().st_size for path in paths if path.is_file())
