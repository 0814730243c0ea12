"""What the tour found: all its figures, as the terminal, the page and the picture show them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from nerbert.files import write_json
from nerbert.show import percent

COLOURS = 10
Marked = tuple[int, int, str]
"""A mention in a text: start, end (characters), type."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to prepare the encoder, and what its taggers reached."""

    key: str
    """`mlm` or `ner`: the name of its folders."""
    title: str
    steps: int
    pieces: int
    """What pre-training read, padding left out."""
    seconds: float
    curve: tuple[tuple[int, float], ...]
    """(step, 0–1) while it was pre-trained: masked pieces found, or F1 on typed entities, on held-out sentences."""
    f1: tuple[float, ...]
    """F1 (0–1) on the test sentences, one a seed."""
    spans_f1: tuple[float, ...]
    """The same without asking for the type."""
    by_type: dict[str, float]
    """F1 of each type, mean of the seeds."""

    @property
    def mean(self) -> float:
        """Mean F1 of the seeds."""
        return mean(self.f1)

    @property
    def sd(self) -> float:
        """Sample standard deviation over seeds; 0 for one."""
        return stdev(self.f1) if len(self.f1) > 1 else 0.0

    @property
    def told(self) -> str:
        """Mean ± standard deviation in percent."""
        return f"{percent(self.mean)} ± {percent(self.sd)}"


@dataclass(frozen=True, slots=True)
class Shown:
    """A sentence with its mentions by some hands: `gold`, or a way's key."""

    text: str
    marked: dict[str, tuple[Marked, ...]]


@dataclass(frozen=True, slots=True)
class Result:
    """All that the tour found."""

    ways: tuple[Way, Way]
    """Masked words first, then types of links."""
    seeds: tuple[int, ...]
    train: int
    """Sentences that the taggers were fine-tuned on."""
    mentions: dict[str, int]
    """Mentions by type in them."""
    test: int
    test_mentions: int
    examples: tuple[Shown, ...]
    """Test sentences, drawn by coin, as annotated and as tagged."""
    own: Shown
    """The sentence given, as the tagger of the second way tags it."""
    confidences: tuple[float, ...]
    """Of the mentions in it."""
    made: dict[str, str]
    """How it was made: versions, machine, settings."""
    seconds: float = 0.0

    def colour(self, name: str) -> int:
        """The number (0–9) of a type's colour; the first ten types have one each."""
        return sorted({*self.mentions, name}).index(name) % COLOURS

    @property
    def gains(self) -> list[float]:
        """How far the second way is ahead, seed by seed (0–1)."""
        first, second = self.ways
        return [there - here for here, there in zip(first.f1, second.f1, strict=True)]

    def write(self, path: Path) -> None:
        """Write all of it as JSON."""
        write_json(path, asdict(self) | {"verdict": verdict(self)})


def verdict(result: Result) -> str:
    """Which way is ahead, in one sentence that says no more than the seeds do."""
    gains = result.gains
    points = mean(gains) * 100
    seeds = f"in {len(gains)} of {len(gains)} seeds"
    if all(gain > 0 for gain in gains):
        return f"NER pre-training is ahead by {points:.1f} points of F1, {seeds}."
    if all(gain < 0 for gain in gains):
        return f"Masked words are ahead by {-points:.1f} points of F1, {seeds}: here the types of links did not help."
    if not any(gains):
        return f"Both ways reach the same F1, {seeds}: the types of links made no difference here."
    points = round(points, 1) + 0.0  # no "-0.0"
    return f"The seeds don't agree (NER pre-training {points:+.1f} points of F1 on average): too close to call here."


def means_by_type(scores: Sequence[Any]) -> dict[str, float]:
    """F1 of each type, the mean over taggers' scores."""
    types = sorted({name for score in scores for name in score.by_type})
    return {name: mean(score.by_type[name].f1 if name in score.by_type else 0.0 for score in scores) for name in types}
