"""GLiNER's models on texts with labels of their own, from eight threads, and what a text costs."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.model.gliner.scorer import TorchGliner
from nerbert.tagger.tagger import Tagger
from tests.model.gliner.conftest import Make
from tests.raised import raises
from tests.tagger.batches import TEXTS, Load, check_batch, check_cost, check_threads

LABELS: Sequence[Sequence[str]] = (["ship", "city"], ["port: where ships call", "person", "ship"], ["state"])
MANY = [f"label {number}" for number in range(7)]
KINDS: dict[str, dict[str, Any]] = {
    "spans": {}, "words": {"span_mode": "token_level"}, "two encoders": {"labels_encoder": "x"},
    "groups": {"max_types": 3},
}  # fmt: skip


@pytest.fixture(params=KINDS)
def load(request: pytest.FixtureRequest, make: Make) -> Load:
    """What loads a tagger that finds something in half of all places."""
    return partial(Tagger.load, make(**KINDS[request.param]), device="cpu", precision="fp32", threads=1)


def test_each_answer_is_that_of_the_text_alone(load: Load) -> None:
    check_batch(load, [*LABELS, MANY], ["", "nested"])


def test_eight_threads_get_the_answers_of_one(load: Load) -> None:
    check_threads(load, [*LABELS, MANY])


def test_cost_is_what_the_model_reads(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger, read, encoded = load(), list[int](), list[int]()
    states, labels = TorchGliner._states, TorchGliner.label_vectors

    def spy(self: TorchGliner, rows: Any) -> Any:
        read.extend(map(len, rows))
        return states(self, rows)

    def spy_labels(self: TorchGliner, *both: Any) -> Any:
        encoded.append(1)
        return labels(self, *both)

    monkeypatch.setattr(TorchGliner, "_states", spy)
    monkeypatch.setattr(TorchGliner, "label_vectors", spy_labels)
    check_cost(tagger, [*LABELS, MANY], read, lambda: len(read) + len(encoded))
    assert tagger.with_labels(LABELS[0]).cost(TEXTS[0]) == tagger.cost(TEXTS[0], LABELS[0])
    with raises(InputError):
        tagger.cost(TEXTS[0])
