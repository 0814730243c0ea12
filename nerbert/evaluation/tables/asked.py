"""The grid of zero-shot cells: what one needs to read such a figure is beside it, and papers have rows of their own.

Entity F1 and token F1 are in different columns, papers' too: some seven points lie between them. Rows are averaged over
encoders, without spread: the table of scores has it.
"""

from collections.abc import Iterator
from statistics import fmean

from nerbert.evaluation.tables.layout import Layout, RowKey, unit_of
from nerbert.evaluation.tables.records import NONE, Entry, Grid, Notes, Row, entries, number
from nerbert.evaluation.tables.scores import published_entry
from nerbert.finetuning.sampling import SizeUnit
from nerbert.terminal import percent

_F1, _TOKEN, _THRESHOLD = "micro.f1", "token.micro_f1", "facts.dev_threshold"
_COLUMNS = {
    "F1 at 0.5": _F1, "F1 at dev's threshold": "best_on_dev.f1", "dev's threshold": _THRESHOLD,
    "F1 without else types": "without_else.f1", "token F1": _TOKEN, "macro token F1": "token.macro_f1",
    "Familiarity": "familiarity",
}  # fmt: skip


def zero_shot_grid(layout: Layout, notes: Notes) -> Grid:
    """Return the figures of zero-shot cells, and those of papers on the same targets; no rows where there are none."""
    row_keys = [row_key for row_key in layout.row_keys if unit_of(row_key) is SizeUnit.ZERO]
    rows = tuple(row for row_key in row_keys for row in _rows(layout, row_key, notes))
    named = f" (types' names embedded by {layout.suite.label_encoder})" if layout.suite.label_encoder else ""
    return Grid("zero_shot", f"Zero-shot, in percent; Familiarity{named}", entries(("target", "system", *_COLUMNS)),
                rows, names=2)  # fmt: skip


def _rows(layout: Layout, row_key: RowKey, notes: Notes) -> Iterator[Row]:
    for column in layout.columns:
        group = layout.at(row_key, column)
        if group.done:
            seen = {metric: list(group.observed(metric).values()) for metric in _COLUMNS.values()}
            shown = [_text(metric, fmean(values)) if values else NONE for metric, values in seen.items()]
            yield entries((row_key.target, layout.named(column), *shown))
    for paper in layout.suite.published:
        f1, token = (published_entry(layout, paper, [row_key], notes, token=token) for token in (False, True))
        if {f1.text, token.text} != {NONE}:
            name = Entry(f"{paper.name} (published)", notes=(number(notes, f"{paper.name}: {paper.of}"),))
            known = {_F1: f1, _TOKEN: token}
            yield (Entry(row_key.target), name, *(known.get(metric, Entry()) for metric in _COLUMNS.values()))


def _text(metric: str, value: float) -> str:
    return f"{value:.2f}" if metric == _THRESHOLD else percent(value)
