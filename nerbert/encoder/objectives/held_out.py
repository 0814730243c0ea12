"""F1 on held-out texts, each tagged with some types given by name, and the threshold that is best there.

It chooses the checkpoint of objectives that learn from names. Each text is tagged with its own types and some that are
known to be absent; of types with overlapping entities (such as person and politician) only with one, as a user would.
Links of unknown type are not entities of the type `ROOT`, which would hide other entities without counting.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nerbert.encoder.concept_table import ROOT, ConceptTable
from nerbert.encoder.objectives.span_labels import PromptMaker, SpanLabels, WindowLabels
from nerbert.errors import InputError
from nerbert.labels import WordSpan
from nerbert.metrics.calibration import Scaling
from nerbert.metrics.score import score_spans
from nerbert.model.forward import autocast
from nerbert.model.heads import Entities, Head, Predicted
from nerbert.model.threshold_fit import TRIED, USUAL, above, best_threshold, calibrate_threshold
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.process import is_first_process
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array
from nerbert.terminal import tell
from nerbert.training.batches import Sources
from nerbert.training.distributed import ProcessGroup, explain_out_of_memory
from nerbert.training.objective import CheckpointScore, Description, StepHooks, TaggerObjective, Traits, computed_once
from nerbert.training.settings import TrainSettings

_FIGURES = {
    "f1": "entities of held-out texts, each asked for its own types and for others by name, at the best threshold",
    "f1_at_half": "the same at the threshold 0.5",
    "threshold": "the best threshold on these texts",
}
"""Explanations of the figures of `HeldOutScore`."""


class NamedTypes(TaggerObjective, StepHooks):
    """Base class of objectives that learn from names of types and are scored on held-out texts."""

    traits: ClassVar[Traits] = Traits(sources=("open_types", "replay"))
    learnt: ClassVar[str]
    """As in `Description`."""
    _types: Sequence[str]
    _texts: Mapping[str, str]
    _settings: TrainSettings

    @classmethod
    def data(cls, sources: Sources) -> Any:
        """Return texts with types known by name, and the descriptions that are read after the names."""
        section: Any = sources.settings.of(cls.settings)
        return sources.open_named(descriptions=section.descriptions)

    def open_head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> Any:
        """Return the model ready to tag, without labels."""

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> Any:
        """Return the model with the data's types as labels."""
        labels = [EntityLabel(type_, reads=self._texts[type_]) for type_ in self._types]
        return self.open_head(model, pieces, settings).for_labels(labels, [USUAL] * len(labels))

    @contextmanager
    def _share_vectors(self, shared: Any, model: Any, setting: str, encode: Callable[[], Any]) -> Iterator[None]:
        """Set the vectors of a step's names in `shared`, encoded once; an out-of-memory error names `setting`."""
        with explain_out_of_memory(setting), autocast(model.device.type, self._settings.precision):
            vectors = encode()
        with computed_once(vectors) as shared.vectors:
            yield
        shared.vectors = None

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        return Description(learnt=self.learnt, chooses="f1", figures=_FIGURES)


@dataclass(frozen=True, slots=True)
class AskedText:
    """A text, its requested labels and their entities; `known` (words, labels) is True where a prediction counts."""

    example: Example
    labels: list[EntityLabel]
    gold: list[WordSpan]
    known: Array


def asked_texts(
    examples: Sequence[Example], labels: SpanLabels, table: ConceptTable, maker: PromptMaker
) -> list[AskedText]:
    """Return the texts with their requested labels; raise InputError if no text has an entity of a known type."""
    rows = list(table.rows)
    windows = {
        number: WindowLabels.of(np.array(labels.label_words(example), np.int64).reshape(-1, 2), rows)
        for number, example in enumerate(examples)
    }
    prompts = maker.prompts(windows, "dev")
    # A link of unknown type would hide entities without counting (see the module), unless
    # there is nothing else.
    without_root = [number for number, concept in enumerate(table.concepts) if concept.name != ROOT]
    typed = np.array(without_root or range(len(table.concepts)), np.int64)
    asked = {
        number: _without_overlaps(window, prompts[number][np.isin(prompts[number], typed)])
        for number, window in windows.items()
    }
    # F1 on types that are all present can't punish a model that finds them everywhere.
    if all(set(asked[number].tolist()) <= window.concepts for number, window in windows.items()) and is_first_process():
        tell(
            "no type is known to be absent from any validation text, so the model doesn't learn what is absent, "
            "and F1 doesn't show it; give texts `asked` types that they lack"
        )
    texts = []
    for number, window in windows.items():
        names = [table.concepts[type_].text for type_ in asked[number].tolist()]
        gold = [(start, end, names[index]) for start, end, index in window.spans(asked[number])]
        known = window.masks(table, asked[number])[1]
        texts.append(AskedText(examples[number], list(map(EntityLabel, names)), gold, known))
    if not any(text.gold for text in texts):
        raise InputError("the validation texts have no entity of any type: use more texts")
    return texts


def _without_overlaps(window: WindowLabels, types: Array) -> Array:
    """Return the types without those whose entities overlap with an earlier type's."""
    taken = np.zeros(len(window.indices), bool)
    kept = list[int]()
    spans: dict[int, list[slice]] = {}
    for start, end, index in window.spans(types):
        spans.setdefault(index, []).append(slice(start, end))
    for index, number in enumerate(types.tolist()):
        covered = spans.get(index, ())
        # A text is asked for persons or for politicians, not for both, as a user would.
        if not any(taken[span].any() for span in covered):
            kept.append(number)
            for span in covered:
                taken[span] = True
    return np.array(kept, np.int64)


@dataclass(frozen=True, slots=True)
class HeldOutScore:
    """Scores a model on held-out texts, each process its share; `head` wraps the model, without labels."""

    head: Callable[[Any], Head]
    texts: Sequence[AskedText]
    processes: ProcessGroup

    def __call__(self, model: Any) -> CheckpointScore:
        """Return F1 at the best threshold; the encoder's card gets this threshold and the scaling that fits it."""
        model.eval()
        head = self.head(model)
        asked = [text for text in self.texts if text.labels]
        count = self.processes.count
        shares = [asked[first::count] for first in range(count)]
        of_all = self.processes.gather([_find_entities(head, shares[self.processes.rank])])
        entities = Entities.join(of_all, list(map(len, shares)))
        gold = [text.gold for share in shares for text in share]
        threshold, f1 = best_threshold(entities, gold)
        at_half = score_spans(gold, above(entities, USUAL).word_spans(len(gold))).f1
        figures = {"f1": f1, "f1_at_half": at_half, "threshold": threshold}
        predicted = Predicted.judge(above(entities, threshold), gold, head.decoding)
        calibration = predicted.calibration_json({"name": "held-out texts"})
        # The card's threshold holds for calibrated confidences.
        threshold = calibrate_threshold(threshold, Scaling.read(calibration))
        return CheckpointScore(f1, True, figures, {"threshold": threshold, "calibration": calibration})


def _find_entities(head: Head, texts: Sequence[AskedText]) -> Entities:
    """Return the entities that a head finds at the lowest threshold, except where the labels are unknown."""
    groups = [(head.for_labels(text.labels, [TRIED[0]] * len(text.labels)), [text.example]) for text in texts]
    kept = [_drop_unknown(entities, text) for entities, text in zip(head.predict_each(groups), texts, strict=True)]
    return Entities.join(kept, [1] * len(kept)) if kept else Entities.of([])


def _drop_unknown(entities: Entities, text: AskedText) -> Entities:
    columns = {label.name: column for column, label in enumerate(text.labels)}
    spans = zip(entities.starts.tolist(), entities.ends.tolist(), entities.types, strict=True)
    # What nobody looked for is neither right nor wrong.
    kept = [bool(text.known[start:end, columns[type_]].all()) for start, end, type_ in spans]
    return entities.where(np.array(kept, bool))
