"""Annotated sentences → a tagger's temperature and, for a wanted precision, the threshold of each type.

A tagger that is told its labels is asked for the data's types, and keeps what is found in its card by their names. Its
temperature is fitted on what it finds by its usual threshold; thresholds are looked for from 0.05 on. A threshold there
decides about words and spans before entities are chosen among them, so what is kept is counted anew.

Both are written into `nerbert.json`, and from there into README.md, each whole or not at all. Then the answers that the
tagger checks itself by are made anew. A new temperature changes every confidence, so thresholds are always chosen anew
with it, or go. A README that somebody has changed by hand stays as it is. The sentences that a tagger was trained on
are refused: on those it is always sure, and always right.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nerbert.artifacts import write_json
from nerbert.errors import InputError
from nerbert.formats.data import AnyData, read_gold
from nerbert.formats.documents import Reading
from nerbert.metrics.calibration import Threshold, check_precision, lowest_thresholds, uncalibrated
from nerbert.model.backbone import CARD, TaggerFacts, TaggerHook, read_card
from nerbert.model.heads import Head, Predicted, predict_entities
from nerbert.records import EntityLabel, Example
from nerbert.tagger.backends import head_named
from nerbert.tagger.self_check import CHECK, try_write_check
from nerbert.tagger.tagger import Tagger, own_backend, seed_folders

_PLACES = 6
_LEAST = 0.05
"""The lowest threshold that is tried for a label given at run time."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What was written of one tagger: its `calibration`, each found type's threshold if a precision was wanted.

    `lost` are thresholds that an earlier calibration had chosen and that went with it. `old_readme` says that README.md
    was changed by hand, so it was left as it is.
    """

    folder: Path
    calibration: dict[str, Any]
    thresholds: dict[str, Threshold]
    lost: tuple[str, ...]
    old_readme: bool


def calibrate(
    tagger: str | Path, data: AnyData, *, precision: float | None = None, head: str = "",
    card: TaggerHook | None = None, reading: Reading | None = None,
) -> list[Calibrated]:  # fmt: skip
    """Calibrate a tagger's folder (or a folder of several seeds) on a file, or a data folder's dev split.

    With `precision` (above 0, at most 1), entities below their type's threshold are left out from now on. `card` writes
    the model card anew. `head` is as in `Tagger.load`, `reading` says how the data is read.
    """
    if precision is not None:
        check_precision(precision)
    cards = {folder: _card(folder) for folder in seed_folders(str(tagger)) or [Path(tagger)]}
    gold = read_gold(data, "dev", reading)
    place = {"name": gold.name, "sha256": gold.sha256}
    for folder, before in cards.items():
        open_types = (before.get("open_types") or {}).get("files", ())
        if any(map(gold.learnt_by, (before.get("data"), before.get("source_data"), *open_types))):
            raise InputError(
                f"{gold.place}: {folder} was trained on it, so its confidences there say nothing; name others, or give "
                "--split and --split-seed as in training"
            )
    return [
        _calibrated(folder, before, gold.examples, place, precision, head, card) for folder, before in cards.items()
    ]


def _calibrated(
    folder: Path, before: Mapping[str, Any], examples: list[Example], place: Mapping[str, str],
    precision: float | None, head: str, card: TaggerHook | None,
) -> Calibrated:  # fmt: skip
    """Calibrate one tagger and write the result."""
    loaded = Tagger.load(folder, backend=own_backend(folder), precision="fp32", head=head)
    types = sorted({span.type for each in examples for span in each.spans})
    asked = () if loaded.types else tuple(map(EntityLabel, types))
    if not loaded.types and not asked:
        raise InputError(f"{place['name']}: holds no entity, so there is no type to ask {folder} for")
    found = _found(loaded.head, asked, [loaded.head.usual_threshold] * len(asked), examples)
    if not found.entities.types:
        raise InputError(f"{folder}: finds no entity in {place['name']}; calibrate on sentences of its own domain")
    told, bounds = found.calibration_json(place), dict[str, Threshold]()
    if precision is not None:
        found = _found(loaded.head, asked, [_LEAST] * len(asked), examples) if asked else found
        bounds = _thresholds(found, told["temperature"], precision)
        bounds = _counted(bounds, loaded.head, asked, told["temperature"], examples) if asked else bounds
        shown = {name: asdict(each) | {"kept_precision": each.precision, "recall_kept": each.recall_kept}
                 for name, each in bounds.items()}  # fmt: skip
        told |= {"precision": precision, "by_type": shown}
    chosen = {name: each.confidence for name, each in bounds.items() if each.confidence is not None}
    after = {**before, "calibration": told, "thresholds": chosen}
    lost = tuple(before.get("thresholds") or ()) if precision is None else ()
    changed_by_hand = not asked and card is not None and not card(folder, TaggerFacts(after, before))
    (folder / CHECK).unlink(missing_ok=True)  # of the confidences before
    write_json(folder / CARD, after)
    if not asked:
        try_write_check(folder, head)
    return Calibrated(folder, told, bounds, lost, changed_by_hand)


def _found(head: Head, asked: Sequence[EntityLabel], least: Sequence[float], examples: Sequence[Example]) -> Predicted:
    """Return what a head finds, asked for labels from their lowest probabilities on if it is to be told them."""
    return predict_entities(head.for_labels(asked, least) if asked else head, examples)


def _counted(
    bounds: Mapping[str, Threshold], head: Head, asked: Sequence[EntityLabel], temperature: float,
    examples: Sequence[Example],
) -> dict[str, Threshold]:  # fmt: skip
    """Return thresholds with what is kept when the head goes by all of them."""
    wanted = {name: each.confidence for name, each in bounds.items() if each.confidence is not None}
    least = [wanted.get(each.name, head.usual_threshold) for each in asked]
    found = _found(head, asked, [uncalibrated(each, temperature) for each in least], examples)
    kept, right = Counter[str](), Counter[str]()
    confidences = found.entities.confidences(temperature).tolist()
    for type_, confidence, is_right in zip(found.entities.types, confidences, found.right.tolist(), strict=True):
        if confidence >= wanted.get(type_, head.usual_threshold):
            kept[type_] += 1
            right[type_] += is_right
    return {name: replace(each, kept=kept[name], kept_right=right[name]) for name, each in bounds.items()}


def _thresholds(found: Predicted, temperature: float, precision: float) -> dict[str, Threshold]:
    """Return thresholds by type; confidences are rounded down first, so what is written keeps what is counted."""
    scale = 10**_PLACES
    confidences = [math.floor(each * scale) / scale for each in found.entities.confidences(temperature).tolist()]
    return lowest_thresholds(found.entities.types, confidences, found.right, precision)


def _card(folder: Path) -> dict[str, Any]:
    """Return the card of a tagger that nerbert made or that is told its labels, in a folder here."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; a model on the hub must be copied into one first")
    card = read_card(str(folder))
    if card.get("kind") != "tagger" and head_named(str(folder), card) == "linear":
        raise InputError(f"{folder}: no tagger that `nerbert finetune` made, nor one that is told its labels; others "
                         "can't be calibrated")  # fmt: skip
    return card
