"""Gazetteers: users' lists of names, by which the sentences of a corpus get coarse types (CoFEE, Xue et al. 2020).

For anchors they are a sorted, mapped table of 64-bit hashes; for free text an automaton in each worker.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from itertools import compress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from nerbert.artifacts import sha256_of, write_json
from nerbert.cache import cached
from nerbert.config import Bounds, Section
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, at, need, os_refused
from nerbert.model.windows import mapped
from nerbert.records import Example, Span
from nerbert.rng import Array, hash64
from nerbert.schema import read_json, to_plain
from nerbert.sources.files import read_blocks
from nerbert.terminal import tell
from nerbert.words import check_splitter, split_words

_VERSION = 1
"""Of what is cached, and of how it matches."""
_FACTS, _HASHES, _KINDS, _ENTRIES = "gazetteers.json", "hashes.bin", "kinds.bin", "entries.txt"
_LONGEST, _LONGEST_TYPE = 1 << 12, 200
_MOST_TYPES = 1 << 14
_PACKED = frozenset({".gz", ".bz2", ".xz"})
_BEGIN, _END = "\x01", "\x02"
"""Marks around each word: control characters, which belong to no word."""
Match = Literal["anchors", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GazetteersSettings(Section):
    """Lists of names whose types take the place of the corpus's categories."""

    section: ClassVar[str] = "gazetteers"
    reads: ClassVar[tuple[str, ...]] = ("files",)
    commands: ClassVar[tuple[str, ...]] = ("pretrain",)
    files: tuple[Path, ...] = ()
    """Lists of names whose types replace the corpus's categories. A line of a `.tsv` is entry, tab, type; of any other
    file an entry, its type the file's stem. Of repeated entries the first counts; those of one letter are left out.
    Source: CoFEE (Xue et al. 2020)."""
    match: Literal["anchors", "text"] = "anchors"
    """What is looked up in the lists: the text of each link (`anchors`; all else is O), or the longest runs of words in
    all `text`: more entities and more noise (`nerbert[gazetteers]`). Source: CoFEE's public code has anchors."""
    max_words: Annotated[int, Bounds(at_least=0, below=1e6)] = 30
    """Longest sentence; longer ones are left out. 0: no limit. Unit: words. Source: CoFEE's public code."""


@dataclass(frozen=True, slots=True)
class GazetteerFacts:
    """The content of `gazetteers.json`; what was left out is counted."""

    types: tuple[str, ...]
    entries: int
    one_letter: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Gazetteers:
    """Types of texts; small enough to travel to workers, which open the cached `folder` on their own.

    Sentences of more than `max_words` words are left out (0: none is). `digest` stands for all that decides a label.
    """

    folder: Path
    types: tuple[str, ...]
    match: Match
    max_words: int
    digest: str
    facts: dict[str, int]

    def short(self, words: Array) -> Array:
        """Return which sentences stay, by their numbers of words."""
        kept: Array = words <= self.max_words if self.max_words else np.ones(len(words), bool)
        return kept

    def relabelled(self, examples: Sequence[Example]) -> list[Example]:
        """Return the examples with the spans that the lists give them, in place of their own."""
        return self._by_anchors(examples) if self.match == "anchors" else [self._by_text(each) for each in examples]

    def _by_anchors(self, examples: Sequence[Example]) -> list[Example]:
        kinds = iter(_open_table(self.folder).kinds([span.text for each in examples for span in each.spans]))
        found = []
        for each in examples:
            typed = ((span, next(kinds)) for span in each.spans)
            spans = tuple(replace(span, type=self.types[kind]) for span, kind in typed if kind >= 0)
            found.append(replace(each, spans=spans))
        return found

    def _by_text(self, example: Example) -> Example:
        automaton = _open_automaton(self.folder)
        spans = []
        for first, after, kind in automaton.find([example.text[start:end] for start, end in example.words]):
            start, end = example.words[first][0], example.words[after - 1][1]
            spans.append(Span(start, end, self.types[kind], example.text[start:end]))
        return replace(example, spans=tuple(spans))


class EntryTable:
    """Hashes of entries, sorted, and the number of each one's type."""

    def __init__(self, folder: Path) -> None:
        entries = _facts(folder).entries
        self._hashes = mapped(folder / _HASHES, np.uint64, entries)
        self._kinds = mapped(folder / _KINDS, np.uint16, entries)

    def kinds(self, texts: Sequence[str]) -> list[int]:
        """Return the number of each text's type, -1 for one that is in no list."""
        hashes = np.array([hash64(text) for text in texts], np.uint64)
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        kinds: list[int] = np.where(self._hashes[places] == hashes, self._kinds[places].astype(int), -1).tolist()
        return kinds


class Automaton:
    """Finds entries, given as words, in sentences of words; `kinds` has a number for each entry."""

    def __init__(self, entries: Iterable[str], kinds: Array) -> None:
        need("gazetteers", "ahocorasick_rs")
        from ahocorasick_rs import AhoCorasick, MatchKind

        self._find: Any = AhoCorasick(entries, matchkind=MatchKind.LeftmostLongest, store_patterns=False)
        self._kinds = kinds

    def find(self, words: Sequence[str]) -> Iterator[tuple[int, int, int]]:
        """Yield (first word, word after the last, kind) of the longest entries from the left; none overlap."""
        text = marked(words)
        place = word = 0
        for entry, start, end in self._find.find_matches_as_indexes(text):
            word += text.count(_BEGIN, place, start)
            place, first = end, word
            word += text.count(_BEGIN, start, end)
            yield first, word, int(self._kinds[entry])


def marked(words: Sequence[str]) -> str:
    """Return words as one text, each between two marks; "" for none."""
    return f"{_BEGIN}{(_END + _BEGIN).join(words)}{_END}" if words else ""


def open_gazetteers(settings: PretrainSettings, splitter: str) -> Gazetteers:
    """Return the lists of the settings, cut by `splitter` for free text; raise InputError for a bad file or line."""
    own = settings.of(GazetteersSettings)
    match = own.match
    if match == "text":
        need("gazetteers", "ahocorasick_rs")
    splitter = check_splitter(splitter) if match == "text" else ""
    with at(setting="setting gazetteers.files"):
        files = []
        for path in own.files:
            with os_refused(f"{path}: can't be read"):
                files.append([path.name, sha256_of(path)])
        origin = {"version": _VERSION, "match": match, "files": files} | ({"words": splitter} if splitter else {})
        make = partial(_write, paths=own.files, splitter=splitter)
        folder, facts = cached(settings.cache, "gazetteers", origin, make, lambda folder: (folder, _facts(folder)))
    digest = sha256(json.dumps([origin, own.max_words]).encode()).hexdigest()
    counts = {name: count for name, count in asdict(facts).items() if name != "types"}
    return Gazetteers(folder, facts.types, match, own.max_words, digest, counts)


def _facts(folder: Path) -> GazetteerFacts:
    return read_json(folder / _FACTS, GazetteerFacts)


_open_table = lru_cache(maxsize=1)(EntryTable)


@lru_cache(maxsize=1)
def _open_automaton(folder: Path) -> Automaton:
    with (folder / _ENTRIES).open(encoding="utf-8", newline="\n") as file:
        return Automaton((line[:-1] for line in file), mapped(folder / _KINDS, np.uint16, _facts(folder).entries))


def _write(folder: Path, paths: Sequence[Path], splitter: str) -> None:
    """Write what the lists hold, with types: entries in order for free text, cut by `splitter`; else sorted hashes."""
    types, hashes, numbers, one_letter = dict[str, int](), array("Q"), array("H"), 0
    for key, type_ in _keys(paths, splitter):
        if not key:
            one_letter += 1
            continue
        if types.setdefault(type_, len(types)) == _MOST_TYPES:
            raise InputError(f"the lists name more than {_MOST_TYPES:,} types, at last {type_!r:.60}: are these types?")
        hashes.append(hash64(key))
        numbers.append(types[type_])
    kinds = np.frombuffer(numbers, np.uint16)
    kept, first = np.unique(np.frombuffer(hashes, np.uint64), return_index=True)
    if splitter:
        first.sort()
        wanted = np.zeros(int(first[-1]) + 1, bool)
        wanted[first] = True
        with (folder / _ENTRIES).open("w", encoding="utf-8", newline="\n") as file:
            keys = compress((key for key, _ in _keys(paths, splitter) if key), wanted)
            file.writelines(f"{key}\n" for key in keys)
    else:
        kept.tofile(folder / _HASHES)
    kinds[first].tofile(folder / _KINDS)
    facts = GazetteerFacts(tuple(types), len(first), one_letter, len(kinds) - len(first))
    tell(f"gazetteers: {facts.entries:,} entries of {len(types)} types; left out: {one_letter:,} of one letter, "
         f"{facts.repeated:,} repeated")  # fmt: skip
    write_json(folder / _FACTS, to_plain(facts))


def _keys(paths: Sequence[Path], splitter: str) -> Iterator[tuple[str, str]]:
    """Yield what each entry is matched by (its words, if there is a splitter), "" for a single letter, and its type."""
    for path in paths:
        found = False
        for entry, type_ in _entries(path):
            key = marked([entry[start:end] for start, end in split_words(entry, splitter)]) if splitter else entry
            key = key if len(entry) > 1 else ""
            found |= bool(key)
            yield key, type_
        if not found:
            raise InputError(f"{path}: has no entry of more than one letter; leave the file out, or fill it")


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the entries of a list with their types; blank lines and a header (`entry`, `type`) are skipped."""
    name = Path(path.name.removesuffix(path.suffix) if path.suffix in _PACKED else path.name)
    table, stem = name.suffix == ".tsv", "" if name.suffix == ".tsv" else _checked(name.stem)

    def refuse_line(number: int) -> None:
        with at(path, number):
            raise InputError("millions of bytes: not a list of names?")

    for first, block in read_blocks(path, _LONGEST, refuse_line):
        for number, raw in enumerate(block.split(b"\n"), first):
            with at(path, number):
                line = _decoded(raw).strip()
                if not line or (table and number == 1 and line.lower().split() == ["entry", "type"]):
                    continue
                cells = [cell.strip() for cell in line.split("\t")]
                if table and (len(cells) != 2 or not all(cells)):
                    raise InputError(f"{line[:80]!r}: must be entry<TAB>type")
                if not table and len(cells) > 1:
                    raise InputError(f"{line[:80]!r}: has a tab: if lines are entry<TAB>type, name the file .tsv")
                yield cells[0], (_checked(cells[1]) if table else stem)


def _decoded(raw: bytes) -> str:
    if len(raw) > _LONGEST:
        raise InputError(f"{len(raw)} bytes: is it a list of names?")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {raw[:40]!r}; write the list in UTF-8") from error


@lru_cache(maxsize=256)
def _checked(type_: str) -> str:
    """Return a type; raise InputError for one that can't be a label."""
    if not type_ or len(type_) > _LONGEST_TYPE or not type_.isprintable() or " " in type_:
        raise InputError(f"type {type_[:80]!r}: must be one word, as labels are")
    return type_
