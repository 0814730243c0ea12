"""The figures of a quickstart."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from nerbert.evaluation.evaluate import Evaluation
from nerbert.records import Span
from nerbert.terminal import percent


@dataclass(frozen=True, slots=True)
class ModelScores:
    """A model, fine-tuned on `sentences` of the domain, and its scores on the test sentences."""

    key: str
    """The folder of its taggers, or the model's name if it wasn't fine-tuned."""
    title: str
    sentences: int
    """Number of sentences that it was fine-tuned on; 0 for a model that takes types at run time."""
    f1: tuple[float, ...]
    """F1 (0–1), one per seed."""
    spans_f1: tuple[float, ...]
    """Span F1 (types ignored), one per seed."""

    @classmethod
    def of(cls, key: str, title: str, sentences: int, scored: Evaluation) -> "ModelScores":
        """Return the figures of an evaluation."""
        f1 = tuple(score.f1 for score in scored.scores.values())
        spans_f1 = tuple(judged.span.f1 for judged in scored.judgements.values())
        return cls(key, title, sentences, f1, spans_f1)

    @property
    def label(self) -> str:
        """The model, and the number of sentences that it was fine-tuned on."""
        return f"{self.title} {f'after {self.sentences} sentences' if self.sentences else 'without a sentence'}"

    @property
    def mean(self) -> float:
        """Mean F1 over seeds."""
        return mean(self.f1)

    @property
    def sd(self) -> float:
        """Sample standard deviation over seeds; 0 for one seed."""
        return stdev(self.f1) if len(self.f1) > 1 else 0.0

    @property
    def summary(self) -> str:
        """Mean ± standard deviation in percent; only F1 for one seed."""
        return f"{percent(self.mean)} ± {percent(self.sd)}" if len(self.f1) > 1 else percent(self.mean)


@dataclass(frozen=True, slots=True)
class QuickstartResult:
    """The result of a quickstart."""

    models: tuple[ModelScores, ...]
    """The toy first; the last one tags the user's sentence."""
    test: int
    """Number of test sentences."""
    test_mentions: int
    text: str
    """The user's sentence."""
    spans: Sequence[Span]
    """The entities in it, by the last model."""
    missing: str = ""
    """Reason why only the toy ran, and the remedy; empty if other models ran too."""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        figures = ", ".join(f"{model.label} {100 * model.mean:.1f}" for model in self.models)
        return f"F1 on {self.test} test sentences: {figures}."
