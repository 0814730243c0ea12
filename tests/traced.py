"""Every figure in a table of the results, README and model cards comes from a CSV that the page links.

A cell's labels name columns and rows of the CSV: those whose words all stand in the cell's head, else in its row, else
in the page's title. The cell's numbers must be in the one row that is left, or be the mean or standard deviation of
several, or the lowest and highest mean of a group (1.0–2.0). Counts give F1. Labels are a table's first column and all
cells without a number. What a head in *italics* marks (a column, a row; the first one: the table) was set, planned or
published, not measured here: it only names. A README's row that links a page repeats that page's numbers.
"""

import csv
import re
import statistics
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ALIASES = {"btc": "twitter", "mlm": "masked words", "re3d": "", "crossner": "", "disease": "", "mit": "", "broad": ""}
"""Words of CSVs, and what pages say for them."""
SET = {"sentences", "draw", "share", "labels", "clients", "steps", "task", "micro_batch_tokens"}
"""Columns of numbers that were set: they name rows."""
COUNTS = ("right", "predicted", "gold")
NUMBER = re.compile(r"(?:(?<=\d)(–)|(?<![\w.-]))([+−-]?)(\d+(?:,\d{3})*(?:\.\d+)?)(?![\w-])(?=(–\d)?)")
PLAIN = str.maketrans({"−": "-", ",": None})
TARGET = re.compile(r"\]\(([^)#\s]+)[^)]*\)")

Names = tuple[frozenset[str], ...]  # words that name a cell, the nearest first


class Number(NamedTuple):
    """A number of a text; half a unit of its last place; whether it is one end of a range."""

    value: float
    half: float
    is_end: bool


class Derived(NamedTuple):
    """A value that a CSV gives; whether it is a mean of rounded cells; whether it only ends a range."""

    value: float
    is_rounded: bool = False
    is_end: bool = False

    def is_shown_as(self, number: Number) -> bool:
        slack = number.half * (1 + self.is_rounded) + 1e-9
        return abs(self.value - number.value) <= slack and number.is_end >= self.is_end


class Cell(NamedTuple):
    """A measured cell, the names it has from its table, and its whole row."""

    text: str
    names: Names
    row: str


@cache
def numbers(text: str) -> list[Number]:
    return [
        Number(
            float(f"{sign}{digits}".translate(PLAIN)), 0.5 * 10 ** -len(digits.partition(".")[2]), bool(before or after)
        )
        for before, sign, digits, after in NUMBER.findall(re.sub(r"`[^`]*`", " ", TARGET.sub("]", text)))
    ]


@cache
def words(text: str) -> frozenset[str]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", TARGET.sub("]", text).casefold().replace("_", " "))
    return frozenset(" ".join(ALIASES.get(word, word) for word in re.findall(r"\d+\.\d+|\w+|[−÷×]", text)).split())


def is_set(head: str) -> bool:
    return head == "source" or re.fullmatch(r"\*[^*]+\*", head) is not None


def tables(text: str) -> Iterator[list[Cell]]:
    """Yield the measured cells of each table of a page."""
    title = words(text.partition("\n")[0])
    for block in re.findall(r"(?:^\|.*\n)+", f"{text}\n", re.MULTILINE):
        heads, _, *rows = ([cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines())
        yield list(measured(heads, rows, title))


def measured(heads: list[str], rows: list[list[str]], title: frozenset[str]) -> Iterator[Cell]:
    first = ""
    for row in rows:
        first = row[0] or first
        pairs = list(zip(row, heads, strict=True))[1:]
        labels = [first, *(cell for cell, head in pairs if is_set(head) or not numbers(cell)), heads[0]]
        for cell, head in pairs:
            if not (is_set(heads[0]) or is_set(first) or is_set(head)):
                names = words(head), words(" ".join(labels)), words(" ".join([head, *labels])), title
                yield Cell(cell, names, " ".join(row))


class Source(NamedTuple):
    """A CSV; of each column that names rows the words of its values, and of each other its name's words."""

    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    keys: dict[int, dict[str, frozenset[str]]]
    measures: dict[str, frozenset[str]]

    def derive(self, names: Names) -> list[Derived]:
        """Return what the names pick."""
        rows = self.rows
        for place, values in self.keys.items():
            named = pick(values, names)
            rows = [row for row in rows if row[place] in named] or rows
        measures = pick(self.measures, names[2:3])
        if not measures and rows is self.rows:
            return []
        places = [place for place, head in enumerate(self.heads) if head in (measures or self.measures)]
        columns = [self.column(rows, place) for place in places]
        if counts := set(COUNTS) <= set(self.heads):
            right, predicted, gold = (self.column(rows, self.heads.index(name)) for name in COUNTS)
            columns = [[[200 * a / max(1, b + c)] for (a,), (b,), (c,) in zip(right, predicted, gold, strict=True)]]
        derived = [Derived(value) for column in columns for cell in column for value in cell if len(rows) == 1]
        firsts = [[cell[0] for cell in column if cell] for column in columns]
        if len(firsts) > 1 and not measures:
            derived.append(Derived(statistics.mean(chain.from_iterable(firsts)), is_rounded=True))
        for column in firsts:
            if 1 < len(column) == len(rows):
                derived += [Derived(statistics.mean(column), is_rounded=not counts), Derived(statistics.stdev(column))]
                derived += [Derived(end, is_end=True) for place in self.keys for end in self.ends(rows, place, column)]
        return derived

    @staticmethod
    def column(rows: Sequence[tuple[str, ...]], place: int) -> list[list[float]]:
        return [[number.value for number in numbers(row[place])] for row in rows]

    @staticmethod
    def ends(rows: Sequence[tuple[str, ...]], place: int, column: list[float]) -> tuple[float, float]:
        """Return the lowest and highest mean by a key."""
        pairs = [(row[place], value) for row, value in zip(rows, column, strict=True)]
        means = [statistics.mean(value for key, value in pairs if key == name) for name in {key for key, _ in pairs}]
        return min(means), max(means)


@cache
def read_csv(path: Path) -> Source:
    """Read a CSV. A column names rows if its values were set, or most of them aren't numbers."""
    with path.open(newline="", encoding="utf-8") as file:
        heads, *rows = map(tuple, csv.reader(file))
    keys, measures = {}, {}
    for place, head in enumerate(heads):
        named = sum(re.search(r"[^\W\d_]", row[place]) is not None for row in rows)
        if head in SET or named * 2 > len(rows):
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
    return [page.parent / target for target in TARGET.findall(text) if target.endswith(ending) and "://" not in target]


def sources(page: Path) -> list[Source]:
    """Return the CSVs that a page links, and those of the results that it links."""
    results = [other for other in linked(page, page.read_text(encoding="utf-8"), ".md") if other.name[:2] == "20"]
    paths = [path for other in [page, *results] for path in linked(other, other.read_text(encoding="utf-8"), ".csv")]
    return [read_csv(path) for path in dict.fromkeys(path.resolve() for path in paths)]


@cache
def page_numbers(page: Path) -> list[Number]:
    """Return the numbers of a page that a row repeats, with either sign: "loses 0.4" is −0.4."""
    found = numbers(page.read_text(encoding="utf-8"))
    return [signed for number in found for signed in (number, number._replace(value=-number.value))]


def untraced(page: Path, cells: Sequence[Cell], known: Sequence[Source]) -> list[str]:
    """Return the numbers of a table that come from nowhere."""
    wrong = []
    for cell in cells:
        derived = [one for source in known for one in source.derive(cell.names)]
        repeated = linked(page, cell.row, ".md") if page.name == "README.md" else []
        derived += [Derived(told.value) for other in repeated for told in page_numbers(other)]
        for number in numbers(cell.text):
            if not any(one.is_shown_as(number) for one in derived):
                wrong.append(f"{number.value:g} of {cell.text!r} in {cell.row!r}")
    return wrong


def check(page: Path) -> list[list[str]]:
    known = sources(page)
    return [untraced(page, cells, known) for cells in tables(page.read_text(encoding="utf-8"))]
