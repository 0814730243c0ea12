"""The frontier picture: what it takes from a benchmark's CSV and speeds, what it draws, and what it refuses."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nerbert.evaluation.figures import SPEEDS, Result, Speed, frontier_of, read_frontier, read_results
from nerbert.evaluation.tables.results import COLUMNS
from nerbert.formats.format import read_documents
from tests.commands import exit_code

SPEED = {"slow": (100.0, 800.0), "fast": (1000.0, 50.0), "idle": (50.0, 50.0)}
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def record(system: str, target: str, size: str, value: float | str, draw: int = 1, **more: str) -> dict[str, str]:
    empty = dict.fromkeys(COLUMNS, "")
    place = {"system": system, "protocol": "default", "target": target, "size": size, "draw": str(draw),
             "seed": str(draw), "state": "done", "metric": "micro.f1", "value": str(value)}  # fmt: skip
    return empty | place | more


RECORDS = [
    *(record("slow", "ships", size, 0.5, draw) for size in ("0", "5") for draw in (1, 2)),
    *(record("slow", "ports", "0", value, draw) for draw, value in ((1, 0.5), (2, 0.7))),
    record("slow", "ports", "5", 0.9, 1),
    *(record("fast", target, "0", 0.3) for target in ("ships", "ports")),
    *(record("idle", target, "0", 0.2) for target in ("ships", "ports")),
    record("fast", "ships", "5", 0.4),
    record("fast", "ports", "5", "", metric="", state="not_run"),
    record("slow", "ships", "0", 0.99, metric="token.f1"),
    record("idle", "ships", "0", 0.6, metric="at_own_threshold.f1"),
    record("slow", "ships", "0", 0.99, type="ship"),
    *(record("a paper", target, "0", 0.6, state="published") for target in ("ships", "ports")),
    record("half a paper", "ships", "0", 0.6, state="published"),
]


def folder_with(path: Path, records: list[dict[str, str]], speeds: Any, name: str = "frontier.csv") -> Path:
    with (path / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(records)
    (path / SPEEDS).write_text(json.dumps(speeds))
    return path


def results_of(path: Path, records: list[dict[str, str]]) -> list[Result]:
    return read_results(folder_with(path, records, {}), "frontier")


def speeds_of(names: Any = SPEED) -> dict[str, Any]:
    told = {name: {"words_per_cpu_second": SPEED[name][0], "memory_mb": SPEED[name][1]} for name in names}
    return {"systems": told}


def test_points_and_the_line_of_those_that_no_other_beats(tmp_path: Path) -> None:
    """A point is the mean of all targets, and spans the runs that all have."""
    found = frontier_of(results_of(tmp_path, RECORDS), {name: Speed(*each) for name, each in SPEED.items()})
    slow = next(point for point in found.points["0"] if point.system == "slow")
    assert (slow.f1, slow.low, slow.high) == pytest.approx((0.55, 0.5, 0.6))
    assert (list(found.points), found.targets) == (["0", "5"], ["ships", "ports"])
    (five,) = found.points["5"]
    assert five.system == "slow"
    assert (five.f1, five.low, five.high) == pytest.approx((0.7, 0.7, 0.7))
    assert [point.system for point in found.points["0"]] == ["idle", "slow", "fast"]
    assert found.points["0"][0].f1 == pytest.approx(0.4), "at its own threshold, where it has one"
    assert [point.system for point in found.best("0")] == ["slow", "fast"]


def test_what_is_not_drawn_is_told_and_a_paper_counts_only_with_all_targets(tmp_path: Path) -> None:
    found = frontier_of(results_of(tmp_path, RECORDS), {name: Speed(*SPEED[name]) for name in ("slow", "fast")})
    assert found.missing == ["fast at 5: no result on some target", "idle: no speed in speeds.json"]
    assert found.published == {("a paper", "0"): pytest.approx(0.6)}


@pytest.mark.extras
@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_command_draws_it(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    results, picture = folder_with(tmp_path, RECORDS, speeds_of()), tmp_path / f"picture.{kind}"
    assert exit_code("figures", "frontier", results, "-o", picture) == 0
    assert capsys.readouterr().out.strip() == str(picture)
    first = picture.read_bytes()
    assert first.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind])
    assert exit_code("figures", "frontier", results, "-o", picture) == 0
    assert picture.read_bytes() == first
    if kind == "svg":
        text = first.decode()
        for name in ("no sentence", "5 sentences", "slow, 800 MB", "fast, 50 MB", "a paper (published)"):
            assert f">{name}<" in text, name


@pytest.mark.extras
def test_names_are_text(tmp_path: Path) -> None:
    """A system's name may hold signs of XML, of matplotlib's formulas, and a leading underscore, which hides a line."""
    names = {"<script>alert(1)</script>": 10.0, "$\\frac{1}{0}$": 20.0, "_hidden": 30.0, "50 % & more": 40.0}
    records = [record(name, "ships", "0", 0.5) for name in names]
    told = {name: {"words_per_cpu_second": speed, "memory_mb": 1.0} for name, speed in names.items()}
    results = folder_with(tmp_path, records, {"systems": told})
    assert exit_code("figures", "frontier", results) == 0
    text = (tmp_path / "frontier.svg").read_text()
    shown = ("&lt;script&gt;alert(1)&lt;/script&gt;, 1 MB", "$\\frac{1}{0}$, 1 MB", "_hidden, 1 MB", "50 % &amp; more")
    assert [name for name in shown if name not in text] == []


@pytest.mark.parametrize(
    ("records", "speeds", "why"),
    [
        ([], speeds_of(), "nothing to draw: no record of a run"),
        (RECORDS, speeds_of(), "must end in .svg, .png, .pdf"),
        ([record("new", "ships", "0", 0.5)], speeds_of(), "nothing to draw: new: no speed in speeds.json"),
        ([record("slow", "ships", "0", 1.5)], speeds_of(), "value '1.5': must be F1 between 0 and 1"),
        ([record("slow", "ships", "0", "nan")], speeds_of(), "value 'nan': must be F1"),
        ([record("slow", "ships", "0", "=1+1")], speeds_of(), "value '=1+1': must be F1"),
        (RECORDS, {"systems": {"slow": {"words_per_cpu_second": 0.0, "memory_mb": 1.0}}}, "words_per_cpu_second"),
        (RECORDS, {"systems": {"slow": {"words_per_cpu_second": 5.0}}}, "memory_mb"),
        (RECORDS, [], SPEEDS),
        (None, speeds_of(), "frontier.csv: no such file; run `nerbert benchmark"),
        (RECORDS, None, "speeds.json: no such file"),
        (b"a,b\n1,2\n", speeds_of(), "frontier.csv: not a benchmark's CSV"),
        (",".join(COLUMNS).encode() + b"\nx,y\n", speeds_of(), f"line 2: doesn't have {len(COLUMNS)} columns"),
        (b"\xff\xfe\x00", speeds_of(), "can't be read as CSV"),
    ],
)  # fmt: skip
def test_messages(tmp_path: Path, records: Any, speeds: Any, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    results = folder_with(tmp_path, records if isinstance(records, list) else [], speeds)
    if not isinstance(records, list):
        (results / "frontier.csv").unlink() if records is None else (results / "frontier.csv").write_bytes(records)
    if speeds is None:
        (results / SPEEDS).unlink()
    picture = ["-o", results / "picture.gif"] if "end in" in why else []
    assert exit_code("figures", "frontier", results, *picture) == 1
    assert why in capsys.readouterr().err
    assert not (tmp_path / "frontier.svg").exists()


@pytest.mark.extras
def test_a_benchmarks_own_csv_is_read(tmp_path: Path) -> None:
    from nerbert.evaluation.tables.table import make_table
    from nerbert.render.benchmark import write_tables
    from tests.evaluation.tables.made_up import made_up_cells, made_up_suite

    table = make_table(suite := made_up_suite(), made_up_cells(suite))
    write_tables(tmp_path, table)
    systems = {cell.place.system for cell in table.cells}
    told = {name: {"words_per_cpu_second": 10.0, "memory_mb": 10.0} for name in systems}
    (tmp_path / SPEEDS).write_text(json.dumps({"systems": told}))
    assert read_frontier(tmp_path, table.name).points


OTHER = """
from external import run, sentences, spans_of, write

def train(options, folder):
    tags = {word: tag for words, tags in sentences(options.train) for word, tag in zip(words, tags)}
    (folder / "tags").write_text(repr(tags))
    (folder / "times").open("a").write("x")

def tag(options, folder):
    tags = eval((folder / "tags").read_text())
    found = ((words, [tags.get(each, "O") for each in words]) for words, _ in sentences(options.test))
    write(options.output, [(words, spans_of(each)) for words, each in found])

run(train, tag)
"""


def test_the_frame_of_other_systems_trains_once_and_writes_what_nerbert_reads(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(OTHER)
    text = "The\tO\nMary\tB-ship\nRose\tI-ship\nin\tO\nKiel\tB-port\nKiel\tB-port\né\tO\n\n"
    (tmp_path / "all.conll").write_text(text, encoding="utf-8")
    files = [tmp_path / name for name in ("other.py", *["all.conll"] * 3, "output.jsonl")]
    for _ in range(2):
        command = [sys.executable, *map(str, files), "1", "--keep", str(tmp_path / "kept")]
        subprocess.run(command, check=True, env={"PYTHONPATH": str(BENCHMARKS)})
    (row,) = read_documents(tmp_path / "output.jsonl")
    assert [(row.text[each.start : each.end], each.type) for each in row.spans] == [
        ("Mary Rose", "ship"), ("Kiel", "port"), ("Kiel", "port")
    ]  # fmt: skip
    assert row.text == "The Mary Rose in Kiel Kiel é"
    assert (tmp_path / "kept" / "times").read_text() == "x"
