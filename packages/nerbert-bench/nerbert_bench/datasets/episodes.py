"""Few-NERD's published episodes (Ding et al. 2021): JSON lines, each with two sets of tagged sentences and their types.

A tag is a type, without B- or I-: neighbours of one type are one entity, as in Few-NERD's own scores.
"""

from itertools import islice
from pathlib import Path

# Python 3.11's TypedDict lacks features that pydantic needs.
from typing_extensions import TypedDict

from nerbert.data.sampling import Size, SizeUnit, usual_queries
from nerbert.errors import InputError, SettingsError, at, refused
from nerbert.formats.conll import example_of
from nerbert.formats.lines import checked_words
from nerbert.formats.schemes import Scheme
from nerbert.records import Example
from nerbert.schema import parse_json


class _Sentences(TypedDict):
    word: list[list[str]]
    label: list[list[str]]


class _Line(TypedDict):
    support: _Sentences
    query: _Sentences
    types: list[str]


def episodes_name(split: str, size: Size) -> str:
    """Return the name of Few-NERD's file of episodes of a size; raise SettingsError for a size that has none."""
    # Each published file has one number of queries, which its name leaves out.
    if size.unit is not SizeUnit.EPISODE or size.queries != usual_queries(size.ways, size.shots):
        raise SettingsError(f"size {size}: no file of episodes is published; leave `episodes` out")
    return f"{split}_{size.ways}_{size.shots}.jsonl"


def read_episode(path: Path, number: int) -> tuple[list[Example], list[Example], list[str]]:
    """Return an episode's sentences to train on, those to tag, and its types; it is a line, numbered from 1."""
    with refused(f"{path}: can't be read", of=OSError), path.open("rb") as stream:
        # A file holds 5,000 episodes or more, of which one is needed: only its line is parsed.
        line = next(islice(stream, number - 1, None), b"")
    if not line:
        raise InputError(f"{path}: has no episode {number}; ask for fewer draws")
    with at(path, number):
        episode = parse_json(line, _Line, "")
        return _examples(episode["support"]), _examples(episode["query"]), episode["types"]


def _examples(part: _Sentences) -> list[Example]:
    if [*map(len, part["word"])] != [*map(len, part["label"])]:
        raise InputError("each word must have one label")
    scheme = Scheme("IO", 0, 0)
    sentences = zip(part["word"], part["label"], strict=True)
    return [example_of(checked_words(words, "word"), scheme.bio(tags)) for words, tags in sentences]
