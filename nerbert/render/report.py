"""The page of a report: one file that asks for nothing, light and dark, for phone, keyboard and paper."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.errors import refused
from nerbert.finetuning.sampling import many
from nerbert.render import Mark, facts_of, pieces_of, render, write
from nerbert.render.plots import Plot, PlotLine
from nerbert.render.tags_page import direction
from nerbert.terminal import percent

if TYPE_CHECKING:
    from nerbert.evaluation.report.report import Report, TypeThresholds
    from nerbert.evaluation.report.sentences import ShownEntity, ShownSentence
    from nerbert.metrics.judging import Interval

_COLOURS = 10
_CONFUSIONS = 20
"""Pairs of types that are listed; the rest is counted."""
KINDS = {
    "type": "exactly the annotated words, but another type",
    "boundary": "the annotated type, but more words, fewer or shifted ones",
    "both": "other words and another type, but they overlap an annotated entity",
    "missed": "annotated, and nothing found there",
    "spurious": "found, and nothing annotated there",
}
"""What each kind of mistake is."""
FAULTS = {"type": "wrong type", "boundary": "wrong words", "both": "wrong words and type", "missed": "missed",
          "spurious": "spurious"}  # fmt: skip
"""What is wrong with an entity, beside it."""


def write_report(report: "Report", output: Path) -> None:
    """Write the page, whole or not at all."""
    write(output, report_page(report))


def report_page(report: "Report") -> str:
    """Return the page; raise InputError for a tagger's card that nerbert didn't write."""
    names = sorted({part.name for part in report.by_type})
    colours = {name: f"k{place % _COLOURS}" for place, name in enumerate(names)}
    with refused(f"{report.name}: its nerbert.json is not as nerbert writes it"):
        return render(
            "report.html.j2", report=report, card=facts_of(report.card), kinds=KINDS, many=many, points=points,
            bounds=bounds, notes=notes(report), confusions=report.confusions[:_CONFUSIONS],
            more_confusions=report.confusions[_CONFUSIONS:], views=lambda each: _views(each, colours),
            direction=direction, levels=_levels, origins=list(_origins(report)),
            **dict.fromkeys(("curve", "reliable", "learning")) | dict(_plots(report)),
        )  # fmt: skip


def points(share: object) -> str:
    """Return a difference of shares (0–1) in points of percent, with its sign; "–" for anything else."""
    return f"{100 * share:+.2f}" if isinstance(share, int | float) else "–"


def bounds(interval: "Interval", shown: Any = percent) -> str:
    """Return an interval's bounds in percent."""
    return f"{shown(interval.low)} to {shown(interval.high)}"


def notes(report: "Report") -> list[str]:
    """Return what `nerbert evaluate` notes of the tagger, and of the one that it is compared with, a line each."""
    found = render("terminal/evaluation.txt.j2", evaluation=report.evaluation).splitlines()
    if report.comparison:
        found += render("terminal/evaluation.txt.j2", evaluation=report.comparison.evaluation).splitlines()
    return [*dict.fromkeys(found)]


def _views(sentence: "ShownSentence", colours: Mapping[str, str]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the text in pieces, by whose entities: where gold and tagger differ, one is underlined, and says how."""
    before, after = ([] if whole else [("…", None)] for whole in (sentence.begins, sentence.ends))
    for name, entities in (("annotated", sentence.gold), ("second", sentence.other), ("found", sentence.found)):
        if entities is not None:
            marks = [(each.start, each.end, _mark(each, colours.get(each.type, "entity"))) for each in entities]
            yield name, [*before, *pieces_of(sentence.text, marks), *after]


def _mark(entity: "ShownEntity", style: str) -> Mark:
    sure = "" if entity.confidence is None else f" {entity.confidence:.2f}"
    if entity.mistake is None:
        return Mark(f"{entity.type}{sure}", style)
    return Mark(f"{entity.type}{sure} · {FAULTS[entity.mistake]}", f"{style} wanted")


def _plots(report: "Report") -> Iterator[tuple[str, Plot]]:
    """Yield the plots that there are figures for: by threshold from the one in force on, confidence, training step."""
    rows = [(100 * at, counts) for at, counts in report.thresholds[0].curve if counts.predicted]
    if len(rows) > 1:
        title = "Precision, recall and F1 in percent, by the lowest confidence of entities that are kept"
        lines: list[PlotLine] = [(name.replace("f1", "F1"), style, [(at, getattr(each, name)) for at, each in rows])
                                 for name, style in (("precision", 2), ("recall", 1), ("f1", 3))]  # fmt: skip
        yield "curve", Plot(title, "% confidence", lines)
    if report.reliability:
        found = [(100 * each.confidence, each.precision) for each in report.reliability]
        title = "Entities that are right, in percent, by their mean confidence"
        lines = [("perfect calibration", 0, [(0, 0), (100, 1)]), ("this tagger", 1, found)]
        yield "reliable", Plot(title, "% confidence", lines)
    if len(report.learning) > 1:
        line = "F1 on the dev split", 2, report.learning
        yield "learning", Plot("F1 on the dev split in percent, by training step", "steps", [line])


def _levels(thresholds: "TypeThresholds") -> list[str]:
    """Return a row of cells: for each target precision the lowest threshold and the recall there."""
    cells = list[str]()
    for each in thresholds.lowest:
        reached = each.confidence is not None
        recall = each.kept_right / thresholds.gold if thresholds.gold else 0.0
        cells += [f"{each.confidence:.3f}" if each.confidence else "any" if reached else "never",
                  percent(recall) if reached else "–"]  # fmt: skip
    return cells or ["–"] * 6


def _origins(report: "Report") -> Iterator[tuple[str, str, Any, str]]:
    """Yield the data that a tagger learnt from, as its card says: what for, name, sentences, files with SHA-256."""
    card = facts_of(report.card)
    for key, use in (("source_data", "trained before on"), ("data", "trained on")):
        if data := card[key]:
            sums = data["sha256"].items() if isinstance(data["sha256"], dict) else ()
            yield use, str(data["name"]), data["sentences"], ", ".join(f"{file} {digest}" for file, digest in sums)
