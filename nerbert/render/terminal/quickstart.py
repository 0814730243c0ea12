"""The quickstart on the terminal: a few lines for each stage, as soon as they are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from nerbert.finetuning.sampling import Subset
from nerbert.records import Span
from nerbert.render.quickstart import LIMITS, NEXT
from nerbert.render.terminal import table
from nerbert.render.terminal.corpus import print_funnel
from nerbert.tagger.jobs.preview import print_tagged
from nerbert.terminal import percent, plain

if TYPE_CHECKING:
    from nerbert.quickstart.result import EncoderResult, QuickstartResult


class QuickstartReport:
    """Tells of each stage of a quickstart on a console."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(soft_wrap=True, highlight=False)

    def _head(self, title: str, about: str = "") -> None:
        self._console.rule(title, align="left")
        for line in about.splitlines():
            self._console.print(plain(line), style="dim")

    def corpus(self, manifest: Mapping[str, Any]) -> None:
        """Print the corpus's funnel and its size."""
        self._head(
            "1 · Wikipedia dump → NER corpus",
            "A small wiki written for this project, in the form of Wikipedia's dumps. Links are mentions; a table of "
            "titles and infoboxes\ngive their types.",
        )
        print_funnel(manifest, self._console)
        counts, categories = manifest["splits"]["train"], len(manifest["categories"])
        size = f"{counts['sentences']:,} training sentences, {counts['mentions']:,} mentions, {categories} categories"
        self._console.print(plain(size), plain(f"types by {sources(manifest)}"), sep="\n")

    def encoders(self, steps: int, label_set: str) -> None:
        """Introduce the two encoders."""
        self._head(
            "2 · corpus → two encoders",
            f"The small encoder that ships with nerbert is trained for {steps} more steps on these sentences: once it "
            "guesses masked words,\nonce it learns what is a person, a location, an organisation or another link "
            f"(label set {label_set}).\nSame text, same steps, same start.",
        )

    def encoder(self, encoder: "EncoderResult") -> None:
        """Print what a pre-training read and reached."""
        effort = f"{encoder.steps} steps, {encoder.tokens:,} tokens, {encoder.seconds:.0f} s"
        reached = f"{encoder.measure} {percent(encoder.best)} %"
        self._console.print(plain(f"{encoder.title}: {effort}; held out: {reached}"))

    def domain(self, subset: Subset, seeds: int) -> None:
        """Introduce the domain with its types."""
        counts = ", ".join(f"{name} {count}" for name, count in sorted(subset.reached.items()))
        self._head(
            f"3 · encoder + {len(subset.places)} sentences → tagger",
            f"A museum's catalogue has types that no link ever had. Mentions to learn from: {counts}.\n"
            f"{seeds} taggers for each encoder, with different seeds.",
        )

    def taggers(self, encoder: "EncoderResult") -> None:
        """Print the scores of an encoder's taggers."""
        seeds = ", ".join(map(percent, encoder.f1))
        self._console.print(plain(f"{encoder.title}: F1 {encoder.summary} ({seeds})"))

    def outcome(self, result: "QuickstartResult") -> None:
        """Print both encoders side by side, and which is ahead."""
        self._head("4 · result")
        title = f"entity F1 in percent on {result.test} test sentences with {result.test_mentions:,} mentions"
        heads = [
            "encoder before fine-tuning",
            "F1, mean ± sd",
            *(f"seed {seed}" for seed in result.seeds),
            "types ignored",
        ]
        rows = [
            (each.title, each.summary, *map(percent, each.f1), percent(sum(each.spans_f1) / len(each.spans_f1)))
            for each in result.encoders
        ]
        self._console.print(table(heads, rows, numbers=range(1, len(heads)), title=title))
        self._console.print(plain(result.verdict), style="bold")
        self._console.print(LIMITS, style="dim")

    def tagged(self, text: str, spans: Sequence[Span]) -> None:
        """Print the user's sentence, tagged."""
        self._head("5 · tags in your own sentence")
        print_tagged(self._console, text, list(spans))
        if not spans:
            self._console.print("nothing found in it", style="dim")

    def end(self, result: "QuickstartResult", page: Path, keep: Path | None) -> None:
        """Print where everything is, and how to go on."""
        self._head(
            "next: your own data",
            "Put your sentences into my-data/train.conll and my-data/test.conll: one word and its tag (B-type, I-type "
            "or O) a line, with a tab\nbetween them, and an empty line after each sentence. Then:",
        )
        self._console.print("\n".join(f"  {command}" for command in NEXT), style="bold")
        self._console.print(
            "The encoder in the package is a toy. `nerbert corpus build` on a real dump and `nerbert pretrain` with a "
            "real backbone\n(--set backbone=bert-base-cased) make a real one: nerbert's README has the commands.",
            style="dim",
        )
        self._console.print(plain(f"page: {page}"))
        if keep:
            self._console.print(plain(f"all files, and what each one is: {keep / 'README.md'}"))
        self._console.print(f"done in {result.seconds:.0f} s")


def sources(manifest: Mapping[str, Any]) -> str:
    """Return how many mentions have their type from which source."""
    return ", ".join(f"{source} {count:,}" for source, count in manifest["mention_sources"].items())
