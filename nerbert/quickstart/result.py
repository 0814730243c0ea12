"""What the tour found: all its figures, as the terminal, the page and the picture show them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from nerbert.artifacts import read_json, write_json
from nerbert.terminal import percent

COLOURS = 10
FIGURES = {"mlm": "masked pieces found", "ner": "F1 on types of links"}
"""What a way's curve shows, by its key."""
LIMITS = "One pre-training each way and one draw of sentences; ± is over seeds of fine-tuning."
_CLOSE = 1.0
"""Points of F1 below which nobody is ahead."""
Marked = tuple[int, int, str]
"""A mention in a text: start, end (characters), type."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to prepare the encoder, and what its taggers reached."""

    key: str
    """`mlm` or `ner`: the name of its folders."""
    title: str
    steps: int
    kept: int
    """The step whose model went on: the best one on held-out sentences, as `nerbert pretrain` does."""
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
    def figure(self) -> float:
        """The curve's figure of the model that was kept."""
        return dict(self.curve)[self.kept]

    @property
    def mean(self) -> float:
        """Mean F1 of the seeds."""
        return mean(self.f1)

    @property
    def sd(self) -> float:
        """Sample standard deviation over seeds; 0 for one."""
        return stdev(self.f1) if len(self.f1) > 1 else 0.0

    @property
    def spans_mean(self) -> float:
        """Mean of the seeds without asking for the type."""
        return sum(self.spans_f1) / len(self.spans_f1)

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

    @classmethod
    def read(cls, path: Path) -> "Result":
        """A result as `write` wrote it."""
        told = _frozen({name: value for name, value in read_json(path).items() if name != "verdict"})
        ways = tuple(Way(**way) for way in told["ways"])
        shown = {"examples": tuple(Shown(**each) for each in told["examples"]), "own": Shown(**told["own"])}
        return cls(**told | shown | {"ways": ways})


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples."""
    if isinstance(value, dict):
        return {name: _frozen(inner) for name, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def verdict(result: Result) -> str:
    """Which way is ahead, in one sentence that says no more than the seeds do.

    Ahead is who is so in all seeds, by a point of F1 and by more than the gains' own standard deviation.
    """
    gains, points = result.gains, 100 * mean(result.gains)
    average = round(points, 1) + 0.0  # no "-0.0"
    if len(gains) == 1:
        return f"NER pre-training {average:+.1f} points of F1, with one seed: no more than a first look."
    seeds = f"in {len(gains)} of {len(gains)} seeds"
    if abs(points) >= _CLOSE and abs(points) > 100 * stdev(gains):
        if all(gain > 0 for gain in gains):
            return f"NER pre-training is ahead by {points:.1f} points of F1, {seeds}."
        if all(gain < 0 for gain in gains):
            return f"Masked words are ahead by {-points:.1f} points of F1, {seeds}: the types of links did not help."
    return f"Too close to call here: NER pre-training {average:+.1f} points of F1, the mean of {len(gains)} seeds."


def means_by_type(scores: Sequence[Any]) -> dict[str, float]:
    """F1 of each type, the mean over taggers' scores."""
    types = sorted({name for score in scores for name in score.by_type})
    return {name: mean(score.by_type[name].f1 if name in score.by_type else 0.0 for score in scores) for name in types}
