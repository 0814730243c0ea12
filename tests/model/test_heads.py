import math
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING

from nerbert.errors import InputError
from nerbert.metrics.calibration import Scaling
from nerbert.model.forward import POINTWISE, Batch, logits_at
from nerbert.model.heads import Entities
from nerbert.model.surgery import renew_head
from nerbert.model.windows import Window, Windows
from nerbert.records import Example
from nerbert.training.batches import collate
from tests.encoder.backbones import fresh_model, tiny_mlm, tiny_tagging
from tests.raised import raises

TAGS = ["O", "B-x", "I-x"]
WINDOWS = [
    Window(0, (2, 7, 8, 9, 10, 3), (0, 1, 2), (1, 3, 3)),
    Window(1, (2, 11, 3), (0,), (1,)),
    Window(2, (2, 12, 13, 14, 3), (0, 1), (3, 2)),
]


@pytest.fixture
def batch() -> Batch:
    """Windows of several lengths; a piece is asked for twice, and one before an earlier one."""
    return collate(Windows.pack(WINDOWS), np.arange(3), 0)


def all_logits(model: Any, batch: Batch) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=batch.ids, attention_mask=batch.mask).logits
    return logits[batch.rows, batch.columns]


def widths_of_head(model: Any) -> list[int]:
    """A list that gets the number of states that each call of the head's first layer sees."""
    seen: list[int] = []
    body = {id(each) for each in model.base_model.modules()}
    first = next(e for e in model.modules() if isinstance(e, torch.nn.Linear | torch.nn.Dropout) and id(e) not in body)
    first.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].shape[:-1].numel()))
    return seen


@pytest.mark.parametrize("kind", sorted(POINTWISE))
@pytest.mark.parametrize("make", [tiny_tagging, tiny_mlm])
def test_chosen_logits_are_those_of_the_whole(batch: Batch, kind: str, make: Callable[[str], Any]) -> None:
    if kind not in CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {kind}")
    model = make(kind)
    with torch.no_grad():
        wanted = all_logits(model, batch)
        seen = widths_of_head(model)
        torch.testing.assert_close(logits_at(model, batch), wanted, rtol=1e-4, atol=1e-5)
        assert seen == [len(batch.rows)]
        none = replace(batch, rows=batch.rows[:0], columns=batch.columns[:0])
        assert logits_at(model, none).shape == (0, wanted.shape[1])
        torch.testing.assert_close(all_logits(model, batch), wanted)


@pytest.mark.parametrize("make", [tiny_tagging, tiny_mlm])
def test_gradients_are_those_of_the_whole(batch: Batch, make: Callable[[str], Any]) -> None:
    gradients = []
    for logits in (all_logits, logits_at):
        model = make("bert")
        logits(model, batch).square().sum().backward()  # type: ignore[no-untyped-call]
        gradients.append({name: each.grad for name, each in model.named_parameters()})
    assert all(each is not None for each in gradients[1].values())
    for name, each in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], each, rtol=1e-4, atol=1e-6)
    none = replace(batch, rows=batch.rows[:0], columns=batch.columns[:0])
    model.zero_grad()
    logits_at(model, none).sum().backward()  # type: ignore[no-untyped-call]
    assert not any(each.grad.any() for each in model.parameters())


class Wrapper(torch.nn.Module):
    """A tagger inside of another module, whose logits may be changed."""

    def __init__(self, inner: Any, body: Any, model_type: str, change: Callable[[Any], Any] = lambda logits: logits):
        super().__init__()
        self.inner, self.base_model, self.change = inner, body, change
        self.config = SimpleNamespace(model_type=model_type)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        logits = self.inner(input_ids=input_ids, attention_mask=attention_mask).logits
        return SimpleNamespace(logits=self.change(logits))


def test_a_head_over_neighbours_sees_all_pieces_and_so_does_one_whose_body_has_no_hook(batch: Batch) -> None:
    """What isn't known to look at each piece alone runs whole, as does a compiled model that skips hooks."""
    inner, mix = tiny_tagging("bert", num_labels=3), torch.nn.Conv1d(3, 3, 3, padding=1)
    for model in (
        Wrapper(inner, inner.base_model, "made-up", lambda logits: mix(logits.transpose(1, 2)).transpose(1, 2)),
        Wrapper(inner, torch.nn.Identity(), "bert"),
    ):
        torch.testing.assert_close(logits_at(model.eval(), batch), all_logits(model, batch))


def test_other_threads_are_left_alone(batch: Batch) -> None:
    model = tiny_tagging("bert")
    wanted, other = all_logits(model, batch), list[torch.Tensor]()
    mine = threading.get_ident()

    def meanwhile(*_: Any) -> None:
        if threading.get_ident() == mine:
            thread = threading.Thread(target=lambda: other.append(all_logits(model, batch)))
            thread.start()
            thread.join()

    model.bert.register_forward_pre_hook(meanwhile)
    torch.testing.assert_close(logits_at(model, batch), wanted)
    torch.testing.assert_close(other[0], wanted)


def test_a_failing_model_is_left_as_it_was(batch: Batch) -> None:
    model = tiny_tagging("bert")
    with pytest.raises(IndexError):
        logits_at(model, replace(batch, ids=batch.ids + 1000))
    assert not model.bert._forward_hooks


def test_the_head_is_new_or_what_is_named_and_the_encoder_is_not() -> None:
    tagger, mlm = tiny_tagging("bert", hidden_size=64, num_attention_heads=1), tiny_mlm("bert")
    torch.nn.init.ones_(tagger.classifier.bias)
    named = {"cls.predictions.transform.dense.weight"}
    for model, only, wanted in ((tagger, None, {"classifier.weight", "classifier.bias"}), (mlm, named, named)):
        before = {name: each.clone() for name, each in model.state_dict().items()}
        renew_head(model, 1, only=only)
        assert {name for name, each in model.state_dict().items() if not torch.equal(before[name], each)} == wanted
    assert not tagger.classifier.bias.any()
    assert 0.01 < float(tagger.classifier.weight.detach().std()) < 0.03


def test_heads_differ_by_seed_alone() -> None:
    heads = []
    for seed, state in ((1, 5), (1, 6), (2, 5)):
        model = tiny_tagging("bert")
        torch.manual_seed(state)
        renew_head(model, seed)
        heads.append(model.classifier.weight.clone())
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_norms_of_a_deep_head_start_at_one() -> None:
    model = tiny_tagging("modernbert")
    torch.nn.init.zeros_(model.head.norm.weight)
    renew_head(model, 1)
    assert torch.equal(model.head.norm.weight, torch.ones(32))


@pytest.mark.parametrize("kind", ["bert", "modernbert", "electra", "deberta-v2"])
def test_a_tied_decoder_is_no_part_of_the_head(kind: str) -> None:
    model = tiny_mlm(kind)
    tied = model.get_output_embeddings().weight
    before = tied.clone()
    renew_head(model, 1)
    assert tied is model.get_input_embeddings().weight
    assert torch.equal(tied, before)


def test_fresh_models_start_equal_whatever_their_head() -> None:
    state = torch.get_rng_state()
    models = [fresh_model(50, 2, 64, tags, 4) for tags in (TAGS, ["O", "B-y", "I-y", "B-z", "I-z"], None)]
    other = fresh_model(50, 2, 64, TAGS, 5)
    assert torch.equal(torch.get_rng_state(), state)
    bodies = [model.bert.state_dict() for model in models]
    for name, weight in bodies[0].items():
        assert all(torch.equal(body[name], weight) for body in bodies[1:]), name
    assert not torch.equal(bodies[0]["embeddings.word_embeddings.weight"], other.bert.embeddings.word_embeddings.weight)
    assert not torch.equal(models[0].classifier.weight, other.classifier.weight)
    mlm = models[2]
    assert mlm.cls.predictions.decoder.weight is mlm.bert.embeddings.word_embeddings.weight
    assert 0.015 < float(mlm.cls.predictions.transform.dense.weight.detach().std()) < 0.025


def test_any_order_does_and_certain_ones_have_confidence_one_at_any_temperature() -> None:
    found = Entities.of([[((2, 3, "x"), math.inf), ((0, 2, "y"), 0.0)], [], [((0, 1, "x"), -math.inf)]])
    assert found.word_spans(3) == [[(0, 2, "y"), (2, 3, "x")], [], [(0, 1, "x")]]
    for temperature in (0.05, 1.0, 20.0):
        assert found.confidences(Scaling(temperature)).tolist() == pytest.approx([0.5, 1.0, 0.0])


def test_entities_that_overlap_are_refused() -> None:
    with raises(InputError, "overlap: (0, 2, 'y') and (1, 3, 'x')"):
        Entities.of([[], [((1, 3, "x"), 1.0), ((0, 2, "y"), 0.0)]])
    assert Entities.of([[((0, 2, "y"), 0.0)], [((1, 3, "x"), 1.0)]]).examples.tolist() == [0, 1]


def test_nested_entities_hold_each_other_and_the_outermost_has_the_tags() -> None:
    spans = [((1, 2, "x"), 0.0), ((0, 4, "y"), 2.0), ((1, 3, "x"), 1.0), ((4, 5, "x"), 0.0)]
    found = Entities.of([spans, []], nested=True)
    assert found.word_spans(2) == [[(0, 4, "y"), (1, 3, "x"), (1, 2, "x"), (4, 5, "x")], []]
    example = Example("a b c d e", ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9)))
    tags, _ = found.word_tags([example, Example("", ())])
    assert tags.tags == ["B-y", "I-y", "I-y", "I-y", "B-x"]
    assert tags.confidences == pytest.approx([1 / (1 + math.exp(-2))] * 4 + [0.5])
    with raises(InputError, "overlap: (0, 4, 'y') and (1, 3, 'x')"):
        Entities.of([spans])
    for cut in ((3, 5, "x"), (0, 4, "x")):
        with raises(InputError, "overlap"):
            Entities.of([[*spans[:2], (cut, 0.0)]], nested=True)


def test_an_entity_of_several_parts_has_the_mean_of_their_probabilities() -> None:
    found = Entities.of([[((2, 3, "x"), 0.0), ((0, 2, "x"), (math.inf, 0.0))], [((0, 1, "y"), (0.0, -math.inf))]])
    assert found.confidences().tolist() == pytest.approx([0.75, 0.5, 0.25])
    joined = Entities.join([found, found], [2, 2])
    assert joined.confidences().tolist() == pytest.approx([0.75, 0.5, 0.25] * 2)
    assert joined.of_types(["y"]).confidences().tolist() == pytest.approx([0.25, 0.25])


def test_none_at_all() -> None:
    for none in (Entities.of([]), Entities.of([[], []])):
        assert (list(none.spans()), none.word_spans(2)) == ([], [[], []])
