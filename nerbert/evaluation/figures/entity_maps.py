"""Maps of entities in encoders' spaces (NER-BERT, Liu et al. 2021, Figures 3 to 7).

An entity's vector is the last state of its first subword. Maps are t-SNE's (van der Maaten and Hinton 2008), made by
openTSNE.
"""

from collections.abc import Sequence

import numpy as np

from nerbert.errors import InputError, need
from nerbert.model.backbone import Backbone
from nerbert.model.forward import TorchScorer, states_at
from nerbert.model.linear import word_scores
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example, Span
from nerbert.rng import Array, uniform

_PERPLEXITY = 30
_LENGTH = 256
"""Subwords of a window."""
Point = tuple[int, Span]
"""An entity, after its sentence's number."""


def make_maps(
    encoders: Sequence[str], sentences: Sequence[Example], most: int = 2000, seed: int = 1
) -> tuple[list[str], dict[str, Array]]:
    """Return the types of at most `most` entities, drawn by the seed, and by encoder their places: (entities, 2).

    Raise InputError for too few entities, or one type.
    """
    need("figures", "openTSNE")
    from openTSNE import TSNE

    points = drawn_points(sentences, most, seed)
    types = [span.type for _, span in points]
    if len(points) <= 3 * _PERPLEXITY:
        raise InputError(f"{len(points)} entities: a map of perplexity {_PERPLEXITY} needs more than {3 * _PERPLEXITY}")
    if len({*types}) < 2:
        raise InputError("the entities have a single type: there is nothing to tell apart")
    maps = dict[str, Array]()
    for name in encoders:
        tsne = TSNE(perplexity=_PERPLEXITY, metric="cosine", initialization="pca", neighbors="exact",
                    random_state=seed, n_jobs=1)  # fmt: skip
        maps[name] = np.asarray(tsne.fit(entity_vectors(name, sentences, points)))
    return types, maps


def drawn_points(sentences: Sequence[Example], most: int, seed: int) -> list[Point]:
    """Return entities in order, at most so many, drawn by the seed."""
    every = [(number, span) for number, each in enumerate(sentences) for span in each.spans]
    chance = [uniform(seed, "map", f"{number} {span.start} {span.end}") for number, span in every]
    kept = sorted(sorted(range(len(every)), key=chance.__getitem__)[:most])
    return [every[place] for place in kept]


def entity_vectors(encoder: str, sentences: Sequence[Example], points: Sequence[Point]) -> Array:
    """Return (points, width) in fp32: the last states of the entities' first subwords."""
    backbone = Backbone.of(encoder, seed=0)
    body = backbone.load_body()
    pieces = SubwordTokenizer(backbone.tokenizer, body.config, _LENGTH)
    places = {number: place for place, number in enumerate(dict.fromkeys(number for number, _ in points))}
    scores = word_scores(TorchScorer(body, "fp32", states_at), pieces, [sentences[number] for number in places],
                         int(body.config.hidden_size))  # fmt: skip
    first = [next(place for place, (start, _) in enumerate(sentences[number].words) if start >= span.start)
             for number, span in points]  # fmt: skip
    words = np.array([scores.offsets[places[number]] for number, _ in points]) + first
    found = np.minimum(np.searchsorted(scores.read, words), len(scores.read) - 1)
    if not (scores.read[found] == words).all():
        raise InputError(f"{encoder}: some entity begins inside a subword of its tokenizer, or has none")
    vectors: Array = scores.logits[found]
    return vectors
