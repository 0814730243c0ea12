"""Tag schemes: detected from the tags of a whole file, and converted to IOB2, the only scheme of nerbert's models.

All are read by the rules of the CoNLL script, so a tag that breaks its scheme doesn't lose an entity, but is counted.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from nerbert.errors import InputError, at
from nerbert.labels import OUTSIDE, split_tag
from nerbert.records import Repair, Repairs

_TYPE_OUTSIDE = "-O"
"""The prefix of tags such as B-O."""
_ROLES = {
    OUTSIDE: OUTSIDE,
    _TYPE_OUTSIDE: OUTSIDE,
    "B": "B",
    "I": "I",
    "M": "I",
    "E": "E",
    "L": "E",
    "S": "S",
    "U": "S",
    "W": "S",
}
"""The role of a word with each prefix: O outside entities, B begins, I continues, E ends an entity, S is one."""
_BEGIN = ("B", "S")
_END = ("E", "S", OUTSIDE)
_PLAIN, _I_ALONE, _IOB1, _IOE = "IO", "IO or IOB1", "IOB1", "IOE"
_WITH_ENDS = {_IOE: "IE", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMESW"}
_ORPHAN, _UNENDED, _OWN_BEGIN = "continues no entity", "its entity has no end", "own begin"
_SHOWN = 5
"""Maximum number of broken tags that are shown."""
_SPELLINGS = tuple(
    re.compile(spelling.replace("ROLE", "(?P<role>[BIMELSUW])").replace("TYPE", "(?P<type>.+)"))
    for spelling in (
        *(f"ROLE{mark}TYPE" for mark in ("-", "_", ":", "/", r"\.", " ")),
        *(f"TYPE{mark}ROLE" for mark in ("-", "_", ":", "/", r"\.", " ")),
        "ROLE(?P<type>)",
    )
)
"""Spellings of tags: any separator, the role after the type, or a role without a type."""
_NO_TYPE = " "
"""The type of tags that are only a role; `Reading.type_` replaces it."""
_MOST_PLAIN = 200
"""Maximum number of types without prefix; a column with more different values doesn't contain tags."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """The tag scheme of a file."""

    name: str
    broken: int
    """Number of tags that continue no entity, or, in schemes that mark ends, end an entity without the mark."""
    first_broken: int
    """Line of the first broken tag."""
    spelling: re.Pattern[str] | None = None
    """Spelling of the tags, if not B-TYPE."""
    respelled: int = 0
    """Number of tags in another spelling."""
    broken_examples: tuple[str, ...] = ()
    """Line and fault of the first broken tags."""

    @property
    def repaired(self) -> int:
        """The number of tags that break this scheme; in IOB1, for example, any entity may begin with I-."""
        return 0 if self.name in (_PLAIN, _I_ALONE, _IOB1, _IOE) else self.broken

    def count_repairs(self, repairs: Repairs) -> None:
        """Count the tags that break the scheme or have another spelling."""
        repairs[Repair.TAG] += self.repaired
        if self.respelled:
            repairs[Repair.SPELLING] += self.respelled

    def bio(self, tags: Iterable[str]) -> list[str]:
        """Return the tags of a sentence of the file in IOB2."""
        result = []
        last = (OUTSIDE, "")
        for tag in tags:
            # A tag that is no role and type is a type without prefix
            prefix, type_ = _parts(tag, self.spelling) or ("I", tag)
            here = (_ROLES[prefix], type_)
            result.append(OUTSIDE if here[0] == OUTSIDE else f"{'B' if _begins(last, here) else 'I'}-{type_}")
            last = here
        return result


class _Uses:
    """Counts of the cases that distinguish schemes, and the first lines of each."""

    def __init__(self) -> None:
        self.prefixes = Counter[str]()
        self.count = Counter[str]()
        self.first = defaultdict[str, list[int]](list)

    def note(self, case: str, line: int) -> None:
        """Count a case."""
        self.count[case] += 1
        if len(self.first[case]) < _SHOWN:
            self.first[case].append(line)

    def add(self, words: Iterable[tuple[int, tuple[str, str]]]) -> None:
        """Count the prefixes and types of a sentence's words, each with its line."""
        last = (OUTSIDE, "")
        open_line = 0
        # An outside word at the end closes the last entity
        for line, (prefix, type_) in (*words, (0, last)):
            here = (_ROLES[prefix], type_)
            begins = _begins(last, here)
            orphan = begins and here[0] not in _BEGIN
            if open_line and last[0] not in _END and (begins or here[0] == OUTSIDE):
                self.note(_UNENDED, open_line)
            if orphan:
                self.note(_ORPHAN, line)
            if here[0] == "B" and last[1] != type_:  # never occurs in IOB1
                self.note(_OWN_BEGIN, line)
            self.prefixes[prefix] += line > 0
            last = here
            # An orphan's fault is counted already, so its missing end isn't
            open_line = 0 if orphan else line

    def add_spelled(self, sentence: Sequence[tuple[int, str]], spelling: re.Pattern[str]) -> bool:
        """Count the words of a sentence by their tags; return whether all tags have this spelling."""
        words = [(line, parts) for line, tag in sentence if (parts := _parts(tag, spelling))]
        self.add(words)
        return len(words) == len(sentence)

    def scheme(self) -> Scheme:
        """Return the scheme of tags that have prefixes."""
        prefixes = set(+self.prefixes) - {OUTSIDE, _TYPE_OUTSIDE}
        broken = [_ORPHAN, _UNENDED]
        name = next((name for name, allowed in _WITH_ENDS.items() if prefixes <= set(allowed)), "mixed")
        if prefixes <= set("BI"):
            broken = [_ORPHAN]
            name = "mixed" if self.count[_OWN_BEGIN] else _IOB1 if "B" in prefixes else _I_ALONE
            if not self.count[_ORPHAN]:
                name = "IOB2" if prefixes else "no entity"
        places = sorted((line, case) for case in broken for line in self.first[case])[:_SHOWN]
        examples = tuple(f"line {line} ({case})" for line, case in places)
        first = places[0][0] if places else 0
        count = sum(self.count[case] for case in broken)
        return Scheme(name, count, first, None, self.prefixes[_TYPE_OUTSIDE], examples)


def find_scheme(sentences: Iterable[Sequence[tuple[int, Any]]], path: Path | str = "") -> Scheme:
    """Return the scheme of a file's sentences, lists of (line, tag); raise InputError that locates an invalid tag.

    Another spelling is accepted if all tags have it. Types without prefix are tags only if none has a prefix, O is the
    most frequent, and there are few types.
    """
    uses = _Uses()
    plain = Counter[str]()
    first_lines = dict[str, int]()
    spelled = {spelling: _Uses() for spelling in _SPELLINGS}
    for sentence in sentences:
        words = list[tuple[int, tuple[str, str]]]()
        for line, tag in sentence:
            if parts := _parts_at(line, tag, path):
                words.append((line, parts))
            else:
                first_lines.setdefault(tag, line)
                plain[tag] += 1
        # A column of words has ever more values: don't read the whole file
        if len(plain) > _MOST_PLAIN:
            _refuse_plain(path, first_lines)
        uses.add(words)
        # Sentences before the first such tag have only O, which every spelling has
        if plain:
            spelled = {spelling: more for spelling, more in spelled.items() if more.add_spelled(sentence, spelling)}
    if not plain:
        return uses.scheme()
    if spelled and set(+uses.prefixes) <= {OUTSIDE}:
        spelling = next(iter(spelled))
        # A role without a type is complete as it is
        respelled = 0 if spelling is _SPELLINGS[-1] else plain.total()
        return replace(spelled[spelling].scheme(), spelling=spelling, respelled=respelled)
    if not _are_types(plain, uses.prefixes):
        _refuse_plain(path, first_lines)
    return Scheme(_PLAIN, 0, 0)


def _are_types(plain: Counter[str], prefixes: Counter[str]) -> bool:
    is_outside_most = set(+prefixes) == {OUTSIDE} and prefixes[OUTSIDE] >= max(plain.values())
    return is_outside_most and not find_tags(plain) and "B" not in plain


def find_tags(types: Collection[str]) -> list[str]:
    """Return the types that are in fact tags: several roles of one type, in any spelling."""
    roles = defaultdict[tuple[str, str], dict[str, str]](dict)
    for spelling in _SPELLINGS:
        for match in filter(None, map(spelling.fullmatch, types)):
            roles[spelling.pattern, match["type"]][match["role"]] = match[0]
    # `B-X` alone may be a type's name; `B-X` and `I-X` are tags
    return sorted({tag for tags in roles.values() if len(tags) > 1 for tag in tags.values()})


def is_tag(value: str) -> bool:
    """Return whether a value is O, or a type with a prefix of any scheme."""
    try:
        return _parts(value) is not None
    except InputError:
        return False


def _begins(last: tuple[str, str], here: tuple[str, str]) -> bool:
    """Return whether a word begins an entity, by the rules of the CoNLL script."""
    return here[0] != OUTSIDE and (here[0] in _BEGIN or last[0] in _END or last[1] != here[1])


@lru_cache(1 << 16)
def _parts(tag: str, spelling: re.Pattern[str] | None = None) -> tuple[str, str] | None:
    """Return a tag's prefix and type; None if it may be a type without prefix. Raise InputError for anything else."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    if spelling:
        match = spelling.fullmatch(tag)
        return (match["role"], match["type"] or _NO_TYPE) if match else None
    prefix, dash, type_ = tag.partition("-")
    if prefix in _ROLES and prefix != OUTSIDE and type_:
        # `B-PER|B-LOC` puts a word in two entities
        if any(map(is_tag, type_.split("|")[1:])):
            raise InputError(f"tag {tag!r:.60}: names two entities, and a word can be in one; delete one of them")
        return (_TYPE_OUTSIDE, "") if type_ == OUTSIDE else (prefix, type_)
    if not tag or (dash and (not type_ or len(prefix) < 2)):
        raise InputError(f"tag {tag!r:.60}: must be O, B-TYPE or I-TYPE; in BIOES also E-TYPE or S-TYPE")
    return None


def _parts_at(line: int, tag: Any, path: Path | str) -> tuple[str, str] | None:
    try:
        return _parts(tag) if isinstance(tag, str) else split_tag(tag)
    except InputError:
        with at(path, line if path else None):
            raise


def _refuse_plain(path: Path | str, first_lines: Mapping[str, int]) -> NoReturn:
    """Raise InputError for values without prefix that aren't tags, with the line of the first."""
    tag, line = next(iter(first_lines.items()))
    with at(path, line if path else None):
        raise InputError(
            f"tag {tag!r:.60}: must be O, B-TYPE or I-TYPE (or of BIOES, BILOU, BMES); types without prefix are read "
            f"if no tag has one, O is the most frequent, and there are {_MOST_PLAIN} at most; if another column of "
            "CoNLL has the tags, name it: tag_column (--tag-column)"
        )
