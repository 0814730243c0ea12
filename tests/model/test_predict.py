from typing import Any

import numpy as np
import pytest
import torch

from nerbert.formats.conll import example_of
from nerbert.model.forward import TorchScorer
from nerbert.model.linear import word_scores
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.words import split_words
from tests.encoder.backbones import predict

NAMES = ["O", "B-org", "I-org"]


class Fixed(torch.nn.Module):
    """Says B-org everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        assert input_ids.shape == attention_mask.shape
        logits = torch.tensor([0.0, 5.0, 0.0]).expand(*input_ids.shape, 3)
        return type("Output", (), {"logits": logits})


def test_words_of_one_piece_are_one_entity(tokenizers: dict[str, Any], config: Any) -> None:
    text = "在北京在"
    (found,) = predict(
        TorchScorer(Fixed(), "fp32"),
        SubwordTokenizer(tokenizers["chinese"], config(), 64),
        [Example(text, split_words(text))],
        NAMES,
    )
    assert found.tags == ["B-org", "B-org", "I-org", "B-org"]


def test_a_word_without_a_piece_is_outside_and_sure(tokenizers: dict[str, Any], config: Any) -> None:
    example = example_of(["Paris", "\u200d", "Rome"], ["O"] * 3)
    (found,) = predict(
        TorchScorer(Fixed(), "fp32"), SubwordTokenizer(tokenizers["wordpiece"], config(), 64), [example], NAMES
    )
    assert found.tags == ["B-org", "O", "B-org"]
    assert found.confidences[1] == 1.0
    assert 0.9 < found.confidences[0] < 1


@pytest.mark.parametrize(
    ("kind", "text"), [("wordpiece", "Paris, the \u200d capital of Ruritania "), ("chinese", "在北京 Rome。")]
)
@pytest.mark.parametrize(("stretch", "margin", "longest"), [(12, 4, 64), (13, 6, 9), (50, 2, 16), (10**6, 1, 64)])
def test_a_stretch_of_many_words_is_tokenised_in_parts(
    tokenizers: dict[str, Any], config: Any, monkeypatch: pytest.MonkeyPatch, kind: str, text: str, stretch: int,
    margin: int, longest: int,
) -> None:  # fmt: skip
    """To a model that looks at each piece alone the parts make no difference."""

    def scorer(batch: Padded, /) -> Array:
        logits: Array = np.stack([batch.ids % 7, batch.ids % 11, batch.ids % 5], 2)[batch.rows, batch.columns]
        return logits.astype(np.float32)

    examples = [Example(each, split_words(each)) for each in (text * 3, "", text * 40, "a", text * 9)]
    pieces = SubwordTokenizer(tokenizers[kind], config(), longest)
    whole = word_scores(scorer, pieces, examples, 3)
    monkeypatch.setattr("nerbert.model.linear._STRETCH", stretch)
    monkeypatch.setattr("nerbert.model.linear._MARGIN", margin)
    parted = word_scores(scorer, pieces, examples, 3)
    assert len(whole.read) > 100
    for name in ("offsets", "read", "logits", "followers"):
        assert np.array_equal(getattr(whole, name), getattr(parted, name)), name


def test_nothing_in_nothing_out(tokenizers: dict[str, Any], config: Any) -> None:
    pieces = SubwordTokenizer(tokenizers["wordpiece"], config(), 64)
    assert predict(TorchScorer(Fixed()), pieces, [], NAMES) == []
    (found,) = predict(TorchScorer(Fixed()), pieces, [Example("", ())], NAMES)
    assert found.tags == []
