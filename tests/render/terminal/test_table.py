"""One way to draw a table, one to print JSON: figures with thousands, texts folded, nothing that acts."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from nerbert.render.terminal import print_json, print_log, table
from nerbert.training.checkpoint import TrainLog


def drawn(*arguments: object, **options: object) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(table(*arguments, **options))  # type: ignore[arg-type]
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_whole_numbers_align_right_with_thousands() -> None:
    rows = [("a", 1_234_567), ("b", 8), ("c", None)]
    lines = [line.rstrip() for line in drawn(("name", "count"), rows, numbers=(1,), title="counts").splitlines()]
    assert lines[0] == "counts"
    cells = [line for line in lines if line[:2] in ("a ", "b ", "c ")]
    assert [line.split()[-1] for line in cells] == ["1,234,567", "8", "–"]
    assert len({len(line) for line in cells}) == 1


def test_a_wide_table_wraps_without_loss() -> None:
    text = "x" * 200
    shown = drawn(("a text", "a head of several words", "other"), [(text, 16_300_000, 475_600_000)], numbers=(1, 2))
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("x") - "a text".count("x") == len(text)
    assert "16,300,000" in shown
    assert "475,600,000" in shown
    digits = drawn([f"n{place}" for place in range(9)], [[10**11] * 9], numbers=range(9))
    assert digits.count("0") == 9 * 11 + 1


def test_cells_are_neither_markup_nor_control() -> None:
    evil = "[/red]\x1b[31m\x9b"
    shown = drawn([evil], [[evil]], title=evil)
    assert shown.count(r"[/red]\x1b[31m\x9b") == 3


def test_json_holds_nothing_that_drives_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "é\x1b\x7f\x9b\u202e\u2028"
    print_json({"licence": evil})
    shown = capsys.readouterr().out
    assert not set(shown) & (set(evil) - {"é"})
    assert json.loads(shown) == {"licence": evil}


def test_names_are_neither_markup_nor_control(capsys: pytest.CaptureFixture[str]) -> None:
    log = TrainLog([{"step": 1, "epoch": 1.0, "loss": 0.5, "[/x]": 0.25}])
    print_log(log, Path("[/out]\x1b[31m"))
    shown = capsys.readouterr().out
    assert "[/x]" in shown
    assert r"encoder: [/out]\x1b[31m" in shown
    assert "25.00" in shown
