"""Rows of knowledge files: triples of DBpedia and lines of title tables, read as pairs of title and class.

Lines are decoded one by one, so a bad byte costs one row, not the file.
"""

import re
from collections.abc import Collection
from typing import TypeAlias
from urllib.parse import unquote

from nerbert.corpus.wikitext.titles import normalise_title

LONGEST_TITLE = 1000
"""Characters of a title or a class; MediaWiki's titles have 255 bytes at most."""
TYPE_TRIPLE = re.compile(
    r"<https?://(?:([a-z-]+)\.)?dbpedia\.org/resource/([^<>\s]*)>\s*<http://www\.w3\.org/1999/02/22-rdf-syntax-ns#type>"
    r"\s*<http://dbpedia\.org/ontology/([^<>\s]+)>\s*(?:<[^<>\s]*>\s*)?\.\s*"
)
DISAMBIGUATION_TRIPLE = re.compile(
    r"<https?://(?:([a-z-]+)\.)?dbpedia\.org/resource/([^<>\s]*)>\s*<http://dbpedia\.org/ontology/wikiPageDisambiguates>"
    r"\s*<[^<>\s]*>\s*(?:<[^<>\s]*>\s*)?\.\s*"
)
_TRIPLE = re.compile(r"(?:<[^<>\s]*+>|_:[^<>\s]++)\s*+<[^<>\s]*+>\s*+[<\"_]")
"""How any triple begins; it never goes back, so that no line costs more than its length."""
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")

Pair: TypeAlias = tuple[str, str]
"""Title and class of a row; NO_TYPE for a row that is whole but types nothing."""
NO_TYPE: Pair = ("", "")


def decode(line: bytes) -> str | None:
    """Return a line's text without a carriage return; None if it is not UTF-8."""
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        return None


def parse_row(line: bytes) -> Pair | None:
    """Return title and class of a table's row; None if one is missing."""
    cells = (decode(line) or "").split("\t", 2)
    if len(cells) < 2 or max(map(len, cells[:2])) > LONGEST_TITLE:
        return None
    title, name = normalise_title(cells[0]), cells[1].strip()
    return (title, name) if title and name else None


def edition_of(triple: "re.Match[str]") -> str:
    """Return the code of the DBpedia that a triple is from; English has the host without one."""
    return triple.group(1) or "en"


def parse_triple(line: bytes, editions: Collection[str]) -> Pair | None:
    """Return title and class of a type triple; NO_TYPE for other triples and editions, and comments; None if broken."""
    text = decode(line) or ""
    match = TYPE_TRIPLE.fullmatch(text)
    if not match:
        return NO_TYPE if is_other_triple(text) else None
    if edition_of(match) not in editions:
        return NO_TYPE
    title, name = title_of_iri(match.group(2)), _unescaped(match.group(3))
    return (title, name) if title and name else None


def parse_disambiguation(line: bytes, editions: Collection[str]) -> tuple[str] | None:
    """Return the page that a disambiguation triple names; "" for other triples, editions, comments; None if broken."""
    text = decode(line) or ""
    match = DISAMBIGUATION_TRIPLE.fullmatch(text)
    if not match:
        return ("",) if is_other_triple(text) else None
    if edition_of(match) not in editions:
        return ("",)
    title = title_of_iri(match.group(2))
    return (title,) if title else None


def title_of_iri(name: str) -> str:
    """Return the title that the end of an IRI writes with escapes (`%C3%A4`, `\\u00E4`); "" if they are broken."""
    plain = _unescaped(name)
    try:
        return normalise_title(unquote(plain, errors="strict"))
    except UnicodeDecodeError:
        return ""


def is_other_triple(text: str) -> bool:
    """Return whether a line belongs into a file of triples but types no title: other triple, comment, prefix."""
    return text.startswith(("#", "@")) or bool(_TRIPLE.match(text) and text.rstrip().endswith("."))


def _unescaped(iri: str) -> str:
    """Return `iri` without its escapes; "" if one names no character."""
    if "\\" not in iri:
        return iri
    try:
        plain = _ESCAPE.sub(lambda match: chr(int(match.group(1) or match.group(2), 16)), iri)
        plain.encode()
    except (ValueError, OverflowError):
        return ""
    return plain
