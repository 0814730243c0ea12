"""The tour on the terminal: few lines, in the order in which they come to be known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nerbert.finetuning.sampling import Subset
from nerbert.quickstart.result import FIGURES, LIMITS, Result, Way, verdict
from nerbert.records import Span
from nerbert.render.terminal.corpus import print_funnel
from nerbert.tagger.jobs.preview import print_tagged
from nerbert.terminal import percent, plain

NEXT = (
    "nerbert finetune embedded --data my-data --seeds 1,2,3 -o my-tagger",
    "nerbert evaluate my-tagger my-data/test.conll --train my-data",
    "nerbert tag my-tagger/seed-1 my-text.txt",
)
"""How to go on with sentences of one's own: `my-data` holds train.conll and test.conll."""


def corpus(console: Console, manifest: Mapping[str, Any]) -> None:
    """The first stop: what came in, what was dropped, what is left."""
    console.rule("1 · Wikipedia dump → NER corpus", align="left")
    console.print(
        "A small wiki written for this project, in the form of Wikipedia's dumps. Links are mentions; a table of "
        "titles and infoboxes\ngive their types.",
        style="dim",
    )
    print_funnel(manifest, console)
    counts, kinds = manifest["splits"]["train"], len(manifest["categories"])
    console.print(f"{counts['sentences']:,} sentences to train on, {counts['mentions']:,} mentions, {kinds} categories")
    console.print(plain(f"types by {sources(manifest)}"))


def sources(manifest: Mapping[str, Any]) -> str:
    """How many mentions have their type from where."""
    return ", ".join(f"{source} {count:,}" for source, count in manifest["mention_sources"].items())


def ways(console: Console, steps: int, label_set: str) -> None:
    """The second stop begins."""
    console.rule("2 · corpus → encoder, two ways", align="left")
    console.print(
        f"The small encoder that ships with nerbert goes on for {steps} steps on these sentences: once it guesses "
        "masked words,\nonce it learns what is a person, a location, an organisation or another link (label set "
        f"{label_set}).\nSame text, same steps, same start.",
        style="dim",
    )


def encoder(console: Console, title: str, steps: int, pieces: int, seconds: float, key: str, figure: float) -> None:
    """A way is done."""
    told = f"{steps} steps, {pieces:,} pieces, {seconds:.0f} s; held out: {FIGURES[key]} {percent(figure)} %"
    console.print(plain(f"{title}: {told}"))


def domain(console: Console, subset: Subset, seeds: int) -> None:
    """The third stop begins."""
    console.rule(f"3 · encoder + {len(subset.places)} sentences → tagger", align="left")
    counts = ", ".join(f"{name} {count}" for name, count in sorted(subset.reached.items()))
    told = f"A museum's catalogue has types that no link ever had. Mentions to learn from: {counts}."
    console.print(plain(told), plain(f"{seeds} taggers each way, other seeds."), sep="\n", style="dim")


def way(console: Console, found: Way) -> None:
    """A way's taggers are scored."""
    each = ", ".join(percent(f1) for f1 in found.f1)
    console.print(plain(f"{found.title}: F1 {found.told} ({each})"))


def outcome(console: Console, result: Result) -> None:
    """Both ways side by side."""
    console.rule("4 · what it came to", align="left")
    seeds = [f"seed {seed}" for seed in result.seeds]
    title = f"entity F1 in percent on {result.test} test sentences with {result.test_mentions:,} mentions"
    table = Table("encoder before fine-tuning", "F1, mean ± sd", *seeds, "types aside", title=title,
                  title_justify="left")  # fmt: skip
    for found in result.ways:
        table.add_row(plain(found.title), found.told, *map(percent, found.f1), percent(found.spans_mean))
    console.print(table)
    console.print(plain(verdict(result)), style="bold")
    console.print(LIMITS, style="dim")


def tagged(console: Console, text: str, spans: Sequence[Span]) -> None:
    """A sentence of the user's, tagged."""
    console.rule("5 · tags in your own sentence", align="left")
    print_tagged(console, text, list(spans))
    if not spans:
        console.print("nothing found in it", style="dim")


def end(console: Console, result: Result, page: Path, keep: Path | None) -> None:
    """Where everything is, and how to go on."""
    console.rule("next: your own data", align="left")
    console.print(
        "Put your sentences into my-data/train.conll and my-data/test.conll: a word and its tag (B-type, I-type or O) "
        "a line, a tab\nbetween them, an empty line after each sentence. Then:",
        style="dim",
    )
    for command in NEXT:
        console.print(plain(f"  {command}"), style="bold")
    console.print(
        "The encoder in the package is a toy. `nerbert corpus build` on a real dump and `nerbert pretrain` with a real "
        "backbone\n(--set backbone=bert-base-cased) make a real one: nerbert's README has the commands.",
        style="dim",
    )
    console.print(plain(f"page: {page}"))
    if keep:
        console.print(plain(f"all files, and what each one is: {keep / 'README.md'}"))
    console.print(f"done in {result.seconds:.0f} s")
