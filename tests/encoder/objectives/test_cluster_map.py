"""The map of an encoder's clusters."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nerbert.corpus.shards import read_sentences
from nerbert.encoder.objectives.cluster_typing.cluster_map import cluster_map, mention_vectors
from nerbert.encoder.objectives.cluster_typing.cluster_typing import TypingSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.concept_encoder import class_words
from nerbert.records import Sentence


@pytest.fixture(scope="module")
def sentences(sample_corpus: Path) -> list[Sentence]:
    return list(read_sentences(sample_corpus, "validation"))[:60]


@pytest.fixture
def settings(tmp_path: Path) -> PretrainSettings:
    return PretrainSettings(
        corpus=tmp_path, precision="fp32", max_length=64, sections=(TypingSettings(num_clusters=5),)
    )


def test_each_mention_has_its_vector_text_and_class(
    tiny_encoder: Path, sentences: list[Sentence], settings: PretrainSettings
) -> None:
    found = mention_vectors(str(tiny_encoder), sentences, settings)
    mentions = [(each.text[m.start : m.end], class_words(m.class_path[-1]) if m.class_path else "")
                for each in sentences for m in sorted(each.mentions, key=lambda m: m.start)]  # fmt: skip
    assert list(zip(found.texts, found.classes, strict=True)) == mentions
    alone = mention_vectors(str(tiny_encoder), sentences[7:8], settings)
    place = found.texts.index(alone.texts[0])
    np.testing.assert_allclose(alone.vectors[0], found.vectors[place], rtol=1e-3, atol=1e-4)


def test_a_map_tells_of_clusters_and_places(
    tiny_encoder: Path, sentences: list[Sentence], settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nerbert.encoder.objectives.cluster_typing.cluster_map._DRAWN", 40)
    found = cluster_map(str(tiny_encoder), sentences, settings)
    assert found is not None
    texts = mention_vectors(str(tiny_encoder), sentences, settings).texts
    assert sum(each.size for each in found.clusters) == len(texts)
    assert len(found.points) == 40
    assert {each.cluster for each in found.points} <= {each.number for each in found.clusters}
    assert {text for each in found.clusters for text in each.members} <= set(texts)
    assert all(len(set(each.members)) == len(each.members) <= 5 and len(each.classes) <= 3 for each in found.clusters)
    edges = np.array([(each.x, each.y) for each in found.points])
    assert edges.min(0).tolist() == [0, 0]
    assert edges.max(0).tolist() == [1, 1]
    assert found == cluster_map(str(tiny_encoder), sentences, settings)


def test_nothing_to_draw(tiny_encoder: Path, sentences: list[Sentence], settings: PretrainSettings) -> None:
    assert cluster_map(str(tiny_encoder), [replace(sentences[0], mentions=())], settings) is None
