"""What the whole road computes stays what it was: rows, losses, logits, spans and the values of a benchmark's tables.

The tests use commands and the files that they write, so that they hold while the code behind them moves.
"""

import csv
import hashlib
import json
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.commands import exit_code

Check = Callable[..., None]
TEXTS = (
    "The whaler Ingeborg left Bergen in May. Charles Darwin sailed on HMS Beagle to Brazil and Chile.",
    "Marie Curie, born in Warsaw, won the Nobel Prize in Physics.\nFC Barcelona beat Real Madrid 2–1 in Spain.",
    "the elbe flows through Dresden, Magdeburg and Hamburg into the North Sea — 1,094 km ☃",
)


@pytest.mark.parametrize("label_set", ["paper315", "dbpedia", "4types", "212types", "1type"])
def test_rows_of_a_corpus(label_set: str, sample: Path, tmp_path: Path, golden: Check) -> None:
    build = ["--knowledge", sample / "knowledge", "--set", f"label_set={label_set}", "--set", "min_mentions=5"]
    assert exit_code("corpus", "build", sample / "wiki.xml", *build, "-o", tmp_path / "corpus") == 0
    folders = ("sentences", "titles", "targets")
    golden(f"corpus-{label_set}", {name: _digest(tmp_path / "corpus" / name) for name in folders})


def _digest(folder: Path) -> dict[str, Any]:
    """Return the number of rows below a folder, and a SHA-256 of their values in order."""
    rows, digest = 0, hashlib.sha256()
    for path in sorted(folder.glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            digest.update(json.dumps(row, sort_keys=True).encode())
            rows += 1
    return {"rows": rows, "sha256": digest.hexdigest()}


@pytest.mark.parametrize("objective", ["tagging", "mlm", "concepts"])
def test_losses_of_an_objective(objective: str, sample_corpus: Path, tmp_path: Path, golden: Check) -> None:
    settings = {"corpus": str(sample_corpus), "backbone": "embedded", "objective": objective, "precision": "fp32"}
    numbers = {"threads": 1, "max_steps": 20, "batch_size": 16, "max_eval_samples": 20, "learning_rate": 5e-4}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in (settings | numbers).items())
    (tmp_path / "settings.toml").write_text(text)
    assert exit_code("pretrain", tmp_path / "settings.toml", "-o", tmp_path / "encoder") == 0
    lines = map(json.loads, (tmp_path / "encoder" / "log.jsonl").read_text().splitlines())
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert len(losses) == 20
    golden(f"losses-{objective}", losses, 1e-4)  # 6.2e-5 of 192 between processors


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_logits_and_spans_of_torch(precision: str, golden: Check) -> None:
    check_back_end("embedded", "torch", precision, golden)


@pytest.mark.extras
def test_logits_and_spans_of_graphs(tmp_path: Path, golden: Check) -> None:
    from nerbert.tagger.export import export

    export("embedded", int8=True, output=tmp_path / "tagger")
    for precision in ("fp32", "int8"):
        check_back_end(str(tmp_path / "tagger"), "onnx", precision, golden)


TOLERANCE = {"fp32": 1e-5, "bf16": 1e-3, "int8": 0.3}
"""bf16 differs by 4.9e-4, one rounding, between two processors with the same instructions; int8 by 0.28 from fp32, and
by 0.21 between versions of onnxruntime."""


def check_back_end(source: str, backend: str, precision: str, golden: Check) -> None:
    from nerbert import Tagger

    if precision in ("bf16", "int8") and not _rounds_alike():
        pytest.skip("it rounds by the processor's instructions: the golden file is of AVX-512 with VNNI and BF16")
    tagger = Tagger.load(source, backend=backend, precision=precision, threads=1)
    spans = [[[span.start, span.end, span.type, span.text] for span in tagger.tag(text)] for text in TEXTS]
    golden(f"spans-{backend}-{precision}", spans)
    golden(f"logits-{backend}-{precision}", [list(_figures(batch)) for batch in _logits(tagger)], TOLERANCE[precision])


def _rounds_alike() -> bool:
    """Return whether the processor has the instructions of the golden files' machine."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    words = set(Path("/proc/cpuinfo").read_text().split())
    return {"avx512_vnni", "avx512_bf16"} <= words and "amx_bf16" not in words


def _logits(tagger: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Yield (terms, classes) of each batch that goes through the model."""
    seen: list[np.ndarray[Any, Any]] = []
    inner = tagger.head.scorer

    class Watched:
        def __call__(self, batch: Any) -> Any:
            seen.append(inner(batch))
            return seen[-1]

    tagger.head = replace(tagger.head, scorer=Watched())
    for text in TEXTS:
        tagger.tag(text)
    yield from seen


def _figures(batch: np.ndarray[Any, Any]) -> Iterator[list[float]]:
    """Yield of each word some logits, their sum, and the sum of their squares: a change of any shows."""
    for row in batch.astype(np.float64):
        yield [*(float(each) for each in row[:6]), float(row.mean()), float(np.sqrt((row * row).mean()))]


SUITE = """
seeds = {seeds}
[systems.tiny]
encoder = "{encoder}"
[systems."tiny, source & target"]
same_encoder_as = "tiny"
source = "far"
[protocols.fast]
epochs = {epochs}
min_steps = 0
source_epochs = {source_epochs}
batch_size = 8
learning_rate = 3e-3
precision = "fp32"
[[targets]]
data = "ships"
sizes = ["all", {size}]
draw_by_seed = true
"""


@pytest.mark.extras
def test_values_in_the_tables_of_a_suite(sample: Path, tiny_encoder: Path, tmp_path: Path, golden: Check) -> None:
    _write_data(sample / "domain", tmp_path / "data")
    suite, output = tmp_path / "tiny.toml", tmp_path / "out"
    suite.write_text(SUITE.format(seeds=[1, 2, 3], encoder=tiny_encoder, epochs=6, source_epochs=2, size=30))
    assert exit_code("benchmark", suite, "--data", tmp_path / "data", "-o", output) == 0
    with (output / "tiny.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = {
        " | ".join(row[key] for key in ("system", "target", "size", "seed", "metric", "type")): float(row["value"])
        for row in rows
        if not row["metric"].startswith("facts.")
    }
    assert len(values) > 100
    golden("suite-cells", values, 1e-6)
    golden("suite-table", _cells_of(output / "tiny.md"))


def _write_data(domain: Path, folder: Path) -> None:
    """Write two small data sets: the domain's first sentences, and a source of its last."""
    for name, begin, end in (("ships", 0, 60), ("far", 60, 100)):
        (folder / name).mkdir(parents=True)
        for part, count in (("train", None), ("test", 40)):
            sentences = (domain / f"{part}.conll").read_text(encoding="utf-8").strip().split("\n\n")
            kept = sentences[begin:end] if count is None else sentences[:count]
            (folder / name / f"{part}.conll").write_text("\n\n".join(kept) + "\n\n", encoding="utf-8")


def _cells_of(page: Path) -> list[list[float]]:
    """Return the figures of a page's tables, row by row, whatever stands around them; seconds differ by run."""
    heads, rows = list[str](), list[str]()
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = line.split("|")[1:-1]
        heads = cells if line.startswith("| target") else heads
        rows.append(" ".join(cell for cell, head in zip(cells, heads, strict=False) if "seconds" not in head))
    figures = [[float(figure) for figure in re.findall(r"\d+(?:\.\d+)?", row)] for row in rows]
    return [row for row in figures if row]
