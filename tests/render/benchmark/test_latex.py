"""The table as LaTeX: whole, in parts that fit a page, and harmless whatever names hold."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.evaluation.benchmark.suite import System, Target
from nerbert.evaluation.tables.grid import BenchmarkTable
from nerbert.evaluation.tables.table import make_table
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.render.benchmark.latex import escaped, latex_of
from tests.evaluation.tables.hostile import hostile_table
from tests.evaluation.tables.made_up import all_done, made_up_cells, made_up_suite

TABLE = make_table(made_up_suite(), made_up_cells(made_up_suite()))
HOSTILE = hostile_table()


def balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0


OURS = frozenset(
    "begin end toprule midrule bottomrule centering footnotesize scriptsize caption textbf textsuperscript par "
    "smallskip endfirsthead endhead arraybackslash raggedright hspace textbackslash textasciitilde textasciicircum "
    "textless textgreater textbar textasciigrave textquotedbl".split()
)


@pytest.mark.parametrize("table", [TABLE, HOSTILE], ids=["usual", "hostile"])
def test_latex_is_whole_and_has_no_foreign_command(table: BenchmarkTable) -> None:
    _, text = latex_of(table).split("\n", 1)
    assert balanced(text)
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= OURS
    assert not re.search(r"(?<!\\)[$#_^~]", text)
    assert not [line for line in text.split("\n") if re.search(r"(?<!\\)%", line) and line not in ("%", "}")
                and not line.endswith("{%") and not line.endswith("}%")]  # fmt: skip
    assert not re.search(r"\\\\\*?\s*\[", text), "a line's end takes no option"
    assert not re.search(r"\\\\\s+\*|\\\\\*.", text), "a star after a line's end is ours"
    environments = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    open_: list[str] = []
    for kind, name in environments:
        if kind == "begin":
            open_.append(name)
        else:
            assert open_.pop() == name
    assert open_ == []


BODY = re.compile(r"\\begin\{(tabular|longtable)\}(.*?)\\end\{\1\}", re.DOTALL)


@pytest.mark.parametrize("table", [TABLE, HOSTILE], ids=["usual", "hostile"])
def test_latex_rows_have_as_many_cells_as_columns(table: BenchmarkTable) -> None:
    text = latex_of(table)
    shown = [grid for grid in table.grids if not grid.folded]
    for _, body in BODY.findall(text):
        head, *lines = body.split("\n")
        sides = len(re.findall("[lrp]", re.sub(r"@\{.*?\}\}", "", re.sub(r">\{.*?\}p\{11em\}", "p", head))))
        rows = [line for line in lines if re.search(r" \\\\\*?$", line) and not line.startswith("\\caption")]
        assert len(rows) >= min(len(grid.rows) for grid in shown) + 1
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {sides}
    for grid in shown:
        assert all(escaped(column.head) in text for column in grid.columns)
        assert all(escaped(entry.text) in text for row in grid.rows for entry in row.entries)


def test_latex_has_the_scores_in_floats_by_protocol_and_nothing_scaled() -> None:
    protocols = {"dev": FinetuneSettings(select="dev"), "fixed": FinetuneSettings()}
    suite = made_up_suite(protocols=protocols, targets=(Target(data="a"), Target(data="b")))
    text = latex_of(make_table(suite, made_up_cells(suite, all_done)))
    assert text.count("\\begin{table}") == text.count("\\caption{Entity F1 in percent, ") == 2
    assert "resizebox" not in text
    assert text.rindex("\\end{table}") < text.index("\\begin{longtable}"), "the scores can be cut out alone"
    many = made_up_suite(systems={f"System {number}": System() for number in range(20)}, baseline="System 0")
    long = latex_of(make_table(many, made_up_cells(many, all_done)))
    lines = [line for body in BODY.findall(long) for line in body[1].split("\n")]
    assert max(len(re.sub(r"\\\w+|[{}]", "", line)) for line in lines) < 150
    assert "\\begin{table}" not in long, "too many lines for a page: they break over pages"


@given(st.text())
def test_latex_text_stays_text(text: str) -> None:
    assert balanced(escaped(text))
    assert set(re.findall(r"\\([A-Za-z]+)", escaped(text))) <= OURS
    assert "\n" not in escaped(text)
