"""The page of a report: one file without network requests, light and dark, for phone, keyboard and paper."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.data.sampling import plural
from nerbert.errors import refused
from nerbert.evaluation.report.report import Report
from nerbert.evaluation.report.sentences import ShownEntity, ShownSentence
from nerbert.render import Mark, facts_of, pieces_of, render, write
from nerbert.render.tags_page import direction

_COLOURS = 10
FAULTS = {
    "type": "wrong type",
    "boundary": "wrong words",
    "both": "wrong words and type",
    "missed": "missed",
    "spurious": "spurious",
}
"""Kind of mistake → text next to the entity."""
_APART = 34
"""Minimum distance between two labels below the axis."""

PlotLine = tuple[str, int, Sequence[tuple[float, float]]]
"""A line: its name, the number of its colour and dashes, and its points, with y as shares (0–1), drawn in percent."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines of shares (y) over numbers (x)."""

    title: str
    x_name: str
    lines: Sequence[PlotLine]
    width, height, left, right, top, bottom = 640, 360, 58, 622, 14, 308

    def x(self, value: float) -> float:
        """Return the x coordinate of a number."""
        first = self._xs[0]
        last = self._xs[-1]
        across = (value - first) / (last - first) if last > first else 0.5
        return round(self.left + 12 + across * (self.right - self.left - 24), 1)

    def y(self, share: float) -> float:
        """Return the y coordinate of a share; one outside the axis is drawn at its edge."""
        low = self.ys[0]
        high = self.ys[-1]
        up = (min(max(100 * share, low), high) - low) / (high - low)
        return round(self.bottom - up * (self.bottom - self.top), 1)

    @property
    def ys(self) -> range:
        """Percents labelled on the y axis, from its lower to its upper end."""
        shares = [share for _, _, points in self.lines for _, share in points]
        low = max(0, math.floor(10 * min(shares)) * 10)
        # At least one step of ten, even if all values are equal.
        return range(low, max(low + 10, min(100, math.ceil(10 * max(shares)) * 10)) + 1, 10)

    @property
    def labels(self) -> list[tuple[float, str]]:
        """Position of each tick on the x axis, with its label if there is room."""
        labels = []
        free = 0.0
        for value in self._xs:
            x = self.x(value)
            labels.append((x, f"{value:,.0f}" if x >= free else ""))
            free = x + _APART if x >= free else free
        return labels

    @property
    def _xs(self) -> list[float]:
        return sorted({x for _, _, points in self.lines for x, _ in points})


def write_report(report: Report, output: Path) -> None:
    """Write the page, whole or not at all."""
    write(output, report_page(report))


def report_page(report: Report) -> str:
    """Return the page; raise InputError for a tagger's card that nerbert didn't write."""
    names = sorted({part.name for part in report.by_type})
    colours = {name: f"k{number % _COLOURS}" for number, name in enumerate(names)}
    with refused(f"{report.name}: its nerbert.json is not as nerbert writes it"):
        return render(
            "report.html.j2",
            report=report,
            card=facts_of(report.card),
            plural=plural,
            notes=notes(report),
            views=lambda sentence: _views(sentence, colours),
            direction=direction,
            # Templates are strict: a plot without figures must be None rather than missing.
            **dict.fromkeys(("curve", "reliable", "learning")) | dict(_plots(report)),
        )


def notes(report: Report) -> list[str]:
    """Return the notes of `nerbert evaluate` on the tagger and on the one that it is compared with, one per line."""
    lines = render("terminal/evaluation.txt.j2", evaluation=report.evaluation).splitlines()
    if report.comparison:
        lines += render("terminal/evaluation.txt.j2", evaluation=report.comparison.evaluation).splitlines()
    # Most notes apply to both taggers, and are shown once.
    return [*dict.fromkeys(lines)]


def _views(sentence: ShownSentence, colours: Mapping[str, str]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the origin of entities and the text in pieces; mistaken entities are underlined, with their mistakes."""
    before, after = ([] if is_end else [("…", None)] for is_end in (sentence.begins, sentence.ends))
    for name, entities in (("annotated", sentence.gold), ("second", sentence.other), ("found", sentence.predicted)):
        if entities is not None:
            marks = [(entity.start, entity.end, _mark(entity, colours)) for entity in entities]
            yield name, [*before, *pieces_of(sentence.text, marks), *after]


def _mark(entity: ShownEntity, colours: Mapping[str, str]) -> Mark:
    style = colours.get(entity.type, "entity")
    confidence = "" if entity.confidence is None else f" {entity.confidence:.2f}"
    fault, wanted = (f" · {FAULTS[entity.mistake]}", " wanted") if entity.mistake else ("", "")
    return Mark(f"{entity.type}{confidence}{fault}", f"{style}{wanted}")


def _plots(report: Report) -> Iterator[tuple[str, Plot]]:
    """Yield the plots that have figures: by threshold (from the one in force), by confidence, by training step."""
    # Where nothing is kept, precision is 0 by convention and would draw a cliff.
    rows = [(100 * at, counts) for at, counts in report.thresholds[0].curve if counts.predicted]
    if len(rows) > 1:
        title = "Precision, recall and F1 in percent, by the lowest confidence of entities that are kept"
        lines: list[PlotLine] = [
            (name.replace("f1", "F1"), style, [(at, getattr(counts, name)) for at, counts in rows])
            for name, style in (("precision", 2), ("recall", 1), ("f1", 3))
        ]
        yield "curve", Plot(title, "% confidence", lines)
    if report.reliability:
        points = [(100 * part.confidence, part.precision) for part in report.reliability]
        title = "Entities that are right, in percent, by their mean confidence"
        lines = [("perfect calibration", 0, [(0, 0), (100, 1)]), ("this tagger", 1, points)]
        yield "reliable", Plot(title, "% confidence", lines)
    if len(report.learning) > 1:
        line = "F1 on the dev split", 2, report.learning
        yield "learning", Plot("F1 on the dev split in percent, by training step", "steps", [line])
