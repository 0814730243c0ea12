"""What the tagger says beside `transformers`' own pipeline on the same folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert.formats.examples import read_examples
from nerbert.model.forward import TorchScorer
from nerbert.model.windows import Padded
from nerbert.rng import Array
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def pipe(tiny_tagger: Path) -> Any:
    return transformers.pipeline("token-classification", model=str(tiny_tagger), device="cpu")


@pytest.fixture(scope="module")
def greedy(tiny_tagger: Path) -> Tagger:
    return Tagger.load(tiny_tagger, backend="torch", device="cpu", precision="fp32", decoding="greedy")


@pytest.fixture(scope="module")
def texts(sample: Path) -> list[str]:
    return [each.text for each in read_examples(sample / "domain" / "test.conll")]


def test_every_pieces_logits_are_those_of_the_pipeline(
    pipe: Any, greedy: Tagger, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each text, whatever else is in the batch: all pieces that words are read off."""
    seen: dict[tuple[int, ...], tuple[Array, Array]] = {}
    score = TorchScorer.__call__

    def spy(self: TorchScorer, batch: Padded) -> Array:
        logits = score(self, batch)
        for row in range(len(batch.ids)):
            ids = tuple(batch.ids[row][batch.mask[row].astype(bool)].tolist())
            seen[ids] = batch.columns[batch.rows == row], logits[batch.rows == row]
        return logits

    monkeypatch.setattr(TorchScorer, "__call__", spy)
    some = [text for text in texts if len(list(greedy.sentences(text))) == 1]
    list(greedy.tag_many(some))
    assert len(some) > 100
    outputs: list[Any] = []
    forward = pipe._forward

    def kept(inputs: Any, **more: Any) -> Any:
        outputs.append(forward(inputs, **more))
        return outputs[-1]

    monkeypatch.setattr(pipe, "_forward", kept)
    pipe(some)
    assert len(outputs) == len(some)
    for output in outputs:
        columns, ours = seen[tuple(output["input_ids"][0].tolist())]
        assert len(columns)
        assert np.allclose(ours, output["logits"][0].numpy()[columns], atol=2e-5)


def test_greedy_spans_are_the_pipelines_where_words_are_the_same(pipe: Any, greedy: Tagger, texts: list[str]) -> None:
    """`aggregation_strategy="first"` reads a word off its first piece too.

    Its words are the tokenizer's, and it splits no sentences.
    """
    same = compared = 0
    for text in texts:
        tokens = pipe.tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
        words = tuple(place for _, place in tokens)
        if words != split_words(text, greedy.splitter) or len(list(greedy.sentences(text))) > 1:
            continue
        theirs = {
            (each["start"], each["end"], each["entity_group"]) for each in pipe(text, aggregation_strategy="first")
        }
        ours = {(span.start, span.end, span.type) for span in greedy.tag(text)}
        compared += 1
        same += ours == theirs
    assert compared > 20
    assert same == compared
