"""Check domain files: marks, types, sizes, passages that are too much alike, and words shared with known data sets.

`python sources/open_types/check.py [NAME ...] [--known FOLDER]` prints a line for each fault, and ends with 1 if there
are any. Names that are marked in one passage and not in another are hints, not faults: they may mean something else.
"""

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, pairwise
from pathlib import Path

import regex

from domains import ENGLISH, NAME, Domain, Type, path_of, read_domain, read_domains
from nerbert.errors import InputError
from nerbert.formats.json_files import values_of_file
from nerbert.labels import fold_type
from nerbert.records import Document

FEWEST_PASSAGES, LEAST_EMPTY = {1: 78, 2: 78, 3: 38}, 0.05
"""Passages of a domain, by the version of the set that it came with, and the share of them without any entity."""
LARGE_LANGUAGES, FEWEST_OF_LANGUAGE, MANY_DOMAINS = 34, 600, 12
"""So many languages beside English have so many passages in so many domains."""
MOST_ALIKE = 0.3
"""Share of the 4-grams of a passage that stand in another one."""
LONGEST_SHARED = 8
"""Words in a row that no passage shares with a known data set."""
SHORTEST, LONGEST = {1: 3, 2: 3, 3: 2}, 200
"""Words of a passage, the fewest by version."""
SPACELESS = 3
"""Characters that count as a word in scripts without spaces."""
LONG = 80
"""Words from which on a passage is a long one."""
LEAST = {"of files with real names": 1 / 3, "long": 0.1, "in lower case": 0.1, "without an entity": 0.1}
"""Shares of the passages of version 2."""
COARSE = 9
"""Types of a file whose types are so few and broad that others of its genre may list the same."""
_TEXT_FIELDS = ("text", "tokens", "tokenized_text", "input")
"""Fields of known data sets' JSON lines that hold a text or its words."""
_SPACELESS = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_WORD = regex.compile(rf"[{_SPACELESS}]|[[\w\p{{M}}]--[{_SPACELESS}]]+", regex.VERSION1)
_SPACELESS_LANGUAGES = ("ja", "th", "zh")
_SINGULAR = re.compile(r".*(?:[^s]|ss|us|is|goods|lens|series|species|trousers)")


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case; in scripts without spaces, its characters."""
    return [word.lower() for word in _WORD.findall(text)]


def grams(words: Sequence[str], size: int) -> set[tuple[str, ...]]:
    """Return the runs of so many words."""
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}


def runs_of(text: str, size: int) -> set[tuple[str, ...]]:
    """Return the runs of so many words, or of the characters that make up as many."""
    words = words_of(text)
    spaceless = 2 * len(re.findall(f"[{_SPACELESS}]", text)) > len(words)
    return grams(words, size * SPACELESS if spaceless else size)


def faults_of(domain: Domain) -> Iterator[str]:
    """Yield the faults that a domain's file has on its own."""
    if len(domain.passages) < (fewest := FEWEST_PASSAGES[domain.version]):
        yield f"has {len(domain.passages)} passages, fewer than {fewest}"
    empty = sum(not each.spans for each in domain.passages)
    if empty < LEAST_EMPTY * len(domain.passages):
        yield f"has {empty} passages without an entity of {len(domain.passages)}, less than {LEAST_EMPTY:.0%}"
    used = Counter(span.type for each in domain.passages for span in domain.entities(each))
    for type_ in domain.types.values():
        yield from _type_faults(type_, used[type_.name])
    for passage in domain.passages:
        longest = LONGEST * SPACELESS if domain.language in _SPACELESS_LANGUAGES else LONGEST
        if not SHORTEST[domain.version] <= (words := len(words_of(passage.text))) <= longest:
            yield f"{passage.line}: {words} words; must be {SHORTEST[domain.version]} to {longest}"
        if not domain.nested:
            spans = sorted(passage.spans, key=lambda each: (each.start, -each.end))
            for first, second in pairwise(spans):
                if second.start < first.end:
                    yield f"{passage.line}: {second.text!r} is marked inside {first.text!r}; the file is not nested"


def _type_faults(type_: Type, used: int) -> Iterator[str]:
    if fold_type(type_.name) != type_.name or not _SINGULAR.fullmatch(type_.name):
        yield f"type {type_.name!r} must be lower case and singular"
    if not 3 <= len(type_.description.split()) <= 30:
        yield f"type {type_.name!r}: its description must have 3 to 30 words"
    if used < 2:
        yield f"type {type_.name!r} is used {used} times; use it twice or drop it"


def set_faults(domains: Sequence[Domain]) -> Iterator[str]:
    """Yield the faults of a whole set: shares of its passages, and files that are too much alike in their types."""
    rows = [(domain, passage) for domain in domains if domain.version == 2 for passage in domain.passages]
    counts = Counter[str]()
    for domain, passage in rows:
        counts["of files with real names"] += domain.names != "invented"
        counts["long"] += len(words_of(passage.text)) >= LONG
        counts["in lower case"] += passage.text == passage.text.lower()
        counts["without an entity"] += not passage.spans
    for kind, least in LEAST.items():
        if counts[kind] < least * len(rows):
            yield f"{counts[kind]} of {len(rows)} passages are {kind}, less than {least:.0%}"
    languages: dict[str, list[int]] = defaultdict(list)
    for domain in domains:
        if domain.language != ENGLISH:
            languages[domain.language].append(len(domain.passages))
    large = [
        language
        for language, counted in languages.items()
        if sum(counted) >= FEWEST_OF_LANGUAGE and len(counted) >= MANY_DOMAINS
    ]
    if languages and len(large) < LARGE_LANGUAGES:
        yield f"{len(large)} languages have {FEWEST_OF_LANGUAGE} passages in {MANY_DOMAINS} domains"
    for first, second in combinations(domains, 2):
        shared, fewer = len(first.types.keys() & second.types.keys()), min(len(first.types), len(second.types))
        if first.genre == second.genre and 2 * shared > fewer > COARSE and max(first.version, second.version) == 2:
            yield f"{second.name}: shares {shared} of {fewer} types with {first.name}, of the same genre"


def alike(passages: Sequence[tuple[str, Document]]) -> Iterator[str]:
    """Yield the pairs of passages that share too many 4-grams, of the one that has fewer."""
    own = [runs_of(each.text, 4) for _, each in passages]
    where: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, mine in enumerate(own):
        shared = Counter(other for gram in mine for other in where[gram])
        for other, count in shared.items():
            fewer = min(len(mine), len(own[other]))
            if count > MOST_ALIKE * fewer:
                first, second = (f"{passages[each][0]}:{passages[each][1].line}" for each in (other, number))
                yield f"{second}: shares {count} of {fewer} 4-grams with {first}"
        for gram in mine:
            where[gram].append(number)


def borrowed(passages: Sequence[tuple[str, Document]], known: Path) -> Iterator[str]:
    """Yield the passages that share a run of words with a data set in `known`."""
    ours: dict[tuple[str, ...], str] = {}
    for name, each in passages:
        for gram in runs_of(each.text, LONGEST_SHARED):
            ours.setdefault(gram, f"{name}:{each.line}")
    for path, text in _known_texts(known):
        for gram in runs_of(text, LONGEST_SHARED):
            if gram in ours:
                yield f"{ours[gram]}: shares {' '.join(gram)!r} with {path.relative_to(known)}"


def hints(domain: Domain) -> Iterator[str]:
    """Yield names that are marked in one passage and stand unmarked in another, or with another type."""
    marked: dict[str, Counter[str]] = defaultdict(Counter)
    for passage in domain.passages:
        for span in passage.spans:
            if len(span.text) > 3 or span.text.isupper():
                marked[span.text][span.type] += 1
    if not marked:
        return
    names = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(marked, key=len, reverse=True)))})(?!\w)")
    for passage in domain.passages:
        covered = [range(span.start, span.end) for span in passage.spans]
        for found in names.finditer(passage.text):
            if not any(found.start() < each.stop and each.start < found.end() for each in covered):
                types = "/".join(marked[found[0]])
                yield f"{passage.line}: {found[0]!r} is not marked here; elsewhere it is {types}"
    for name, types in marked.items():
        if len(types) > 1:
            yield f"{name!r} has {len(types)} types: {', '.join(types)}"


def _known_texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the texts of known data sets but this one; their CoNLL is nerbert's, so the first column is enough."""
    for path in sorted(folder.glob("*/*.conll")):
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            yield path, " ".join(line.partition("\t")[0] for line in block.splitlines())
    for path in sorted(folder.glob("*/*.jsonl")):
        if path.parent.name != NAME:
            for line, row in values_of_file(path):
                words = next((row[name] for name in _TEXT_FIELDS if name in row), None)
                if words is None:
                    raise InputError(f"{path}:{line}: has none of the fields {', '.join(_TEXT_FIELDS)}")
                yield path, words if isinstance(words, str) else " ".join(words)


def all_faults(domains: Sequence[Domain], known: Path | None) -> Iterator[str]:
    """Yield the faults of domains, on their own, beside each other and beside known data sets."""
    for domain in domains:
        yield from (f"{domain.name}: {fault}" for fault in faults_of(domain))
    passages = [(domain.name, each) for domain in domains for each in domain.passages]
    yield from alike(passages)
    if known:
        yield from dict.fromkeys(borrowed(passages, known))


def _tell(lines: Iterable[str]) -> int:
    count = 0
    for line in lines:
        print(line)  # noqa: T201
        count += 1
    return count


def main() -> None:
    """Check the files named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--known", type=Path)
    parser.add_argument("--hints", action="store_true")
    given = parser.parse_args()
    try:
        domains = [read_domain(path_of(name)) for name in given.names] or list(read_domains())
    except (InputError, FileNotFoundError) as error:
        sys.exit(str(error))
    if given.hints:
        for domain in domains:
            _tell(f"hint: {domain.name}:{each}" for each in hints(domain))
    faults = _tell(chain(all_faults(domains, given.known), () if given.names else set_faults(domains)))
    passages = sum(len(each.passages) for each in domains)
    print(f"{len(domains)} domains, {passages} passages, {faults} faults")  # noqa: T201
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
