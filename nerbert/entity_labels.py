"""Labels requested from a tagger at run time: in Python, on the command line, or in a file.

Invalid labels are rejected here, before a model is loaded.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, SettingsError, at, visible
from nerbert.formats.lines import read_lines
from nerbert.labels import class_words, fold_type, learnt_words
from nerbert.records import EntityLabel
from nerbert.sources.files import open_plain
from nerbert.tables import read_columns

LONGEST_NAME, LONGEST_DESCRIPTION = 200, 1000
"""Maximum lengths in characters."""


class CheckedLabels(tuple[EntityLabel, ...]):
    """Labels that `entity_labels` has checked, and doesn't check again."""

    __slots__ = ()


def entity_labels(requested: Iterable[str | EntityLabel]) -> tuple[EntityLabel, ...]:
    """Return labels in their order; raise InputError for an empty list, an empty, long or repeated label.

    A string is a name, or a name and a description separated by a colon and a space.
    """
    if isinstance(requested, CheckedLabels):
        return requested
    # A string is iterable, too: "ship" would become four labels.
    if isinstance(requested, str) or not isinstance(requested, Iterable):
        raise InputError(f"labels {requested!r:.80}: must be a list of texts; for one label, a list of one")
    labels = CheckedLabels(map(_label, requested))
    if not labels:
        raise InputError("labels: none given; give at least one")
    first: dict[str, str] = {}
    for label in labels:
        # "Ship" and "ship" would find the same entities, and only one of them would get each.
        if (other := first.setdefault(label.name.casefold(), label.name)) != label.name:
            raise InputError(f"labels {other!r:.80} and {label.name!r:.80} differ only in case; leave one out")
    if len(first) < len(labels):
        twice = Counter(label.name for label in labels).most_common(1)[0][0]
        raise InputError(f"label {twice!r:.80} is given twice; leave one out")
    return labels


def as_learnt(labels: Iterable[str | EntityLabel], card: Mapping[str, Any]) -> tuple[EntityLabel, ...]:
    """Return checked labels; types that a tagger was fine-tuned on, by its card, get the texts that it read then.

    A merged type (`nerbert types`) becomes several labels of one name, one per text; its entities are those of all.
    Familiar codes (`PER`) are read as words, unless they are described, or another label has these words.
    """
    learnt = learnt_words(card)
    checked = entity_labels(labels)
    words = {label.name: "" if label.description else words_of_code(label.name) for label in checked}
    # With labels `PER` and `person`, both would read "person": then the code stays as it is.
    meanings = Counter(word or fold_type(name) for name, word in words.items())
    return tuple(
        replace(label, reads=word)
        for label in checked
        for word in learnt.get(label.name)
        or (label.reads or (words[label.name] if meanings[words[label.name]] == 1 else ""),)
    )


@lru_cache(1 << 16)
def words_of_code(name: str) -> str:
    """Return the words that a label stands for if it is a code: `PER` → `person`, `WORK_OF_ART` → `work of art`.

    The words of any other label are its own, so for these return "".
    """
    folded = class_words(name)
    # Only with an underscore is an unlisted name surely a code: "WORK_OF_ART", not "Rolls-Royce".
    return _familiar_labels().get(folded.replace(" ", "").replace("-", ""), folded if "_" in name else "")


def read_words(name: str) -> str:
    """Return the words that a label, or a heading in a form, is read as: `person` for `PER`, `Name` and `Person`."""
    return words_of_code(name) or fold_type(name)


@cache
def _familiar_labels() -> dict[str, str]:
    return {row[0]: row[1] for row in read_columns("familiar_labels.tsv", "label", "words")}


def parse_labels(text: str) -> tuple[EntityLabel, ...]:
    """Return the labels of a command line: a file, lines as in such a file, or labels separated by commas.

    A line is `name`, `name: description`, or name and description separated by a tab; empty lines and comments (`#`)
    are skipped. Raise InputError for a comma that may be part of a description.
    """
    # A name with a comma is a list of labels, even if such a file exists.
    is_file = "," not in text and "\n" not in text and os.path.isfile(text)  # noqa: PTH113  (accepts strings that can't be paths)
    if not is_file and "\n" not in text:
        # A mistyped file name would be a label.
        if text.endswith((".txt", ".tsv")) and "," not in text:
            raise InputError(f"{text}: no such file of labels")
        labels = [part.strip() for part in text.replace("\t", ": ").split(",") if part.strip()]
        for label, other in pairwise(labels):
            # "city: a town, large or small" would give a label "large or small".
            if ": " in label and ": " not in other:
                raise InputError(
                    f"labels {f'{label}, {other}'!r:.160}: the comma may be part of the description, or "
                    "end it; put labels without a description first; if the comma belongs to the "
                    "description, write one label per line in a file, and give its name"
                )
        return entity_labels(labels)
    with at(text if is_file else ""):
        return entity_labels(line.replace("\t", ": ", 1) for line in _lines(text, is_file=is_file))


_WITHOUT_WIDTH = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
"""Invisible characters, removed from labels: zero-width spaces, byte order mark, soft hyphen; joiners stay."""
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Invisible letters and signs: Korean fillers, and blank Braille."""


def parse_type_labels(items: Iterable[str]) -> dict[str, str]:
    """Return type → label of each `TYPE=label` or `TYPE` ("": the type's name); raise SettingsError for a repeat."""
    labels: dict[str, str] = {}
    for item in items:
        name, _, label = (part.strip() for part in item.partition("="))
        if not name or name in labels:
            raise SettingsError(f"setting labels: {item!r:.80}: write TYPE=label, each type once", setting="labels")
        labels[name] = label
    return labels


def read_type_labels(text: str, *, plain: bool = False) -> dict[str, str]:
    """Return type → label of a command line: `TYPE=label` separated by commas, or a file with one per line.

    `plain` allows a TYPE alone; its label is "".
    """
    is_file = os.path.isfile(text)  # noqa: PTH113
    labels = parse_type_labels(_lines(text) if is_file else (part for part in text.split(",") if part.strip()))
    for name, label in labels.items():
        if not (label or plain):
            why = "write TYPE=label: the data's type and the tagger's label; put labels with commas into a file"
            raise SettingsError(f"--labels {name!r:.80}: {why}", setting="labels")
    return labels


def _lines(text: str, *, is_file: bool = True) -> list[str]:
    """Return the lines of a file of labels, or of a text, except empty lines and comments."""
    with open_plain(Path(text)) if is_file else nullcontext() as stream:
        lines = (line.text for line in read_lines(stream, text)) if stream else text.splitlines()
        return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def _label(label: str | EntityLabel) -> EntityLabel:
    if isinstance(label, str):
        # A colon without a space is a part of the name: "dbo:Person".
        label = EntityLabel(*label.removesuffix(":").split(": ", 1))
    if not isinstance(label, EntityLabel):
        raise InputError(f"label {label!r:.80}: must be a text")
    name, description = (" ".join(text.translate(_WITHOUT_WIDTH).split()) for text in (label.name, label.description))
    label = EntityLabel(name, description, label.reads)
    # A name of joiners and blanks would be an invisible label.
    has_ink = any(unicodedata.category(char)[0] not in "CMZ" and char not in _BLANK for char in name)
    if not has_ink or any(
        not part.isprintable() and visible(part) != part for part in (name, description, label.reads)
    ):
        raise InputError(f"label {label.text!r:.80}: must be printable, and its name not empty")
    for part, text, most in (
        ("name", label.name, LONGEST_NAME),
        ("description", label.description, LONGEST_DESCRIPTION),
    ):
        if len(text) > most:
            raise InputError(f"label {label.name!r:.60}: its {part} has {len(text):,} characters, more than {most:,}")
    return label


_PRESIDIO = {"per": "PERSON", "loc": "LOCATION", "gpe": "LOCATION", "org": "ORGANIZATION", "norp": "NRP"}
"""Presidio's names for types that models name differently. Source: presidio-analyzer 2.2.366, `conf/default.yaml`,
`model_to_presidio_entity_mapping`."""


def presidio_name(type_: str) -> str:
    """Return Presidio's name for a type."""
    return _PRESIDIO.get(type_.casefold(), "_".join(type_.upper().split()))


def label_of(name: str) -> str:
    """Return the run-time label for one of Presidio's names: `date time` for `DATE_TIME`."""
    return " ".join(name.casefold().replace("_", " ").split())


def asked_types(types: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return type → requested name, for types requested by their own or by Presidio's name, ignoring case."""
    folded = {name.casefold(): name for name in names}
    named = {type_: folded.get(presidio_name(type_).casefold()) or folded.get(type_.casefold()) for type_ in types}
    return {type_: name for type_, name in named.items() if name}
