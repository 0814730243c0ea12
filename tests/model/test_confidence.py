"""What calibration looks at is what the tagger gives: the same entities, the same confidences at any temperature."""

from pathlib import Path

import numpy as np
import pytest

from nerbert.formats.examples import read_examples
from nerbert.labels import spans_from_bio, word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import load_tokenizer, tags_of
from nerbert.model.forward import TorchScorer
from nerbert.model.heads import Entities, Predicted, predict_entities
from nerbert.model.linear import LinearHead
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from tests.encoder.backbones import load_tagging_model


class Model:
    """The tiny tagger's parts."""

    def __init__(self, folder: Path) -> None:
        model = load_tagging_model(str(folder))
        self.tags = tags_of(model, "")
        self.scorer = TorchScorer(model, "fp32")
        self.pieces = SubwordTokenizer(load_tokenizer(str(folder)), model.config, 64)

    def head(self, decoding: str = "legal") -> LinearHead:
        return LinearHead(self.scorer, self.pieces, self.tags, decoding=decoding)

    def predicted(self, examples: list[Example], decoding: str = "legal") -> Predicted:
        return predict_entities(self.head(decoding), examples)


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
    found = model.predicted(examples, decoding)
    rows = model.head(decoding).tag(examples, temperature)
    spans = [(number, *span) for number, row in enumerate(rows) for span in spans_from_bio(row.tags)]
    assert len(spans) > 20
    assert [each[:4] for each in found.entities.spans()] == spans
    means = [np.mean(rows[number].confidences[first:last]) for number, first, last, _ in spans]
    assert found.entities.confidences(temperature) == pytest.approx(means, abs=1e-9)
    assert found.decoding == decoding


def test_right_is_what_the_score_counts(model: Model, examples: list[Example]) -> None:
    found = model.predicted(examples)
    spans: list[list[tuple[int, int, str]]] = [[] for _ in examples]
    right = list[bool]()
    for number, first, last, type_, _ in found.entities.spans():
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
    monkeypatch.setattr("nerbert.model.linear._CHUNK", 7)
    parts = model.predicted(examples)
    assert [each[:4] for each in parts.entities.spans()] == [each[:4] for each in whole.entities.spans()]
    assert parts.entities.confidences(1.3) == pytest.approx(whole.entities.confidences(1.3), abs=1e-5)


def test_no_entity_no_confidence(model: Model) -> None:
    found = model.predicted([Example("", ())])
    assert (found.entities.types, found.entities.confidences(1.0).tolist(), found.score.f1) == ([], [], 0.0)


def test_words_that_share_a_piece_share_its_probability() -> None:
    """An entity of two pieces, the first of three words, the second of one."""
    first = np.array([0])
    found = Entities(
        examples=first, starts=first, ends=first + 4, types=["x"], logits=np.log([[3.0, 1.0]] * 3 + [[1.0, 1.0]]),
        chosen=np.zeros(4, int), parts=first,
    )  # fmt: skip
    assert found.confidences(1.0) == pytest.approx([(3 * 0.75 + 0.5) / 4])
    assert found.confidences(20.0) == pytest.approx([0.5], abs=0.02)
