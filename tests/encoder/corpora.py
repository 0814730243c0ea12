"""Corpora made of the sample's: cut into more shards, changed, or read in the plainest way."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SHARDS = 5


def cut(corpus: Path, output: Path, change: Callable[[pa.Table], pa.Table] = lambda table: table) -> Path:
    """A corpus of the same sentences in more shards, changed on the way; its manifest has their hashes."""
    manifest = json.loads((corpus / "manifest.json").read_text())
    table = change(pa.concat_tables([pq.read_table(corpus / name) for name in manifest["shards"]]))
    (output / "sentences").mkdir(parents=True)
    size = -(-len(table) // SHARDS)
    for number in range(SHARDS):
        part = table.slice(number * size, size)
        pq.write_table(part, output / "sentences" / f"part-{number:05d}.parquet", compression="zstd")
    return with_manifest(output, manifest)


def with_manifest(corpus: Path, manifest: dict[str, Any]) -> Path:
    """The corpus, its manifest listing the shards that are there."""
    shards = {f"sentences/{path.name}": path for path in sorted((corpus / "sentences").iterdir())}
    manifest |= {
        "shards": {name: pq.read_metadata(path).num_rows for name, path in shards.items()},
        "shard_sha256": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in shards.items()},
    }
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    return corpus


def with_column(name: str, value: Callable[[Any], Any]) -> Callable[[pa.Table], pa.Table]:
    """Change a column of a corpus, value by value."""

    def change(table: pa.Table) -> pa.Table:
        values = pa.array([value(each) for each in table[name].to_pylist()], table.schema.field(name).type)
        return table.set_column(table.column_names.index(name), name, values)

    return change


def poison(corpus: Path) -> None:
    """Make every shard unreadable."""
    for path in (corpus / "sentences").iterdir():
        path.write_bytes(b"poison")
