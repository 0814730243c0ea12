"""Vectors that a word embedding begins with: of a file, or the means of an encoder's subword vectors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.errors import InputError, at
from nerbert.rng import Array
from nerbert.sources.files import open_plain

_WIDEST, _LONGEST = 4096, 1 << 20
"""Most numbers of a vector, and bytes of a line."""


def read_vectors(path: Path, words: Sequence[str]) -> Array:
    """Return (words, width) of a file with a word and its numbers in each line (GloVe's form, or word2vec's as text).

    A word that it lacks has the vector of its lower case, or NaN. Raise InputError with the line for another form.
    """
    wanted = {name for word in words for name in (word, word.lower())}
    found, width, number = dict[str, Array](), 0, 0
    with open_plain(path) as stream:
        while line := stream.readline(_LONGEST):
            number += 1
            cells = line.split()
            if number == 1 and len(cells) == 2:  # word2vec's head: how many words, and how wide
                continue
            with at(path, number):
                width = width or len(cells) - 1
                if not 0 < width <= _WIDEST or len(cells) <= width or len(line) == _LONGEST:
                    raise InputError(f"expected a word and {width or 'its'} numbers; the line has {len(cells)} parts")
                name = b" ".join(cells[:-width]).decode("utf-8", "replace")
                if name in wanted:
                    found[name] = _numbers(cells[-width:])
    if not found:
        raise InputError(f"{path}: has no vector of a word of the training sentences")
    return _table(words, found, width)


def _numbers(cells: Sequence[bytes]) -> Array:
    try:
        found = np.array(cells, np.float32)
    except ValueError as error:
        raise InputError(f"a vector's number can't be read: {error}") from error
    if not np.isfinite(found).all():
        raise InputError("a vector has a number that isn't finite")
    return found


def _table(words: Sequence[str], found: Mapping[str, Array], width: int) -> Array:
    unknown = np.full(width, np.nan, np.float32)
    return np.stack([found.get(word, found.get(word.lower(), unknown)) for word in words])


def subword_means(tokenizer: Any, embedding: Array, words: Sequence[str]) -> Array:
    """Return (words, width): the mean vector of each word's subwords; NaN where the tokenizer has none."""
    found = np.full((len(words), embedding.shape[1]), np.nan, np.float32)
    encoded = tokenizer(list(words), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    for place, ids in enumerate(encoded):
        if ids and max(ids) < len(embedding):
            found[place] = embedding[ids].mean(0)
    return found
