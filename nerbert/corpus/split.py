"""Assign sentences to the train and validation splits, and find sentences that occur in both.

Pages are split, not sentences (NER-BERT §3 splits sentences; a setting does so too). The split is random and happens
before anything is counted, so the train split alone determines filters and sampling. A validation sentence whose words
also occur in the train split (mostly boilerplate) is dropped. The cost: this uses the train split before its filters,
so a few are dropped for a duplicate that the filters drop too.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np

from nerbert.artifacts import publish
from nerbert.corpus.settings import CorpusSettings
from nerbert.records import TRAIN, VALIDATION, sentence_id
from nerbert.rng import uniform

_WORD = re.compile(r"\w+")


def side_of(wiki: str, page_id: int, revision: int, start: int, settings: CorpusSettings) -> str:
    """Return the split of one sentence: its page's, or its own by setting `split_by`."""
    whole_page = settings.split_by == "page"
    identity = f"{wiki}:{page_id}" if whole_page else sentence_id(wiki, page_id, revision, start)
    return VALIDATION if uniform(settings.seed, "split", identity) < settings.validation_ratio else TRAIN


def normalised_words(text: str) -> list[str]:
    """Return the words of a text for comparisons: lower-case `\\w+`."""
    return _WORD.findall(text.lower())


def sentence_key(text: str) -> int:
    """Hash a sentence's normalised words to 64 bits; sentences with the same key are duplicates."""
    words = " ".join(normalised_words(text))
    return int.from_bytes(blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def write_keys(keys: Iterable[int], path: Path) -> None:
    """Write the distinct keys of one split of one part."""
    with publish(path) as partial, partial.open("wb") as stream:
        np.save(stream, np.unique(np.fromiter(keys, np.uint64)))


def keys_on_both_sides(train: Iterable[Path], validation: Iterable[Path]) -> frozenset[int]:
    """Return the keys in both splits; only those of the validation split are in memory, 8 bytes each."""
    held = np.unique(np.concatenate([np.load(path, allow_pickle=False) for path in validation] or [np.empty(0)]))
    found = np.zeros(len(held), bool)
    for path in train:
        found |= np.isin(held, np.load(path, allow_pickle=False))
    return frozenset(held[found].tolist())
