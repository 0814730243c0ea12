"""Annotated sentences → the scaling of a tagger's confidences and, for a target precision, the threshold of each type.

A tagger that takes labels at run time also gets the single threshold with the best F1.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nerbert.artifacts import write_json
from nerbert.data.splits import AnyData, read_gold
from nerbert.errors import InputError, SettingsError, few
from nerbert.formats.documents import Reading, reading_for
from nerbert.labels import types_of_examples, word_spans
from nerbert.metrics.calibration import Scaling, Threshold, lowest_thresholds, scaling_of
from nerbert.model.folder import CARD, ModelFolder, TaggerFacts, TaggerHook, read_card, seed_folders, to_copy
from nerbert.model.head_kinds import labels_at_run_time
from nerbert.model.heads import Head, Predicted, predict_entities
from nerbert.model.threshold_fit import TRIED, best_threshold, calibrate_threshold
from nerbert.records import EntityLabel, Example
from nerbert.tagger.self_check import try_write_check
from nerbert.tagger.self_check_answers import CHECK
from nerbert.tagger.tagger import Tagger

_PLACES = 6
Find = Callable[[Callable[[str], float]], Predicted]
"""(Type → its lowest probability) → entities; a head with fixed types ignores the probabilities."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The result for one tagger: its `calibration`, each found type's threshold if a precision was given.

    `threshold` is that of all labels given at run time; None for fixed types. `least` is the threshold that applied
    before, in the new confidences: no type gets a lower one; 0 for fixed types.
    `lost` are the thresholds of an earlier calibration that it removed. `old_readme`: README.md was changed by hand, so
    it was left unchanged. `unknown` are types of the data that the tagger doesn't know, `absent` those of the tagger
    that the data doesn't have: entities of these count as wrong.
    """

    folder: Path
    calibration: dict[str, Any]
    thresholds: dict[str, Threshold]
    lost: tuple[str, ...]
    old_readme: bool
    unknown: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    threshold: float | None = None
    least: float = 0.0

    @property
    def unchanged(self) -> list[str]:
        """Return the types whose threshold stays at `least`, since every entity found was right."""
        bounds = self.thresholds.items()
        return [name for name, bound in bounds if self.least == bound.confidence and bound.predicted == bound.right]


def calibrate(
    tagger: str | Path,
    data: AnyData,
    *,
    precision: float | None = None,
    head: str = "",
    card: TaggerHook | None = None,
    reading: Reading | None = None,
    dry_run: bool = False,
) -> list[Calibrated]:
    """Calibrate a tagger's folder (or a folder of several seeds) on a file, or a data folder's dev split.

    With `precision` (above 0, at most 1), the tagger leaves out entities below their type's threshold from then on.
    `card` rewrites the model card. `head` is as in `Tagger.load`, `reading` sets how the data is read. `dry_run` writes
    nothing.
    """
    if precision is not None and not 0 < precision <= 1:
        raise SettingsError(f"precision = {precision}: must be above 0 and at most 1, say 0.9")
    cards = dict[Path, dict[str, Any]]()
    for folder in seed_folders(str(tagger)) or [Path(tagger)]:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; {to_copy(str(folder))}")
        cards[folder] = read_card(str(folder))
        if cards[folder].get("kind") != "tagger" and not labels_at_run_time(ModelFolder.open(folder)):
            raise InputError(
                f"{folder}: no tagger that `nerbert finetune` made, nor one that takes labels at run "
                "time; others can't be calibrated"
            )
    gold = read_gold(data, "dev", reading_for(next(iter(cards.values())), reading))
    source = {"name": gold.name, "sha256": gold.sha256}
    for folder, trained in cards.items():
        open_types = (trained.get("open_types") or {}).get("files", ())
        if any(map(gold.learnt_by, (trained.get("data"), trained.get("source_data"), *open_types))):
            raise InputError(
                f"{gold.place}: {folder} was trained on it, so its confidences there mean nothing; give other data, or "
                "--split and --split-seed as in training"
            )
    return [
        _calibrate_tagger(folder, before, gold.examples, source, precision, head, card, dry_run=dry_run)
        for folder, before in cards.items()
    ]


def _calibrate_tagger(
    folder: Path,
    card_before: Mapping[str, Any],
    examples: list[Example],
    source: Mapping[str, str],
    precision: float | None,
    head: str,
    card: TaggerHook | None,
    *,
    dry_run: bool,
) -> Calibrated:
    """Calibrate one tagger and write the result."""
    loaded = Tagger.load(folder, head=head).head  # in the precision that will answer: others move confidences
    types = types_of_examples(examples)
    _check_types(folder, loaded, types, source["name"])
    find = _make_finder(loaded, examples, types, source["name"])
    best, default = None, loaded.usual_threshold
    if default and not loaded.types:
        best = best_threshold(find(lambda _: TRIED[0]).entities, list(map(word_spans, examples)))
        default = best.probability
    predicted = find(lambda _: default)
    if not predicted.entities.types:
        raise InputError(f"{folder}: finds no entity in {source['name']}; calibrate on sentences of its own domain")
    calibration = predicted.calibration_json(source)
    bounds = dict[str, Threshold]()
    scaling = Scaling.read(calibration)
    fitted = dict[str, float]()
    if best is not None:
        fitted["threshold"] = calibrate_threshold(best.probability, scaling)
        calibration["threshold_f1"] = round(best.f1, _PLACES)
    least = calibrate_threshold(_threshold_before(card_before, default), scaling)
    if precision is not None:
        bounds = _find_thresholds(find, fitted.get("threshold", default), scaling, precision, least)
        calibration |= {"precision": precision, "by_type": _bounds_json(bounds)}
    chosen = {name: bound.confidence for name, bound in bounds.items() if bound.confidence is not None}
    after = {**card_before, "calibration": calibration, **fitted, "thresholds": chosen}
    after.pop("previous", None)  # earlier versions kept the values before
    lost = tuple(card_before.get("thresholds") or ()) if precision is None else ()
    changed_by_hand = not dry_run and _write(folder, TaggerFacts(after, card_before), head, card)
    unknown = _lacking(loaded.types or card_before.get("types") or types, types)
    absent = _lacking(types, loaded.types)
    threshold = fitted.get("threshold")
    return Calibrated(folder, calibration, bounds, lost, changed_by_hand, unknown, absent, threshold, least)


def _lacking(known: Sequence[str], types: Sequence[str]) -> tuple[str, ...]:
    return tuple(type_ for type_ in types if type_ not in known)


def _check_types(folder: Path, head: Head, types: Sequence[str], name: str) -> None:
    """Raise InputError if the data, `name`, has types, and a head with fixed types has none of them."""
    if types and head.types and set(types).isdisjoint(head.types):
        why = f"{folder} knows none of its types ({few(types)}), so all that the tagger finds there is wrong"
        raise InputError(f"{name}: {why}; give data with types of the tagger ({few(head.types)})")


def _threshold_before(card: Mapping[str, Any], default: float) -> float:
    """Return the threshold that applied before, as a probability of the head; 0 for a head with fixed types."""
    if not default:
        return 0.0
    return max(default, scaling_of(card).undo(card.get("threshold") or 0.0))


def _bounds_json(bounds: Mapping[str, Threshold]) -> dict[str, dict[str, Any]]:
    """Return thresholds by type with their counts, precision and recall."""
    return {
        name: asdict(bound) | {"kept_precision": bound.precision, "recall_kept": bound.recall_kept}
        for name, bound in bounds.items()
    }


def _make_finder(head: Head, examples: Sequence[Example], types: Sequence[str], name: str) -> Find:
    """Return the function that finds a head's entities; labels at run time are the types of the data, `name`."""
    if head.types:
        predicted = predict_entities(head, examples)
        return lambda _: predicted
    labels = list(map(EntityLabel, types))
    if not labels:
        raise InputError(f"{name}: holds no entity, so there is no type to ask the tagger for")
    return lambda least: predict_entities(head.for_labels(labels, [least(label.name) for label in labels]), examples)


def _find_thresholds(
    find: Find, default: float, scaling: Scaling, precision: float, least: float
) -> dict[str, Threshold]:
    """Return thresholds by type, none below `least`, with counts under all of them; a type without uses `default`."""
    predicted = find(lambda _: scaling.undo(least))
    scale = 10**_PLACES
    confidences = [math.floor(value * scale) / scale for value in predicted.entities.confidences(scaling).tolist()]
    bounds = {
        name: bound if bound.confidence is None else replace(bound, confidence=max(bound.confidence, least))
        for name, bound in lowest_thresholds(predicted.entities.types, confidences, predicted.right, precision).items()
    }
    # types compete for words, so with other thresholds a type may be found more often
    least_by_type = {name: default if bound.confidence is None else bound.confidence for name, bound in bounds.items()}
    predicted = find(lambda name: scaling.undo(least_by_type.get(name, default)))
    sure = predicted.entities.confidences(scaling).tolist()
    kept = Counter[str]()
    right = Counter[str]()
    for type_, confidence, is_right in zip(predicted.entities.types, sure, predicted.right.tolist(), strict=True):
        if confidence >= least_by_type.get(type_, default):
            kept[type_] += 1
            right[type_] += is_right
    return {
        name: replace(
            bound,
            predicted=max(bound.predicted, kept[name]),
            right=max(bound.right, right[name]),
            kept=kept[name],
            kept_right=right[name],
        )
        for name, bound in bounds.items()
    }


def _write(folder: Path, facts: TaggerFacts, head: str, card: TaggerHook | None) -> bool:
    """Write card, model card and answers; return whether the model card was changed by hand, so it was kept."""
    is_ours = facts.card.get("kind") == "tagger"
    changed_by_hand = is_ours and card is not None and not card(folder, facts)
    (folder / CHECK).unlink(missing_ok=True)  # it has the old confidences
    write_json(folder / CARD, facts.card)
    if is_ours:
        try_write_check(folder, head)
    return changed_by_hand
