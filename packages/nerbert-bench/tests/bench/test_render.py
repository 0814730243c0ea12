"""The table in five outputs: complete, the same each time, and harmless whatever names and messages hold."""

import csv
import io
import re
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nerbert.render import latex
from nerbert_bench.render.benchmark import csv_of, harmless, notes_of, print_table, text_of, write_tables
from nerbert_bench.suite import Suite, SystemSettings, Target
from nerbert_bench.tables.results import COLUMNS, BenchmarkTable
from nerbert_bench.tables.table import make_table
from tests import pages
from tests.bench.tables.hostile import hostile_table
from tests.bench.tables.made_up import all_done, made_up_cells, made_up_suite
from tests.render.checks import check_page

pytest.importorskip("scipy")
pytestmark = pytest.mark.extras
SUITE = made_up_suite()
TABLE = make_table(SUITE, made_up_cells(SUITE))
HOSTILE = hostile_table()
BOTH = pytest.mark.parametrize("table", [TABLE, HOSTILE], ids=["usual", "hostile"])


def printed(table: BenchmarkTable, width: int = 100) -> str:
    file = io.StringIO()
    print_table(table, Console(width=width, file=file, color_system=None))
    return file.getvalue()


def test_files_are_written_and_the_same_each_time(tmp_path: Path) -> None:
    paths = write_tables(tmp_path / "new", TABLE)
    assert sorted(path.name for path in paths) == ["made_up.csv", "made_up.html", "made_up.md", "made_up.tex"]
    before = [path.read_bytes() for path in paths]
    again = make_table(made_up_suite(), made_up_cells(made_up_suite()))
    assert [path.read_bytes() for path in write_tables(tmp_path / "new", again)] == before
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)
    assert len(write_tables(tmp_path, HOSTILE)) == 4


@BOTH
def test_markdown_has_whole_tables_and_no_foreign_markup(table: BenchmarkTable) -> None:
    text = text_of(table, "md")
    # without what a backslash protects, and without our own few elements
    lines = [re.sub(r"</?(?:br|sub|sup)>", "", re.sub(r"\\.", "", line)) for line in text.split("\n")]
    shown = [grid for grid in table.grids if grid.key != "types"]
    widths = [line.count("|") for line in lines if line.startswith("|")]
    assert widths == [len(grid.heads) + 1 for grid in shown for _ in range(len(grid.rows) + 2)]
    assert not [line for line in lines if re.search(r"[<>`\[\]]", line)]
    assert all(line.count("*") % 2 == 0 for line in lines), "only our own emphasis, which ends in its line"
    assert sum(line.startswith("#") for line in lines) == len(shown) + 3, "title, grids, two more"
    assert "\x1b" not in text


def test_markdown_marks_what_is_best_and_significant() -> None:
    scores = pages.markdown_tables_of(text_of(TABLE, "md"))[0]
    assert scores[0][2:4] == ["MiniLM", "MiniLM, pre-trained"]
    assert re.fullmatch(r"\*\*[\d.]+ ± [\d.]+\*\*(\\\*)+<br><sub>\\\[[\d.]+, [\d.]+\\\]</sub>", scores[1][3])
    assert scores[0][-1] == "BERT-base (published)<sup>1</sup>"


@pytest.mark.parametrize("about", ["- a list", "1. one", "2) two", "+ more", "two\nlines\n\n# head", "===", "    code"])
def test_what_a_suite_is_about_is_one_paragraph(about: str) -> None:
    suite = made_up_suite(about=about, systems={"- x": SystemSettings(source="y"), "z": SystemSettings()}, baseline="z")
    text = text_of(make_table(suite, []), "md")
    line = text.split("\n")[2]
    assert not re.match(r"\s|[-+*#=>]|\d+[.)]\s", line)
    assert re.sub(r"\\(.)", r"\1", line) == " ".join(about.split())
    assert "y first: - x. Each seed has its own checkpoint." in text


def test_csv_reads_back_and_holds_no_formula() -> None:
    assert [tuple(line) for line in csv.reader(io.StringIO(csv_of(TABLE), newline=""))] == [*TABLE.records()]
    hostile = list(csv.reader(io.StringIO(csv_of(HOSTILE), newline="")))
    assert {len(line) for line in hostile} == {len(COLUMNS)}
    assert not [text for line in hostile for text in line if text[:1] in set("=+-@\t\r\n")]
    value = COLUMNS.index("value")
    assert {float(line[value]) for line in hostile[1:] if line[value]}
    assert harmless(["=1", " =1", "\t=1", "-x", "a=b", "", "0.5"]) == ["'=1", "' =1", "'\t=1", "'-x", "a=b", "", "0.5"]


@BOTH
def test_the_page_has_no_script_and_leads_only_to_its_notes(table: BenchmarkTable) -> None:
    root = check_page(text_of(table, "html"))
    assert not root.xpath("//script")
    assert {target[:2] for target in root.xpath("//a/@href")} == {"#n"}


def test_the_page_shows_every_grid_row_for_row() -> None:
    page = text_of(TABLE, "html")
    for cells, grid in zip(pages.tables_of(page), TABLE.grids, strict=True):
        for shown, row in zip(cells[1:], grid.rows, strict=True):
            names = row[0].text + ", ".join(each.text for each in row[1 : grid.names])
            wanted = [names, *(each.text for each in row[grid.names :])]
            assert all(cell.startswith(text) for cell, text in zip(shown, wanted, strict=True))
    text = pages.text_of(page)
    assert all(note in text for note in (*TABLE.numbered, *notes_of(TABLE)))


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_every_figure_in_its_width(width: int) -> None:
    text = printed(TABLE, width)
    assert max(map(len, text.split("\n"))) <= width
    for head in TABLE.grids[0].heads:
        assert head.text.split()[0] in text
    for row in TABLE.grids[0].rows:
        assert all(entry.text.split(" (")[0] in text for entry in row[2:])
    assert "[1] BERT-base: A paper, Table 2" in text


def test_the_terminal_leaves_out_what_says_nothing() -> None:
    suite = made_up_suite(published=(), targets=(Target(data="a", seeds=(1, 2)), Target(data="b"), Target(data="c")))
    cells = [
        cell for cell in made_up_cells(suite, all_done) if cell.place.system != "BERT" and cell.place.target != "c"
    ]
    table = make_table(suite, cells)
    tests = next(grid for grid in table.grids if grid.key == "tests")
    assert [row[0].text for row in tests.rows] == ["a", "b", "2 of 3 targets"], "no row for what has no pair"
    text = printed(table, 120)
    assert "Without a finished run: BERT." in text
    assert text.count("BERT") == 1, "no column, no row"


def test_the_terminal_reads_no_markup_and_no_control_characters() -> None:
    text = printed(HOSTILE, 400)
    assert "[bold red]x[/bold red]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "\\x1b" in text


def test_nothing_run_is_a_table_too(tmp_path: Path) -> None:
    systems, targets = {"A": SystemSettings()}, (Target(data="t"),)
    suite = Suite(name="n", title="", systems=systems, targets=targets, seeds=(1,), protocols=dict(SUITE.protocols))
    empty = make_table(suite, [])
    assert len(write_tables(tmp_path, empty)) == 4
    assert "| t | all | – |" in (tmp_path / "n.md").read_text(encoding="utf-8")
    assert "Without a finished run: A." in printed(empty)


OURS = frozenset(
    "begin end toprule midrule bottomrule footnotesize scriptsize caption textbf textsuperscript par endfoot endhead "
    "raggedright textbackslash textasciitilde textasciicircum textless textgreater textbar textasciigrave "
    "textquotedbl".split()
)
BODY = re.compile(r"\\begin\{longtable\}\{(\w+)\}(.*?)\\end\{longtable\}", re.DOTALL)


def balanced(text: str) -> bool:
    steps = ({"{": 1, "}": -1}.get(brace, 0) for brace in re.findall(r"\\.|[{}]", text))
    depths = [*accumulate(steps, initial=0)]
    return min(depths) == depths[-1] == 0


@BOTH
def test_latex_is_whole_and_has_no_foreign_command(table: BenchmarkTable) -> None:
    _, text = text_of(table, "tex").split("\n", 1)
    assert balanced(text)
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= OURS
    assert not re.search(r"(?<!\\)[$#_^~%]", text)
    assert not re.search(r"\\\\\s*[\[*]", text), "a line's end takes no option"
    shown = [grid for grid in table.grids if grid.key != "types"]
    for (sides, body), grid in zip(BODY.findall(text), shown, strict=True):
        assert len(sides) == len(grid.heads)
        caption, *rows = [line for line in body.split("\n") if line.endswith(r" \\")]
        assert caption == f"\\caption{{{latex(grid.title)}}} \\\\"
        assert [len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows] == [len(grid.heads)] * (len(grid.rows) + 1)
        assert all(latex(entry.text) in body for row in grid.rows for entry in row)


@given(st.text())
def test_latex_text_stays_text(text: str) -> None:
    assert balanced(latex(text))
    assert set(re.findall(r"\\([A-Za-z]+)", latex(text))) <= OURS
    assert "\n" not in latex(text)
