"""spaCy's training data: DocBin (`.spacy`).

spaCy only unpacks a DocBin, after a check of its size; its columns don't reach spaCy's C code. Limitation: span groups
and categories are ignored, and a DocBin is held in memory.
"""

import gc
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from nerbert.artifacts import publish
from nerbert.errors import InputError, at, refused
from nerbert.formats.format import LEAST
from nerbert.records import Document, Repair, Repairs, Span
from nerbert.words import split_words

_LARGEST = 1 << 30
"""Maximum size of an unpacked DocBin in bytes: about nine million words as spaCy writes them."""
_PIECE = 1 << 20
_NO_GROUPS = 1
"""Size of a text's span groups if it has none, in bytes."""
_INSIDE, _BEGIN = 1, 3
"""spaCy's codes for I and B; 2 is O, 0 is unknown."""


class SpacyDocBin:
    """The format `spacy`."""

    suffixes = (".spacy",)
    needs = ("spacy", "spacy")
    holds = replace(LEAST, text="whole", words=True)

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a file is compressed, and its content begins like a DocBin."""
        try:
            first = zlib.decompressobj().decompress(head, 64)
        except zlib.error:
            return False
        return any(name in first for name in (b"\xa7version", b"\xa5attrs"))

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the texts, with spaCy's tokens as words, except white space."""
        packed = path.read_bytes()
        with at(path), refused("not a DocBin that spaCy can read"):
            bin_, strings, columns = _unpack(packed)
        for index in range(len(bin_.tokens)):
            with at(path, index + 1), refused("broken DocBin"):
                document = _document(bin_, index, strings, columns)
                repairs[Repair.PASSED_OVER] += len(bin_.span_groups[index]) > _NO_GROUPS
            yield document

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents without splitting them; a word that an entity cuts is written in parts."""
        from spacy.tokens import Doc, DocBin
        from spacy.vocab import Vocab

        bin_ = DocBin(attrs=["ENT_IOB", "ENT_TYPE"])
        vocab = Vocab()
        for number, document in enumerate(documents, 1):
            with at(path), refused(f"spaCy can't hold text {number}"):
                words, spaces = _tokens(document)
                doc = Doc(vocab, words=words, spaces=spaces)
                doc.ents = [doc.char_span(span.start, span.end, span.type) for span in document.spans]
                bin_.add(doc)
        with publish(path) as draft:
            draft.write_bytes(bin_.to_bytes())


def _unpack(packed: bytes) -> tuple[Any, Any, list[int]]:
    """Return a DocBin, its strings by hash, and the indices of its columns of words, IOB codes and types (-1: none)."""
    from spacy.attrs import ENT_IOB, ENT_TYPE, ORTH
    from spacy.strings import StringStore
    from spacy.tokens import DocBin

    size = 0
    unpacker = zlib.decompressobj()
    left = packed
    # A small file can unpack to any size, so its size is counted before spaCy reads it
    while left:
        size += len(unpacker.decompress(left, _PIECE))
        if size > _LARGEST:
            raise InputError(f"a DocBin of more than {_LARGEST} bytes when unpacked; write it in parts")
        left = unpacker.unconsumed_tail
    collects = gc.isenabled()
    try:
        bin_ = DocBin().from_bytes(packed)
    finally:
        # spaCy's reader disables the garbage collector, and doesn't enable it after an error
        if collects:
            gc.enable()
    attrs = list(bin_.attrs)
    if ORTH not in attrs:
        raise InputError("has no column of words")
    columns = [attrs.index(attr) if attr in attrs else -1 for attr in (ORTH, ENT_IOB, ENT_TYPE)]
    return bin_, StringStore(bin_.strings), columns


def _document(bin_: Any, index: int, strings: Any, columns: list[int]) -> Document:
    """Return a text of a DocBin; tokens with an unknown entity are outside entities."""
    rows = bin_.tokens[index].tolist()
    marks = bin_.spaces[index].ravel().tolist()
    if len(rows) != len(marks):
        raise InputError(f"broken DocBin: a text of {len(rows)} words has spaces for {len(marks)}")
    word, tag, type_ = columns
    parts = list[str]()
    words = list[tuple[int, int]]()
    entities = list[list[Any]]()
    length = 0
    inside = False
    spaced = bool(bin_.flags[index].get("has_unknown_spaces"))
    for row, mark in zip(rows, marks, strict=True):
        piece = strings[row[word]]
        end = length + len(piece)
        # A DocBin may lack the columns of entities
        iob, name = (row[tag], strings[row[type_]]) if min(tag, type_) >= 0 else (0, "")
        begins = iob == _BEGIN and bool(name)
        # I without B before it continues nothing
        inside = begins or (iob == _INSIDE and inside)
        if begins:
            entities.append([length, end, name])
        elif inside:
            entities[-1][1] = end
        # spaCy has tokens of white space, which are no words
        if piece.strip():
            words.append((length, end))
        parts += [piece, " " if mark or spaced else ""]
        length = end + len(parts[-1])
    text = "".join(parts[:-1] if spaced else parts)
    spans = tuple(Span(start, end, name, text[start:end]) for start, end, name in entities)
    return Document(text, spans, tuple(words), line=index + 1)


def _tokens(document: Document) -> tuple[list[str], list[bool]]:
    """Return a text's words, cut at entity boundaries, and the text between them; and whether a space follows each."""
    text = document.text
    words = split_words(text) if document.words is None else document.words
    borders = {0, len(text), *chain.from_iterable(words)}
    borders.update(offset for span in document.spans for offset in (span.start, span.end))
    pieces = list[str]()
    spaces = list[bool]()
    for start, end in pairwise(sorted(borders)):
        piece = text[start:end]
        # A space after a word is a property of the word in spaCy, not a token
        if pieces and piece.startswith(" ") and not spaces[-1]:
            spaces[-1], piece = True, piece[1:]
        if piece:
            pieces.append(piece)
            spaces.append(False)
    return pieces, spaces
