"""One tagger's thresholds and temperatures → another tagger, by the labels' names.

A tagger that has a temperature of its own keeps it: a confidence then says the same in both, so thresholds are copied
as they are. Else it takes the temperatures, too, and a threshold means the same probability.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, few
from nerbert.metrics.temperatures import Temperatures
from nerbert.model.folder import ModelFolder, TaggerFacts, TaggerHook, read_card
from nerbert.tagger.fitted_card import refitted, tagger_cards, write_fitted


@dataclass(frozen=True, slots=True)
class Copied:
    """What a tagger got: thresholds by label, that of all other labels, and whether temperatures; what was left out.

    `unknown` are labels with a value that the tagger doesn't know, `without` those of its own that had none to copy.
    """

    folder: Path
    thresholds: dict[str, float]
    threshold: float | None
    temperatures: Temperatures
    took_temperatures: bool
    unknown: tuple[str, ...]
    without: tuple[str, ...]
    old_readme: bool


def copy_calibration(
    tagger: str | Path, source: str | Path, *, head: str = "", card: TaggerHook | None = None, dry_run: bool = False
) -> list[Copied]:
    """Copy the calibration of the tagger `source` to a tagger (or a folder of several seeds), by the labels' names.

    A tagger that takes labels at run time gets those of all labels, and the threshold of all others. Raise InputError
    where there is nothing to copy. `head`, `card` and `dry_run` are as in `calibrate`.
    """
    old = read_card(str(source))
    if not old.get("thresholds") and old.get("threshold") is None and not old.get("calibration"):
        raise InputError(f"{source}: has no thresholds and no temperature to copy (nerbert calibrate)")
    return [
        _copied(folder, before, old, str(source), head, card, dry_run=dry_run)
        for folder, before in tagger_cards(tagger).items()
    ]


def _copied(
    folder: Path, before: dict[str, Any], old: dict[str, Any], source: str, head: str, card: TaggerHook | None, *,
    dry_run: bool,
) -> Copied:  # fmt: skip
    at_run_time = ModelFolder.open(folder).labels_at_run_time
    known = list(map(str, before.get("types") or ()))
    scaling, had = Temperatures.of_card(old), dict(old.get("thresholds") or {})
    takes = not before.get("calibration")
    names = [*dict.fromkeys([*had, *scaling.by_label])]
    copied = [name for name in names if at_run_time or name in known]
    if names and not copied:
        raise InputError(f"{folder}: knows none of the labels of {source} ({few(names)}), but {few(known)}")
    own = {name: each for name, each in scaling.by_label.items() if name in copied}
    temperatures = Temperatures(scaling.pooled, own) if takes else Temperatures.of_card(before)
    thresholds = {**(before.get("thresholds") or {}), **{name: had[name] for name in copied if name in had}}
    usual = old.get("threshold") if at_run_time else None
    values: dict[str, Any] = {"thresholds": thresholds} | ({} if usual is None else {"threshold": usual})
    if takes:
        values["calibration"] = temperatures.as_json() | {"copied_from": Path(source).absolute().name}
    after = refitted(before, **values)
    changed_by_hand = not dry_run and write_fitted(folder, TaggerFacts(after, before), head, card)
    return Copied(
        folder, {name: thresholds[name] for name in copied if name in had}, usual, temperatures, takes,
        tuple(name for name in names if name not in copied), tuple(name for name in known if name not in names),
        changed_by_hand,
    )  # fmt: skip
