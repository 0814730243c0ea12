"""The quickstart's report on the terminal."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.console import Console

from nerbert.evaluation.quickstart import QuickstartResult
from nerbert.records import Span
from nerbert.render import render
from nerbert.render.corpus import print_funnel
from nerbert.render.terminal import table
from nerbert.terminal import percent, plain
from nerbert.texts.kinds import print_tagged

LIMITS = "One pre-training, one draw of sentences; ± is over seeds of fine-tuning."
NEXT = (
    "nerbert finetune --data my-data --seeds 1,2,3 -o my-tagger",
    "nerbert evaluate my-tagger my-data/test.marked --train my-data",
    "nerbert tag my-tagger/seed-1 my-text.txt",
)
"""The commands for the user's own sentences: `my-data` holds train.marked and test.marked."""


class QuickstartReport:
    """Reports each stage of a quickstart on a console."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(soft_wrap=True, highlight=False)

    def say(self, stage: str, **facts: Any) -> None:
        """Print the template's text for a stage."""
        for line in render("terminal/quickstart.txt.j2", stage=stage, **facts).splitlines():
            if line.startswith("# "):
                self._console.rule(line.removeprefix("# "), align="left")
            else:
                self._console.print(plain(line))

    def corpus(self, manifest: Mapping[str, Any]) -> None:
        """Print the corpus's funnel and its size."""
        self.say("corpus")
        print_funnel(manifest, self._console)
        sources = ", ".join(f"{source} {count:,}" for source, count in manifest["mention_sources"].items())
        self.say("corpus made", manifest=manifest, sources=sources)

    def outcome(self, result: QuickstartResult) -> None:
        """Print the models' scores, and the result in one sentence."""
        self.say("outcome")
        title = f"entity F1 in percent on {result.test} test sentences with {result.test_mentions:,} mentions"
        rows = [(model.label, model.summary, percent(fmean(model.spans_f1))) for model in result.models]
        self._console.print(table(["model", "F1, mean ± sd", "types ignored"], rows, numbers=(1, 2), title=title))
        self.say("verdict", result=result, limits=LIMITS)

    def show_tags(self, text: str, spans: Sequence[Span], model: str) -> None:
        """Print the user's sentence with a model's tags."""
        self.say("tagged", model=model)
        print_tagged(self._console, text, list(spans))
        if not spans:
            self.say("nothing")
