"""The quickstart's page, picture and guide. The picture is drawn with attributes only, so it looks the same anywhere.

The page shows the same figures in its own way: in a dark theme, and as narrow as a phone.
"""

from collections.abc import Iterable, Mapping
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.render import render, write
from nerbert.render.facts import Mark, pieces_of
from nerbert.render.plots import Plot, PlotLine, PlotPoint

if TYPE_CHECKING:
    from nerbert.quickstart.result import QuickstartResult, TaggedText

TITLE = "nerbert quickstart"
LIMITS = "One pre-training for each encoder, one draw of sentences; ± is over seeds of fine-tuning."
NEXT = (
    "nerbert finetune embedded --data my-data --seeds 1,2,3 -o my-tagger",
    "nerbert evaluate my-tagger my-data/test.conll --train my-data",
    "nerbert tag my-tagger/seed-1 my-text.txt",
)
"""The commands for the user's own sentences: `my-data` holds train.conll and test.conll."""
_COLOURS = 10


def write_page(result: "QuickstartResult", manifest: Mapping[str, Any], output: Path) -> None:
    """Write the page; `manifest` is the corpus's, whose funnel it shows."""
    curves = [
        PlotLine(f"{each.title}: {each.measure}", style, [PlotPoint(*point) for point in each.curve])
        for style, each in enumerate(result.encoders)
    ]
    annotators = {"gold": "annotated"} | {each.key: each.title for each in result.encoders}
    page = render(
        "quickstart.html.j2", result=result, steps=manifest["steps"], title=TITLE, limits=LIMITS, next=NEXT,
        examples=[[(annotators[key], _parts(shown, key, result)) for key in shown.marked] for shown in result.examples],
        own=_parts(result.own, "ner", result, [f" {each:.2f}" for each in result.confidences]),
        curves=Plot("Figures on held-out sentences in percent, against training steps", "steps", curves),
    )  # fmt: skip
    write(output, page)


def write_picture(result: "QuickstartResult", path: Path) -> None:
    """Write the picture as an SVG file."""
    write(path, picture(result))


def picture(result: "QuickstartResult") -> str:
    """Return the picture as SVG: a bar for each encoder, with its seeds as dots."""
    return render("quickstart.svg.j2", result=result)


def write_guide(result: "QuickstartResult", path: Path) -> None:
    """Write the README that `--keep` leaves: what each file is, and how to open it."""
    write(path, render("quickstart_guide.md.j2", result=result, seed=str(result.seeds[0]), next=NEXT))


def _parts(
    shown: "TaggedText", key: str, result: "QuickstartResult", confidences: Iterable[str] = repeat("")
) -> list[tuple[str, Mark | None]]:  # fmt: skip
    """Return a text in pieces; the first ten types have a colour each."""
    marks = [
        (start, end, Mark(name + sure, f"k{sorted({*result.mentions, name}).index(name) % _COLOURS}"))
        for (start, end, name), sure in zip(shown.marked[key], confidences, strict=False)
    ]
    return list(pieces_of(shown.text, marks))
