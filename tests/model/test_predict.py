from typing import Any

import torch

from nerbert.formats.conll import example_of
from nerbert.model.forward import TorchScorer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
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


def test_nothing_in_nothing_out(tokenizers: dict[str, Any], config: Any) -> None:
    pieces = SubwordTokenizer(tokenizers["wordpiece"], config(), 64)
    assert predict(TorchScorer(Fixed()), pieces, [], NAMES) == []
    (found,) = predict(TorchScorer(Fixed()), pieces, [Example("", ())], NAMES)
    assert found.tags == []
