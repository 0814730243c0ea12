"""Rename, merge and drop a tagger's types without training: a copy whose answers are the tagger's, by other names.

A merged type has the sum of its parts' probabilities, before a temperature (fixed types), or all of their labels
(labels at run time). Types compete for words, so entities of kept types may change a little. Cost: figures of a tagger
whose types were merged or dropped are left out of its card.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, SettingsError, few, unknown
from nerbert.formats.entity_labels import entity_labels
from nerbert.labels import common_name, learnt_words
from nerbert.metrics.calibration import Temperatures
from nerbert.model.folder import REPORT, ModelFolder, TaggerFacts, TaggerHook, seed_folders
from nerbert.records import EntityLabel
from nerbert.tagger.answers import CHECK
from nerbert.tagger.hub import write_folder
from nerbert.tagger.self_check import try_write_check
from nerbert.tagger.summary import summarise
from nerbert.terminal import tell

_MEASURED = ("dev", "old_types", "compared_with_start", "previous")
"""What a card says of answers as they were."""


@dataclass(frozen=True, slots=True)
class TypeChanges:
    """New names of types: `renamed` old → new, `merged` new → several old ones; `dropped` ones."""

    renamed: Mapping[str, str] = field(default_factory=dict)
    merged: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dropped: Sequence[str] = ()

    def names(self, types: Sequence[str]) -> dict[str, str]:
        """Return each type's name from now on, "" for a dropped one; raise SettingsError for what can't be."""
        changes = [*self.renamed.items(), *((old, new) for new, parts in self.merged.items() for old in parts),
                   *((old, "") for old in self.dropped)]  # fmt: skip
        if not changes:
            raise SettingsError("no change is given: --rename OLD=NEW, --merge OLD,OLD=NEW or --drop OLD")
        found = dict(changes)
        if len(found) < len(changes):
            twice = next(old for old in found if sum(old == each for each, _ in changes) > 1)
            raise SettingsError(f"type {twice!r:.80}: is changed twice; give one change for each type")
        if missing := next((each for each in found if each not in types), ""):
            raise SettingsError(f"the tagger has no type {missing!r:.80}{unknown(missing, types)}")
        names = {each: found.get(each, each) for each in types}
        self._check_apart(names)
        return names

    def _check_apart(self, names: Mapping[str, str]) -> None:
        """Raise SettingsError for names of two types that no merge wants to be one, or none that are left."""
        if not any(names.values()):
            raise SettingsError("all types would be dropped; a tagger finds at least one")
        for each in entity_labels({name: None for name in names.values() if name}):
            parts = [old for old, new in names.items() if new and common_name(new) == common_name(each.name)]
            wanted = sorted(self.merged.get(each.name, ()))
            if len(parts) > 1 and any(names[old] != old for old in parts) and sorted(parts) != wanted:
                raise SettingsError(
                    f"types {few(parts)} would all be {each.name!r:.80}; to make them one, give --merge "
                    f"{','.join(parts)}={each.name}"[:400]
                )


def parse_changes(rename: Sequence[str], merge: Sequence[str], drop: Sequence[str]) -> TypeChanges:
    """Return the changes of a command line: `OLD=NEW`, `OLD,OLD=NEW` and `OLD,OLD` each; raise SettingsError."""
    renamed = dict(_pair("--rename", each) for each in rename)
    merged = {new: _names(parts) for parts, new in (_pair("--merge", each) for each in merge)}
    if len(renamed) < len(rename) or len(merged) < len(merge):
        raise SettingsError("--rename and --merge: a name is given twice; give each once")
    if alone := next((new for new, parts in merged.items() if len(parts) < 2), ""):
        raise SettingsError(f"--merge …={alone:.80}: name at least two types; --rename renames one")
    return TypeChanges(renamed, merged, [name for each in drop for name in _names(each)])


def _pair(option: str, given: str) -> tuple[str, str]:
    """Return the old and the new name, the latter as a label is written."""
    old, _, new = (part.strip() for part in given.rpartition("="))
    if not old or not new:
        raise SettingsError(f"{option} {given!r:.80}: write the old name, = and the new one")
    return old, entity_labels([EntityLabel(new)])[0].name


def _names(given: str) -> list[str]:
    return [name for each in given.split(",") if (name := each.strip())]


def change_types(
    tagger: str | Path, output: Path, changes: TypeChanges, *, overwrite: bool = False, card: TaggerHook | None = None
) -> dict[str, str]:
    """Write a copy of a tagger with other types; return each type's name from now on, "" for a dropped one.

    `card` writes the model card. Raise InputError for a folder of several seeds, and for one without types.
    """
    if seeds := seed_folders(str(tagger)):
        raise InputError(f"{tagger}: holds a tagger for each seed; name one of them, say {seeds[0]}")
    folder = ModelFolder.open(tagger, "tagger").check()
    types = summarise(folder.name)[0].types
    if not types:
        why = "its labels are given when it tags" if folder.labels_at_run_time else "its tags aren't O, B-x and I-x"
        raise InputError(f"{tagger}: has no types of its own that can be changed: {why}")
    names, kind = changes.names(types), folder.head_kind()
    new = _card(folder, names)

    def finish(copy: Path) -> None:
        kind.rename_types(copy, names)
        for stale in (CHECK, REPORT):
            (copy / stale).unlink(missing_ok=True)
        try_write_check(copy, "")
        if card and not card(copy, TaggerFacts(new, folder.card)):
            tell(f"{output}: its README.md was changed by hand, or made by another version, and has the old types")

    write_folder(folder.path, output, new, overwrite=overwrite, finish=finish)
    return names


def _card(folder: ModelFolder, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the card of a tagger whose types have these names."""
    before = folder.card
    only_renamed = len({*names.values()} - {""}) == len(names)
    after = {key: value for key, value in before.items() if key not in _MEASURED}
    after |= {"types": sorted({*names.values()} - {""}), "changed_types": {**names}}
    if own := before.get("thresholds"):
        after["thresholds"] = _thresholds(own, names)
    if folder.labels_at_run_time:
        after["words_of_types"] = _words(learnt_words(before), names)
    if only_renamed:
        after |= {key: _renamed(before[key], names) for key in ("dev", "calibration") if before.get(key)}
    if before.get("calibration"):
        facts = after["calibration"] if only_renamed else {}
        after["calibration"] = facts | _temperatures(Temperatures.of_card(before), names).as_json()
    return after


def _thresholds(own: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """Return the thresholds by new names; a merged type has the highest of its parts'."""
    found = dict[str, float]()
    for old, bound in own.items():
        if new := names.get(old, old):
            found[new] = max(bound, found.get(new, 0.0))
    return found


def _temperatures(own: Temperatures, names: Mapping[str, str]) -> Temperatures:
    """Return temperatures by new names; a merged type has that of all types."""
    counts = Counter(names.values())
    kept = ((names.get(old, old), each) for old, each in own.by_label.items())
    return Temperatures(own.pooled, {new: each for new, each in kept if new and counts[new] <= 1})


def _words(words: Mapping[str, list[str]], names: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return what is read for each new name: the words of its parts, each once."""
    found = dict[str, list[str]]()
    for old, new in names.items():
        if new:
            found.setdefault(new, []).extend(each or old for each in words.get(old) or [""])
    return {new: texts[0] if len(set(texts)) == 1 else list(dict.fromkeys(texts)) for new, texts in found.items()}


def _renamed(facts: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return facts whose figures `by_type` have the new names."""
    found = dict(facts)
    if isinstance(by_type := facts.get("by_type"), Mapping):
        found["by_type"] = {names.get(name, name): each for name, each in by_type.items()}
    return found
