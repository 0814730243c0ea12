"""Texts with open types as JSON lines, and where the mentions of an answer are in a text."""

import re
from collections import defaultdict
from collections.abc import Iterable

from nerbert.formats.jsonl import object_line
from nerbert.records import OpenEntity, OpenText

_TOKEN = re.compile(r"\w+(?:[-_]\w+)*|\S")


def open_type_line(one: OpenText) -> bytes:
    """Return a text with its entities as a line of JSON."""
    entities = [
        {"start": each.start, "end": each.end, "type": each.type}
        | ({"description": each.description} if each.description else {})
        for each in one.entities
    ]
    return object_line({"text": one.text, "entities": entities, "asked": "all" if one.asked is None else one.asked})


def locate(text: str, mentions: Iterable[tuple[str, str, str]]) -> tuple[tuple[OpenEntity, ...], list[str]]:
    """Return (mention, type, description) as entities at all their repeats, and the mentions that aren't in the text.

    Mentions are compared as sequences of tokens, whatever their case.
    """
    places = [(found[0].lower(), found.start(), found.end()) for found in _TOKEN.finditer(text)]
    words, starts = [word for word, _, _ in places], defaultdict[str, list[int]](list)
    for number, word in enumerate(words):
        starts[word].append(number)
    entities, invented = dict[OpenEntity, None](), list[str]()
    for mention, type_, description in mentions:
        wanted = _TOKEN.findall(mention.lower())
        size = len(wanted)
        found = [at for at in starts.get(wanted[0], ()) if words[at : at + size] == wanted] if wanted else []
        entities |= {OpenEntity(places[at][1], places[at + size - 1][2], type_, description): None for at in found}
        if not found:
            invented.append(mention)
    return tuple(sorted(entities, key=lambda each: (each.start, each.end, each.type))), invented
