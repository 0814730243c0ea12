"""The sentences to label, from files in any format that nerbert reads, cut as in training; and their order.

Their order is random, and one in five is for the test. Repetitions are skipped, and near-duplicates of sentences that
were shown: those that share four fifths of the set of words.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nerbert.errors import InputError, at
from nerbert.formats.documents import Reading, sentences_of
from nerbert.formats.format import read_documents, recognise_format
from nerbert.formats.jsonl import JsonLines
from nerbert.records import Example, Repairs
from nerbert.rng import uniform
from nerbert.tagger.pending import clean_example
from nerbert.texts.inputs import find_sources

MOST = 200_000
"""Maximum number of sentences in a project."""
LONGEST_NAME = 100
"""Maximum length of a type's name, in characters."""
LONGEST = 20_000
"""Maximum length of a sentence, in characters; longer texts aren't sentences, and are left out."""
BLOCK = 5
"""Number of sentences of which one is for the test."""
_SAME = 0.8


def read_sentences(path: Path, reading: Reading) -> Iterator[Example]:
    """Yield the sentences of a file or folder, annotated or not; raise InputError with the position of an error."""
    # Annotated files have a format; anything else is text in lines, pages or tables.
    if reading.from_ or (path.exists() and recognise_format(path)):
        documents = read_documents(path, reading, Repairs())
    else:
        # `errors="replace"`: a few bad bytes must not keep a text from being labelled.
        sources = find_sources([str(path)], "", errors="replace").sources
        documents = (document for source in sources for document in source.documents())
    for document in documents:
        with at(path, document.line or None):
            for sentence in sentences_of(document, reading):
                spans = (replace(span, type=type_name(span.type)) for span in sentence.spans if type_name(span.type))
                if sentence.words:
                    yield replace(clean_example(sentence), spans=tuple(spans))


def type_name(name: str) -> str:
    """Return a type's name in normal form, or "" if it is invalid."""
    # "é" as one or two characters is one type.
    kept = unicodedata.normalize("NFC", " ".join(name.split()))
    return kept if len(kept) <= LONGEST_NAME and kept.isprintable() else ""


def kept_sentences(path: Path) -> list[Example]:
    """Return the sentences of a project's file, with their words."""
    sentences = list[Example]()
    for document in JsonLines().read(path, Repairs()) if path.exists() else ():
        # Words are fixed when a sentence is added: a newer splitter must not move entities.
        if document.words is None:
            raise InputError(f"{path}: a sentence has no words; this file isn't nerbert's")
        sentences.append(Example(document.text, document.words, document.spans))
    return sentences


def words_of(sentence: Example) -> frozenset[str]:
    """Return the words of a sentence, without punctuation, to compare it with others."""
    return frozenset(word.casefold() for word in sentence.tokens if any(map(str.isalnum, word)))


def is_for_test(position: int, seed: int) -> bool:
    """Return whether the sentence at `position` in the order is held out for the test: a random one of each five."""
    block = position // BLOCK
    # A random one of each five, so that the test grows evenly with the labels.
    return position % BLOCK == int(uniform(seed, "label test", str(block)) * BLOCK)


class Draw:
    """The order of sentences, the same for a seed; `show` records the sentences that were shown."""

    def __init__(self, sentences: Sequence[Example], seed: int) -> None:
        self._sentences, self._seed = sentences, seed
        self._queue = sorted(
            range(len(sentences)),
            # Reversed, since `pop` removes the last one without moving the others.
            reverse=True,
            key=lambda id_: (uniform(seed, "label order", sentences[id_].text), id_),
        )
        """The sentences that may still be shown, the next one last."""
        self._shown = set[int]()
        self._sets = defaultdict[str, list[frozenset[str]]](list)
        """By word: the word sets of sentences that were shown."""

    def show(self, number: int) -> None:
        """Record that a sentence is shown."""
        words = words_of(self._sentences[number])
        for word in words:
            self._sets[word].append(words)
        self._shown.add(number)

    def next(self) -> tuple[int, bool] | None:
        """Return the number of the next sentence, and whether it is for the test; None if none is left."""
        # Compared only when due: it depends on what was shown by then.
        while self._queue and (self._queue[-1] in self._shown or self._is_near(self._queue[-1])):
            self._queue.pop()
        return (self._queue[-1], is_for_test(len(self._shown), self._seed)) if self._queue else None

    def _is_near(self, number: int) -> bool:
        """Return whether a sentence is a near-duplicate: one of the rarest words of such sentences is in both."""
        words = words_of(self._sentences[number])
        # If four fifths are shared, at least one of these is: only sentences with it are compared.
        rarest = sorted(words, key=lambda word: len(self._sets.get(word, ())))[: int((1 - _SAME) * len(words)) + 1]
        candidates = (other for word in rarest for other in self._sets.get(word, ()))
        return any(len(words & other) >= _SAME * len(words | other) for other in candidates)
