"""The figures of NER-BERT's paper: a picture of each place, and equal results give equal files."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nerbert.corpus.shards import read_manifest
from nerbert_bench.tables.results import COLUMNS

ROOT = Path(__file__).parents[2]


def record(system: str, size: str, value: float, draw: int) -> dict[str, str]:
    cell = {"system": system, "protocol": "default", "target": "ships", "size": size}
    run = {"draw": str(draw), "seed": str(draw), "state": "done"}
    return dict.fromkeys(COLUMNS, "") | cell | run | {"metric": "micro.f1", "value": str(value)}


def pictures(*arguments: object) -> list[Path]:
    command = [sys.executable, ROOT / "benchmarks" / "draw_paper.py", *arguments]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, cwd=ROOT)
    return [Path(line) for line in done.stdout.splitlines()]


@pytest.mark.extras
def test_each_place_has_its_picture(sample_corpus: Path, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    with (tmp_path / "results" / "few.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for size, values in (("5", (0.2, 0.3, 0.4)), ("10%", (0.5, 0.5, 0.5)), ("all", (0.8, 0.8, 0.8))):
            writer.writerows(record("A", size, value, draw) for draw, value in enumerate(values, 1))
            writer.writerow(record("B & <i>", size, 0.1, 1))
    tables, suite = [sample_corpus, tmp_path / "results"], ["-o", tmp_path / "out", "--suite", "few"]
    found = pictures(*tables, "embedded", *suite, "--data", sample / "domain", "--points", 120)
    names = ["1-categories", "8-all-categories", "2-few-labels", f"maps-{sample.name}-domain"]
    assert [path.stem for path in found] == names
    texts = [path.read_text(encoding="utf-8") for path in found]
    assert any(f">{category}<" in texts[0] for category in read_manifest(sample_corpus)["categories"])
    assert re.findall(r">(all|10%|5)</text>", texts[2])[:3] == ["5", "10%", "all"]
    assert all(f">B &amp; &lt;i&gt;{words}<" in texts[2] for words in ("", " less A (right axis)"))
    assert ">embedded<" in texts[3]
    again = [path.read_text(encoding="utf-8") for path in pictures(*tables, *suite)]
    assert again == texts[:3]
