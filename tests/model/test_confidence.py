"""What calibration looks at is what the tagger gives: the same entities, the same confidences at any temperature."""

from pathlib import Path

import numpy as np
import pytest

from nerbert.formats.examples import read_examples
from nerbert.labels import word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import load_tagging_model, load_tokenizer, tags_of
from nerbert.model.confidence import Predicted, predict_entities
from nerbert.model.forward import TorchScorer
from nerbert.model.predict import TagClasses, decode, word_scores
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example


class Model:
    """The tiny tagger's parts."""

    def __init__(self, folder: Path) -> None:
        model = load_tagging_model(str(folder))
        self.tags = tags_of(model, "")
        self.scorer = TorchScorer(model, "fp32")
        self.pieces = SubwordTokenizer(load_tokenizer(str(folder)), model.config, 64)

    def predicted(self, examples: list[Example], decoding: str = "legal") -> Predicted:
        return predict_entities(self.scorer, self.pieces, examples, self.tags, decoding=decoding)


@pytest.fixture(scope="module")
def model(tiny_tagger: Path) -> Model:
    return Model(tiny_tagger)


@pytest.fixture(scope="module")
def examples(sample: Path) -> list[Example]:
    """Annotated sentences, one of them without a word, one of characters that share a piece."""
    han = Example("東京海上", ((0, 1), (1, 2), (2, 3), (3, 4)))
    return [*read_examples(sample / "domain" / "dev.conll"), Example("", ()), han]


@pytest.mark.parametrize("decoding", ["legal", "greedy"])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 1.7, 20.0])
def test_confidences_are_the_taggers(model: Model, examples: list[Example], decoding: str, temperature: float) -> None:
    found, classes = model.predicted(examples, decoding), TagClasses(model.tags)
    scores = word_scores(model.scorer, model.pieces, examples, len(model.tags))
    spans = list(decode(scores, classes, decoding, temperature).spans(classes))
    assert len(spans) > 20
    assert found.types == [type_ for _, _, _, type_, _ in spans]
    assert found.sentences.tolist() == [number for number, *_ in spans]
    assert found.confidences(temperature) == pytest.approx([sure for *_, sure in spans], abs=1e-9)
    assert found.decoding == decoding


def test_right_is_what_the_score_counts(model: Model, examples: list[Example]) -> None:
    found, classes = model.predicted(examples), TagClasses(model.tags)
    scores = word_scores(model.scorer, model.pieces, examples, len(model.tags))
    spans: list[list[tuple[int, int, str]]] = [[] for _ in examples]
    right = list[bool]()
    for number, first, last, type_, _ in decode(scores, classes, "legal").spans(classes):
        spans[number].append((first, last, type_))
        right.append((first, last, type_) in word_spans(examples[number]))
    assert found.right.tolist() == right
    assert any(right)
    assert found.score == score_spans(map(word_spans, examples), spans)
    assert found.examples == len(examples)


def test_many_examples_are_looked_at_in_parts(
    model: Model, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.predicted(examples)
    monkeypatch.setattr("nerbert.model.confidence._CHUNK", 7)
    parts = model.predicted(examples)
    assert parts.types == whole.types
    assert parts.sentences.tolist() == whole.sentences.tolist()
    assert parts.confidences(1.3) == pytest.approx(whole.confidences(1.3), abs=1e-5)


def test_no_entity_no_confidence(model: Model) -> None:
    found = model.predicted([Example("", ())])
    assert (found.types, found.confidences(1.0).tolist(), found.score.f1) == ([], [], 0.0)


def test_words_that_share_a_piece_share_its_probability() -> None:
    """An entity of two pieces, the first of three words, the second of one."""
    found = Predicted(
        types=["x"], right=np.array([True]), sentences=np.array([0]), logits=np.log([[3.0, 1.0]] * 3 + [[1.0, 1.0]]),
        chosen=np.zeros(4, int), starts=np.array([0]), score=score_spans([], []), examples=1, decoding="legal",
    )  # fmt: skip
    assert found.confidences(1.0) == pytest.approx([(3 * 0.75 + 0.5) / 4])
    assert found.confidences(20.0) == pytest.approx([0.5], abs=0.02)
