"""Annotated sentences → a tagger's temperature and, for a wanted precision, the threshold of each type.

Both are written into `nerbert.json`, and from there into README.md, each whole or not at all. Then the answers that the
tagger checks itself by are made anew. A new temperature changes every confidence, so thresholds are always chosen anew
with it, or go. A README that somebody has changed by hand stays as it is. The sentences that a tagger was trained on
are refused: on those it is always sure, and always right.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nerbert.artifacts import write_json
from nerbert.errors import InputError
from nerbert.formats.data import AnyData, read_gold
from nerbert.formats.documents import Reading
from nerbert.metrics.calibration import Threshold, check_precision, lowest_thresholds
from nerbert.model.backbone import CARD, TaggerFacts, TaggerHook, read_card
from nerbert.model.heads import Predicted, predict_entities
from nerbert.records import Example
from nerbert.tagger.self_check import CHECK, try_write_check
from nerbert.tagger.tagger import Tagger, seed_folders

_PLACES = 6


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
        if gold.learnt_by(before.get("data")) or gold.learnt_by(before.get("source_data")):
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
    backend = "torch" if any(folder.glob("*.safetensors")) else "onnx"
    loaded = Tagger.load(folder, backend=backend, precision="fp32", head=head)
    found = predict_entities(loaded.head, examples)
    if not found.entities.types:
        raise InputError(f"{folder}: finds no entity in {place['name']}; calibrate on sentences of its own domain")
    told, bounds = found.calibration_json(place), dict[str, Threshold]()
    if precision is not None:
        bounds = _thresholds(found, told["temperature"], precision)
        shown = {name: asdict(each) | {"kept_precision": each.precision, "recall_kept": each.recall_kept}
                 for name, each in bounds.items()}  # fmt: skip
        told |= {"precision": precision, "by_type": shown}
    chosen = {name: each.confidence for name, each in bounds.items() if each.confidence is not None}
    after = {**before, "calibration": told, "thresholds": chosen}
    lost = tuple(before.get("thresholds") or ()) if precision is None else ()
    changed_by_hand = card is not None and not card(folder, TaggerFacts(after, before))
    (folder / CHECK).unlink(missing_ok=True)  # of the confidences before
    write_json(folder / CARD, after)
    try_write_check(folder, head)
    return Calibrated(folder, told, bounds, lost, changed_by_hand)


def _thresholds(found: Predicted, temperature: float, precision: float) -> dict[str, Threshold]:
    """Return thresholds by type; confidences are rounded down first, so what is written keeps what is counted."""
    scale = 10**_PLACES
    confidences = [math.floor(each * scale) / scale for each in found.entities.confidences(temperature).tolist()]
    return lowest_thresholds(found.entities.types, confidences, found.right, precision)


def _card(folder: Path) -> dict[str, Any]:
    """Return the card of a tagger that nerbert made, in a folder here."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; a model on the hub must be copied into one first")
    card = read_card(str(folder))
    if card.get("kind") != "tagger":
        raise InputError(f"{folder}: no tagger that `nerbert finetune` made; only such a one can be calibrated")
    return card
