"""The quickstart's page, picture and guide. The picture is drawn with attributes only, so it looks the same anywhere.

Words of the picture have a fixed-width font and a given width, so no font moves a mark away from its word. The page
shows the same figures in its own way: in a dark theme, and as narrow as a phone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.artifacts import publish
from nerbert.render import render, write
from nerbert.render.plots import PlotPoint, line_plot
from nerbert.terminal import percent

if TYPE_CHECKING:
    from nerbert.quickstart.result import EncoderResult, Marked, QuickstartResult, TaggedText

TITLE = "nerbert quickstart"
LIMITS = "One pre-training for each encoder, one draw of sentences; ± is over seeds of fine-tuning."
NEXT = (
    "nerbert finetune embedded --data my-data --seeds 1,2,3 -o my-tagger",
    "nerbert evaluate my-tagger my-data/test.conll --train my-data",
    "nerbert tag my-tagger/seed-1 my-text.txt",
)
"""The commands for the user's own sentences: `my-data` holds train.conll and test.conll."""
_WIDTH, _LEFT, _BARS, _BAR = 860, 28, 330, 380
_CHAR, _SMALL, _LINE = 8.4, 5.6, 44
"""Width of a character of the sentence, of one of a type's name, and height of a line with the types below."""
_PER_LINE, _MOST_LINES = int((_WIDTH - 2 * _LEFT) / _CHAR), 6
_COLOURS = (
    ("#dbe8f8", "#1c4f86"), ("#d8f0e2", "#17603f"), ("#fbe3d4", "#8d3a0d"), ("#ecdff7", "#62379a"),
    ("#fdeec2", "#6b4d00"), ("#d5eef2", "#0d5a68"), ("#fadde6", "#96234f"), ("#e4ecd0", "#46571a"),
    ("#e3e2f8", "#413c9c"), ("#f3e3cf", "#6f4717"),
)  # fmt: skip
"""Background and text of a type; the style sheet has the same (k0 to k9)."""
_NOT_XML = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}


def write_page(result: "QuickstartResult", manifest: Mapping[str, Any], output: Path) -> None:
    """Write the page; `manifest` is the corpus's, whose funnel it shows."""
    write(output, "quickstart.html.j2", **_page(result, manifest))


def write_picture(result: "QuickstartResult", path: Path) -> None:
    """Write the picture as an SVG file."""
    with publish(path) as draft:
        draft.write_text(picture(result), encoding="utf-8")


def picture(result: "QuickstartResult") -> str:
    """Return the picture as SVG: a bar for each encoder with its seeds, and a sentence with its tags."""
    return render("quickstart.svg.j2", picture=_picture(result))


def write_guide(result: "QuickstartResult", path: Path) -> None:
    """Write the README that `--keep` leaves: what each file is, and how to open it."""
    write(path, "quickstart_guide.md.j2", result=result, seed=str(result.seeds[0]), next=NEXT)


def _page(result: "QuickstartResult", manifest: Mapping[str, Any]) -> dict[str, Any]:
    encoders = result.encoders
    names = sorted({name for each in encoders for name in each.by_type})
    typed = [
        [name, result.mentions.get(name, 0), *(percent(each.by_type.get(name, 0)) for each in encoders)]
        for name in names
    ]
    curves = {
        f"{each.title}: {each.measure}": [PlotPoint(step, y, f"step {step}: {percent(y)} %") for step, y in each.curve]
        for each in encoders
    }
    annotators = {"gold": "annotated"} | {each.key: each.title for each in encoders}
    return {
        "result": result, "title": TITLE, "limits": LIMITS, "next": NEXT,
        "by_type": [
            *typed, ["all, F1 mean ± sd", sum(result.mentions.values()), *(each.summary for each in encoders)],
            ["types ignored", "", *(percent(sum(each.spans_f1) / len(each.spans_f1)) for each in encoders)],
        ],
        "examples": [
            [(annotators[key], _parts(shown, key, result)) for key in shown.marked] for shown in result.examples
        ],
        "own": _parts(result.own, "ner", result, [f" {each:.2f}" for each in result.confidences]),
        "curves": line_plot(curves, dict(zip(curves, (0, 1), strict=True)), x_name="steps"),
        "efforts": "; ".join(
            f"{each.title}: {each.steps:,} steps, {each.tokens:,} tokens, {each.seconds:.0f} s" for each in encoders
        ),
        "funnel": [
            [each["step"], each["in"], each["out"],
             ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in each["dropped"].items()) or "–"]
            for each in manifest["steps"]
        ],
    }  # fmt: skip


def _parts(
    shown: "TaggedText", key: str, result: "QuickstartResult", confidences: Iterable[str] = repeat("")
) -> list[tuple[str, str, int]]:  # fmt: skip
    """Return a text in parts: what is said, and for a mention its type and colour ("" and 0 for other text)."""
    parts, place = [], 0
    for (start, end, name), sure in zip(shown.marked[key], confidences, strict=False):
        parts += [(shown.text[place:start], "", 0), (shown.text[start:end], name + sure, _colour(result, name))]
        place = end
    return [*parts, (shown.text[place:], "", 0)]


def _colour(result: "QuickstartResult", name: str) -> int:
    """Return the number of a type's colour; the first ten types have one each."""
    return sorted({*result.mentions, name}).index(name) % len(_COLOURS)


def _picture(result: "QuickstartResult") -> dict[str, Any]:
    lines = list(_lines(result.own.text))
    cut = len(lines) > _MOST_LINES
    return {
        "width": _WIDTH, "height": 226 + _LINE * min(len(lines), _MOST_LINES) + (22 if cut else 12), "left": _LEFT,
        "title": f"{result.train} labelled sentences, {len(result.mentions)} new entity types",
        "words": "; ".join(f"{each.title}: F1 {each.summary}" for each in result.encoders),
        "test": result.test, "verdict": result.verdict, "bars_x": _BARS, "bar_width": _BAR, "cut": cut,
        "bars": [_bar(each, 76 + 36 * number) for number, each in enumerate(result.encoders)],
        "lines": [
            _marked(result.own.text, line, result.own.marked["ner"], result, 226 + _LINE * number)
            for number, line in enumerate(lines[:_MOST_LINES])
        ],
    }  # fmt: skip


def _bar(encoder: "EncoderResult", y: int) -> dict[str, Any]:
    """Return a bar from 0 to 100, its standard deviation as a line, its seeds as dots."""
    low, high = (min(1.0, max(0.0, encoder.mean + sign * encoder.sd)) for sign in (-1, 1))
    return {
        "title": encoder.title.translate(_NOT_XML), "y": y, "width": round(_BAR * encoder.mean, 1),
        "low": round(_BARS + _BAR * low, 1), "high": round(_BARS + _BAR * high, 1), "summary": encoder.summary,
        "dots": [(round(_BARS + _BAR * f1, 1), percent(f1)) for f1 in encoder.f1],
    }  # fmt: skip


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each line of a text: broken at spaces, or within a word longer than a line."""
    start = 0
    while start < len(text):
        end = min(len(text), start + _PER_LINE)
        if end < len(text) and (space := text.rfind(" ", start + 1, end + 1)) > 0:
            end = space
        if text[start:end].strip():
            yield start, end
        start = end + 1 if text[end : end + 1] == " " else end


def _marked(
    text: str, line: tuple[int, int], marked: Sequence["Marked"], result: "QuickstartResult", y: int
) -> dict[str, Any]:
    """Return a line's words, the backgrounds of its mentions, and their types below.

    A type's name moves down where another one is in its way, and is left out if one is there too: its colour remains.
    """
    begin, end = line
    free, marks, names = {33: 0.0, 43: 0.0}, [], []
    for start, stop, name in marked:
        first, last = max(start, begin), min(stop, end)
        if first >= last:
            continue
        fill, ink = _COLOURS[_colour(result, name)]
        x = _LEFT + (first - begin) * _CHAR
        marks.append((round(x - 2, 1), round((last - first) * _CHAR + 4, 1), fill))
        below = next((height for height, taken in free.items() if x >= taken), None)
        if first == start and below:
            free[below] = x + _SMALL * (len(name) + 1)
            names.append((round(x, 1), y + below, name.translate(_NOT_XML), ink))
    words = [
        (round(_LEFT + word.start() * _CHAR, 1), round(len(word[0]) * _CHAR, 1), word[0].translate(_NOT_XML))
        for word in re.finditer(r"\S+", text[begin:end])
    ]
    return {"y": y, "marks": marks, "names": names, "words": words}
