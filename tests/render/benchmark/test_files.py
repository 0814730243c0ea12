"""The table in five outputs: complete, the same each time, and harmless whatever names and messages hold."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from lxml import etree, html
from rich.console import Console

from nerbert.errors import InputError
from nerbert.evaluation.benchmark.suite import Suite, System, Target
from nerbert.evaluation.tables.grid import BenchmarkTable, ColumnKind, Record
from nerbert.evaluation.tables.table import make_table
from nerbert.render.benchmark.files import csv_of, harmless, write_tables
from nerbert.render.benchmark.markdown import markdown_of
from nerbert.render.benchmark.page import page_of
from nerbert.render.benchmark.plots import plot
from nerbert.render.markup import Markup
from nerbert.render.terminal.benchmark import print_table
from tests.evaluation.tables.hostile import hostile_table
from tests.evaluation.tables.made_up import all_done, made_up_cells, made_up_suite

SUITE = made_up_suite()
TABLE = make_table(SUITE, made_up_cells(SUITE))
HOSTILE = hostile_table()


def printed(table: BenchmarkTable, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_table(table, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_files_are_written_and_the_same_each_time(tmp_path: Path) -> None:
    paths = write_tables(tmp_path / "new", TABLE)
    assert sorted(path.name for path in paths) == ["made_up.csv", "made_up.html", "made_up.md", "made_up.tex"]
    before = [path.read_bytes() for path in paths]
    again = make_table(made_up_suite(), made_up_cells(made_up_suite()))
    assert [path.read_bytes() for path in write_tables(tmp_path / "new", again)] == before
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "a\nb", "x" * 200])
def test_a_name_cannot_lead_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't name a file"):
        write_tables(tmp_path, make_table(made_up_suite(name=name), []))
    assert list(tmp_path.iterdir()) == []


def test_hostile_files_are_written(tmp_path: Path) -> None:
    assert len(write_tables(tmp_path, HOSTILE)) == 4


def unescaped(text: str) -> str:
    """Markdown without what a backslash protects and without our own few elements."""
    return re.sub(r"</?(?:br|sub|sup)>", "", re.sub(r"\\.", "", text))


@pytest.mark.parametrize("table", [TABLE, HOSTILE], ids=["usual", "hostile"])
def test_markdown_has_whole_tables_and_no_foreign_markup(table: BenchmarkTable) -> None:
    text = markdown_of(table)
    lines = [unescaped(line) for line in text.split("\n")]
    widths = [line.count("|") for line in lines if line.startswith("|")]
    shown = [grid for grid in table.grids if not grid.folded]
    assert widths == [len(grid.columns) + 1 for grid in shown for _ in range(len(grid.rows) + 2)]
    assert not [line for line in lines if re.search(r"[<>`\[\]]", line)]
    assert all(line.count("*") % 2 == 0 for line in lines), "only our own emphasis, which ends in its line"
    assert sum(line.startswith("#") for line in lines) == len(shown) + 3, "title, grids, two more"
    assert "\x1b" not in text


def test_csv_reads_back_and_holds_no_formula() -> None:
    lines = list(csv.DictReader(io.StringIO(csv_of(TABLE), newline="")))
    assert [tuple(line.values()) for line in lines] == [tuple(record) for record in TABLE.records]
    hostile = list(csv.reader(io.StringIO(csv_of(HOSTILE), newline="")))
    assert {len(line) for line in hostile} == {len(Record._fields)}
    value = Record._fields.index("value")
    texts = [cell for line in hostile for place, cell in enumerate(line) if place != value]
    assert not [text for text in texts if text[:1] in set("=+-@\t\r\n")]
    assert {float(line[value]) for line in hostile[1:] if line[value]}


def test_only_formulas_get_a_quote() -> None:
    assert [harmless(text) for text in ("=1+1", " =1", "\t=1", "-x", "a=b", "")] == [
        "'=1+1",
        "' =1",
        "'\t=1",
        "'-x",
        "a=b",
        "",
    ]


def test_csv_opens_in_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(io.StringIO(csv_of(TABLE)))
    done = frame[(frame.metric == "micro.f1") & (frame.state == "done") & (frame.target == "politics")]
    assert round(100 * done.groupby("system").value.mean()["BERT"], 2) == pytest.approx(
        float(TABLE.grids[0].rows[0].entries[4].text.split()[0])
    )


ELEMENTS = frozenset(
    "html head meta link title style body main header section h1 h2 p div table thead tbody tr th td b small sup a ol "
    "ul li dl dt dd details summary figure figcaption svg desc g path line circle text span".split()
)


@pytest.mark.parametrize("table", [TABLE, HOSTILE], ids=["usual", "hostile"])
def test_the_page_has_no_script_no_request_and_no_foreign_element(table: BenchmarkTable) -> None:
    root: Any = html.fromstring(page_of(table))
    assert {str(element.tag) for element in root.iter()} <= ELEMENTS
    (policy,) = root.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert {link[:2] for link in root.xpath("//a/@href")} == {"#n"}
    assert set(root.xpath("//@src | //link/@href")) <= {"data:,"}
    assert set(root.xpath("//a/@href")) <= {f"#{each}" for each in root.xpath("//@id")}
    assert not [name for element in root.iter() for name in element.attrib if str(name).startswith("on")]
    assert len(root.xpath("//@id")) == len(set(root.xpath("//@id")))


def test_the_page_shows_every_grid_row_for_row() -> None:
    root: Any = html.fromstring(page_of(TABLE))
    shown = [grid for grid in TABLE.grids if not grid.folded] + [grid for grid in TABLE.grids if grid.folded]
    tables = root.xpath("//table")
    assert len(tables) == len(shown)
    for table, grid in zip(tables, shown, strict=True):
        rows = table.xpath("./tbody/tr")
        names = sum(column.kind is ColumnKind.NAME for column in grid.columns)
        assert [len(row) for row in rows] == [len(row.entries) - names + 1 for row in grid.rows]
        small = [", ".join(each.text for each in row.entries[1:names]) for row in grid.rows]
        told = [[row.entries[0].text + below, below] for row, below in zip(grid.rows, small, strict=True)]
        assert [[row[0].text_content(), row[0].find("small").text_content()] for row in rows] == told, (
            "target and size in one cell"
        )
    assert len(root.xpath("//details")) == len(TABLE.curves) + 3


def test_a_page_of_many_rows_folds_what_stands_beside() -> None:
    suite = made_up_suite(targets=tuple(Target(data=f"t{number}") for number in range(30)), published=())
    table = make_table(suite, made_up_cells(suite, all_done))
    root: Any = html.fromstring(page_of(table))
    tests = next(grid for grid in table.grids if grid.key == "tests")
    open_rows = [len(each.xpath("./tbody/tr")) for each in root.xpath("//table[not(ancestor::details)]")]
    assert open_rows == [len(table.grids[0].rows), sum(row.whole for row in tests.rows)]
    style = root.findtext(".//style")
    assert re.search(r"\.wide \{[^}]*max-height", style), "a table scrolls in a box"
    assert re.search(r"(?m)^thead \{[^}]*sticky", style), "and its head stays"
    heads = [each.text_content() for each in root.xpath("//details/summary")]
    assert heads[:2] == ["t0: 2 rows", "t1: 2 rows"]
    inside = [len(each) for each in root.xpath("//details//tbody")]
    assert sum(inside) + sum(open_rows) == sum(len(grid.rows) for grid in table.grids)


def test_curves_are_drawn_and_told() -> None:
    (curve,) = TABLE.curves
    drawn = plot(curve, 0)
    assert isinstance(drawn, Markup)
    figure = etree.fromstring(drawn)
    svg = figure.find("svg")
    assert svg is not None
    assert svg.get("aria-labelledby") == "t0 d0"
    assert "BERT: 10 sentences" in (svg.findtext("desc") or "")
    assert len(svg.findall(".//circle")) == sum(map(len, curve.lines.values()))
    numbers = [float(each) for path in svg.findall(".//path") for each in re.findall(r"[\d.]+", path.get("d") or "")]
    assert max(numbers) <= 640
    assert "c1" in {each.get("class") for each in svg.findall("g")}
    plot_of_hostile = etree.fromstring(plot(HOSTILE.curves[0], 1)) if HOSTILE.curves else None
    assert plot_of_hostile is None or plot_of_hostile.find(".//script") is None


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_every_column_in_its_width(width: int) -> None:
    text = printed(TABLE, width)
    assert max(map(len, text.split("\n"))) <= width
    for column in TABLE.grids[0].columns:
        assert column.head in text
    for row in TABLE.grids[0].rows:
        assert all(entry.text in text for entry in row.entries[2:])
    assert "[1] BERT-base: A paper, Table 2" in text


def test_the_terminal_leaves_out_what_says_nothing() -> None:
    suite = made_up_suite(published=(), targets=(Target(data="a", seeds=(1, 2)), Target(data="b"), Target(data="c")))
    cells = [
        cell for cell in made_up_cells(suite, all_done) if cell.place.system != "BERT" and cell.place.target != "c"
    ]
    table = make_table(suite, cells)
    tests = next(grid for grid in table.grids if grid.key == "tests")
    assert [row.entries[0].text for row in tests.rows] == ["a", "b", "2 of 3 targets"], "no row for what has no pair"
    text = printed(table, 120)
    assert "Not run: BERT." in text
    assert text.count("BERT") == 1, "no column, no row"
    assert [line.split()[1] for line in text.split("\n") if " +" in line] == ["b", "2"], "two runs are no test"


@pytest.mark.parametrize("about", ["- a list", "1. one", "2) two", "+ more", "two\nlines\n\n# head", "===", "    code"])
def test_what_a_suite_is_about_is_one_paragraph(about: str) -> None:
    suite = made_up_suite(about=about, systems={"- x": System(source="y"), "z": System()}, baseline="z")
    table = make_table(suite, [])
    text = markdown_of(table)
    told = text.split("\n")[2]
    assert "\\n" not in text
    assert not re.match(r"\s|[-+*#=>]|\d+[.)]\s", told)
    assert re.sub(r"\\(.)", r"\1", told) == " ".join(about.split())
    assert "y first: - x. One checkpoint" in text


def test_the_terminal_reads_no_markup_and_no_control_characters() -> None:
    text = printed(HOSTILE, 400)
    assert "[bold red]x[/bold red]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "\\x1b" in text


def test_nothing_run_is_a_table_too(tmp_path: Path) -> None:
    empty = make_table(Suite(name="n", title="", systems={"A": System()}, targets=(Target(data="t"),), seeds=(1,),
                             protocols=dict(SUITE.protocols)), [])  # fmt: skip
    assert len(write_tables(tmp_path, empty)) == 4
    assert "| t | all | – |" in (tmp_path / "n.md").read_text(encoding="utf-8")
    assert "–" in printed(empty)


def test_names_do_not_break_at_hyphens() -> None:
    suite = made_up_suite(systems={"NER-BERT 4types": System(), "x": System()}, baseline="x")
    root: Any = html.fromstring(page_of(make_table(suite, [])))
    assert {each.text for each in root.xpath("//span[@class='word']")} >= {"NER-BERT"}
