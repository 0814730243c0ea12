"""Does an exported tagger answer as torch does? F1 lost, confidences moved, over all and by type (ours).

The loss is that of the same sentences, so its interval is a paired bootstrap over them. Cost: types with less than 100
gold entities are not judged alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nerbert.errors import InputError
from nerbert.labels import WordSpan, word_spans
from nerbert.metrics.judging import bootstrap_difference, span_counts
from nerbert.metrics.score import Counts
from nerbert.model.heads import Entities, Head
from nerbert.records import Example

MAX_LOSS = 1.0
"""How many points of F1 int8 may lose over all, unless the user says otherwise."""
_TYPE = 3
"""A single type may lose so many times as much: it has fewer entities, so more of its loss is chance."""
_MOVED = 0.05
"""By how much (0–1) confidences may differ on average."""
_ENOUGH = 100
"""Gold entities from which on a type is judged by itself."""


@dataclass(frozen=True, slots=True)
class Loss:
    """F1 (0–1) of `gold` entities, and how much less that is than torch's: between `low` and `high`, 95 %."""

    f1: float
    gold: int
    loss: float
    low: float
    high: float

    @classmethod
    def of(
        cls, gold: Sequence[Sequence[WordSpan]], one: Sequence[Sequence[WordSpan]], other: Sequence[Sequence[WordSpan]]
    ) -> "Loss":
        """Return what `other` loses against `one`, entities by sentence."""
        counts = [span_counts(gold, each) for each in (one, other)]
        before, after = (Counts(*each.sum(0).tolist()).f1 for each in counts)
        interval = bootstrap_difference(*counts)
        return cls(after, sum(map(len, gold)), before - after, interval.low, interval.high)

    def __str__(self) -> str:
        return f"{100 * self.loss:.1f} points of F1 [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True, slots=True)
class Agreement(Loss):
    """Of one back end on annotated sentences, beside its loss: the share (0–1) of torch's entities that it finds.

    `other` counts entities that torch doesn't find; `confidence` is by how much the confidences of shared entities
    differ, on average. `by_type` has the types with 100 gold entities or more.
    """

    share: float = 1.0
    other: int = 0
    confidence: float = 0.0
    by_type: Mapping[str, Loss] = field(default_factory=dict)


def agreement_of(heads: Mapping[str, Head], examples: Sequence[Example]) -> dict[str, Agreement]:
    """Return how each head, asked for its types, agrees with the first one on annotated sentences."""
    gold = list(map(word_spans, examples))
    found = {name: head.predict(examples) for name, head in heads.items()}
    reference = next(iter(found.values()))
    return {name: _agreement(gold, reference, each) for name, each in found.items()}


def _agreement(gold: Sequence[Sequence[WordSpan]], torch: Entities, other: Entities) -> Agreement:
    one, two = ({each[:4]: each[4] for each in entities.spans()} for entities in (torch, other))
    both = one.keys() & two.keys()
    pair = [each.word_spans(len(gold)) for each in (torch, other)]
    loss = Loss.of(gold, *pair)
    return Agreement(
        loss.f1, loss.gold, loss.loss, loss.low, loss.high,
        len(both) / len(one) if one else 1.0, len(two) - len(both),
        float(np.mean([abs(one[each] - two[each]) for each in both])) if both else 0.0, dict(_by_type(gold, *pair)),
    )  # fmt: skip


def _by_type(*spans: Sequence[Sequence[WordSpan]]) -> dict[str, Loss]:
    """Return the losses of types with enough gold entities; `spans` are gold, torch's and the other's."""
    types = [type_ for each in spans[0] for *_, type_ in each]
    enough = sorted(each for each in {*types} if types.count(each) >= _ENOUGH)
    return {name: Loss.of(*([[span for span in each if span[2] == name] for each in some] for some in spans))
            for name in enough}  # fmt: skip


def check_loss(name: str, found: Agreement, max_loss: float) -> None:
    """Raise InputError for a back end that loses more than `max_loss` points of F1, three times as much in a type, or
    whose confidences differ by more than 0.05 on average.
    """
    most = max_loss / 100
    bad = [f"{found} are lost (at most {max_loss:g} allowed)"] if found.loss > most else []
    bad += [f"{type_!r:.80} loses {each} (at most {_TYPE * max_loss:g})" for type_, each in found.by_type.items()
            if each.loss > _TYPE * most]  # fmt: skip
    if found.confidence > _MOVED:
        bad.append(f"confidences differ by {found.confidence:.3f} on average (at most {_MOVED:g} allowed)")
    if bad:
        raise InputError(
            f"{name}: {'; '.join(bad)}. Nothing is written; allow more with --max-loss, or leave out --int8"
        )
