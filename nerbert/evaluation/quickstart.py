"""The figures of a quickstart, for the terminal, the page and the picture."""

from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from nerbert.artifacts import write_json
from nerbert.evaluation.evaluate import Evaluation
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
    by_type: dict[str, float]
    """F1 of each type, mean over seeds."""

    @classmethod
    def of(cls, key: str, title: str, sentences: int, scored: Evaluation) -> "ModelScores":
        """Return the figures of an evaluation."""
        scores = [*scored.scores.values()]
        by_type = {name: mean(score.by_type[name].f1 if name in score.by_type else 0.0 for score in scores)
                   for name in sorted({name for score in scores for name in score.by_type})}  # fmt: skip
        spans_f1 = tuple(judged.span.f1 for judged in scored.judgements.values())
        return cls(key, title, sentences, tuple(score.f1 for score in scores), spans_f1, by_type)

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
    """All figures of a quickstart."""

    curve: tuple[tuple[int, float], ...]
    """(step, F1 on types of held-out links, 0–1) during the encoder's pre-training."""
    models: tuple[ModelScores, ...]
    """The toy first; the last one tags the user's sentence."""
    seeds: tuple[int, ...]
    """Seeds of the toy's fine-tuning; other models, and the taggers that tag sentences, use the first seed."""
    train: int
    """Number of sentences that the taggers were fine-tuned on."""
    mentions: dict[str, int]
    """Number of mentions in these sentences, by type."""
    test: int
    test_mentions: int
    text: str
    """The user's sentence."""
    tags: tuple[tuple[int, int, str, float], ...]
    """Start, end (characters), type and confidence of each mention in it, by the last model."""
    made: dict[str, str]
    """Versions, machine, settings."""
    missing: str = ""
    """Reason why only the toy ran, and the remedy; empty if other models ran too."""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        figures = ", ".join(f"{model.label} {100 * model.mean:.1f}" for model in self.models)
        return f"F1 on {self.test} test sentences: {figures}."

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        write_json(path, asdict(self) | {"verdict": self.verdict})
