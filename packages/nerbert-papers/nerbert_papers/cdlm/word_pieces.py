"""CDLM's words: a piece for each word, by a vocabulary, and one for each character.

The vocabulary is a tokenizer of `transformers`: words of training texts by frequency, the other words of a file of
vectors, then characters, each after a space, which no word holds. Digits are read as 0, and a word that the vocabulary
lacks as its lower case (NCRF++). Cost: any other word is known by its characters alone.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.errors import InputError, at, refused
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels, cut_into_windows
from nerbert.model.windows import IGNORED, Window
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.sources.files import open_plain

PAD, UNKNOWN = "[PAD]", "[UNK]"
_SPECIALS = (PAD, UNKNOWN)
LONGEST_WORD = 20
"""Characters of a word that are read."""
_WIDEST = 4096
_LONGEST = 1 << 20
"""Most numbers of a vector, and bytes of a line."""
_DIGIT = re.compile(r"\d")


def normal(word: str) -> str:
    """Return a word as the vocabulary has it."""
    return _DIGIT.sub("0", word) or UNKNOWN


def make_vocabulary(examples: Iterable[Example], further: Iterable[str] = ()) -> Any:
    """Return a tokenizer of the words of some sentences, the most frequent first, `further` ones, and characters."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Counter[str]()
    characters = Counter[str]()
    for example in examples:
        for start, end in example.words:
            word = "".join(example.text[start:end].split())
            words[normal(word)] += 1
            characters.update(word[:LONGEST_WORD])
    for special in _SPECIALS:
        del words[special]
    by_count = [sorted(counts, key=lambda text: (-counts[text], text)) for counts in (words, characters)]
    # Words of the file that no text is read as ("2nd" where digits are 0) would never be looked up.
    others = (word for word in further if normal(word) == word and " " not in word)
    names = dict.fromkeys([*_SPECIALS, *by_count[0], *others, *(f" {character}" for character in by_count[1])])
    model = WordLevel({name: number for number, name in enumerate(names)}, unk_token=UNKNOWN)
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), pad_token=PAD, unk_token=UNKNOWN)


def count_words(tokenizer: Any) -> int:
    """Return how many pieces of a vocabulary are words, special ones too; raise InputError for one of another kind."""
    vocabulary = tokenizer.get_vocab()
    words = sum(not name.startswith(" ") for name in vocabulary)
    in_order = all((number < words) != name.startswith(" ") for name, number in vocabulary.items())
    # Numbers without gaps, words before characters: the model tells them apart by the number alone.
    in_order &= set(vocabulary.values()) == set(range(len(vocabulary)))
    if words == len(vocabulary) or not in_order or [vocabulary.get(name) for name in _SPECIALS] != [0, 1]:
        raise InputError("its tokenizer isn't a vocabulary of words and characters")
    return words


class WordPieces(SubwordTokenizer):
    """Turns examples into windows of words and their characters; `max_length` counts words."""

    def __init__(self, tokenizer: Any, max_length: int, *, on_too_long: str = "window") -> None:
        self.tokenizer, self.body, self._on_too_long = tokenizer, max_length, on_too_long
        self.vocabulary = len(tokenizer)
        self.pad_id = 0
        self._ids = tokenizer.get_vocab()

    def windows(self, examples: Sequence[Example], labels: WordLabels | None = None) -> Iterator[Window]:
        """Yield the windows of all examples, in order; with `labels`, labelled by them."""
        for number, example in enumerate(examples):
            if self._on_too_long == "error" and len(example.words) > self.body:
                why = "use on_too_long = 'window' to have it cut into windows that overlap"
                raise InputError(f"a sentence of {len(example.words)} words is longer than a window; {why}")
            known = labels.label_words(example) if labels else [IGNORED] * len(example.words)
            read = [(word, word, label) for word, label in enumerate(known)]
            if self._on_too_long == "truncate":
                read = read[: self.body]
            pieces = [self._pieces(example.text[start:end]) for start, end in example.words[: len(read)]]
            for start, end, share in cut_into_windows(read, len(read), self.body):
                here = pieces[start:end]
                offsets = [0, *accumulate(map(len, here))]
                words, at, own_labels = zip(*share, strict=True)
                yield Window(
                    sentence=number,
                    ids=tuple(chain(*here)),
                    words=words,
                    positions=tuple(offsets[word - start] for word in at),
                    labels=own_labels if labels else (),
                )

    def _pieces(self, word: str) -> list[int]:
        word = "".join(word.split())
        unknown = self._ids[UNKNOWN]
        number = self._ids.get(normal(word), self._ids.get(normal(word).lower(), unknown))
        of_characters = (self._ids.get(f" {character}") for character in word[:LONGEST_WORD])
        return [number, *(piece for piece in of_characters if piece is not None)]

    def characters_read(self, examples: Sequence[Example]) -> list[int]:
        """Return how many characters of each example are in a window."""
        cut = self._on_too_long == "truncate"
        return [
            example.words[self.body - 1][1] if cut and len(example.words) > self.body else len(example.text)
            for example in examples
        ]


def read_vectors(path: Path) -> dict[str, Array]:
    """Return the vectors of a file with a word and its numbers per line (GloVe's form, or word2vec's as text)."""
    vectors = dict[str, Array]()
    width = 0
    number = 0
    with open_plain(path) as stream:
        while line := stream.readline(_LONGEST):
            number += 1
            cells = line.split()
            # word2vec's head: how many words, and how wide.
            if number == 1 and len(cells) == 2:
                continue
            with at(path, number):
                width = width or len(cells) - 1
                if not 0 < width <= _WIDEST or len(cells) <= width or len(line) == _LONGEST:
                    raise InputError(f"expected a word and {width or 'its'} numbers; the line has {len(cells)} parts")
                # Some files have words with spaces (". . ."), so the numbers are counted from the end.
                name = b" ".join(cells[:-width]).decode("utf-8", "replace")
                with refused("a vector's number can't be read"):
                    vectors[name] = np.array(cells[-width:], np.float32)
                if not np.isfinite(vectors[name]).all():
                    raise InputError("a vector has a number that isn't finite")
    if not vectors:
        raise InputError(f"{path}: has no vector")
    return vectors


def subword_means(tokenizer: Any, embedding: Array, words: Sequence[str]) -> Array:
    """Return (words, width): the mean vector of each word's subwords; NaN where the tokenizer has none."""
    means = np.full((len(words), embedding.shape[1]), np.nan, np.float32)
    encoded = tokenizer(list(words), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    for row, ids in enumerate(encoded):
        if ids and max(ids) < len(embedding):
            means[row] = embedding[ids].mean(0)
    return means
