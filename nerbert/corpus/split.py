"""Which side of the split a sentence stands on, and what must not stand on both.

The choice: pages are split, not sentences (NER-BERT §3 splits those; a setting does), by a coin, before anything
is counted, so the train part alone decides filters and sampling. A sentence of the validation part whose words also
stand in the train part (boilerplate, mostly) is dropped there. The price: that looks at the train part before its
filters, so a few are dropped for a twin that the filters drop too.
"""

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np

from nerbert.artifacts import publish
from nerbert.corpus.filters import normalised_words
from nerbert.corpus.settings import CorpusSettings
from nerbert.records import TRAIN, VALIDATION, sentence_id
from nerbert.rng import coin


def side_of(wiki: str, page_id: int, revision: int, start: int, settings: CorpusSettings) -> str:
    """The side of one sentence: its page's, or its own by setting `split_by`."""
    whole_page = settings.split_by == "page"
    identity = f"{wiki}:{page_id}" if whole_page else sentence_id(wiki, page_id, revision, start)
    return VALIDATION if coin(settings.seed, "split", identity) < settings.validation_ratio else TRAIN


def sentence_key(text: str) -> int:
    """64 bits of the hash of a sentence's normalised words; of two sentences with one key, one is a twin."""
    words = " ".join(normalised_words(text))
    return int.from_bytes(blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def write_keys(keys: Iterable[int], path: Path) -> None:
    """Write the keys of one side of one part, each once."""
    with publish(path) as partial, partial.open("wb") as stream:
        np.save(stream, np.unique(np.fromiter(keys, np.uint64)))


def keys_on_both_sides(train: Iterable[Path], validation: Iterable[Path]) -> frozenset[int]:
    """The keys that stand on both sides. Only the validation part's are held at once: 8 bytes a sentence."""
    held = np.unique(np.concatenate([np.load(path, allow_pickle=False) for path in validation] or [np.empty(0)]))
    found = np.zeros(len(held), bool)
    for path in train:
        found |= np.isin(held, np.load(path, allow_pickle=False))
    return frozenset(held[found].tolist())
