"""Every figure in a table of the results, README and model cards comes from a CSV that the page links.

A cell's labels name columns and rows of the CSV: those whose words all stand in the cell's head, else in its row, else
in the page's title. The cell's numbers must be in the one row that is left, or be the mean or standard deviation of
several, or the lowest and highest mean of a group (1.0–2.0). Counts give F1. Labels are a table's first column and all
cells without a number. What a head in *italics* marks (a column, a row; the first one: the table) was set, planned or
published, not measured here: it only names. A row that links a page repeats that page's numbers.
"""

import csv
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in [*sorted((ROOT / "docs" / "results").glob("*.md")), *ROOT.glob("models/*/README.md"), ROOT / "README.md"]
}
UNTRACED: dict[str, tuple[tuple[int, ...], str]] = {}
"""Tables whose cells weren't kept, counted from 0, and what rests on them."""
ALIASES = {"btc": "twitter", "mlm": "masked words", "re3d": "", "crossner": "", "disease": "", "mit": "", "broad": ""}
"""Words of CSVs, and what pages say for them."""
SET = {"sentences", "draw", "share", "labels", "clients"}
"""Columns of numbers that were set: they name rows."""
COUNTS = ("right", "predicted", "gold")
FIGURE = re.compile(r"[+−-]?[\d.]+|–|about|$")
NUMBER = re.compile(r"(?:(?<=\d)(–)|(?<![\w.-]))([+−-]?)(\d[\d,]*(?:\.\d+)?)(?![\w-])(?=(–\d)?)")
TARGET = re.compile(r"\]\(([^)#\s]+)[^)]*\)")

Names = tuple[frozenset[str], ...]
"""Words that name a cell, the nearest first."""


class Number(NamedTuple):
    """A number of a text; half a unit of its last place; whether it is one end of a range."""

    value: float
    half: float
    is_end: bool


class Cell(NamedTuple):
    """A measured cell, the names it has from its table, and its whole row."""

    text: str
    names: Names
    row: str


@cache
def numbers(text: str) -> list[Number]:
    found = NUMBER.findall(re.sub(r"`[^`]*`", " ", TARGET.sub("]", text)))
    digits = [(before, sign, number.rstrip(",").replace(",", ""), after) for before, sign, number, after in found]
    return [
        Number(float(number) * (-1 if sign in {"−", "-"} else 1), 0.5 * 10 ** -len(number.partition(".")[2]), bool(before or after))
        for before, sign, number, after in digits
    ]


@cache
def words(text: str) -> frozenset[str]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", TARGET.sub("]", text).casefold().replace("_", " "))
    found = re.findall(r"\d+\.\d+|\w+|[−÷×]", text)
    return frozenset(" ".join(ALIASES.get(word, word) for word in found).split())


def is_set(head: str) -> bool:
    return head == "source" or re.fullmatch(r"\*[^*]+\*", head) is not None


def tables(text: str) -> Iterator[list[Cell]]:
    """Yield the measured cells of each table of a page."""
    title = words(text.partition("\n")[0])
    for block in re.findall(r"(?:^\|.*\n)+", f"{text}\n", re.MULTILINE):
        heads, _, *rows = ([cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines())
        yield [cell for cell in measured(heads, rows, title)]


def measured(heads: list[str], rows: list[list[str]], title: frozenset[str]) -> Iterator[Cell]:
    first = ""
    for row in rows:
        first = row[0] or first
        pairs = list(zip(row, heads, strict=True))[1:]
        labels = [first, *(cell for cell, head in pairs if is_set(head) or not numbers(cell)), heads[0]]
        for cell, head in pairs:
            if not (is_set(heads[0]) or is_set(first) or is_set(head)):
                near, row_words = words(head), words(" ".join(labels))
                yield Cell(cell, (near, row_words, near | row_words, title), " ".join(row))


@dataclass(frozen=True)
class Source:
    """A CSV; of each column that names rows the words of its values, and of each other its name's words."""

    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    keys: dict[int, dict[str, frozenset[str]]]
    measures: dict[str, frozenset[str]]

    def derive(self, names: Names) -> tuple[list[float], list[float]]:
        """Return the values that the names pick, and the ends of ranges."""
        rows, picked = self.rows, False
        for place, values in self.keys.items():
            if named := pick(values, names):
                picked = True
                rows = [row for row in rows if row[place] in named]
        named = pick(self.measures, names[:-1])
        if not rows or not (picked or named):
            return [], []
        columns = [self.column(rows, place) for place, head in enumerate(self.heads) if head in (named or self.measures)]
        if set(COUNTS) <= set(self.heads):
            right, predicted, gold = (self.column(rows, self.heads.index(name)) for name in COUNTS)
            columns = [[[200 * a / max(1, b + c)] for (a,), (b,), (c,) in zip(right, predicted, gold, strict=True)]]
        firsts = [[cell[0] for cell in column if cell] for column in columns]
        average = [] if named or not all(firsts) else [statistics.mean(value for column in firsts for value in column)]
        if len(rows) == 1:
            return [*average, *(value for (cell,) in columns for value in cell)], []
        whole = [column for column in firsts if len(column) == len(rows)]
        means = [value for column in whole for value in (statistics.mean(column), statistics.stdev(column))]
        return [*average, *means], [end for place in self.keys for column in whole for end in self.ends(rows, place, column)]

    @staticmethod
    def column(rows: Sequence[tuple[str, ...]], place: int) -> list[list[float]]:
        return [[number.value for number in numbers(row[place])] for row in rows]

    @staticmethod
    def ends(rows: Sequence[tuple[str, ...]], place: int, column: list[float]) -> tuple[float, float]:
        """Return the lowest and highest mean by a key."""
        groups: dict[str, list[float]] = {}
        for row, value in zip(rows, column, strict=True):
            groups.setdefault(row[place], []).append(value)
        means = [statistics.mean(group) for group in groups.values()]
        return min(means), max(means)


@cache
def read_csv(path: Path) -> Source:
    """Read a CSV. A column names rows if its values were set, or most of them aren't numbers."""
    with path.open(newline="", encoding="utf-8") as file:
        heads, *rows = map(tuple, csv.reader(file))
    keys, measures = {}, {}
    for place, head in enumerate(heads):
        figures = sum(FIGURE.match(row[place]) is not None for row in rows)
        if head in SET or figures * 2 < len(rows):
            keys[place] = {row[place]: words(row[place]) for row in rows}
        else:
            measures[head] = words(head)
    return Source(heads, rows, keys, measures)


def pick(values: dict[str, frozenset[str]], names: Names) -> set[str]:
    """Return the values that the nearest names hold entirely; of these, those with most words."""
    for near in names:
        sizes = {value: len(found) for value, found in values.items() if found and found <= near}
        if sizes:
            return {value for value, size in sizes.items() if size == max(sizes.values())}
    return set()


def linked(page: Path, text: str, ending: str) -> list[Path]:
    targets = [target for target in TARGET.findall(text) if target.endswith(ending) and "://" not in target]
    return [(page.parent / target).resolve() for target in targets]


def sources(page: Path) -> list[Source]:
    """Return the CSVs that a page links, and those of the results that it links."""
    results = [other for other in linked(page, page.read_text(encoding="utf-8"), ".md") if other.name[:2] == "20"]
    pages = dict.fromkeys([page, *results])
    paths = [path for other in pages for path in linked(other, other.read_text(encoding="utf-8"), ".csv")]
    return [read_csv(path) for path in dict.fromkeys(paths)]


def untraced(page: Path, cells: Sequence[Cell], known: Sequence[Source]) -> list[str]:
    """Return the numbers of a table that come from nowhere."""
    wrong = []
    for cell in cells:
        derived = [source.derive(cell.names) for source in known]
        values = [value for found, _ in derived for value in found]
        ends = [value for _, found in derived for value in found]
        for other in linked(page, cell.row, ".md"):
            values += [number.value for number in numbers(other.read_text(encoding="utf-8"))]
        for value, half, is_end in numbers(cell.text):
            if all(abs(value - other) > half + 1e-9 for other in [*values, *(ends if is_end else [])]):
                wrong.append(f"{value:g} of {cell.text!r} in {cell.row!r}")
    return wrong


def check(name: str) -> list[list[str]]:
    """Return what is untraced in each table of a page."""
    page = PAGES[name]
    known = sources(page)
    return [untraced(page, cells, known) for cells in tables(page.read_text(encoding="utf-8"))]
