"""Texts with open types, one per row: nerbert's form, and those of published data sets.

A file's first bytes, not its name, determine how it is read: JSON lines, one JSON array, CSV or Parquet. Mentions
without offsets match every whole-word occurrence. Cost: an occurrence with another meaning gets the type too.
Unusable entities are dropped and counted by `Reason`.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # Python 3.11's TypedDict lacks features that pydantic needs

from nerbert.errors import InputError, at, need, visible
from nerbert.formats.conll import example_of
from nerbert.formats.exports import token_span
from nerbert.formats.format import FORMATS, foreign, head_of
from nerbert.formats.json_files import is_array, json_values, object_line
from nerbert.formats.lines import ERRORS, SPANS, TEXT, TOKENS, Stream, without_surrogates
from nerbert.formats.tables import cuts_of, table_texts
from nerbert.labels import fold_type
from nerbert.records import EntityLabel, OpenEntity, OpenText, Reason
from nerbert.schema import check_value
from nerbert.sources.files import BOM, open_plain

Mention = tuple[str, str, str]
"""A mention, its type, and the type's description ("" for none)."""
LONGEST_TYPE = 200
"""Maximum length of a type's name, in characters."""
_TYPES = f"texts, printable, not empty and of at most {LONGEST_TYPE} characters"
_INPUT, _OUTPUT, _CONVERSATIONS = "input", "output", "conversations"
_ENTITIES, _ASKED, _ALL, _OTHER_NAMES = "entities", "asked", "all", "other_names"
_COLUMNS = ((_INPUT, _OUTPUT), (_CONVERSATIONS,))
"""Sets of columns, one of which a table must have; the first that it has is read, other columns are ignored."""
_READ = "JSON lines, one JSON array of objects, CSV with the columns input and output, or plain Parquet"
_HEAD = 1 << 16
_PARQUET = b"PAR1"
_TOKEN = re.compile(r"\w+(?:[-_]\w+)*|\S")
"""NuNER's words; a hyphen joins them."""
_QUESTION = re.compile(r"What describes (.*) in the text\?", re.DOTALL)
_TEXT_PREFIX = "Text: "
_STRING = r"""(?>'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
_STRINGS = re.compile(rf"\s*\[\s*(?:{_STRING}\s*(?:,\s*{_STRING}\s*)*+)?\]\s*")
"""A list of strings as Python prints it; only a match is evaluated."""
_LONGEST_LIST = 1 << 20
_FORMS = "text and entities (our own), input and output (NuNER), conversations (Pile-NER), tokens and ner (GLiNER)"


def read_open_types(path: Path, counts: Counter[Reason] | None = None) -> Iterator[OpenText]:
    """Yield the texts of a file, plain or compressed; count dropped entities in `counts`. Raise InputError that locates
    a broken row, or guesses the form of another file.
    """
    dropped = Counter[Reason]() if counts is None else counts
    empty = True
    for row, fields in _rows(path):
        with at(path, row if isinstance(row, int) else None, part="" if isinstance(row, int) else row):
            read = next((read for names, read in _FIELDS if names <= fields.keys()), None)
            if read is None:
                # Data of closed types, which has spans, is a common mistake
                listed = f"fields {', '.join(fields) or 'none'}"
                guess = "tagged text, whose types are closed" if SPANS in fields else listed
                raise InputError(f"{guess:.200}: not a form of open types; fields must be {_FORMS}")
            text = read(fields, dropped)
        yield text
        empty = False
    if empty:
        raise InputError(f"{path}: holds no text")


def types_asked(text: OpenText) -> tuple[str, ...] | None:
    """Return the sorted, normalised names of a text's types: those looked for, and those of entities; None: all."""
    if text.asked is None:
        return None
    return tuple(sorted({fold_type(type_) for type_ in (*text.asked, *(entity.type for entity in text.entities))}))


def open_type_line(text: OpenText) -> bytes:
    """Return a text as a line in nerbert's form, with descriptions if there are any."""
    entities = [
        {"start": entity.start, "end": entity.end, "type": entity.type}
        | ({"description": entity.description} if entity.description else {})
        for entity in text.entities
    ]
    asked = _ALL if text.asked is None else list(text.asked)
    other_names = {_OTHER_NAMES: text.other_names} if text.other_names else {}
    return object_line({TEXT: text.text, _ENTITIES: entities, _ASKED: asked, **other_names})


def locate(text: str, mentions: Iterable[Mention]) -> tuple[tuple[OpenEntity, ...], list[str]]:
    """Return an entity for each whole-word occurrence of each mention, ignoring case, and the mentions not found.
    Entities are in text order, without duplicates of span and type. An index of the text's words makes the time linear
    in the text, unless the text repeats the beginning of a mention over and over.
    """
    # Words are compared, so that `Oslo` isn't found inside `Oslofjord`
    spans = [match.span() for match in _TOKEN.finditer(text)]
    keys = [text[start:end].casefold() for start, end in spans]
    indices: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        indices.setdefault(key, []).append(index)
    entities = list[OpenEntity]()
    missing = list[str]()
    for mention, type_, description in mentions:
        words = [token.casefold() for token in _TOKEN.findall(mention)]
        starts = indices.get(words[0], ()) if words else ()
        matches = [index for index in starts if keys[index : index + len(words)] == words]
        for index in matches:
            # All occurrences, since the data doesn't say which one was meant
            entities.append(OpenEntity(spans[index][0], spans[index + len(words) - 1][1], type_, description))
        if not matches:
            missing.append(mention)
    return _once(sorted(entities, key=lambda entity: (entity.start, entity.end))), missing


def keep_usable(mentions: Iterable[Mention], dropped: Counter[Reason]) -> Iterator[Mention]:
    """Yield mentions with a usable type, spaces normalised; count the others in `dropped`."""
    for mention, type_, description in mentions:
        name = " ".join(type_.split())
        if reason := _refusal(mention, name):
            dropped[reason] += 1
        else:
            yield mention, name, " ".join(description.split())


def fold_labels(labels: Iterable[EntityLabel]) -> list[EntityLabel]:
    """Return labels with normalised names, as models of open types learn them."""
    return [replace(label, name=fold_type(label.name)) for label in labels]


def _once(entities: Iterable[OpenEntity]) -> tuple[OpenEntity, ...]:
    """Return entities in order, without duplicates of span and type."""
    return tuple({(entity.start, entity.end, entity.type): entity for entity in entities}.values())


def _refusal(mention: str, type_: str) -> Reason | None:
    """Return the reason to drop an entity: no text, an invalid type, or a type that equals its mention; else None."""
    if not mention.strip():
        return Reason.NOT_IN_TEXT
    if not _is_type(type_):
        return Reason.BAD_TYPE
    # A long mention can't equal a type, and folding it would take long
    same = len(mention) <= 2 * LONGEST_TYPE and fold_type(type_) == fold_type(mention)
    return Reason.TYPE_IS_MENTION if same else None


def _is_type(type_: object) -> bool:
    """Return whether a value is a valid type: printable, neither empty nor too long."""
    return isinstance(type_, str) and len(type_) <= LONGEST_TYPE and fold_type(type_) != "" and visible(type_) == type_


class _NerbertEntity(TypedDict):
    start: int
    end: int
    type: str
    description: NotRequired[str]
    text: NotRequired[str]


class _NerbertEntry(TypedDict):
    text: str
    entities: list[_NerbertEntity]
    asked: NotRequired[Literal["all"] | list[str]]
    other_names: NotRequired[dict[str, list[str]]]


def _read_nerbert(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    row = check_value(fields, _NerbertEntry)
    text = without_surrogates(row["text"])
    asked = row.get("asked", _ALL)
    entities = []
    # Types to look for are part of the task, so a bad one is an error, not dropped
    if asked != _ALL and not all(map(_is_type, asked)):
        raise InputError(f'field "{_ASKED}" is {asked!r:.80}: must be "{_ALL}" or a list of {_TYPES}')
    other_names = {type_: tuple(names) for type_, names in row.get("other_names", {}).items()}
    unfit = [name for name in chain(other_names, *other_names.values()) if not _is_type(name)]
    if unfit:
        raise InputError(f'field "{_OTHER_NAMES}" has {unfit[0]!r:.80}: names must be {_TYPES}')
    for item in row["entities"]:
        start = item["start"]
        end = item["end"]
        type_ = item["type"]
        if not _is_type(type_):
            raise InputError(f"entity {start}–{end}: type {type_!r:.80} must be one of {_TYPES}")
        entity = OpenEntity(start, end, type_, without_surrogates(item.get("description", "")))
        # A text that differs shows offsets of another unit
        if item.get(TEXT, text[start:end]) != text[start:end]:
            raise InputError(f"entity {item!r:.80}: the text has {text[start:end]!r:.60} there")
        if reason := _refusal(text[start:end], type_):
            dropped[reason] += 1
        else:
            entities.append(entity)
    return OpenText(text, _once(entities), None if asked == _ALL else tuple(asked), other_names)


def _read_nuner(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    parts = ([*map(str.strip, line.split("<>", 2)), "", ""] for line in _strings(fields[_OUTPUT]))
    mentions = ((name, type_, description) for name, type_, description, *_ in parts)
    return _locate_mentions(check_value(fields[_INPUT], str), mentions, dropped)


def _read_conversation(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    """Read a row of Pile-NER: a turn with the text, then a question per type, answered by a list of mentions."""
    entries = check_value(fields[_CONVERSATIONS], list[dict[str, Any]])
    turns = [(entry.get("from"), entry.get("value")) for entry in entries]
    texts = [value for who, value in turns[:1] if who == "human" and isinstance(value, str)]
    if not texts or not texts[0].startswith(_TEXT_PREFIX):
        raise InputError(f'field "conversations": the first turn must be a human\'s, and begin with {_TEXT_PREFIX!r}')
    mentions = list[Mention]()
    asked = list[str]()
    # The first two turns are the text and a reply; an unanswered last question is ignored
    for (who, question), (_, answer) in zip(turns[2::2], turns[3::2], strict=False):
        match = _QUESTION.fullmatch(question) if isinstance(question, str) and who == "human" else None
        if match is None:
            raise InputError(f"turn {question!r:.80}: must be a human's, 'What describes TYPE in the text?'")
        asked.append(match[1])
        mentions += [(mention, match[1], "") for mention in _strings(answer)]
    return _locate_mentions(texts[0].removeprefix(_TEXT_PREFIX), mentions, dropped, asked)


def _read_gliner(fields: Mapping[str, Any], dropped: Counter[Reason]) -> OpenText:
    """Read the tokens joined by spaces, with entities given by their first and last token and type."""
    # Published sets name the tokens in two ways
    tokens = check_value(fields.get("tokenized_text", fields.get(TOKENS)), list[str])
    example = example_of(map(without_surrogates, tokens), ())
    entities = list[OpenEntity]()
    rows = check_value(fields["ner"], list[list[Any]])
    for start, end, type_ in (token_span(row, example.words) for row in rows):
        named = keep_usable([(example.text[start:end], type_, "")], dropped)
        entities += (OpenEntity(start, end, name) for _, name, _ in named)
    return OpenText(example.text, _once(entities))


_FIELDS: tuple[tuple[frozenset[str], Callable[[Mapping[str, Any], Counter[Reason]], OpenText]], ...] = (
    (frozenset({_INPUT, _OUTPUT}), _read_nuner),
    (frozenset({_CONVERSATIONS}), _read_conversation),
    (frozenset({"ner"}), _read_gliner),
    (frozenset({TEXT, _ENTITIES}), _read_nerbert),
)
"""The fields of each form, and its reader; the first match counts."""


def _locate_mentions(
    text: str, mentions: Iterable[Mention], dropped: Counter[Reason], asked: Iterable[str] | None = None
) -> OpenText:
    """Return a text with its mentions located; unusable types are removed from `asked`."""
    text = without_surrogates(text)
    plain = (map(without_surrogates, mention) for mention in mentions)
    entities, missing = locate(text, keep_usable(((name, type_, about) for name, type_, about in plain), dropped))
    dropped.update([Reason.NOT_IN_TEXT] * len(missing))
    if asked is None:
        return OpenText(text, entities)
    names = dict.fromkeys(" ".join(type_.split()) for type_ in asked)
    return OpenText(text, entities, tuple(filter(_is_type, names)))


def _strings(value: object) -> list[str]:
    """Return a list of strings, which may be encoded as one string: in JSON, or as Python prints it."""
    if isinstance(value, str):
        text = value
        with suppress(ValueError, RecursionError):
            value = json.loads(text)
        if isinstance(value, str) and len(text) <= _LONGEST_LIST and _STRINGS.fullmatch(text):
            with suppress(ValueError, SyntaxError, MemoryError):
                value = ast.literal_eval(text.strip())
    return check_value(value, list[str])


def _rows(path: Path) -> Iterator[tuple[int | str, Mapping[str, Any]]]:
    """Yield each row of a file, plain or compressed, with its line number, or a description of its position."""
    # Parquet needs a file that it can read from its end
    if head_of(path).startswith(_PARQUET):
        yield from _parquet_rows(path)
        return
    with open_plain(path) as stream:
        peeked: Any = stream
        head: bytes = peeked.peek(_HEAD).removeprefix(BOM)
        header = head.decode("utf-8", "ignore").lstrip().partition("\n")[0]
        if not head.strip() or head.lstrip().startswith(b"{") or is_array(head):
            for line, value, _ in json_values(stream, path):
                if not isinstance(value, dict):
                    with at(path, line):
                        raise InputError(f"{value!r:.60}: must be an object")
                yield line, value
        elif any({_INPUT, _OUTPUT} <= {*form.names} for form in cuts_of(header.strip("\r"))):
            source = Stream(str(path), lambda: nullcontext(stream), _INPUT)
            yield from ((row.line, row.fields) for row in table_texts(source))
        else:
            name = next((name for name in FORMATS if FORMATS.find(name)().recognise(path, head)), "")
            guess = foreign(head, "") or (name and f"annotated sentences ({name})") or "something else"
            raise InputError(f"{path}: seems to be {guess}; open types are read from {_READ}")


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    need("corpus", "pyarrow")
    from nerbert.formats.arrow_rows import decoded_column, plain_rows, read_batches

    first = 1
    for batch in read_batches(path):
        names = batch.schema.names
        columns = next((needed for needed in _COLUMNS if {*needed} <= {*names}), None)
        if columns is None:
            raise InputError(
                f"{path}: has the columns {', '.join(map(repr, names)):.200}; open types in Parquet have "
                f"{_INPUT} and {_OUTPUT} (NuNER), or {_CONVERSATIONS} (Pile-NER)"
            )
        selected = batch.select(list(columns))
        with at(path):
            # Some writers don't declare their bytes as UTF-8
            for name in columns:
                selected = decoded_column(selected, name, first, ERRORS[0])
            rows = plain_rows(selected)
        yield from ((f"row {number}", fields) for number, fields in enumerate(rows, first))
        first += len(rows)
