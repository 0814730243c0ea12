"""Detect the kind of a knowledge file by its content, never by its name.

Only its start is read. Limitation: a file whose start differs from the rest is detected wrongly.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from nerbert.corpus.knowledge.claims import DISAMBIGUATION_TRIPLE, TYPE_TRIPLE, decode, edition_of, is_other_triple
from nerbert.corpus.knowledge.mappings import PAGE_TITLE
from nerbert.corpus.knowledge.ontology import PAGE_PREFIX, Ontology, export_pages
from nerbert.errors import InputError, at
from nerbert.sources.files import BOM, open_plain

UNDERSTOOD = (
    "understood are the MediaWiki exports of DBpedia's ontology and of its infobox mappings, its instance types and "
    "disambiguations as triples, Wikidata's dump of all entities as JSON, and tables of title<TAB>class; each plain, "
    ".bz2, .gz or .xz"
)
_HEAD = 1 << 18
_FIRST_LINES, _FIRST_PAGES, _FEWEST = 1000, 200, 10
"""At least one in this many rows of a table has two cells; text with a stray tab is no table."""
_CLASS_LIKE = re.compile(r"(?![BIESLU]-)(?:[a-z-]+:|<?https?://\S+[/#])?[^\W\d_]\w+(?:[-.]\w+)*>?")
_WIKIDATA_JSON = re.compile(
    rb'\[?\s*\{(?=[^{}]{0,200}"type"\s*:\s*"(?:item|property)")(?=[^{}]{0,200}"id"\s*:\s*"[QP][1-9][0-9]{0,9}")'
)
_WIKIDATA_TRIPLE = re.compile(
    r"<https?://www\.wikidata\.org/(?:entity/[QP]|prop/|wiki/Special:EntityData/)\S*>\s.*|"
    r"<\S+>\s*<https?://schema\.org/about>\s*<https?://www\.wikidata\.org/entity/\S+>\s*\.\s*"
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = {"commas": re.compile(","), "semicolons": re.compile(";"), "bars": re.compile(r"\|"),
               "blanks": re.compile(r"[ ]{2,}")}  # fmt: skip
"""Column separators in files that were meant as tables."""
_DERIVED = {"class": ("parent", "parents", "superclass"), "template": ("class",), "infobox": ("class",)}


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


def tell_export(path: Path) -> Detected | None:
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


def tell_lines(path: Path, ontology: Ontology, mapped: Callable[[str], bool]) -> Detected:
    """Detect the content of a file of lines; `mapped` says whether an infobox mapping knows a template."""
    with open_plain(path) as stream:
        head = stream.read(_HEAD)
    if _WIKIDATA_JSON.match(head.removeprefix(BOM).lstrip()):
        if not ontology.equivalents:
            raise InputError(
                f"{path}: a dump of Wikidata is of use only beside the export of DBpedia's ontology, which says what "
                "items equal a class (owl:equivalentClass = wikidata:Q…); give that export, too"
            )
        return Detected(SourceKind.WIKIDATA_JSON)
    lines = head.removeprefix(BOM).split(b"\n")[: None if len(head) < _HEAD else -1]
    texts = [text for line in lines[:_FIRST_LINES] if (text := decode(line)) and text.strip()]
    wide = head.startswith(_UTF16)
    if wide or not texts:
        why = "text in UTF-16; save it in UTF-8" if wide else "not lines of text in UTF-8" if head.strip() else "empty"
        return Detected(None, why=why, unknown=True)
    for kind, pattern in ((SourceKind.TRIPLES, TYPE_TRIPLE), (SourceKind.DISAMBIGUATIONS, DISAMBIGUATION_TRIPLE)):
        if triple := next(filter(None, map(pattern.fullmatch, texts)), None):
            return Detected(kind, edition_of(triple))
    if any(map(_WIKIDATA_TRIPLE.fullmatch, texts)) and all(map(is_other_triple, texts)):
        why = "triples of Wikidata; give its JSON instead (latest-all.json.gz)"
        return Detected(None, why=why, unknown=True)
    if re.match(r"#{1,6} [^\t]+$", texts[0]):
        return Detected(None, why="Markdown")
    with at(path):
        return _tell_table([text.split("\t") for text in texts], ontology, mapped) or _tell_other(texts, ontology)


def is_header(line: bytes) -> bool:
    """Return whether a table's first line names its columns: its first cell is `title`."""
    return b"\t" in line and line.split(b"\t", 1)[0].strip().lower() == b"title"


def looks_like_class(name: str) -> bool:
    """Return whether `name` could be a class name where there is no ontology: one word, not a BIO tag."""
    return len(name) < 200 and bool(_CLASS_LIKE.fullmatch(name))


def _tell_table(rows: list[list[str]], ontology: Ontology, mapped: Callable[[str], bool]) -> Detected | None:
    """Detect whether rows are a title table, or derived from an export; return None for neither."""
    names = [cell.strip().lower() for cell in rows[0][:2]]
    headed = len(names) == 2 and names[0] == "title"
    if len(names) == 2 and names[1] in _DERIVED.get(names[0], ()):
        return Detected(None, why=f"a table derived from an export ({names[0]}, {names[1]}); give the export itself")
    pairs = list(_pairs(rows[1:] if headed else rows))
    if headed and names[1] in ("class", "type"):
        if not pairs:
            raise InputError("no row has both a title and a class; write title<TAB>class on each line")
        known = not len(ontology) or any(_is_class(name, ontology) for _, name in pairs)
        return Detected(SourceKind.TABLE) if known else _tell_classes(pairs, ontology)
    if len(pairs) * _FEWEST < len(rows):
        return None
    if not _most(lambda pair: _is_class(pair[1], ontology), pairs):
        own = len(ontology) and _most(lambda pair: looks_like_class(pair[1]), pairs)
        return _tell_classes(pairs, ontology) if own else None
    boxes = ("Infobox ", "Infobox_")
    if not headed and _most(lambda row: ontology.knows(row[0]) or mapped(row[0]) or row[0].startswith(boxes), pairs):
        return Detected(None, why="a table of templates or classes, derived from an export; give the export itself")
    return Detected(SourceKind.TABLE)


def _tell_classes(pairs: Sequence[tuple[str, str]], ontology: Ontology) -> Detected:
    """Return the rejection of a table whose classes are not in the ontology."""
    classes = dict.fromkeys(name for _, name in pairs)
    unknown = [name for name in classes if not _is_class(name, ontology)]
    named = ", ".join(name[:40] for name in unknown[:3]) + (", …" if len(unknown) > 3 else "")
    why = f"{len(unknown)} of {len(classes)} classes are not in the ontology ({named}), so they would type nothing"
    return Detected(None, why=f"{why}; leave the ontology out, or give it with these classes added", unknown=True)


def _pairs(rows: Iterable[list[str]]) -> Iterable[tuple[str, str]]:
    cells = ((row[0].strip(), row[1].strip()) for row in rows if len(row) > 1)
    return ((title, name) for title, name in cells if title and name)


def _is_class(name: str, ontology: Ontology) -> bool:
    return (ontology.knows(name) or not ontology.path(name)) if len(ontology) else looks_like_class(name)


def _tell_other(texts: list[str], ontology: Ontology) -> Detected:
    if all(map(is_other_triple, texts)):
        return Detected(None, why="triples that give no title a class of DBpedia's ontology")
    for separator, pattern in _SEPARATORS.items():
        rows = [pattern.split(text) for text in texts]
        pairs = list(_pairs(rows[1:] or rows))
        if 2 * len(pairs) > len(texts) - 1 and _most(lambda pair: _is_class(pair[1], ontology), pairs):
            why = f"text with {separator} between its columns; put a tab between title and class"
            return Detected(None, why=why, unknown=True)
    return Detected(None, why="text of unknown content", unknown=True)


def _most(holds: Callable[[tuple[str, str]], bool], pairs: Sequence[tuple[str, str]]) -> bool:
    return 2 * sum(map(holds, pairs)) > len(pairs)
