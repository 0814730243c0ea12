"""The quickstart on the terminal: a few lines for each stage, as soon as they are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.console import Console

from nerbert.finetuning.sampling import Subset
from nerbert.formats.text import print_tagged
from nerbert.records import Span
from nerbert.render import render
from nerbert.render.quickstart import LIMITS, NEXT
from nerbert.render.terminal import table
from nerbert.render.terminal.corpus import print_funnel
from nerbert.terminal import percent, plain

if TYPE_CHECKING:
    from nerbert.quickstart.result import EncoderResult, QuickstartResult


class QuickstartReport:
    """Tells of each stage of a quickstart on a console."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(soft_wrap=True, highlight=False)

    def _say(self, stage: str, **facts: Any) -> None:
        for line in render("terminal/quickstart.txt.j2", stage=stage, **facts).splitlines():
            if line.startswith("# "):
                self._console.rule(line.removeprefix("# "), align="left")
            else:
                self._console.print(plain(line))

    def corpus(self, manifest: Mapping[str, Any]) -> None:
        """Print the corpus's funnel and its size."""
        self._say("corpus")
        print_funnel(manifest, self._console)
        self._say("corpus made", manifest=manifest, sources=sources(manifest))

    def encoders(self, steps: int, label_set: str) -> None:
        """Introduce the two encoders."""
        self._say("encoders", steps=steps, label_set=label_set)

    def encoder(self, encoder: "EncoderResult") -> None:
        """Print what a pre-training read and reached."""
        self._say("encoder", encoder=encoder)

    def domain(self, subset: Subset, seeds: int) -> None:
        """Introduce the domain with its types."""
        self._say("domain", subset=subset, seeds=seeds)

    def taggers(self, encoder: "EncoderResult") -> None:
        """Print the scores of an encoder's taggers."""
        self._say("taggers", encoder=encoder)

    def outcome(self, result: "QuickstartResult") -> None:
        """Print both encoders side by side, and which is ahead."""
        self._say("outcome")
        title = f"entity F1 in percent on {result.test} test sentences with {result.test_mentions:,} mentions"
        seeds = (f"seed {seed}" for seed in result.seeds)
        heads = ["encoder before fine-tuning", "F1, mean ± sd", *seeds, "types ignored"]
        rows = [(each.title, each.summary, *map(percent, each.f1), percent(fmean(each.spans_f1)))
                for each in result.encoders]  # fmt: skip
        self._console.print(table(heads, rows, numbers=range(1, len(heads)), title=title))
        self._say("verdict", result=result, limits=LIMITS)

    def tagged(self, text: str, spans: Sequence[Span]) -> None:
        """Print the user's sentence, tagged."""
        self._say("tagged")
        print_tagged(self._console, text, list(spans))
        if not spans:
            self._say("nothing")

    def end(self, result: "QuickstartResult", page: Path, keep: Path | None) -> None:
        """Print where everything is, and how to go on."""
        self._say("end", result=result, page=page, keep=keep, next=NEXT)


def sources(manifest: Mapping[str, Any]) -> str:
    """Return how many mentions have their type from which source."""
    return ", ".join(f"{source} {count:,}" for source, count in manifest["mention_sources"].items())
