"""Questions to a person on a terminal: is this span an entity of this label? And what their answers come to.

Keys are read by the line, so that any terminal, and a pipe in tests, will do.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from nerbert.errors import InputError, visible
from nerbert.render.terminal import say, table
from nerbert.tagger.span_answers import Answer, SpanAnswers, SpanQuestion
from nerbert.terminal import percent, plain

if TYPE_CHECKING:
    from nerbert.metrics.span_sample import WeightedShare
    from nerbert.tagger.copied import Copied
    from nerbert.tagger.judged import Judged, JudgedLabel

_KEYS: dict[str, Answer] = {"y": True, "yes": True, "n": False, "no": False, "s": "unsure", "skip": "unsure"}
_PERSON = "person"
_HELP = (
    "y: right, n: wrong (another label, or not exactly these words), s: skip (unsure), u: undo, q: quit, go on later"
)
_ROOM = 300
"""Characters of a sentence that are shown on each side of a span."""


def ask_person(answers: SpanAnswers, read: Callable[[], str] | None = None) -> None:
    """Ask a person for the answers that are missing, until all are there or they quit; each is saved at once.

    `read` returns a line that was typed, "" at the end of the input. Default: the terminal; raise InputError if there
    is none.
    """
    if read is None:
        if sys.stdin is None or not sys.stdin.isatty():
            missing = f"{len(answers.open):,} of {len(answers.questions):,} spans have no answer"
            raise InputError(
                f"{answers.path}: {missing}: run this on a terminal, or give --endpoint and --model, or write true, "
                'false or "unsure" for each "right" there'
            )
        read = sys.stdin.readline
    console, given = Console(soft_wrap=True, highlight=False), list[int]()
    console.print(plain(_HELP))
    while places := answers.open:
        count = len(answers.questions)
        console.print(_shown(answers.questions[places[0]], count - len(places), count))
        console.print("y/n/s/u/q> ", end="")
        line = read()
        key = line.strip().casefold()
        if not line or key in ("q", "quit"):
            break
        if key in _KEYS:
            given.append(places[0])
            answers.answer(places[0], _KEYS[key], _PERSON)
        elif key in ("u", "undo"):
            if given:
                answers.answer(given.pop(), None, "")
            else:
                console.print("nothing to undo in this session")
        else:
            console.print(plain(_HELP))
    done = len(answers.questions) - len(answers.open)
    console.print(plain(f"{done:,} of {len(answers.questions):,} answered, kept in {answers.path}"
                        + ("; rerun the command to go on" if answers.open else "")))  # fmt: skip


def _shown(question: SpanQuestion, done: int, count: int) -> Text:
    """Return a question: its number, the sentence around the span, which is marked, and the label."""
    before, after = question.text[: question.start], question.text[question.end :]
    cut_before, cut_after = ("…" if len(each) > _ROOM else "" for each in (before, after))
    shown = Text(f"\n{done + 1:,}/{count:,} {cut_before}{_on_a_line(before[-_ROOM:])}")
    shown.append(f"[[{_on_a_line(question.text[question.start : question.end])}]]", style="bold reverse")
    shown.append(f"{_on_a_line(after[:_ROOM])}{cut_after}\n  ")
    return shown.append(visible(question.label), style="bold").append("?")


def _on_a_line(text: str) -> str:
    """Return a text without line breaks, its control characters visible."""
    return visible(text.replace("\n", " ").replace("\t", " "))


def print_judged(done: "Judged", *, dry_run: bool = False) -> None:
    """Print precision with its interval, the temperature, and each label's figures and threshold."""
    console = Console(soft_wrap=True)
    say(
        console,
        "judged",
        each=done,
        told=done.calibration,
        judged=done.calibration["judged"],
        interval=interval,
        others=[name for name, each in done.labels.items() if not each.own],
    )
    heads = ["label", "found", "kept", "judged", "precision of those kept", "threshold"]
    rows = [(name, each.found, each.kept, each.judged, _precision(each),
             f"{each.threshold:.3f}{'' if each.own else ' *'}") for name, each in done.labels.items()]  # fmt: skip
    console.print(table(heads, rows, numbers=range(1, 4)))
    if not all(each.own for each in done.labels.values()):
        console.print("* not fitted on this label's own answers")
    if dry_run:
        console.print("nothing was written into the tagger (--dry-run)")


def print_copied(done: Sequence["Copied"], source: str, *, dry_run: bool = False) -> None:
    """Print what each tagger got from another one, by label, and what not."""
    console = Console(soft_wrap=True)
    for each in done:
        say(console, "copied", each=each, source=source)
    if dry_run:
        console.print("nothing was written (--dry-run)")


def _precision(label: "JudgedLabel") -> str:
    if label.precision is None:
        return f"too few to tell ({label.kept_judged:,} judged)"
    return interval(label.precision)


def interval(share: "WeightedShare") -> str:
    """Return a share with its interval, in percent."""
    return f"{percent(share.share)} ({percent(share.low)} to {percent(share.high)})"
