"""Detect the kind of a knowledge file by its content, never by its name.

Only its start is read. Limitation: a file whose start differs from the rest is detected wrongly.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from nerbert.corpus.knowledge.claims import DISAMBIGUATION_TRIPLE, TYPE_TRIPLE, decode, is_other_triple
from nerbert.corpus.knowledge.exports import PAGE_PREFIX, PAGE_TITLE, Ontology, export_pages
from nerbert.errors import InputError
from nerbert.sources.files import BOM, open_plain

UNDERSTOOD = (
    "understood are the MediaWiki exports of DBpedia's ontology and of its infobox mappings, its instance types and "
    "disambiguations as triples, Wikidata's dump of all entities as JSON, and tables of title<TAB>class; each plain, "
    ".bz2, .gz or .xz"
)
_HEAD = 1 << 18
_FIRST_LINES, _FIRST_PAGES, _FEWEST = 1000, 200, 10
"""At least one in this many rows of a table has two cells; text with a stray tab isn't a table."""
_CLASS_LIKE = re.compile(r"(?![BIESLU]-)(?:[a-z-]+:|<?https?://\S+[/#])?[^\W\d_]\w+(?:[-.]\w+)*>?")
_WIKIDATA_JSON = re.compile(
    rb'\[?\s*\{(?=[^{}]{0,200}"type"\s*:\s*"(?:item|property)")(?=[^{}]{0,200}"id"\s*:\s*"[QP][1-9][0-9]{0,9}")'
)
_DERIVED = {"class": ("parent", "parents", "superclass"), "template": ("class",), "infobox": ("class",)}
"""First two columns of tables that are derived from an export."""


class SourceKind(StrEnum):
    """The kind of a knowledge file."""

    ONTOLOGY = "ontology"
    MAPPING = "infobox mapping"
    TRIPLES = "instance types"
    TABLE = "title table"
    DISAMBIGUATIONS = "disambiguations"
    WIKIDATA_JSON = "wikidata json"


@dataclass(frozen=True, slots=True)
class Detected:
    """A file's kind and, for mappings and triples, the language of its titles ("" for any).

    Without a kind, `why` says why the file cannot be used; `unknown` means that its content was not recognised at all.
    """

    kind: SourceKind | None
    language: str = ""
    why: str = ""
    unknown: bool = False


def detect_export(path: Path) -> Detected | None:
    """Detect which MediaWiki export a file is; return None if it does not look like XML."""
    if not path.is_file():
        return Detected(None, why="not a file (a link to a folder or to nothing)", unknown=True)
    with open_plain(path) as stream:
        head = stream.read(_HEAD).removeprefix(BOM).lstrip()
    if not re.match(rb"<(?:[?!]|mediawiki)", head):
        return None
    if not re.search(rb"<mediawiki[\s>]", head):
        return Detected(None, why="XML or HTML, but not a MediaWiki export", unknown=True)
    with open_plain(path) as stream:
        for title, _ in islice(export_pages(stream, path), _FIRST_PAGES):
            if title.startswith(PAGE_PREFIX):
                return Detected(SourceKind.ONTOLOGY)
            if match := PAGE_TITLE.fullmatch(title):
                return Detected(SourceKind.MAPPING, match.group(1).lower())
    return Detected(None, why="a MediaWiki export without classes or infobox mappings", unknown=True)


def detect_lines(path: Path, ontology: Ontology) -> Detected:
    """Detect the kind of a line-based file."""
    with open_plain(path) as stream:
        head = stream.read(_HEAD).removeprefix(BOM)
    if _WIKIDATA_JSON.match(head.lstrip()):
        # Without these equivalents, none of Wikidata's items would get a class
        if not ontology.equivalents:
            raise InputError(
                f"{path}: a dump of Wikidata is of use only beside the export of DBpedia's ontology, which says what "
                "items equal a class (owl:equivalentClass = wikidata:Q…); give that export, too"
            )
        return Detected(SourceKind.WIKIDATA_JSON)
    texts = _first_texts(head)
    if why := _why_no_text(head, texts):
        return Detected(None, why=why, unknown=True)
    if detected := _detect_triples(texts):
        return detected
    # A README beside the files, whose tables aren't tables of titles
    if re.match(r"#{1,6} [^\t]+$", texts[0]):
        return Detected(None, why="Markdown")
    return _detect_table(path, [[*map(str.strip, text.split("\t"))] for text in texts], ontology)


def _first_texts(head: bytes) -> list[str]:
    # The last line is cut if the file is longer than what was read
    lines = head.split(b"\n")[: None if len(head) < _HEAD - len(BOM) else -1]
    return [text for line in lines[:_FIRST_LINES] if (text := decode(line)) and text.strip()]


def is_header(line: bytes) -> bool:
    """Return whether a table's first line names its columns: its first cell is `title`."""
    return b"\t" in line and line.split(b"\t", 1)[0].strip().lower() == b"title"


def _why_no_text(head: bytes, texts: Sequence[str]) -> str:
    # UTF-16 would only be shown as broken UTF-8
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16; save it in UTF-8"
    if texts:
        return ""
    return "not lines of text in UTF-8" if head.strip() else "empty"


def _detect_triples(texts: Sequence[str]) -> Detected | None:
    for kind, pattern in ((SourceKind.TRIPLES, TYPE_TRIPLE), (SourceKind.DISAMBIGUATIONS, DISAMBIGUATION_TRIPLE)):
        if triple := next(filter(None, map(pattern.fullmatch, texts)), None):
            return Detected(kind, triple.group(1) or "en")
    if all(map(is_other_triple, texts)):
        return Detected(None, why="triples that give no title a class of DBpedia's ontology")
    return None


def _detect_table(path: Path, rows: Sequence[Sequence[str]], ontology: Ontology) -> Detected:
    """Detect whether rows of cells are a table of titles; without a header, most of its classes must be known."""
    first, second, *_ = [*map(str.lower, rows[0]), ""]
    if second in _DERIVED.get(first, ()):
        return Detected(None, why=f"a table derived from an export ({first}, {second}); give the export itself")
    headed = first == "title"
    classes = _read_classes(rows[headed:])
    unknown = [name for name in classes if not _is_class(name, ontology)]
    if not headed or second not in ("class", "type"):
        return _detect_headless(len(rows), classes, unknown, ontology)
    if not classes:
        raise InputError(f"{path}: no row has both a title and a class; write title<TAB>class on each line")
    # A header says what the file is, so one known class is enough
    if len(ontology) == 0 or len(unknown) < len(classes):
        return Detected(SourceKind.TABLE)
    return _miss_classes(classes, unknown)


def _detect_headless(rows: int, classes: Sequence[str], unknown: Sequence[str], ontology: Ontology) -> Detected:
    # Text with a stray tab, such as a list of sentences
    stray = len(classes) * _FEWEST < rows
    if not stray and 2 * len(unknown) < len(classes):
        return Detected(SourceKind.TABLE)
    if stray or len(ontology) == 0 or 2 * sum(map(_looks_like_class, classes)) <= len(classes):
        return Detected(None, why="text of unknown content", unknown=True)
    return _miss_classes(classes, unknown)


def _read_classes(rows: Sequence[Sequence[str]]) -> list[str]:
    return [row[1] for row in rows if len(row) > 1 and all(row[:2])]


def _miss_classes(classes: Sequence[str], unknown: Sequence[str]) -> Detected:
    names = list(dict.fromkeys(unknown))
    named = ", ".join(name[:40] for name in names[:3]) + (", …" if len(names) > 3 else "")
    why = f"{len(names)} of {len(set(classes))} classes are not in the ontology ({named}), so they would type nothing"
    return Detected(None, why=f"{why}; leave the ontology out, or give it with these classes added", unknown=True)


def _is_class(name: str, ontology: Ontology) -> bool:
    # `owl:Thing` has no path but is a class
    return (ontology.knows(name) or not ontology.path(name)) if len(ontology) else _looks_like_class(name)


def _looks_like_class(name: str) -> bool:
    """Return whether `name` could be a class name, if there is no ontology: one word, not a BIO tag."""
    return len(name) < 200 and bool(_CLASS_LIKE.fullmatch(name))
