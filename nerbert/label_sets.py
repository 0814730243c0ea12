"""Label sets, which map a mention to a category: that of the deepest class of its class path in the set's table."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from nerbert.errors import InputError, SettingsError, at, nearest, refused, unknown
from nerbert.records import ENTITY
from nerbert.tables import read_columns

_COARSE = {"Person": "person", "Place": "location", "Organisation": "organisation"}
_BUILT_IN = ("paper315", "dbpedia", "4types", "212types", "1type")
_LARGEST = 1 << 22
_LONGEST = 200
_PREFIX = re.compile(
    r"<?(?:https?://dbpedia\.org/ontology/|https?://www\.w3\.org/2002/07/owl#|owl:|dbo:|dbpedia-owl:)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """A set of labels. `of_class` maps case-folded class names to labels; with None, each class is its own label."""

    name: str
    of_class: Mapping[str, str] | None

    @property
    def typed(self) -> bool:
        """False if the set has no types, as `1type`."""
        return self.of_class is None or bool(self.of_class)

    @property
    def digest(self) -> str:
        """SHA-256 of the set's classes and labels, to distinguish two maps of the same name."""
        # An open set gets a row of its own: without rows it would have the digest of `1type`.
        rows = sorted((self.of_class or {}).items()) if self.of_class is not None else [("", "")]
        return sha256("".join(f"{name}\t{label}\n" for name, label in rows).encode()).hexdigest()

    @property
    def labels(self) -> tuple[str, ...]:
        """The sorted labels, including ENTITY; an open set has only ENTITY."""
        return tuple(sorted({ENTITY, *(self.of_class or {}).values()}))

    def lists(self, name: str) -> bool:
        """Return whether the set lists this class."""
        return self.of_class is None or name.casefold() in self.of_class

    def label(self, path: Sequence[str]) -> str:
        """Return the label of the deepest listed class of a path from the root down; ENTITY if none is listed."""
        # The deepest class is the most exact: "Cardinal" before "Person".
        listed = next((name for name in reversed(path) if self.lists(name)), "")
        return (listed if self.of_class is None else self.of_class.get(listed.casefold())) or ENTITY


def open_label_set(name: str, classes: Collection[str] = ()) -> LabelSet:
    """Return a built-in set, or the user's map at the path `name`; `classes` are those of the ontology, if known.

    `paper315`: the 315 categories of NER-BERT; `4types` and `212types`: the coarser sets of its §4.3; `1type`: any
    entity; `dbpedia`: all `classes`, or without an ontology the last class of each path.
    """
    match name:
        case "paper315":
            return LabelSet(name, _table("label"))
        case "212types":
            joined = {folded.casefold(): label for label, folded in read_columns("parents212.tsv", "label212", "class")}
            return LabelSet(name, _table("label212") | joined)
        case "4types":
            coarse = {cls: _COARSE.get(root, ENTITY) for cls, root in _table("root").items()}
            return LabelSet(name, coarse | {cls.casefold(): label for cls, label in _COARSE.items()})
        case "1type":
            return LabelSet(name, {})
        case "dbpedia":
            return LabelSet(name, {cls.casefold(): cls for cls in classes} if classes else None)
    return _users_map(Path(name), classes)


def class_name(name: str) -> str:
    """Return the local name of a class, without the prefix (`dbo:`, `owl:`, the full IRI) and with `_` for blanks."""
    name = name.strip()
    match = _PREFIX.match(name)
    name = name[match.end() :].rstrip(">").strip() if match else name
    return "_".join(name.split())


def _table(column: str) -> dict[str, str]:
    """Return case-folded class → its value in a column of the table of the paper's labels."""
    rows = read_columns("paper315.tsv", "classes", column)
    return {name.casefold(): value for names, value in rows for name in names.split()}


def _users_map(path: Path, classes: Collection[str]) -> LabelSet:
    """Read `class<TAB>label` lines; skip blank lines, comments (`#`) and a header; raise InputError for a bad line."""
    if not path.is_file():
        must = f"a file, or one of {', '.join(_BUILT_IN)}"
        raise SettingsError(f"label_set = {str(path)!r}{unknown(path, _BUILT_IN, allowed=must)}")
    # In a manifest, the set's name would look like the built-in one.
    if path.name in _BUILT_IN:
        raise SettingsError(f"label_set = {str(path)!r}: has the name of a built-in set; rename the file")
    listed = set(map(str.casefold, classes))
    labels: dict[str, str] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        cells = [*map(str.strip, line.split("\t"))]
        # Only before the first label: later, "class" may be a class.
        header = not labels and [*map(str.lower, cells)] == ["class", "label"]
        if line.strip()[:1] in ("", "#") or header:
            continue
        with at(path, number):
            if [*map(bool, cells)] != [True, True]:
                raise InputError(f"{line[:80]!r}: must be class<TAB>label")
            name, label = cells
            # A label becomes a part of a tag (`B-label`) in files of columns, which a space would break.
            if len(label) > _LONGEST or not label.isprintable() or " " in label:
                raise InputError(f"label {label[:80]!r}: must be one word")
            folded = class_name(name).casefold()
            if listed and folded not in listed:
                raise InputError(f"class {name[:80]!r} is not in the ontology{nearest(name[:80], classes)}")
            if labels.setdefault(folded, label) != label:
                raise InputError(f"class {name[:80]!r} has two labels, {labels[folded]!r} and {label!r}")
    # Such a corpus would teach no types: `1type` is for that.
    if not set(labels.values()) - {ENTITY}:
        raise InputError(f"{path}: gives no class a label; write class<TAB>label on each line")
    return LabelSet(path.name, labels)


def _text(path: Path) -> str:
    with refused(f"{path}: can't be read as text in UTF-8"):
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: larger than {_LARGEST:,} bytes; a label map has one line per class")
        # Spreadsheets write a byte order mark, which would be a part of the first class.
        return path.read_text(encoding="utf-8-sig")


def frequent_categories(counts: Mapping[str, int], at_least: int) -> frozenset[str]:
    """Return the categories with at least `at_least` typed mentions, without ENTITY (NER-BERT §2.3, filter 1)."""
    return frozenset(name for name, count in counts.items() if count >= at_least and name != ENTITY)
