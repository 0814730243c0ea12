"""The figures of a quickstart: what the terminal, the page and the picture show."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from nerbert.artifacts import write_json
from nerbert.terminal import percent

_CLOSE = 1.0
"""Differences below so many points of F1 are not significant."""
Marked = tuple[int, int, str]
"""A mention in a text: start, end (characters), type."""


@dataclass(frozen=True, slots=True)
class EncoderResult:
    """One of the two encoders, and the scores of the taggers fine-tuned from it."""

    key: str
    """`mlm` or `ner`: the name of its folders."""
    title: str
    measure: str
    """What `curve` measures."""
    steps: int
    kept: int
    """The step whose model was kept: the best one on held-out sentences."""
    tokens: int
    """Tokens read in pre-training, without padding."""
    seconds: float
    curve: tuple[tuple[int, float], ...]
    """(step, 0–1) on held-out sentences during pre-training."""
    f1: tuple[float, ...]
    """F1 (0–1) on the test sentences, one per seed."""
    spans_f1: tuple[float, ...]
    """The same, types ignored."""
    by_type: dict[str, float]
    """F1 of each type, mean of the seeds."""

    @property
    def best(self) -> float:
        """The figure of the model that was kept."""
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
    def summary(self) -> str:
        """Mean ± standard deviation in percent."""
        return f"{percent(self.mean)} ± {percent(self.sd)}"


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A sentence with its mentions by annotator: `gold`, or an encoder's key."""

    text: str
    marked: dict[str, tuple[Marked, ...]]


@dataclass(frozen=True, slots=True)
class QuickstartResult:
    """All figures of a quickstart."""

    encoders: tuple[EncoderResult, EncoderResult]
    """Masked words first, then types of links."""
    seeds: tuple[int, ...]
    train: int
    """Number of sentences that the taggers were fine-tuned on."""
    mentions: dict[str, int]
    """Mentions by type in them."""
    test: int
    test_mentions: int
    examples: tuple[TaggedText, ...]
    """Random test sentences, as annotated and as tagged."""
    own: TaggedText
    """The user's sentence, as the tagger of the second encoder tags it."""
    confidences: tuple[float, ...]
    """Of the mentions in it."""
    made: dict[str, str]
    """Versions, machine, settings."""
    seconds: float = 0.0

    @property
    def gains(self) -> list[float]:
        """The second encoder's lead, by seed (0–1)."""
        first, second = self.encoders
        return [there - here for here, there in zip(first.f1, second.f1, strict=True)]

    @property
    def verdict(self) -> str:
        """Which encoder is ahead, in one sentence that claims no more than the seeds allow.

        It must be ahead in every seed, by at least a point of F1 and by more than the standard deviation of the gains.
        """
        gains, points = self.gains, 100 * mean(self.gains)
        average = round(points, 1) + 0.0  # no "-0.0"
        if len(gains) == 1:
            return f"NER pre-training {average:+.1f} points of F1, with one seed: no more than a first look."
        seeds = f"in {len(gains)} of {len(gains)} seeds"
        if abs(points) >= _CLOSE and abs(points) > 100 * stdev(gains):
            if all(gain > 0 for gain in gains):
                return f"NER pre-training is ahead by {points:.1f} points of F1, {seeds}."
            if all(gain < 0 for gain in gains):
                return (
                    f"Masked words are ahead by {-points:.1f} points of F1, {seeds}: the types of links did not help."
                )
        return f"Too close to call here: NER pre-training {average:+.1f} points of F1, the mean of {len(gains)} seeds."

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        write_json(path, asdict(self) | {"verdict": self.verdict})


def means_by_type(scores: Sequence[Any]) -> dict[str, float]:
    """Return F1 of each type, the mean over taggers' scores."""
    types = sorted({name for score in scores for name in score.by_type})
    return {name: mean(score.by_type[name].f1 if name in score.by_type else 0.0 for score in scores) for name in types}
