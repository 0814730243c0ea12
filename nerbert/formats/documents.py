"""Prepare documents for training: offsets in characters, at most one entity per word, sentences with words.

Files don't state the unit of their offsets, so the unit is the one in which most spans fit. Cost: a file with a text in
which units differ is read twice. Repairs are counted (`Repair`).
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, combinations, pairwise, product
from operator import index
from pathlib import Path
from typing import Any, Literal, SupportsIndex, TypeAlias, get_args

import regex

from nerbert.config import Settings
from nerbert.errors import InputError, at, visible
from nerbert.formats.schemes import find_scheme
from nerbert.labels import OUTSIDE, split_tag
from nerbert.records import Document, Example, Repair, Repairs, Span
from nerbert.sentences import join_in_links, splitter_for
from nerbert.words import SPLITTER, split_words, splitter_named, with_dictionaries

Overlaps = Literal["error", "longest", "first"]
"""Treatment of overlapping spans: report an error, keep the longest, or keep the first in the file."""
CutWords = Literal["grow", "error"]
"""Treatment of spans that cut a word: extend them to whole words, or report an error."""
Units = Literal["auto", "characters", "utf-16", "bytes", "graphemes", "characters-lf", "utf-16-lf", "bytes-lf"]
"""The unit of a file's offsets; with `-lf`, `\\r\\n` counts as one character; `auto` detects the unit."""
_Votes: TypeAlias = Counter[tuple[str, Units]]
_Pairs: TypeAlias = set[tuple[Units, Units]]
_UNITS: tuple[Units, ...] = get_args(Units)[1:]
_BREAK = "\r\n"
_BASES: dict[Units, Any] = {unit: unit.removesuffix("-lf") for unit in _UNITS}
"""The units without `-lf`."""
_IN_ONE_PLANE: dict[Units, Units] = {"utf-16": "characters", "utf-16-lf": "characters-lf"}
"""The units that give the same offsets in texts where no character takes two UTF-16 units."""
_SIZES: Mapping[str, Callable[[str], int]] = {
    "characters": lambda char: 1,
    "utf-16": lambda char: 1 + (char > "\uffff"),
    "bytes": cache(lambda char: len(char.encode(errors="replace"))),
}
"""The size of a character in each unit."""
_GRAPHEME = regex.compile(r"\X")
_JOINED = regex.compile(r"[\P{GCB=Other}--\n]", regex.VERSION1)
"""A grapheme, and a character that may be part of a longer one."""
_REPAIRS = {
    Repair.TAG: "tags that break their scheme, read as CoNLL's script reads them",
    Repair.SPELLING: "tags written in another way (B_TYPE, TYPE-B, B-O), read as B-TYPE or O",
    Repair.TRIMMED: "entities with white space around them, trimmed",
    Repair.EMPTY: "entities without a word, left out",
    Repair.REPEATED: "repeated entities, kept once",
    Repair.MERGED: "pieces of entities merged with the piece before",
    Repair.OVERLAP: "overlapping entities left out",
    Repair.GROWN: "entities extended to whole words",
    Repair.UNIT: "entities whose offsets count UTF-16 units, bytes, graphemes or line ends as one, put in characters",
    Repair.REJECTED: "rejected texts left out",
    Repair.UNANNOTATED: "texts that no person annotated, left out",
    Repair.ANNOTATOR: "annotations of second annotators left out",
    Repair.UNTYPED: "entities without a value, left out",
    Repair.PIECES: "entities in pieces, left out",
    Repair.PASSED_OVER: "annotations other than entities, ignored",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Settings):
    """Options for reading annotated data."""

    from_: str = ""
    """Format of annotated data, such as conll, jsonl, csv or label-studio (an unknown name lists all), or your own as
    module:Class; default: detect it from the content."""
    split: str = ""
    """Cut data that has no splits into train, dev and test, in percent: 80/10/10; 80/20 has no test. Documents stay
    whole; equal texts stay together if the data names no documents."""
    split_seed: int = 0
    """Seed of the split."""
    overlaps: Overlaps = "error"
    """Entities that overlap: report an error, or keep the longest or the first (in file order)."""
    tag_types: Literal["keep", "merge"] = "keep"
    """Spans whose types are tags (B-PER, I-PER): keep these types, or merge the spans into entities."""
    cut_words: CutWords = "grow"
    """Entities that cut a word: extend them to whole words, or report an error."""
    units: Units = "auto"
    """Unit of offsets: characters, utf-16 (units), bytes or graphemes; with the suffix -lf, a Windows line end counts
    as one. auto detects it from the entities' texts, else from word boundaries."""
    tag_column: str = ""
    """CoNLL's column of tags: its number, from 1 (from the end: -1), or a field of CoNLL-U's last column."""
    type_: str = ""
    """Type of entities without one in the file: tags that are only B, I and O, or empty labels."""
    language: str = ""
    """Language whose rules split texts without words into sentences; default: the model's, else English."""
    word_splitter: str = ""
    """Word splitter for texts without words: unicode, icu, or a splitter's name; default: the tagger's; in training the
    encoder's if it is icu, else unicode."""

    def __post_init__(self) -> None:
        """Resolve the splitter's name; raise InputError for an unknown one."""
        Settings.__post_init__(self)
        with at(setting="setting word_splitter"):
            object.__setattr__(self, "word_splitter", self.word_splitter and splitter_named(self.word_splitter))


_DEFAULT = Reading()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReading(Reading):
    """Options for reading annotated data for a check: overlaps are counted instead of raising an error."""

    overlaps: Overlaps = "longest"
    """Entities that overlap: report an error, or keep the longest or the first (in file order)."""


def reading_for(card: Mapping[str, Any], reading: Reading | None, *, training: bool = False) -> Reading:
    """Return the options for reading a model's data: the card's language and word splitter, unless `reading` sets them.
    A tagger is scored on the words of its splitter, except GLiNER models, which accept any words. `training` uses the
    card's splitter only if it has dictionaries; else new taggers get the newest splitter without dictionaries.
    """
    reading = reading or _DEFAULT
    words = str(card.get("word_splitter") or "")
    kept = with_dictionaries(words) or not (training or card.get("head") == "gliner")
    language = str(card.get("language") or "")
    default = words if kept else ""
    return replace(reading, language=reading.language or language, word_splitter=reading.word_splitter or default)


def repairs_line(repairs: Repairs) -> str:
    """Describe the repairs and omissions; "" for none."""
    return "; ".join(f"{words}: {repairs[repair]:,}" for repair, words in _REPAIRS.items() if repairs[repair])


def no_sentence(repairs: Repairs) -> str:
    """Return the message for a file without sentences: its omissions, and a remedy if only a model tagged it."""
    why = f" ({repairs_line(repairs)})" if repairs.total() else ""
    remedy = "; correct them in your tool and export again, or use `nerbert data convert`, which keeps them"
    return f"holds no sentence{why}{remedy if repairs[Repair.UNANNOTATED] else ''}"


def prepare_documents(
    path: Path | str, read: Callable[[Repairs], Iterable[Document]], reading: Reading, repairs: Repairs
) -> Iterator[Document]:
    """Yield the documents of `read`; their spans are in characters, sorted and disjoint, and have their text.

    `read` is called again if the unit of the offsets must be detected. Errors name `path` and the document's line.
    """
    unit = reading.units
    for document in read(repairs):
        if not document.spans:
            yield document
            continue
        # Most files have no text in which units differ, and are read once
        if unit == "auto" and _units_differ(document):
            unit = _find_unit(path, read(Repairs()))
        with at(path, document.line or None, part="" if document.line else document.group):
            spans = _in_characters(document, "characters" if unit == "auto" else unit, repairs)
            spans = _clean(document.text, spans, reading.type_, repairs)
            if reading.tag_types == "merge":
                spans = iter(_merge_tags(document.text, spans, repairs))
            result = replace(document, spans=tuple(_apart(document.text, spans, reading.overlaps, repairs)))
        yield result


def sentences_of(document: Document, reading: Reading | None = None, repairs: Repairs | None = None) -> list[Example]:
    """Return a prepared document as sentences with words; their entities are whole words.

    A document with words is one sentence; a partially annotated one gives only its sentences with entities. Raise
    InputError for spans that `reading` doesn't allow.
    """
    reading = reading or _DEFAULT
    repairs = Counter() if repairs is None else repairs
    text, words = document.text, document.words
    words = split_words(text, reading.word_splitter or SPLITTER) if words is None else words
    spans = document.spans and _apart(text, _whole_words(document, words, reading, repairs), reading.overlaps, repairs)
    # What is outside the entities of a partially annotated text is unknown, not outside
    if document.partial:
        return _known_parts(sentences_of(replace(document, spans=tuple(spans), partial=False), reading))
    if document.words is not None:
        return [Example(text, words, tuple(spans))]
    return list(_cut(text, words, spans, _split(text, words, spans, reading.language or "en")))


def _known_parts(examples: Iterable[Example]) -> list[Example]:
    return [replace(example, unknown=tuple(_gaps(example))) for example in examples if example.spans]


def _split(
    text: str, words: Sequence[tuple[int, int]], spans: Iterable[Span], language: str
) -> Sequence[tuple[int, int]]:
    """Return the sentences of a text; none ends inside a word or an entity."""
    splitter = splitter_for(language, text)
    sentences = list[tuple[int, int]]()
    offset = 0
    # A sentence doesn't go on after a line's end
    for line in text.splitlines(keepends=True):
        sentences.extend((offset + start, offset + end) for start, end in splitter.spans(line))
        offset += len(line)
    for parts in (words, [(span.start, span.end) for span in spans]):
        sentences = join_in_links(sentences, [start for start, _ in parts], [end for _, end in parts])
    return sentences


def example_of_spans(
    text: str, spans: Iterable[tuple[int, int, str] | Span], tokens: Sequence[str] | None = None
) -> Example:
    """Return a text with entities (start, end, type), in characters, as one sentence; raise InputError if invalid.

    `tokens` are its words, by default those of the corpus's splitter. Entities are extended to whole words.
    """
    if not isinstance(text, str):
        raise InputError(f"a sentence is a str, not {type(text).__name__}")
    words = split_words(text) if tokens is None else tuple(find_words(text, tokens))
    document = Document(text, tuple(map(_span, spans)), words)
    (result,) = prepare_documents("", lambda _: [document], Reading(units="characters"), Repairs())
    return sentences_of(result)[0]


def _span(entity: object) -> Span:
    """Convert a user's entity to a span."""
    match entity:
        case Span():
            # A person's entity is certain, whatever a model gave for it before
            return replace(entity, confidence=1.0)
        case (SupportsIndex() as start, SupportsIndex() as end, str(type_)):
            return Span(index(start), index(end), type_)
    raise InputError(f"entity {entity!r:.80}: write (start, end, type), say (3, 7, 'port')")


def document_of(example: Example) -> Document:
    """Return a sentence as a document that has words."""
    return Document(example.text, example.spans, example.words)


def as_documents(document: Document, sentences: Sequence[Example], key: str) -> list[Document]:
    """Return sentences of a document as documents; several share a group: that of the document, or `key`."""
    group = document.group or (key if len(sentences) > 1 else "")
    return [replace(document, text=part.text, words=part.words, spans=part.spans, group=group) for part in sentences]


def find_words(text: str, tokens: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the position of each token in the text; raise InputError for a token that isn't there."""
    end = 0
    for number, token in enumerate(tokens):
        start = text.find(token, end)
        if start < 0:
            raise InputError(f"token {number} (from 0), {token!r:.60}, isn't in the text after the previous token")
        end = start + len(token)
        yield start, end


def _units_differ(document: Document) -> bool:
    """Return whether the units give different spans; spans that a reader made from words certainly count characters."""
    text, spans = document.text, document.spans
    # Where units give the same offsets, a text can't tell them apart
    if _simplest(text, "bytes-lf") == "characters" or (
        document.words is not None and all(text[span.start : span.end] == span.text for span in spans)
    ):
        return False
    return _simplest(text[: max((span.end for span in spans), default=0)], "bytes-lf") != "characters"


def _find_unit(path: Path | str, documents: Iterable[Document]) -> Units:
    """Return the unit of all documents' offsets, based on texts where units differ.

    Votes count entities with the expected text, and whole words; `cut` is those that cut two words minus whole words.
    """
    votes = _Votes()
    apart = _Pairs()
    kinds: dict[tuple[Units, ...], tuple[_Votes, _Pairs]] = {}
    for document in filter(_units_differ, documents):
        simplest = tuple(_simplest(document.text, unit) for unit in _UNITS)
        # Texts in which the same units coincide are counted together
        _count_votes(document, dict.fromkeys(simplest), *kinds.setdefault(simplest, (Counter(), set())))
    for kind, (counts, differ) in kinds.items():
        # Units that coincide in a text get the same votes there
        twins = dict(zip(_UNITS, kind, strict=True))
        apart.update(pair for pair in combinations(_UNITS, 2) if (twins[pair[0]], twins[pair[1]]) in differ)
        for case, unit in product(("text", "border", "cut"), _UNITS):
            votes[case, unit] += counts[case, twins[unit]]
    with at(path):
        return _choose_unit(votes, apart)


def _count_votes(document: Document, units: Iterable[Units], counts: _Votes, differ: _Pairs) -> None:
    """Count the votes of a text's entities for units, and add the pairs of units that give different spans."""
    text = document.text
    words = split_words(text)
    starts, ends = ({word[side] for word in words} for side in (0, 1))
    offsets = {unit: _offsets(text, unit) for unit in units}
    for span in document.spans:
        candidates = {unit: _find_bounds(table, span) for unit, table in offsets.items()}
        if len(set(candidates.values())) > 1:
            differ.update(pair for pair in combinations(offsets, 2) if candidates[pair[0]] != candidates[pair[1]])
            for unit, bounds in candidates.items():
                if bounds is not None:
                    start, end = bounds
                    borders = (start in starts) + (end in ends)
                    counts["border", unit] += borders == 2
                    if not span.text:
                        counts["cut", unit] += 1 - borders
                    elif _same(text[start:end], span.text):
                        counts["text", unit] += 1


def _choose_unit(votes: Mapping[tuple[str, Units], int], apart: Collection[tuple[Units, Units]]) -> Units:
    """Return the unit with most votes; raise InputError if several different ones do, or if it cuts most words."""
    # The entities' own texts are better evidence than the borders of words
    case = "text" if any(votes["text", unit] for unit in _UNITS) else "border"
    best = list[Units]()
    most = max(votes[case, unit] for unit in _UNITS)
    # If nothing fits, an error is reported in characters
    for unit in _UNITS if most else _UNITS[:1]:
        if votes[case, unit] == most and all((other, unit) in apart for other in best):
            best.append(unit)
    if len(best) > 1 and "graphemes" in best:  # few tools count graphemes
        best.remove("graphemes")
    # Entities that cut words in every unit belong to another text
    if case == "border" and votes["cut", best[0]] > 0:
        raise InputError(
            "most entities neither begin nor end with words, whatever their offsets count; annotate this text itself, "
            "or say what offsets count (units, --units)"
        )
    if len(best) > 1:
        raise InputError(
            f"offsets fit as well if they count {' as if they count '.join(best)}; choose one (units, --units)"
        )
    return best[0]


def _simplest(text: str, unit: Units) -> Units:
    """Return the first unit that gives the same offsets in a text as this one."""
    if _BREAK not in text:
        unit = "characters" if text.isascii() else _BASES[unit]
    if unit in _IN_ONE_PLANE and max(text) <= "\uffff":
        unit = _IN_ONE_PLANE[unit]
    return "characters" if unit == "graphemes" and not _JOINED.search(text) else unit


def _offsets(text: str, unit: Units) -> Sequence[int]:
    """Return the offset of each character in a unit, and of the text's end; a grapheme counts at its last character."""
    unit = _simplest(text, unit)
    base = _BASES[unit]
    if unit == "characters":
        return range(len(text) + 1)
    if unit == "graphemes":
        sizes = [size for grapheme in _GRAPHEME.findall(text) for size in (*[0] * (len(grapheme) - 1), 1)]
    else:
        sizes = [*map(_SIZES[base], text)]
    if unit != base:
        for match in re.finditer(_BREAK, text):
            sizes[match.start()] = 0
    return array("q", accumulate(sizes, initial=0))


def _find_bounds(offsets: Sequence[int], span: Span) -> tuple[int, int] | None:
    """Return a span's start and end in characters; None if the span is outside the text, or cuts a character."""
    if isinstance(offsets, range):
        return (span.start, span.end) if span.end < len(offsets) else None
    start = bisect_left(offsets, span.start)
    end = bisect_left(offsets, span.end)
    fits = end < len(offsets) and (offsets[start], offsets[end]) == (span.start, span.end)
    return (start, end) if fits else None


def _in_characters(document: Document, unit: Units, repairs: Repairs) -> Iterator[Span]:
    """Yield the spans with offsets in characters and their text; raise InputError if the file has another text."""
    text = document.text
    offsets = _offsets(text, unit)
    for span in document.spans:
        bounds = _find_bounds(offsets, span)
        if bounds is None:
            size = len(text)
            raise InputError(
                f"entity {span.start}–{span.end} of type {span.type!r:.60}: the text has {size} characters "
                f"(offsets count {unit})"
            )
        surface = text[bounds[0] : bounds[1]]
        if span.text and not _same(surface, span.text):
            raise InputError(
                f"entity {span.start}–{span.end} of type {span.type!r:.60}: the text has {surface!r:.60} there, not "
                f"{span.text!r:.60} (offsets count {unit})"
            )
        repairs[Repair.UNIT] += bounds != (span.start, span.end)
        yield replace(span, start=bounds[0], end=bounds[1], text=surface)


def _same(text: str, other: str) -> bool:
    """Return whether two texts are equal up to white space, since tools write line breaks inside a span as spaces."""
    return text == other or text.split() == other.split()


def _clean(text: str, spans: Iterable[Span], default: str, repairs: Repairs) -> Iterator[Span]:
    """Yield spans without white space around them or their types; an empty type gets the default. Raise InputError for
    an invalid type.
    """
    for span in spans:
        if default and not span.type.strip():
            span = replace(span, type=default)  # noqa: PLW2901
        type_ = span.type.strip()
        piece = text[span.start : span.end]
        if not type_ or visible(type_) != type_:
            fault = "holds control characters; give it a name" if type_ else "is empty; give it a name: type_ (--type)"
            raise InputError(f"entity {piece!r:.60}: its type {span.type!r:.60} {fault}")
        start = span.start + len(piece) - len(piece.lstrip())
        end = span.end - len(piece) + len(piece.rstrip())
        if start >= end:
            repairs[Repair.EMPTY] += 1
            continue
        if (start, end, type_) != (span.start, span.end, span.type):
            repairs[Repair.TRIMMED] += 1
            span = replace(span, start=start, end=end, type=type_, text=text[start:end])  # noqa: PLW2901
        yield span


def _merge_tags(text: str, spans: Iterable[Span], repairs: Repairs) -> list[Span]:
    """Merge spans whose types are tags into entities; raise InputError for a type that isn't a tag."""
    parts = sorted(spans, key=lambda span: span.start)
    tags = list[str]()
    merged = list[Span]()
    for number, span in enumerate(parts):
        gap = text[parts[number - 1].end : span.start] if number else ""
        # Text between two entities ends an entity, so that the next tag can't continue it
        tags += [OUTSIDE, span.type] if gap.strip() else [span.type]
    scheme = find_scheme([[(0, tag) for tag in tags]])
    for span, tag in zip(parts, (tag for tag in scheme.bio(tags) if tag != OUTSIDE), strict=True):
        role, type_ = split_tag(tag)
        start = span.start if role == "B" else merged.pop().start
        merged.append(replace(span, start=start, type=type_, text=text[start : span.end]))
    repairs[Repair.MERGED] += len(parts) - len(merged)
    return merged


def _apart(text: str, spans: Iterable[Span], overlaps: Overlaps, repairs: Repairs) -> list[Span]:
    """Return spans in text order without overlaps and duplicates."""
    listed = list(spans)
    if len(listed) < 2:
        return listed
    once: dict[tuple[int, int, str], Span] = {}
    for span in listed:
        once.setdefault((span.start, span.end, span.type), span)
    repairs[Repair.REPEATED] += len(listed) - len(once)
    ordered = sorted(once.values(), key=lambda span: span.start)
    clash = next((pair for pair in pairwise(ordered) if pair[0].end > pair[1].start), None)
    if clash is None:
        return ordered
    if overlaps == "error":
        first, other = clash
        raise InputError(
            f"entities {text[first.start : first.end]!r:.60} ({first.type}) and {text[other.start : other.end]!r:.60} "
            f"({other.type}) overlap; choose which to keep: overlaps (--overlaps) longest or first"
        )
    kept: list[Span] = []
    # The sort is stable: of equally long ones, and with `first`, the file's order decides
    for span in sorted(once.values(), key=lambda span: span.start - span.end if overlaps == "longest" else 0):
        index = bisect_left(kept, span.start, key=lambda item: item.start)
        free = index == 0 or kept[index - 1].end <= span.start
        if free and (index == len(kept) or span.end <= kept[index].start):
            kept.insert(index, span)
        else:
            repairs[Repair.OVERLAP] += 1
    return kept


def _whole_words(
    document: Document, words: Sequence[tuple[int, int]], reading: Reading, repairs: Repairs
) -> Iterator[Span]:
    """Yield the spans extended to whole words; spans without a word are left out."""
    text = document.text
    starts = [start for start, _ in words]
    ends = [end for _, end in words]
    for span in document.spans:
        first = bisect_right(ends, span.start)
        last = bisect_left(starts, span.end)
        if first >= last:
            repairs[Repair.EMPTY] += 1
            continue
        start = starts[first]
        end = ends[last - 1]
        if (start, end) == (span.start, span.end):
            yield span
        # An entity that only loses punctuation at its edge cuts no word
        elif reading.cut_words == "error" and (start < span.start or end > span.end):
            raise InputError(
                f"entity {span.text!r:.60} ({span.type}) cuts a word of {text[start:end]!r:.60}; mark whole words, or "
                "let it grow: cut_words (--cut-words) grow"
            )
        else:
            repairs[Repair.GROWN] += 1
            yield replace(span, start=start, end=end, text=text[start:end])


def _gaps(example: Example) -> Iterator[tuple[int, int]]:
    """Yield the gaps between the entities, and before and after them."""
    starts = [0, *(span.end for span in example.spans)]
    ends = [*(span.start for span in example.spans), len(example.text)]
    return ((start, end) for start, end in zip(starts, ends, strict=True) if start < end)


def _cut(
    text: str, words: Sequence[tuple[int, int]], spans: Sequence[Span], sentences: Iterable[tuple[int, int]]
) -> Iterator[Example]:
    """Yield the sentences that have words; offsets of their words and spans count from the sentence's beginning."""
    word = span = 0
    for start, end in sentences:
        first_word, first_span = word, span
        while word < len(words) and words[word][0] < end:
            word += 1
        while span < len(spans) and spans[span].start < end:
            span += 1
        if first_word < word:
            yield Example(
                text[start:end],
                tuple((begin - start, stop - start) for begin, stop in words[first_word:word]),
                tuple(replace(part, start=part.start - start, end=part.end - start) for part in spans[first_span:span]),
            )
