"""What a calibration writes into a tagger's folder, and what it keeps of the calibration before.

Card, model card and answers are written together. Cost: only one calibration can be restored.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nerbert.artifacts import write_json
from nerbert.errors import InputError
from nerbert.model.folder import CARD, ModelFolder, TaggerFacts, TaggerHook, read_card, seed_folders, to_copy
from nerbert.tagger.answers import CHECK
from nerbert.tagger.self_check import try_write_check

_FITTED = ("calibration", "threshold", "thresholds")
"""What a calibration writes into the card."""
PREVIOUS = "previous"
"""Where the card keeps what it replaced."""


def fitted(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a card a calibration writes."""
    return {name: card[name] for name in _FITTED if name in card}


def refitted(before: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return a card with other values of a calibration; the ones before are kept, unless nothing changes."""
    after = {**before, **values}
    if fitted(after) != fitted(before):  # the same again leaves what was before it
        after[PREVIOUS] = fitted(before)
    return after


def restored(now: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card with the values before the last calibration, which keeps those of now."""
    rest = {name: value for name, value in now.items() if name not in (PREVIOUS, *_FITTED)}
    return {**rest, **fitted(now[PREVIOUS]), PREVIOUS: fitted(now)}


def write_fitted(folder: Path, facts: TaggerFacts, head: str, card: TaggerHook | None) -> bool:
    """Write card, model card and answers; return whether the model card was changed by hand, so that it stays."""
    is_ours = facts.card.get("kind") == "tagger"
    changed_by_hand = is_ours and card is not None and not card(folder, facts)
    (folder / CHECK).unlink(missing_ok=True)  # of the confidences before
    write_json(folder / CARD, facts.card)
    if is_ours:
        try_write_check(folder, head)
    return changed_by_hand


def tagger_cards(tagger: str | Path) -> dict[Path, dict[str, Any]]:
    """Return the card of each tagger in a folder, or of the folder's own."""
    return {folder: tagger_card(folder) for folder in seed_folders(str(tagger)) or [Path(tagger)]}


def tagger_card(folder: Path) -> dict[str, Any]:
    """Return the card of a tagger that nerbert made or that takes labels at run time, in a local folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {to_copy(str(folder))}")
    card = read_card(str(folder))
    if card.get("kind") != "tagger" and not ModelFolder.open(folder).labels_at_run_time:
        raise InputError(f"{folder}: no tagger that `nerbert finetune` made, nor one that takes labels at run "
                         "time; others can't be calibrated")  # fmt: skip
    return card
