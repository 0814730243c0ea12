"""Words for CDLM: a piece for each word, by a vocabulary of training words, and after it one for each character.

The vocabulary is a tokenizer of `transformers`, so that it is saved and loaded as others are: words by frequency, then
characters, each after a space, which no word holds. Digits are read as 0 in words (NCRF++). Cost: a word that no
training text has is known by its characters alone.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nerbert.errors import InputError
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels, cut_into_windows
from nerbert.model.windows import IGNORED, Window
from nerbert.records import Example

PAD, UNKNOWN = "[PAD]", "[UNK]"
_SPECIALS = (PAD, UNKNOWN)
LONGEST_WORD = 20
"""Characters of a word that are read."""
_DIGIT = re.compile(r"\d")


def normal(word: str) -> str:
    """Return a word as the vocabulary has it."""
    return _DIGIT.sub("0", word) or UNKNOWN


def _without_space(word: str) -> str:
    return "".join(word.split())


def make_vocabulary(examples: Iterable[Example]) -> Any:
    """Return a tokenizer of the words of some sentences, the most frequent first, and their characters."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words, characters = Counter[str](), Counter[str]()
    for example in examples:
        for start, end in example.words:
            word = _without_space(example.text[start:end])
            words[normal(word)] += 1
            characters.update(word[:LONGEST_WORD])
    for special in _SPECIALS:
        del words[special]
    names = [*_SPECIALS, *_by_count(words), *(f" {each}" for each in _by_count(characters))]
    model = WordLevel({name: number for number, name in enumerate(names)}, unk_token=UNKNOWN)
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), pad_token=PAD, unk_token=UNKNOWN)


def _by_count(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda each: (-counts[each], each))


def count_words(tokenizer: Any) -> int:
    """Return how many pieces of a vocabulary are words, special ones included; raise InputError for one of another
    kind."""
    vocabulary = tokenizer.get_vocab()
    words = sum(not name.startswith(" ") for name in vocabulary)
    in_order = all((number < words) != name.startswith(" ") for name, number in vocabulary.items())
    in_order &= set(vocabulary.values()) == set(range(len(vocabulary)))
    if words == len(vocabulary) or not in_order or [vocabulary.get(name) for name in _SPECIALS] != [0, 1]:
        raise InputError("its tokenizer isn't a vocabulary of words and characters")
    return words


class WordPieces(SubwordTokenizer):
    """Turns examples into windows of words and their characters; `max_length` counts words."""

    def __init__(self, tokenizer: Any, max_length: int, *, on_too_long: str = "window") -> None:
        self.tokenizer, self.body, self._on_too_long = tokenizer, max_length, on_too_long
        self.vocabulary, self.pad_id, self._ids = len(tokenizer), 0, tokenizer.get_vocab()

    def windows(self, examples: Sequence[Example], labels: WordLabels | None = None) -> Iterator[Window]:
        """Yield the windows of all examples, in order; with `labels`, labelled by them."""
        for number, example in enumerate(examples):
            if self._on_too_long == "error" and len(example.words) > self.body:
                why = "use on_too_long = 'window' to have it cut into windows that overlap"
                raise InputError(f"a sentence of {len(example.words)} words is longer than a window; {why}")
            known = labels.known(example) if labels else [IGNORED] * len(example.words)
            read = [(word, word, label) for word, label in enumerate(known)]
            if self._on_too_long == "truncate":
                read = read[: self.body]
            pieces = [self._pieces(example.text[start:end]) for start, end in example.words[: len(read)]]
            for start, end, own in cut_into_windows(read, len(read), self.body):
                here, places, place = pieces[start:end], [], 0
                for each in here:
                    places.append(place)
                    place += len(each)
                words, at, own_labels = zip(*own, strict=True)
                yield Window(
                    sentence=number, ids=tuple(piece for each in here for piece in each), words=words,
                    positions=tuple(places[word - start] for word in at), labels=own_labels if labels else (),
                )  # fmt: skip

    def _pieces(self, word: str) -> list[int]:
        word, unknown = _without_space(word), self._ids[UNKNOWN]
        of_characters = (self._ids.get(f" {each}") for each in word[:LONGEST_WORD])
        return [self._ids.get(normal(word), unknown), *(each for each in of_characters if each is not None)]

    def characters_read(self, examples: Sequence[Example]) -> list[int]:
        """Return how many characters of each example are in a window."""
        cut = self._on_too_long == "truncate"
        return [each.words[self.body - 1][1] if cut and len(each.words) > self.body else len(each.text)
                for each in examples]  # fmt: skip
