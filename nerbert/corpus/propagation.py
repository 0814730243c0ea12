"""Propagation: later unlinked mentions of what a page links to become links, too, since Wikipedia links only the first.

Names of a link's target are its title without a bracket, the texts of its links on the page, titles that redirect to
it, and a person's surname, unless it follows another capitalised word. A link's text counts only if it has a capital,
at least half of the links with it in the corpus have the same target, and it isn't the adjective of a title (*German*
language). The page's own subject is a target everywhere on its page. A name counts after the target's first link, as
whole words in its own case; the longest wins; one that fits two targets of the page is none. Limitations: links that
earlier steps drop, and those of dropped sentences, still name their targets; where a script has no spaces, a name is
found inside longer words.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nerbert.corpus.columns import Places, Words, is_among, numbers_column, strings_column, words_of
from nerbert.corpus.dump.sites import normalise_title
from nerbert.corpus.knowledge.database import ask_counts
from nerbert.corpus.mentions import listed
from nerbert.corpus.settings import CorpusSettings, word_splitter
from nerbert.corpus.shards import UNTYPED, read_batches, with_columns
from nerbert.corpus.span_hashes import (
    Found,
    Hashes,
    Marks,
    NameHashes,
    NameIndex,
    SpanHashes,
    hashes_of,
    inside,
    joined_words,
    read_hashes,
    without_overlaps,
)
from nerbert.corpus.steps import Step, Upstream
from nerbert.corpus.types import SCRATCH, Targets, read_redirects, read_targets
from nerbert.corpus.word_cases import CAPITALISE_NOUNS, CommonWords, begins_sentence, count_common_words
from nerbert.rng import mixed
from nerbert.words import is_small

ORIGINS = ("subject", "title", "anchor", "redirect", "surname")
"""The kinds of names; of a name of several kinds the first one counts."""
_SUBJECT, _TITLE, _ANCHOR, _REDIRECT, _SURNAME = range(len(ORIGINS))
_BRACKET = re.compile(r"\s*\([^()]*\)\Z")
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
"""Joins words to a longer name, of which no part is a name here."""
_LETTER = re.compile(r"[^\W\d_]")
_NO_SURNAME = re.compile(r"(?:Jr|Sr|[IVX]+)\.?\Z")
_SHORTEST, _SHORTEST_SURNAME = 2, 3
_TITLED = {"of", "the"}
"""Particles before a place or an epithet."""
_PERSON = "Person"
_SHARE = 0.5
"""Least share of the links with a text that have its target, where the text is a name of it."""
_PAIRS = pa.schema([("text", pa.uint64()), ("pair", pa.uint64()), ("links", pa.int64())])
_USUAL = """
SELECT pair FROM (SELECT text, pair, sum(links) AS links FROM counts GROUP BY ALL)
QUALIFY links >= $share * sum(links) OVER (PARTITION BY text) ORDER BY pair
"""
_COLUMNS = ("page_number", "title", "start", "text", "links")
_NONE = strings_column([])


@dataclass(frozen=True, slots=True)
class Propagation:
    """The step; opened for each part with the names of its pages."""

    folder: Path
    settings: CorpusSettings
    language: str
    name = "propagation"

    def prepare(self, upstream: Upstream) -> "_PreparedPropagation":
        """Count common words, which are no surnames, and no names at a sentence's beginning; and texts of links."""
        common = count_common_words(upstream, self.folder / SCRATCH, self.settings)
        anchors = _write_usual_anchors(upstream, self.folder)
        surnames = self.language not in CAPITALISE_NOUNS
        return _PreparedPropagation(self.folder, word_splitter(self.settings), surnames, common, anchors)


@dataclass(frozen=True, slots=True)
class _PreparedPropagation:
    """The step after its counts."""

    folder: Path
    splitter: str
    surnames: bool
    common: CommonWords
    anchors: Path
    name = Propagation.name

    def open(self, part: Path) -> Step:
        """Return the step for one part of `pages/`."""
        targets, redirects = read_targets(self.folder, part), read_redirects(self.folder, part)
        pages = _PageNames(targets, redirects, surnames=self.surnames)
        for rows in read_batches(part, _COLUMNS):
            pages.add(rows)
        names = _PartNames.of(pages.close(), self.splitter, self.common, read_hashes(self.anchors))
        return _PartPropagation(names, self.common)


def _write_usual_anchors(upstream: Upstream, folder: Path) -> Path:
    """Write the sorted hashes of texts of links with the target that most links with this text have."""
    counts, path = folder / SCRATCH / "anchors", folder / SCRATCH / "anchors.npy"
    counts.mkdir()
    for _ in upstream.map(partial(_write_anchors, folder=folder, output=counts), ("text", "links")):
        pass
    found = ask_counts(counts, _PAIRS, _USUAL, {"share": _SHARE}, upstream.executor.workers)
    np.save(path, found["pair"].astype(np.uint64))
    return path


def _write_anchors(part: Path, batches: Iterator[pa.RecordBatch], folder: Path, output: Path) -> None:
    """Write for each text of a part's links and each of its targets how many links there are."""
    targets, found = read_targets(folder, part), [np.zeros((2, 0), np.uint64)]
    for rows in batches:
        flat = rows["links"].flatten()
        starts, ends, to = (pc.struct_field(flat, name).to_pylist() for name in ("start", "end", "target"))
        texts = np.repeat(np.array(rows["text"].to_pylist(), object), pc.list_value_length(rows["links"]).to_numpy())
        anchors = [text[start:end] for text, start, end in zip(texts, starts, ends, strict=True)]
        hashes = hashes_of(anchors)
        found.append(np.stack([hashes, _pairs(hashes, [targets.get(each, (each,))[0] for each in to])]))
    text, pair = np.concatenate(found, axis=1)
    pairs, places, counts = np.unique(pair, return_index=True, return_counts=True)
    pq.write_table(pa.table(list(map(pa.array, (text[places], pairs, counts))), schema=_PAIRS), output / part.name)


def _pairs(texts: Hashes, targets: Sequence[str]) -> Hashes:
    return mixed(texts ^ mixed(hashes_of(targets)))


class _Row(NamedTuple):
    """A name of a target on a page, and the place after which it counts."""

    page: int
    name: str
    target: str
    resolved: str
    kind: int
    place: int


@dataclass(slots=True)
class _Linked:
    """A target of a page: as its first link writes it, where that is, and its names with their kinds."""

    target: str
    place: int
    names: dict[str, int]
    surname: str = ""
    """The last part of the title of what is a person, or may be one."""


class _PageNames:
    """Collects the names of targets, page by page."""

    def __init__(self, targets: Targets, redirects: Mapping[str, Sequence[str]], *, surnames: bool) -> None:
        self._targets, self._redirects, self._surnames = targets, redirects, surnames
        self._page, self._linked = -1, dict[str, _Linked]()
        self._rows = list[_Row]()

    def add(self, rows: pa.RecordBatch) -> None:
        """Add the links of some sentences; a page's sentences follow each other."""
        flat = rows["links"].flatten()
        links = zip(*(pc.struct_field(flat, name).to_pylist() for name in ("start", "end", "target")), strict=True)
        columns = (rows[name].to_pylist() for name in ("page_number", "title", "start", "text"))
        counts = pc.list_value_length(rows["links"]).to_pylist()
        for page, title, start, text, count in zip(*columns, counts, strict=True):
            if page != self._page:
                self.close()
                self._page = page
                self._linked_to(normalise_title(title), -1, _SUBJECT)
            for begin, end, target in islice(links, count):
                linked, anchor = self._linked_to(target, start + begin), text[begin:end]
                if not is_small(anchor):
                    linked.names[anchor] = min(linked.names.get(anchor, _ANCHOR), _ANCHOR)

    def _linked_to(self, target: str, place: int, kind: int = _TITLE) -> _Linked:
        """Return a target of the page; a new one begins with the names that it has anywhere."""
        resolved, path, _ = self._targets.get(target, (target, (), ""))
        if resolved not in self._linked:
            bare = _BRACKET.sub("", resolved)
            own = surnames_of(bare) if self._surnames and (_PERSON in path or not path) else ()
            names = dict.fromkeys(own, _SURNAME) if _PERSON in path else {}
            names |= {_BRACKET.sub("", each): _REDIRECT for each in self._redirects.get(resolved, ())}
            self._linked[resolved] = _Linked(target, place, names | {bare: kind}, own[-1] if own else "")
        return self._linked[resolved]

    def close(self) -> list[_Row]:
        """Close the page, and return the names of all pages; *German* is none of *German language*."""
        namesakes = Counter(each.surname for each in self._linked.values())
        for resolved, each in self._linked.items():
            self._rows += [
                _Row(self._page, name, each.target, resolved, kind, each.place)
                for name, kind in each.names.items()
                if len(name) >= _SHORTEST
                and _LETTER.search(name)
                and "\n" not in name
                and not (kind == _SURNAME and namesakes[each.surname] > 1)
                and not (kind == _ANCHOR and resolved.startswith(f"{name} ") and is_small(resolved[len(name) + 1]))
            ]
        self._linked = {}
        return self._rows


@dataclass(frozen=True, slots=True)
class _PartNames:
    """The names of a part's pages, by their places in `names.keys`: what they name, their kinds, and where they count.

    `careful` are common words, which at a sentence's beginning are no names; `surnames` must not follow another name.
    """

    names: NameIndex
    targets: pa.Array
    kinds: pa.Array
    places: Places
    careful: Marks
    surnames: Marks

    @classmethod
    def of(cls, rows: Sequence[_Row], splitter: str, common: CommonWords, usual: Hashes) -> "_PartNames":
        """Return the names that have one target on their page; no surname is a common word. `usual` are the hashes of
        links' texts with their usual targets."""
        text, words = "".join(f"{row.name}\n" for row in rows), words_of([row.name for row in rows], splitter)
        hashes = NameHashes.of(words, SpanHashes.of_text(text)).salted(_salts([row.page for row in rows]))
        kinds, places = (np.array([getattr(row, name) for row in rows], np.int64) for name in ("kind", "place"))
        careful = hashes.words == 1
        careful[careful] = common.among(words, text)[words.first[:-1][careful]]
        pairs = _pairs(hashes_of([row.name for row in rows]), [row.resolved for row in rows])
        unusual = (kinds == _ANCHOR) & ~is_among(pairs, usual)
        kept = np.flatnonzero(hashes.usable & ~(careful & (kinds == _SURNAME)) & ~unusual)
        order = kept[np.lexsort((kinds[kept], hashes.whole[kept]))]
        if not len(order):
            return cls(NameIndex.of(hashes.at(order)), _NONE, _NONE, order, careful[order], careful[order])
        numbers = dict[str, int]()  # the same for equal targets
        ends = (rows[place].resolved for place in order.tolist())
        resolved = np.array([numbers.setdefault(end, len(numbers)) for end in ends], np.int64)
        _, first = np.unique(hashes.whole[order], return_index=True)
        alike = np.minimum.reduceat(resolved, first) == np.maximum.reduceat(resolved, first)
        own = order[first[alike]]
        return cls(
            NameIndex.of(hashes.at(own)), strings_column([rows[place].target for place in own.tolist()]),
            strings_column([ORIGINS[kind] for kind in kinds[own].tolist()]), places[own], careful[own],
            kinds[own] == _SURNAME,
        )  # fmt: skip


def _salts(pages: Sequence[int] | Places) -> Hashes:
    return mixed(np.asarray(pages, np.int64).astype(np.uint64))


@dataclass(frozen=True, slots=True)
class _PartPropagation:
    known: _PartNames
    common: CommonWords
    name = ""

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[None]]:
        """Add a link to each unlinked stretch that is a name of one target of its page."""
        with_columns(rows, UNTYPED)
        text, words = joined_words(rows)
        owner = np.repeat(np.arange(rows.num_rows), np.diff(words.first))
        found = self._found(rows, text, words, owner)
        begins, lengths, keys = without_overlaps(found, ~inside(words, rows["links"]))
        if not len(begins):
            return rows, ()
        shift = words.sentences[owner[begins]]
        new = {
            "start": numbers_column(words.starts[begins] - shift, pa.int32()),
            "end": numbers_column(words.ends[begins + lengths - 1] - shift, pa.int32()),
            "target": self.known.targets.take(pa.array(keys)), "origin": self.known.kinds.take(pa.array(keys)),
        }  # fmt: skip
        links = _with(rows["links"], owner[begins], new)
        return rows.set_column(rows.schema.get_field_index("links"), UNTYPED.field("links"), links), ()

    def _found(self, rows: pa.RecordBatch, text: str, words: Words, owner: Places) -> Iterator[Found]:
        """Yield the names that count where they stand, as `NameIndex.found` does."""
        pages, starts = (rows[name].to_numpy() for name in ("page_number", "start"))
        places = starts[owner] + words.starts - words.sentences[owner]
        hashes, known = SpanHashes.of_text(text), self.known
        first = begins_sentence(words, text)
        after_name = np.concatenate(([False], self.common.capitalised(words, text)))[:-1]
        after_name[words.first[:-1][np.diff(words.first) > 0]] = False
        hyphens = np.array([each.start() for each in _HYPHEN.finditer(text)], np.int64)
        for begins, length, keys in known.names.found(words, hashes, _salts(pages)[owner]):
            later = places[begins] > known.places[keys]
            unsure = known.careful[keys] & first[begins] | known.surnames[keys] & after_name[begins]
            cut = np.isin(words.starts[begins] - 1, hyphens) | np.isin(words.ends[begins + length - 1], hyphens)
            counts = later & ~unsure & ~cut
            yield begins[counts], length, keys[counts]


def _with(links: pa.ListArray, owners: Places, new: Mapping[str, pa.Array]) -> pa.ListArray:
    """Return the links of sentences with new ones, by their starts; `owners` (new links,) are their sentences."""
    counts, flat = pc.list_value_length(links).to_numpy(), links.flatten()
    fields = {name: pa.concat_arrays([pc.struct_field(flat, name), new[name]]) for name in new}
    both = np.concatenate((np.repeat(np.arange(len(links)), counts), owners))
    order = pa.array(np.lexsort((fields["start"].to_numpy(), both)))
    lengths = counts + np.bincount(owners, minlength=len(links))
    return listed({name: column.take(order) for name, column in fields.items()}, lengths, list(links.type.value_type))


def surnames_of(title: str) -> tuple[str, ...]:
    """Return the names by which a person with this title is called later: with a particle (*van Gogh*), and without.

    There are none in a title of one word or with a short last one, nor after *of* or *the*.
    """
    before, _, after = title.partition(",")
    words = before.split()
    if after and len(words) == 1:  # the surname first, as in Russian titles
        return (before,) if len(before) >= _SHORTEST_SURNAME else ()
    while words and _NO_SURNAME.match(words[-1]):
        words.pop()
    if len(words) < 2 or len(words[-1]) < _SHORTEST_SURNAME:
        return ()
    first = len(words) - 1
    while first > 1 and words[first - 1].islower():
        first -= 1
    particles = words[first:-1]
    if not _TITLED.isdisjoint(particles):
        return ()
    return (" ".join(words[first:]), words[-1]) if particles else (words[-1],)
