"""Write the texts of the package that a fine-tuning on few sentences replays: some of the open-type set's, in short.

`python sources/open_types/replay.py open-types/train.jsonl nerbert/sample/open-types/replay.jsonl.gz`; the file comes
from `build.py`. Descriptions, domains and genres are left out. The same input gives the same bytes.
"""

import gzip
import json
import sys
from heapq import nsmallest
from pathlib import Path
from typing import Any

from nerbert.rng import uniform

TEXTS, WORDS = 600, 60


def main(source: Path, output: Path) -> None:
    """Draw texts by their hash, and write them."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    short = [row for row in rows if len(row["text"].split()) <= WORDS]
    drawn = nsmallest(TEXTS, short, key=lambda row: uniform(0, "replay", row["text"]))
    lines = "".join(json.dumps(shortened(row), ensure_ascii=False) + "\n" for row in drawn)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the spans and types of its entities, and the types that were asked for."""
    kept = [{name: each[name] for name in ("start", "end", "type")} for each in row["entities"]]
    return {"text": row["text"], "entities": kept, "asked": row["asked"]}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
