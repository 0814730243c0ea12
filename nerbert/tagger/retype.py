"""Rename, merge and drop a tagger's types without training: a copy with the same answers under other names.

A merged type has the sum of its parts' probabilities, before a scaling (fixed types), or all of their labels
(labels at run time). Cost: figures of a tagger whose types were merged or dropped are left out of its card.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.entity_labels import entity_labels
from nerbert.errors import InputError, SettingsError, few, unknown
from nerbert.labels import common_name, learnt_words
from nerbert.metrics.calibration import scaling_of
from nerbert.model.folder import REPORT, ModelFolder, TaggerFacts, TaggerHook, seed_folders
from nerbert.model.head_kinds import head_kind, labels_at_run_time
from nerbert.records import EntityLabel
from nerbert.tagger.hub import write_folder
from nerbert.tagger.self_check import try_write_check
from nerbert.tagger.self_check_answers import CHECK
from nerbert.tagger.summary import summarise
from nerbert.terminal import tell

_MEASURED = ("dev", "old_types", "compared_with_start", "previous")
"""Entries of a card that describe the answers before the change."""


@dataclass(frozen=True, slots=True)
class TypeChanges:
    """The new names of types, by their old ones, "" for a dropped one; several types may have a name of `merged`."""

    names: Mapping[str, str]
    merged: Collection[str] = ()

    @classmethod
    def parse(cls, rename: Sequence[str], merge: Sequence[str], drop: Sequence[str]) -> "TypeChanges":
        """Return the changes of a command line: `OLD=NEW`, `OLD,OLD=NEW` and `OLD,OLD` each; raise SettingsError."""
        merges = [(_split_names(old), new) for old, new in (_parse_change("--merge", text) for text in merge)]
        if alone := next((new for old, new in merges if len(old) < 2), ""):
            raise SettingsError(f"--merge …={alone:.80}: name at least two types; --rename renames one")
        changes = [_parse_change("--rename", text) for text in rename]
        changes += [(old, new) for parts, new in merges for old in parts]
        changes += [(old, "") for text in drop for old in _split_names(text)]
        return cls(_one_each(changes), {new for _, new in merges})

    @classmethod
    def merge_equal(cls, names: Mapping[str, str]) -> "TypeChanges":
        """Return the changes to these names, by the old ones; types of the same name become one."""
        checked = {old: new and _check_name(new) for old, new in names.items()}
        return cls(checked, checked.values())

    def of(self, types: Sequence[str]) -> dict[str, str]:
        """Return each type's new name, "" for a dropped one; raise SettingsError for invalid changes."""
        if not self.names:
            raise SettingsError("no change is given: --rename OLD=NEW, --merge OLD,OLD=NEW or --drop OLD")
        if missing := next((name for name in self.names if name not in types), ""):
            raise SettingsError(f"the tagger has no type {missing!r:.80}{unknown(missing, types)}")
        names = {type_: self.names.get(type_, type_) for type_ in types}
        if not any(names.values()):
            raise SettingsError("all types would be dropped; a tagger finds at least one")
        for new in {*self.names.values()} - {""}:
            parts = [old for old, name in names.items() if name and common_name(name) == common_name(new)]
            if len(parts) > 1 and (new not in self.merged or not self.names.keys() >= {*parts}):
                raise SettingsError(
                    f"types {few(parts)} would all be {new!r:.80}; to make them one, give --merge "
                    f"{','.join(parts)}={new}"[:400]
                )
        return names


def _parse_change(option: str, text: str) -> tuple[str, str]:
    """Return the old and the new name, the latter in the form of a label."""
    old, _, new = (part.strip() for part in text.rpartition("="))
    if not old or not new:
        raise SettingsError(f"{option} {text!r:.80}: write the old name, = and the new one")
    return old, _check_name(new)


def _one_each(changes: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the new names by the old ones; raise SettingsError for a type that is changed twice."""
    times = Counter(old for old, _ in changes)
    if twice := next((old for old, count in times.items() if count > 1), ""):
        raise SettingsError(f"type {twice!r:.80}: is changed twice; give one change for each type")
    return dict(changes)


def _check_name(new: str) -> str:
    """Return a name in the form of a label."""
    return entity_labels([EntityLabel(new)])[0].name


def _split_names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def change_types(
    tagger: str | Path, output: Path, changes: TypeChanges, *, overwrite: bool = False, card: TaggerHook | None = None
) -> dict[str, str]:
    """Write a copy of a tagger with other types; return each type's new name, "" for a dropped one.

    `card` writes the model card. Raise InputError for a folder of several seeds, and for one without types.
    """
    if seeds := seed_folders(str(tagger)):
        raise InputError(f"{tagger}: holds a tagger for each seed; name one of them, say {seeds[0]}")
    folder = ModelFolder.open(tagger, "tagger").check()
    types = summarise(folder.name)[0].types
    if not types:
        why = "its labels are given when it tags" if labels_at_run_time(folder) else "its tags aren't O, B-x and I-x"
        raise InputError(f"{tagger}: has no types of its own that can be changed: {why}")
    names = changes.of(types)
    new = _rename_card(folder, names)

    def finish(copy: Path) -> None:
        head_kind(folder).rename_types(copy, names)
        for stale in (CHECK, REPORT):
            (copy / stale).unlink(missing_ok=True)
        try_write_check(copy, "")
        if card and not card(copy, TaggerFacts(new, folder.card)):
            tell(f"{output}: its README.md was changed by hand, or made by another version, and has the old types")

    write_folder(folder.path, output, new, overwrite=overwrite, finish=finish)
    return names


def _rename_card(folder: ModelFolder, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the card of a tagger whose types have these names; a merged type has its parts' highest threshold."""
    before = folder.card
    counts = Counter(new for new in names.values() if new)
    after = {key: value for key, value in before.items() if key not in _MEASURED}
    after |= {"types": sorted(counts), "changed_types": {**names}}
    if thresholds := before.get("thresholds"):
        bounds = [(names.get(old, old), bound) for old, bound in thresholds.items()]
        after["thresholds"] = {new: bound for new, bound in sorted(bounds, key=lambda pair: pair[1]) if new}
    if labels_at_run_time(folder):
        after["words_of_types"] = _rename_words(learnt_words(before), names)
    if len(counts) == len(names):
        after |= {key: _rename_figures(before[key], names) for key in ("dev", "calibration") if before.get(key)}
    elif before.get("calibration"):
        after["calibration"] = scaling_of(before)._asdict()
    return after


def _rename_words(words: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return the words of each new type: those of all its parts."""
    by_name = dict[str, list[str]]()
    for old, new in names.items():
        if new:
            by_name.setdefault(new, []).extend(text or old for text in words.get(old) or [""])
    return {new: texts[0] if len({*texts}) == 1 else [*dict.fromkeys(texts)] for new, texts in by_name.items()}


def _rename_figures(facts: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return facts whose figures by type have the new names."""
    if not isinstance(by_type := facts.get("by_type"), Mapping):
        return dict(facts)
    return dict(facts) | {"by_type": {names.get(name, name): figures for name, figures in by_type.items()}}
