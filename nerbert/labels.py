"""The only BIO encoder, and the reference decoder.

`metrics.score` has a fast decoder, tested against this one. By the rules of the CoNLL script (seqeval's default), an
`I-x` begins an entity unless the previous word is in an entity of type x.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from nerbert.errors import InputError
from nerbert.records import Example, Sentence, Span

OUTSIDE = "O"
_SAME_TYPES = {
    "per": "person",
    "org": "organisation",
    "organization": "organisation",
    "loc": "location",
    "miscellaneous": "misc",
}
"""Common names of CoNLL's four types, by their lower-case names in data sets."""
_EDGES = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s_]+")
WordSpan = tuple[int, int, str]


def split_tag(tag: str) -> tuple[str, str]:
    """Return `"B-person"` → `("B", "person")`, `"O"` → `("O", "")`; raise InputError for anything else."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    if not isinstance(tag, str):
        raise InputError(f"tag {tag!r}: must be O, B-TYPE or I-TYPE, as a str")
    prefix, dash, type_ = tag.partition("-")
    if prefix not in ("B", "I") or not dash or not type_:
        remedy = "; the file seems to be BIOES or BILOU: write S- and U- as B-, and E-, L- and M- as I-, in all of it"
        # "S-PER" in a file is BIOES: the remedy is to convert it, not to correct one tag.
        is_other_scheme = type_ and prefix in ("S", "E", "L", "U", "M")
        raise InputError(f"tag {tag!r}: must be O, B-TYPE or I-TYPE{remedy if is_other_scheme else ''}")
    return prefix, type_


def spans_from_bio(tags: Sequence[str]) -> list[WordSpan]:
    """Return the entities of one tagged sentence, by the rules of the CoNLL script."""
    spans: list[WordSpan] = []
    start, current = 0, ""
    for index, tag in enumerate(tags):
        prefix, type_ = split_tag(tag)
        if current and (prefix != "I" or type_ != current):
            spans.append((start, index, current))
            current = ""
        # An I- after O begins an entity, by the CoNLL script.
        if prefix != OUTSIDE and not current:
            start, current = index, type_
    if current:
        spans.append((start, len(tags), current))
    return spans


def bio_from_spans(length: int, spans: Iterable[WordSpan]) -> list[str]:
    """Return BIO tags of a sentence of `length` words; raise InputError if spans overlap or exceed the sentence."""
    tags = [OUTSIDE] * length
    for start, end, type_ in spans:
        if not 0 <= start < end <= length or any(tag != OUTSIDE for tag in tags[start:end]):
            raise InputError(f"entity {(start, end, type_)} overlaps another or leaves the sentence of {length} words")
        tags[start:end] = [f"B-{type_}"] + [f"I-{type_}"] * (end - start - 1)
    return tags


def tag_names(types: Iterable[str]) -> list[str]:
    """Return the label list of a tagging head: O first, then B and I of each type, types sorted."""
    return [OUTSIDE, *(f"{prefix}-{type_}" for type_ in sorted(set(types)) for prefix in "BI")]


def check_tags(tags: Sequence[str]) -> None:
    """Raise InputError unless a head's labels are B-x, I-x and O, which is required; merged types repeat a name."""
    for tag in tags:
        split_tag(tag)
    if OUTSIDE not in tags:
        raise InputError("its labels lack O")


def types_of(tags: Iterable[str]) -> list[str]:
    """Return the entity types of a label list, sorted."""
    return sorted({split_tag(tag)[1] for tag in tags if tag != OUTSIDE})


def is_signs(text: str) -> bool:
    """Return whether a text contains neither letters nor digits."""
    return not any(map(str.isalnum, text))


def types_of_examples(examples: Iterable[Example]) -> list[str]:
    """Return the types of the sentences' entities, sorted."""
    return sorted({span.type for example in examples for span in example.spans})


def learnt_words(card: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return type → texts that a tagger of run-time labels reads for it, by its card; only types of its fine-tuning."""
    words = card.get("words_of_types") or {}
    return {type_: [value] if isinstance(value, str) else list(value) for type_, value in words.items()}


def common_name(type_: str) -> str:
    """Return a type's common name across data sets: `PER` and `Person` share one."""
    folded = type_.casefold()
    return _SAME_TYPES.get(folded, folded)


@lru_cache(1 << 16)
def fold_type(type_: str) -> str:
    """Return a type's name, normalised for case, width and underscores."""
    # Twice: folding case may yield characters that NFKC changes again.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", type_).casefold())
    return " ".join(folded.replace("_", " ").split())


def class_words(name: str) -> str:
    """Return the name of a class in words: `PoliticalParty` → `political party`."""
    return fold_type(" ".join(_EDGES.split(name)))


def shared_tags(tags: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """Return tag → equivalent tag in `others`, for O and each tag whose type (by common name) both lists have."""
    by_parts = {split_tag(tag): tag for tag in others}
    # Reversed, so that of `PER` and `person` in one list the first wins.
    common = {(prefix, common_name(type_)): tag for (prefix, type_), tag in reversed(by_parts.items())}
    shared = {
        tag: by_parts.get((prefix, type_)) or common.get((prefix, common_name(type_)))
        for tag, (prefix, type_) in zip(tags, map(split_tag, tags), strict=True)
    }
    return {tag: other for tag, other in shared.items() if other}


def sentence_example(sentence: Sentence) -> Example:
    """Return a sentence of the corpus as an annotated example, its categories as types."""
    spans = tuple(Span(m.start, m.end, m.category, sentence.text[m.start : m.end]) for m in sentence.mentions)
    unknown = tuple((start, end) for start, end, _ in sentence.unknown)
    return Example(sentence.text, sentence.words, spans, unknown=unknown, partial=True)


def word_spans(example: Example) -> list[WordSpan]:
    """Return the entities of an example in words; raise InputError for one that cuts a word."""
    # Entities that cut a word have no BIO tags: a missing key finds them.
    first = {start: index for index, (start, _) in enumerate(example.words)}
    last = {end: index + 1 for index, (_, end) in enumerate(example.words)}
    try:
        return [(first[span.start], last[span.end], span.type) for span in example.spans]
    except KeyError as error:
        raise InputError(f"an entity of {example.text!r} cuts a word at character {error}") from None


def unknown_words(example: Example) -> list[int]:
    """Return the indices of the words that overlap a span with unknown annotation."""
    return [
        index
        for index, (start, end) in enumerate(example.words)
        if any(start < last and first < end for first, last in example.unknown)
    ]


def example_tags(example: Example) -> list[str]:
    """Return the BIO tags of an example, one for each word."""
    return bio_from_spans(len(example.words), word_spans(example))
