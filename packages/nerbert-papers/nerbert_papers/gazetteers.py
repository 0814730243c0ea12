"""Gazetteers, users' lists of names, by which a corpus's links get coarse types (CoFEE, Xue et al. 2020)."""

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from nerbert.artifacts import sha256_of, write_json
from nerbert.cache import load_cached
from nerbert.errors import InputError, at, refused
from nerbert.model.windows import map_file
from nerbert.records import Example
from nerbert.rng import Array, hash64
from nerbert.schema import read_json
from nerbert.sources.files import read_blocks
from nerbert.terminal import tell
from nerbert.training.settings import LinkTypes, Section

_VERSION = 1
"""Of what is cached, and of how it matches."""
_FACTS, _HASHES, _TYPES = "gazetteers.json", "hashes.bin", "kinds.bin"
_LONGEST = 1 << 12
_LONGEST_TYPE = 200
_MOST_TYPES = 1 << 14
_PACKED = frozenset({".gz", ".bz2", ".xz"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GazetteersSettings(Section):
    """Lists of names whose types take the place of the corpus's categories."""

    section: ClassVar[str] = "gazetteers"
    removed: ClassVar[Mapping[str, str]] = {"match": "the lists type links, as 'anchors' did"}
    reads: ClassVar[tuple[str, ...]] = ("files",)
    commands: ClassVar[tuple[str, ...]] = ("pretrain",)
    files: tuple[Path, ...] = ()
    """Lists of names whose types replace the corpus's categories: those of links whose text is an entry; all else is O.
    A line of a `.tsv` is entry, tab, type; of any other file an entry, its type the file's stem. Of repeated entries
    the first counts; those of one letter are left out. Source: CoFEE (Xue et al. 2020)."""
    max_words: Annotated[int, Interval(ge=0, lt=1e6)] = 30
    """Longest sentence; longer ones are left out. 0: no limit. Unit: words. Source: CoFEE's public code."""

    def open_link_types(self, cache: str) -> "Callable[[], Gazetteers] | None":
        """Return what opens the lists, if there are any."""
        return partial(open_gazetteers, self, cache) if self.files else None


@dataclass(frozen=True, slots=True)
class GazetteerFacts:
    """The content of `gazetteers.json`; what was left out is counted."""

    types: tuple[str, ...]
    entries: int
    one_letter: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Gazetteers(LinkTypes):
    """Types of texts; small enough to travel to workers, which open the cached `folder` on their own."""

    folder: Path

    def relabel(self, examples: Sequence[Example]) -> list[Example]:
        """Return the examples with those of their spans that are in the lists, under the lists' types."""
        table, types = _open_table(self.folder)
        hashes = np.array([hash64(span.text) for example in examples for span in example.spans], np.uint64)
        # A hash above all others would be beyond the table's end.
        rows = np.minimum(np.searchsorted(table, hashes), len(table) - 1)
        numbers = iter(np.where(table[rows] == hashes, types[rows].astype(int), -1).tolist())
        typed = (
            [
                replace(span, type=self.types[number])
                for span, number in zip(example.spans, numbers, strict=False)
                if number >= 0
            ]
            for example in examples
        )
        return [replace(example, spans=tuple(spans)) for example, spans in zip(examples, typed, strict=True)]


@lru_cache(maxsize=1)
def _open_table(folder: Path) -> tuple[Array, Array]:
    """Return the hashes of entries, sorted, and the number of each one's type."""
    entries = read_json(folder / _FACTS, GazetteerFacts).entries
    return map_file(folder / _HASHES, np.uint64, entries), map_file(folder / _TYPES, np.uint16, entries)


def open_gazetteers(lists: GazetteersSettings, cache: str) -> Gazetteers:
    """Return the lists of the settings; raise InputError for a bad file or line."""
    files = list[list[str]]()
    with at(setting="setting gazetteers.files"):
        for path in lists.files:
            with refused(f"{path}: can't be read", of=OSError):
                # Digests, not paths: the cache holds for a moved file, and not for a changed one.
                files.append([path.name, sha256_of(path)])
        origin = {"version": _VERSION, "match": "anchors", "files": files}
        folder, facts = load_cached(
            cache,
            "gazetteers",
            origin,
            partial(_write, paths=lists.files),
            lambda folder: (folder, read_json(folder / _FACTS, GazetteerFacts)),
        )
    digest = sha256(json.dumps([origin, lists.max_words]).encode()).hexdigest()
    counts = {name: count for name, count in asdict(facts).items() if name != "types"}
    of_card = {"sha256": digest, "match": "anchors", **counts}
    return Gazetteers(lists.section, facts.types, lists.max_words, of_card, folder)


def _write(folder: Path, paths: Sequence[Path]) -> None:
    types = dict[str, int]()
    hashes = array("Q")
    numbers = array("H")
    one_letter = 0
    for path in paths:
        start = len(hashes)
        for entry, type_ in _entries(path):
            if len(entry) < 2:
                one_letter += 1
            # So many mean that the columns are swapped.
            elif types.setdefault(type_, len(types)) == _MOST_TYPES:
                raise InputError(
                    f"the lists name more than {_MOST_TYPES:,} types, at last {type_!r:.60}: are these types?"
                )
            else:
                hashes.append(hash64(entry))
                numbers.append(types[type_])
        if len(hashes) == start:
            raise InputError(f"{path}: has no entry of more than one letter; leave the file out, or fill it")
    # `unique` gives the first place of each hash: of repeated entries the first counts.
    kept, first = np.unique(np.frombuffer(hashes, np.uint64), return_index=True)
    kept.tofile(folder / _HASHES)
    np.frombuffer(numbers, np.uint16)[first].tofile(folder / _TYPES)
    facts = GazetteerFacts(tuple(types), len(first), one_letter, len(hashes) - len(first))
    tell(
        f"gazetteers: {facts.entries:,} entries of {len(types)} types; left out: {one_letter:,} of one letter, "
        f"{facts.repeated:,} repeated"
    )
    write_json(folder / _FACTS, asdict(facts))


def _unpacked(path: Path) -> Path:
    # "person.txt.gz" is the list "person", as "person.txt" is.
    return Path(path.name.removesuffix(path.suffix) if path.suffix in _PACKED else path.name)


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the entries of a list with their types; blank lines and a header (`entry`, `type`) are skipped."""
    name = _unpacked(path)
    table = name.suffix == ".tsv"
    stem = "" if table else _check_type(name.stem)

    def refuse_line(number: int) -> None:
        with at(path, number):
            raise InputError("millions of bytes: not a list of names?")

    for first, block in read_blocks(path, _LONGEST, refuse_line):
        for number, raw in enumerate(block.split(b"\n"), first):
            with at(path, number):
                line = _decode(raw).strip()
                if not line or (table and number == 1 and line.lower().split() == ["entry", "type"]):
                    continue
                cells = [cell.strip() for cell in line.split("\t")]
                if table and (len(cells) != 2 or not all(cells)):
                    raise InputError(f"{line[:80]!r}: must be entry<TAB>type")
                # A plain list with tabs is most likely a table under the wrong name.
                if not table and len(cells) > 1:
                    raise InputError(f"{line[:80]!r}: has a tab: if lines are entry<TAB>type, name the file .tsv")
                yield cells[0], (_check_type(cells[1]) if table else stem)


def _decode(raw: bytes) -> str:
    if len(raw) > _LONGEST:
        raise InputError(f"{len(raw)} bytes: is it a list of names?")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {raw[:40]!r}; write the list in UTF-8") from error


@lru_cache(maxsize=256)
def _check_type(type_: str) -> str:
    """Return a type; raise InputError for one that can't be a label."""
    if not type_ or len(type_) > _LONGEST_TYPE or not type_.isprintable() or " " in type_:
        raise InputError(f"type {type_[:80]!r}: must be one word, as labels are")
    return type_
