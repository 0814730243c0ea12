"""Texts with open types, one per row: nerbert's form, and those of published data sets.

Rows that name mentions without a place get every whole-word repeat of each. Cost: a repeat of another meaning has
the type too. What nobody can use is dropped and counted by `Reason`.
"""

import ast
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, visible
from nerbert.formats.conll import example_of
from nerbert.formats.gliner import token_span
from nerbert.formats.jsonl import object_line
from nerbert.formats.open_type_files import CONVERSATIONS, INPUT, OUTPUT, open_type_rows
from nerbert.formats.rows import SPANS, TEXT, TOKENS
from nerbert.records import EntityLabel, OpenEntity, OpenText, Reason

Mention = tuple[str, str, str]
"""A mention, its type, and the type's description ("" for none)."""
LONGEST_TYPE = 200
"""Maximum characters of a type's name."""
_TYPES = f"texts, printable, not empty and of at most {LONGEST_TYPE} characters"
_ENTITIES, _ASKED, _ALL, _ABSENT = "entities", "asked", "all", "types_asked_absent"
_TOKEN = re.compile(r"\w+(?:[-_]\w+)*|\S")
"""NuNER's words; a hyphen joins them."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_QUESTION = re.compile(r"What describes (.*) in the text\?", re.DOTALL)
_SAID = "Text: "
_STRING = r"""(?>'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
_STRINGS = re.compile(rf"\s*\[\s*(?:{_STRING}\s*(?:,\s*{_STRING}\s*)*+)?\]\s*")
"""A list of strings as Python prints it; only a match is evaluated."""
_LONGEST_LIST = 1 << 20
_PARTS = ("start", "end", "type", "description")
_FORMS = "text and entities (our own), input and output (NuNER), conversations (Pile-NER), tokens and ner (GLiNER)"


def read_open_types(path: Path, counts: Counter[Reason] | None = None) -> Iterator[OpenText]:
    """Yield the texts of a file, plain or compressed; count in `counts` what is dropped. Raise InputError with the
    place of a broken row; for a file of another form, with a guess at it.
    """
    dropped = Counter[Reason]() if counts is None else counts
    empty = True
    for place, fields in open_type_rows(path):
        with place:
            one = _open_text(fields, dropped)
        yield one
        empty = False
    if empty:
        raise InputError(f"{path}: holds no text")


def types_asked(one: OpenText) -> tuple[str, ...] | None:
    """Return the sorted, normalised names of the types asked for in a text, with its entities' types; None: all."""
    if one.asked is None:
        return None
    return tuple(sorted({normalised(type_) for type_ in (*one.asked, *(each.type for each in one.entities))}))


def open_type_line(one: OpenText) -> bytes:
    """Return a text as a line of nerbert's form, with any descriptions."""
    entities = [
        {"start": each.start, "end": each.end, "type": each.type}
        | ({"description": each.description} if each.description else {})
        for each in one.entities
    ]
    asked = _ALL if one.asked is None else list(one.asked)
    return object_line({TEXT: one.text, _ENTITIES: entities, _ASKED: asked})


def locate(text: str, mentions: Iterable[Mention]) -> tuple[tuple[OpenEntity, ...], list[str]]:
    """Return an entity for each whole-word occurrence of each mention, in any case, and the mentions not found.
    Entities are in text order, and those with equal span and type are one. An index of the mentions' first words makes
    the time linear in the text, unless it repeats the beginning of a mention over and over.
    """
    spans = [match.span() for match in _TOKEN.finditer(text)]
    keys = [text[start:end].casefold() for start, end in spans]
    places: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    found, missing = list[OpenEntity](), list[str]()
    for mention, type_, description in mentions:
        wanted = [token.casefold() for token in _TOKEN.findall(mention)]
        starts = places.get(wanted[0], ()) if wanted else ()
        there = [place for place in starts if keys[place : place + len(wanted)] == wanted]
        for place in there:
            found.append(OpenEntity(spans[place][0], spans[place + len(wanted) - 1][1], type_, description))
        if not there:
            missing.append(mention)
    return _once(sorted(found, key=lambda each: (each.start, each.end))), missing


def usable(mentions: Iterable[Mention], dropped: Counter[Reason]) -> Iterator[Mention]:
    """Yield mentions with a usable type, spaces normalised; count the others in `dropped`."""
    for mention, type_, description in mentions:
        name = " ".join(type_.split())
        if reason := _refusal(mention, name):
            dropped[reason] += 1
        else:
            yield mention, name, " ".join(description.split())


@lru_cache(1 << 16)
def normalised(type_: str) -> str:
    """Return a type's name without differences of case, width and underscores."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", type_).casefold())
    return " ".join(folded.replace("_", " ").split())


def normalised_labels(labels: Iterable[EntityLabel]) -> list[EntityLabel]:
    """Return labels with the names that models of open types learn from."""
    return [replace(each, name=normalised(each.name)) for each in labels]


def _once(entities: Iterable[OpenEntity]) -> tuple[OpenEntity, ...]:
    """Return entities in order, those of equal span and type once."""
    return tuple({(each.start, each.end, each.type): each for each in entities}.values())


def _refusal(mention: str, type_: str) -> Reason | None:
    """Return why an entity is dropped: no text, an invalid type, or a type that equals its mention."""
    if not mention.strip():
        return Reason.NOT_IN_TEXT
    if not _is_type(type_):
        return Reason.BAD_TYPE
    same = len(mention) <= 2 * LONGEST_TYPE and normalised(type_) == normalised(mention)
    return Reason.TYPE_IS_MENTION if same else None


def _is_type(type_: object) -> bool:
    """Return whether this is a type: printable, and neither empty nor huge."""
    return isinstance(type_, str) and len(type_) <= LONGEST_TYPE and normalised(type_) != "" and visible(type_) == type_


def _open_text(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    """Return the text of a row of any form."""
    for names, read in _ROWS:
        if names <= fields.keys():
            return read(fields, dropped)
    what = "tagged text, whose types are closed" if SPANS in fields else f"fields {', '.join(fields) or 'none'}"
    raise InputError(f"{what:.200}: not a form of open types; fields must be {_FORMS}")


def _own(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    text, asked = _text(fields[TEXT]), fields.get(_ASKED, _ALL)
    if asked != _ALL:
        if not isinstance(asked, list) or not all(map(_is_type, asked)):
            raise InputError(f'field "{_ASKED}" is {asked!r:.80}: must be "{_ALL}" or a list of {_TYPES}')
        asked = tuple(asked)
    entities = []
    for each in _list(fields, _ENTITIES, dict):
        start, end, type_, description = (each.get(name, "") for name in _PARTS)
        if type(start) is not int or type(end) is not int:
            raise InputError(f"entity {each!r:.80}: must have start and end, in characters of the text, and type")
        if not _is_type(type_):
            raise InputError(f"entity {start}–{end}: type {type_!r:.80} must be one of {_TYPES}")
        one = OpenEntity(start, end, type_, _text(description))
        if each.get(TEXT, text[start:end]) != text[start:end]:
            raise InputError(f"entity {each!r:.80}: the text has {text[start:end]!r:.60} there")
        if reason := _refusal(text[start:end], type_):
            dropped[reason] += 1
        else:
            entities.append(one)
    return OpenText(text, _once(entities), None if asked == _ALL else asked)


def _nuner(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    parts = ([*map(str.strip, each.split("<>", 2)), "", ""] for each in _strings(fields[OUTPUT], OUTPUT))
    return _located(fields[INPUT], ((name, type_, more) for name, type_, more, *_ in parts), dropped)


def _conversation(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    """Read Pile-NER's row: a turn with the text, then questions for one type each, answered by a list of mentions."""
    turns = [(each.get("from"), each.get("value")) for each in _list(fields, CONVERSATIONS, dict)]
    texts = [value for who, value in turns[:1] if who == "human" and isinstance(value, str)]
    if not texts or not texts[0].startswith(_SAID):
        raise InputError(f'field "conversations": the first turn must be a human\'s, and begin with {_SAID!r}')
    mentions: list[Mention] = []
    asked = []
    for (who, question), (_, answer) in zip(turns[2::2], turns[3::2], strict=False):
        said = _QUESTION.fullmatch(question) if isinstance(question, str) and who == "human" else None
        if said is None:
            raise InputError(f"turn {question!r:.80}: must be a human's, 'What describes TYPE in the text?'")
        asked.append(said[1])
        mentions += [(mention, said[1], "") for mention in _strings(answer, CONVERSATIONS)]
    return _located(texts[0].removeprefix(_SAID), mentions, dropped, asked)


def _absent(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    """Read Pile-NER's row with its questions merged: entities, and types asked for that the text doesn't contain."""
    mentions = [(_text(each.get(TEXT)), _text(each.get("type")), "") for each in _list(fields, _ENTITIES, dict)]
    asked = [type_ for _, type_, _ in mentions] + _list(fields, _ABSENT, str)
    return _located(fields[TEXT], mentions, dropped, asked)


def _gliner(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    return _of_tokens(fields.get("tokenized_text", fields.get(TOKENS)), _list(fields, "ner", list), dropped)


def _token_objects(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    names = ("start_token", "end_token", "type")
    spans = [[each.get(name) for name in names] for each in _list(fields, _ENTITIES, dict)]
    return _of_tokens(fields[TOKENS], spans, dropped)


_ROWS: tuple[tuple[frozenset[str], Callable[[Mapping[str, Any], Counter[Reason]], OpenText]], ...] = (
    (frozenset({INPUT, OUTPUT}), _nuner),
    (frozenset({CONVERSATIONS}), _conversation),
    (frozenset({"ner"}), _gliner),
    (frozenset({TEXT, _ENTITIES, _ABSENT}), _absent),
    (frozenset({TEXT, _ENTITIES}), _own),
    (frozenset({TOKENS, _ENTITIES}), _token_objects),
)
"""The fields of each form, and its reader; the first that fits counts."""


def _located(
    text: object, mentions: Iterable[Mention], dropped: Counter[Reason], asked: Iterable[str] | None = None
) -> OpenText:
    """Return a text with its mentions located; unusable types are left out of those asked for."""
    text = _text(text)
    entities, missing = locate(text, usable(mentions, dropped))
    dropped.update([Reason.NOT_IN_TEXT] * len(missing))
    if asked is None:
        return OpenText(text, entities)
    names = dict.fromkeys(" ".join(type_.split()) for type_ in asked)
    return OpenText(text, entities, tuple(filter(_is_type, names)))


def _of_tokens(tokens: object, spans: Sequence[Sequence[Any]], dropped: Counter[Reason]) -> OpenText:
    """Return the tokens joined by spaces, with entities given by their first and last token and type."""
    example = example_of(map(_text, _list({TOKENS: tokens}, TOKENS, str)), ())
    text, words = example.text, example.words
    entities = []
    for start, end, type_ in (token_span(each, words) for each in spans):
        for _, name, _ in usable([(text[start:end], type_, "")], dropped):
            entities.append(OpenEntity(start, end, name))
    return OpenText(text, _once(entities))


def _text(value: object) -> str:
    """Return a text without lone surrogates, which no tokenizer accepts; raise InputError for anything else."""
    if not isinstance(value, str):
        raise InputError(f"{value!r:.60}: must be a text")
    return _SURROGATE.sub("\ufffd", value)


def _list(fields: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    """Return a field that is a list of one kind of value; raise InputError for anything else."""
    value = fields[name]
    wrong = [each for each in value if not isinstance(each, kind)] if isinstance(value, list) else []
    if wrong or not isinstance(value, list):
        what = f"contains {wrong[0]!r:.60}" if wrong else f"is {value!r:.60}"
        raise InputError(f'field "{name}" {what}: must be a list of {_KINDS[kind]}')
    return value


_KINDS: Mapping[type, str] = {dict: "objects", list: "lists", str: "texts"}


def _strings(value: object, name: str) -> list[str]:
    """Return a list of strings, which may be given as one string: in JSON, or as Python prints it."""
    if isinstance(value, str):
        text = value
        with suppress(ValueError, RecursionError):
            value = json.loads(text)
        if isinstance(value, str) and len(text) <= _LONGEST_LIST and _STRINGS.fullmatch(text):
            with suppress(ValueError, SyntaxError, MemoryError):
                value = ast.literal_eval(text.strip())
    return [_text(each) for each in _list({name: value}, name, str)]
