"""The tour as one page of HTML: no request, no script, readable from the disk, light and dark."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from nerbert.artifacts import publish
from nerbert.corpus.shards import read_manifest
from nerbert.errors import InputError, OutputExists
from nerbert.quickstart.result import FIGURES, LIMITS, Marked, Result, Shown, Way
from nerbert.render import TEMPLATES, render
from nerbert.render.corpus.facts import funnel
from nerbert.render.markup import Child, Markup, document, pairs, rows, tag
from nerbert.render.quickstart.picture import picture
from nerbert.render.quickstart.terminal import NEXT
from nerbert.terminal import percent

TITLE = "nerbert quickstart"
_STYLE = Path(__file__).with_name("page.css")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 52, 18, 12, 46
_KINDS = ("before", "after")
_MOST = 1 << 16


def check_page_free(path: Path) -> None:
    """Raise OutputExists for a file that isn't a page of an earlier tour, InputError where no file can be written."""
    try:
        _check_free(path)
    except OSError as error:
        raise InputError(f"{path}: can't be written: {error.strerror}; name another file with --report") from error


def _check_free(path: Path) -> None:
    if path.is_dir() or not path.resolve().parent.is_dir():
        what = "is a folder" if path.is_dir() else "its folder isn't there"
        raise InputError(f"{path}: {what}; name another file with --report")
    if path.exists():
        with path.open("rb") as file:
            if f"<title>{TITLE}</title>".encode() not in file.read(_MOST):
                raise OutputExists(f"{path}: exists and is no page of a quickstart; name another file with --report")
    trial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    trial.touch()
    trial.unlink()


def write_page(result: Result, corpus: Path, output: Path) -> None:
    """Write the page; `corpus` is the folder whose funnel it shows."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8") + _STYLE.read_text(encoding="utf-8")
    text = document(TITLE, tag("main", list(_sections(result, corpus))), style=style)
    with publish(output) as draft:
        draft.write_text(text, encoding="utf-8")


def _sections(result: Result, corpus: Path) -> Iterator[Markup]:
    lead = (
        "From a dump in Wikipedia’s form to a tagger of types that no link ever had, computed on this machine "
        f"in {result.seconds:.0f} seconds."
    )
    yield tag("header", tag("h1", TITLE, tag("span", lead)))
    yield _section(
        "result", "What it came to", tag("div", picture(result), class_="wide"),
        tag("p", "Both encoders start from the same small one and see the same sentences of the sample wiki for the "
            "same steps. One guesses masked words there; the other learns what the links lead to. Then both are "
            f"fine-tuned on the same {result.train} sentences and scored on {result.test} test sentences with "
            f"{result.test_mentions:,} mentions."),
        _by_type(result),
        tag("p", f"F1 in percent, means over the seeds. {LIMITS} The encoder is a toy and the sample small; what real "
            "encoders reach on public data stands in docs/results of nerbert’s repository.", class_="told"),
    )  # fmt: skip
    yield _section("tagged", "Test sentences, as annotated and as tagged",
                  tag("p", "Drawn by coin, not chosen; taggers of the first seed."),
                  [_compared(shown, result) for shown in result.examples], _own(result))  # fmt: skip
    yield _section("curves", "Pre-training", tag("p", "Figures on held-out sentences, in percent; each way has its own "
                  "task, so the lines say how learning went, not which is better."), _curves(result.ways),
                  tag("p", "; ".join(f"{way.title}: {way.steps:,} steps, {way.pieces:,} pieces, {way.seconds:.0f} s"
                                     for way in result.ways), class_="told"))  # fmt: skip
    yield Markup(render("corpus_funnel.html.j2", steps=funnel(read_manifest(corpus))))
    yield _section(
        "next", "Next: your own data",
        tag("p", "Put your sentences into ", tag("code", "my-data/train.conll"), " and ",
            tag("code", "my-data/test.conll"), ": a word and its tag (B-type, I-type or O) a line, a tab between them, "
            "an empty line after each sentence."),
        tag("pre", [[command, Markup("\n")] for command in NEXT]),
    )  # fmt: skip
    yield _section("making", "How it was made", pairs(result.made))


def _section(name: str, title: str, *children: Child) -> Markup:
    return tag("section", tag("h2", title), children, id=name)


def _by_type(result: Result) -> Markup:
    names = sorted({name for way in result.ways for name in way.by_type})
    heads = ("type", "to learn from", *(way.title for way in result.ways))
    lines: list[list[Child]] = []
    for name in names:
        lines.append([name, result.mentions.get(name, 0), *(percent(way.by_type.get(name, 0)) for way in result.ways)])
    whole: list[Child] = ["all, F1 mean ± sd", sum(result.mentions.values()), *(way.told for way in result.ways)]
    aside: list[Child] = ["types aside", "", *(percent(way.spans_mean) for way in result.ways)]
    return rows(heads, [*lines, whole, aside], numbers=(1, 2, 3))


def _compared(shown: Shown, result: Result) -> Markup:
    """A sentence as annotated, and as each way's tagger has it."""
    hands = {"gold": "annotated"} | {way.key: way.title for way in result.ways}
    lines = []
    for hand, marked in shown.marked.items():
        text = tag("p", _text(shown.text, marked, result), class_="text")
        lines.append(tag("div", tag("p", hands[hand], class_="hand"), text, class_="sentence"))
    return tag("div", lines, class_="compared")


def _own(result: Result) -> list[Markup]:
    """What the second way's tagger found in the sentence given, and how sure it is."""
    text, marked = result.own.text, result.own.marked["ner"]
    told: list[list[Child]] = [
        [text[start:end], name, f"{sure:.2f}"]
        for (start, end, name), sure in zip(marked, result.confidences, strict=True)
    ]
    heads = ("in the sentence of the picture", "type", "confidence")
    return [rows(heads, told, numbers=(2,))] if told else [tag("p", "Nothing was found in the picture’s sentence.")]


def _text(text: str, marked: Sequence[Marked], result: Result) -> list[Child]:
    """The text with its mentions marked; they are in order and disjoint."""
    found: list[Child] = []
    place = 0
    for start, end, name in marked:
        found += [
            text[place:start],
            tag("mark", tag("bdi", text[start:end]), tag("small", name), class_=f"k k{result.colour(name)}"),
        ]
        place = end
    return [*found, text[place:]]


def _curves(ways: Sequence[Way]) -> Markup:
    """A line a way: its figure on held-out sentences against steps."""
    last = max(way.curve[-1][0] for way in ways)
    grid: list[Child] = []
    for value in range(0, 101, 20):
        y = _up(value / 100)
        grid += [tag("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y),
                 tag("text", str(value), x=_LEFT - 8, y=y + 5, text_anchor="end")]  # fmt: skip
    for step in (0, last // 2, last):
        grid.append(tag("text", f"{step:,}", x=_across(step, last), y=_HEIGHT - _BOTTOM + 20, text_anchor="middle"))
    grid.append(tag("text", "steps", x=(_LEFT + _WIDTH) / 2, y=_HEIGHT - 6, text_anchor="middle"))
    lines = [_curve(way, kind, last) for way, kind in zip(ways, _KINDS, strict=True)]
    told = "; ".join(f"{FIGURES[way.key]}: {percent(way.curve[-1][1])} % at the end" for way in ways)
    svg = tag("svg", tag("title", f"Pre-training. {told}"), grid, lines, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img",
              class_="plot")  # fmt: skip
    key = [tag("span", tag("i", class_=kind), f"{way.title}: {FIGURES[way.key]}")
           for way, kind in zip(ways, _KINDS, strict=True)]  # fmt: skip
    return tag("figure", svg, tag("p", key, class_="key"))


def _curve(way: Way, kind: str, last: int) -> Markup:
    places = [(_across(step, last), _up(value)) for step, value in way.curve]
    path = tag("path", d="M" + " ".join(f"{x:g},{y:g}" for x, y in places)) if len(places) > 1 else None
    dots = [tag("circle", tag("title", f"step {step}: {percent(value)} %"), cx=x, cy=y, r=3.5)
            for (step, value), (x, y) in zip(way.curve, places, strict=True)]  # fmt: skip
    return tag("g", path, dots, class_=kind)


def _across(step: int, last: int) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * step / max(1, last), 1)


def _up(share: float) -> float:
    return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share, 1)
