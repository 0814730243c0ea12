"""Labels that a tagger is asked for at run time: from Python, from the command line, from a file.

A label is a name, or `name: description`; entities have the name. What no tagger could mean is refused here, before a
model is loaded: no label at all, an empty one, one twice (in any case: models read case, but a reader of the entities
would take them for one), one too long.
"""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from nerbert.errors import InputError, SettingsError, at
from nerbert.formats.rows import read_lines
from nerbert.records import EntityLabel
from nerbert.sources.files import open_plain
from nerbert.terminal import visible

LONGEST_NAME, LONGEST_DESCRIPTION = 200, 1000
"""Characters."""


def entity_labels(given: Iterable[str | EntityLabel]) -> tuple[EntityLabel, ...]:
    """Return labels in their order; raise InputError for none, an empty or long one, or one given twice.

    A text is a name, or a name and a description with a colon and a space between them.
    """
    if isinstance(given, str):
        raise InputError(f"labels {given!r:.80}: must be a list of texts; for one label, a list of one")
    labels = tuple(map(_label, given))
    if not labels:
        raise InputError("labels: there are none; give at least one")
    first: dict[str, str] = {}
    for each in labels:
        if (other := first.setdefault(each.name.casefold(), each.name)) != each.name:
            raise InputError(f"labels {other!r:.80} and {each.name!r:.80} differ in case alone; leave one out")
    if len(first) < len(labels):
        twice = Counter(each.name for each in labels).most_common(1)[0][0]
        raise InputError(f"label {twice!r:.80} is given twice; leave one out")
    return labels


def parse_labels(given: str) -> tuple[EntityLabel, ...]:
    """Return the labels of a command line: a file, a label a line, or labels with commas between them.

    A line is `name`, `name: description`, or name and description with a tab between them; empty lines and such as
    begin with `#` are passed over.
    """
    path = Path(given)
    if "," in given or not os.path.isfile(given):  # noqa: PTH113  (false, too, for what no path can be)
        if given.endswith((".txt", ".tsv")) and "," not in given:
            raise InputError(f"{given}: no such file of labels")
        return entity_labels(part for part in given.split(",") if part.strip())
    with at(path):
        return entity_labels(line.replace("\t", ": ", 1) for line in _lines(path))


def parse_type_labels(given: Iterable[str]) -> dict[str, str]:
    """Return type → label of `TYPE=label` or `TYPE` each; "": the type's own name in words.

    Raise SettingsError for a type that is there twice.
    """
    found: dict[str, str] = {}
    for each in given:
        name, _, label = (part.strip() for part in each.partition("="))
        if not name or name in found:
            raise SettingsError(f"setting labels: {each!r:.80}: write TYPE=label, each type once", setting="labels")
        found[name] = label
    return found


def read_type_labels(given: str) -> dict[str, str]:
    """Return type → label of a command line: `TYPE=label` with commas between them, or a file with one a line."""
    is_file = os.path.isfile(given)  # noqa: PTH113
    found = parse_type_labels(_lines(Path(given)) if is_file else (part for part in given.split(",") if part.strip()))
    for name, label in found.items():
        if not label:
            why = "write TYPE=label: the data's type, what the tagger is asked for; labels with commas go into a file"
            raise SettingsError(f"--labels {name!r:.80}: {why}", setting="labels")
    return found


def _lines(path: Path) -> list[str]:
    """Return the lines of a file of labels, without empty ones and comments."""
    with open_plain(path) as stream:
        lines = [line.text.strip() for line in read_lines(stream, path) if line is not None]
    return [line for line in lines if line and not line.startswith("#")]


def _label(given: str | EntityLabel) -> EntityLabel:
    if isinstance(given, str):
        given = EntityLabel(*given.removesuffix(":").split(": ", 1))
    if not isinstance(given, EntityLabel):
        raise InputError(f"label {given!r:.80}: must be a text")
    given = EntityLabel(" ".join(given.name.split()), " ".join(given.description.split()))
    if not given.name or visible(given.text) != given.text:
        raise InputError(f"label {given.text!r:.80}: must be printable, and its name not empty")
    for what, text, most in (("name", given.name, LONGEST_NAME),
                             ("description", given.description, LONGEST_DESCRIPTION)):  # fmt: skip
        if len(text) > most:
            raise InputError(f"label {given.name!r:.60}: its {what} has {len(text):,} characters, more than {most:,}")
    return given
