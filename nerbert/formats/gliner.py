"""GLiNER's training data: the tokens of a sentence, and entities by their first and last token, the last included.

The text is the tokens joined by spaces: the file doesn't hold the original spacing.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.formats.format import LEAST, covering_words, fields_without
from nerbert.formats.json_files import JsonFormat, fields_but
from nerbert.formats.rows import TEXT, TOKENS, checked_words
from nerbert.labels import word_spans
from nerbert.records import Document, Repairs, Span
from nerbert.words import whole_words

_TOKENS, _ENTITIES = "tokenized_text", "ner"


class Gliner(JsonFormat):
    """The format `gliner`."""

    suffixes = (".json", ".jsonl", ".ndjson")
    holds = replace(LEAST, text="words", words=covering_words, fields=fields_without(_TOKENS, _ENTITIES))
    keys = f"{_TOKENS} and {_ENTITIES} (gliner)"

    def matches(self, value: Any) -> bool:
        """Return whether there are tokens, and entities as lists; data sets name the tokens in two ways."""
        if not isinstance(value, dict):
            return False
        entities = value.get(_ENTITIES)
        return (
            isinstance(value.get(_words_field(value)), list)
            and isinstance(entities, list)
            and not any(isinstance(each, str | int) for each in entities[:1])
        )

    def documents(self, value: Any, repairs: Repairs) -> list[Document]:
        """Return the sentence of an object."""
        name = _words_field(value)
        example = example_of(checked_words(value[name], name), ())
        places = (token_span(each, example.words) for each in value[_ENTITIES])
        spans = tuple(Span(start, end, type_, example.text[start:end]) for start, end, type_ in places)
        return [Document(example.text, spans, example.words, fields=fields_but(value, name, _ENTITIES))]

    def values(self, document: Document) -> Iterator[Any]:
        """Yield a document's sentences; each has the document's other fields."""
        from nerbert.formats.documents import sentences_of

        fields = self.holds.fields(document)
        for example in map(whole_words, sentences_of(document)):
            entities = [[first, last - 1, type_] for first, last, type_ in word_spans(example)]
            yield {_TOKENS: example.tokens, _ENTITIES: entities, **fields}


def _words_field(value: dict[str, Any]) -> str:
    """Return the name of the tokens; an object that also has its text is not GLiNER's."""
    return TOKENS if _TOKENS not in value and TEXT not in value else _TOKENS


def token_span(value: Any, words: tuple[tuple[int, int], ...]) -> tuple[int, int, str]:
    """Return an entity, given as [first token, last token, type], in characters; raise InputError for any other."""
    first, last, type_ = value if isinstance(value, list) and len(value) == 3 else (None, None, None)
    if type(first) is not int or type(last) is not int or not isinstance(type_, str):
        raise InputError(f"entity {value!r:.80}: must be first token, last token and type")
    if not 0 <= first <= last < len(words):
        raise InputError(f"entity {value!r:.80}: the row has {len(words)} tokens, the first is 0, the last included")
    return words[first][0], words[last][1], type_
