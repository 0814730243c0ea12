"""What a calibration or an export did, on the terminal; one of 80 columns is enough."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from nerbert.render.terminal import table
from nerbert.tagger.calibrate import Calibrated
from nerbert.tagger.export import Export
from nerbert.terminal import percent, plain

_MB = 1_000_000
_FEW = 5


def print_calibrations(done: Sequence[Calibrated], data: Path) -> None:
    """Print temperature and calibration error of each tagger, and its thresholds; figures in percent."""
    console = Console(soft_wrap=True)
    for each in done:
        for line in _lines(each, data):
            console.print(plain(line))
        if each.thresholds:
            rows = [(name, "none" if bound.confidence is None else f"{bound.confidence:.3f}", bound.predicted,
                     bound.kept, percent(bound.precision), percent(bound.recall_kept))
                    for name, bound in each.thresholds.items()]  # fmt: skip
            heads = ["type", "threshold", "found", "kept", "precision", "right kept"]
            console.print(table(heads, rows, numbers=range(1, 6)))


def print_export(done: Export) -> None:
    """Print where the graphs are and how large, and what they share with torch's."""
    console = Console(soft_wrap=True)
    told = ", ".join(f"{name} {size / _MB:,.1f} MB" for name, size in sorted(done.sizes.items()))
    console.print(plain(f"{done.folder}: {told}"))
    if done.agreement:
        rows = [(name, percent(each.f1), f"{percent(each.share)} %", each.other)
                for name, each in done.agreement.items()]  # fmt: skip
        console.print(table(["back end", "F1", "entities like torch's", "others"], rows, numbers=range(1, 4)))


def _lines(each: Calibrated, data: Path) -> Iterator[str]:
    told = each.calibration
    yield f"{each.folder} on {data}: {told['entities']:,} entities found in {told['sentences']:,} sentences"
    yield f"temperature {told['temperature']:.3f}"
    yield (f"calibration error (ECE, {told['bins']} bins): {percent(told['ece_before'])} before, "
           f"{percent(told['ece_after'])} after ({told['folds']} parts, each by the others' temperature)")  # fmt: skip
    if each.lost:
        yield f"thresholds of an earlier calibration are gone: {', '.join(each.lost)}; give --precision anew"
    if each.old_readme:
        yield "README.md was changed by hand, or made by another version, and stays: its calibration is the old one"
    if each.thresholds:
        yield f"the lowest thresholds at which precision reaches {percent(told['precision'])}"
    if unreached := [name for name, bound in each.thresholds.items() if bound.confidence is None]:
        yield f"never reached, so no threshold, and all are given: {', '.join(unreached)}"
    if few := [name for name, bound in each.thresholds.items() if bound.kept < _FEW]:
        yield f"fewer than {_FEW} are kept, so chance may have chosen, and hardly any are given: {', '.join(few)}"
