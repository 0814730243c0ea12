"""The quickstart's report on the terminal, its page, picture and guide."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from nerbert.evaluation.quickstart import QuickstartResult, TaggedText
from nerbert.formats.kinds import print_tagged
from nerbert.records import Span
from nerbert.render import Mark, pieces_of, render, write
from nerbert.render.corpus import print_funnel
from nerbert.render.report import Plot
from nerbert.render.terminal import table
from nerbert.terminal import percent, plain

TITLE = "nerbert quickstart"
LIMITS = "One pre-training for each encoder, one draw of sentences; ± is over seeds of fine-tuning."
NEXT = (
    "nerbert finetune embedded --data my-data --seeds 1,2,3 -o my-tagger",
    "nerbert evaluate my-tagger my-data/test.conll --train my-data",
    "nerbert tag my-tagger/seed-1 my-text.txt",
)
"""The commands for the user's own sentences: `my-data` holds train.conll and test.conll."""
_COLOURS = 10


def write_page(result: QuickstartResult, manifest: Mapping[str, Any], output: Path) -> None:
    """Write the page; `manifest` is the corpus's, whose funnel it shows."""
    curves = [(f"{encoder.title}: {encoder.measure}", style, encoder.curve)
              for style, encoder in enumerate(result.encoders)]  # fmt: skip
    annotators = {"gold": "annotated"} | {encoder.key: encoder.title for encoder in result.encoders}
    page = render(
        "quickstart.html.j2", result=result, steps=manifest["steps"], title=TITLE, limits=LIMITS, next=NEXT,
        examples=[[(annotators[key], _pieces(text, key, result)) for key in text.marked] for text in result.examples],
        own=_pieces(result.own, "ner", result, [f" {confidence:.2f}" for confidence in result.confidences]),
        curves=Plot("Figures on held-out sentences in percent, against training steps", "steps", curves),
    )  # fmt: skip
    write(output, page)


def write_folder(result: QuickstartResult, manifest: Mapping[str, Any], folder: Path) -> None:
    """Write what `--keep` leaves for people: page, picture, and a README that says what each file is."""
    write_page(result, manifest, folder / "report.html")
    write(folder / "result.svg", picture(result))
    write(folder / "README.md", render("quickstart_guide.md.j2", result=result, seed=str(result.seeds[0]), next=NEXT))


def picture(result: QuickstartResult) -> str:
    """Return the picture as SVG: a bar for each encoder, with its seeds as dots."""
    return render("quickstart.svg.j2", result=result)


def _pieces(
    text: TaggedText, key: str, result: QuickstartResult, confidences: Iterable[str] = repeat("")
) -> list[tuple[str, Mark | None]]:  # fmt: skip
    """Return a text in pieces; the first ten types have a colour each."""
    marks = [
        (start, end, Mark(name + confidence, f"k{sorted({*result.mentions, name}).index(name) % _COLOURS}"))
        for (start, end, name), confidence in zip(text.marked[key], confidences, strict=False)
    ]
    return list(pieces_of(text.text, marks))


class QuickstartReport:
    """Tells of each stage of a quickstart on a console."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(soft_wrap=True, highlight=False)

    def say(self, stage: str, **facts: Any) -> None:
        """Print what the template says at a stage."""
        for line in render("terminal/quickstart.txt.j2", stage=stage, **facts).splitlines():
            if line.startswith("# "):
                self._console.rule(line.removeprefix("# "), align="left")
            else:
                self._console.print(plain(line))

    def corpus(self, manifest: Mapping[str, Any]) -> None:
        """Print the corpus's funnel and its size."""
        self.say("corpus")
        print_funnel(manifest, self._console)
        self.say("corpus made", manifest=manifest, sources=sources(manifest))

    def outcome(self, result: QuickstartResult) -> None:
        """Print both encoders side by side, and which is ahead."""
        self.say("outcome")
        title = f"entity F1 in percent on {result.test} test sentences with {result.test_mentions:,} mentions"
        seeds = (f"seed {seed}" for seed in result.seeds)
        heads = ["encoder before fine-tuning", "F1, mean ± sd", *seeds, "types ignored"]
        rows = [(encoder.title, encoder.summary, *map(percent, encoder.f1), percent(fmean(encoder.spans_f1)))
                for encoder in result.encoders]  # fmt: skip
        self._console.print(table(heads, rows, numbers=range(1, len(heads)), title=title))
        self.say("verdict", result=result, limits=LIMITS)

    def show_tags(self, text: str, spans: Sequence[Span]) -> None:
        """Print the user's sentence, tagged."""
        self.say("tagged")
        print_tagged(self._console, text, list(spans))
        if not spans:
            self.say("nothing")


def sources(manifest: Mapping[str, Any]) -> str:
    """Return how many mentions have their type from which source."""
    return ", ".join(f"{source} {count:,}" for source, count in manifest["mention_sources"].items())
