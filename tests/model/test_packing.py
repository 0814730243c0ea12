"""Passes without padding give what padded ones give, and a window knows nothing of its neighbours."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from nerbert.model.forward import Batch, hidden_states, logits_at, pack_passes, states_at
from tests.encoder.backbones import tiny_tagging

PACKED = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "modernbert", "albert")
PADDED = ("deberta-v2", "longformer", "roformer", "mpnet")
LENGTHS = (3, 21, 9, 12)


def batch_of(lengths: tuple[int, ...] = LENGTHS, seed: int = 5) -> Batch:
    """Windows of random pieces; each piece is asked for."""
    torch.manual_seed(seed)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(2, 60, mask.shape) * mask
    rows, columns = mask.nonzero().unbind(1)
    return Batch(ids, mask, rows, columns, torch.zeros_like(rows), torch.arange(len(lengths)))


@pytest.mark.parametrize("kind", PACKED)
def test_packed_states_and_logits_are_those_of_padded_passes(kind: str) -> None:
    model, batch = tiny_tagging(kind, initializer_range=0.5), batch_of()
    other, mine, seen = replace(batch, ids=batch.ids.clone()), batch.rows == 1, list[Any]()
    other.ids[[0, 2, 3]] = (batch.ids[[0, 2, 3]] + 7) % 58 + 2
    with torch.no_grad():
        wanted, states = logits_at(model, batch), states_at(model.base_model, batch)
        with pack_passes(model) as packs:
            assert packs
            embeddings = model.base_model.get_input_embeddings()
            handle = embeddings.register_forward_pre_hook(lambda _, given: seen.append(given))
            found = logits_at(model, batch.to("cpu"))
            handle.remove()
            assert [each.shape for (each,) in seen] == [(1, sum(LENGTHS))]  # no piece of padding was read
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(states_at(model.base_model, batch), states, rtol=1e-4, atol=1e-5)
            whole = hidden_states(model.base_model, batch.ids, batch.mask)
            torch.testing.assert_close(whole[batch.rows, batch.columns], states, rtol=1e-4, atol=1e-5)
            beside = logits_at(model, other)
            assert torch.equal(found[mine], beside[mine])  # of changed neighbours
            assert not torch.isclose(found[~mine], beside[~mine]).all()
        assert torch.equal(logits_at(model, batch), wanted)  # as before


@pytest.mark.parametrize("kind", PACKED)
def test_gradients_are_those_of_padded_passes(kind: str) -> None:
    model, batch = tiny_tagging(kind, initializer_range=0.5), batch_of()
    parameters = [each for each in model.parameters() if each.requires_grad]

    def gradients() -> list[torch.Tensor]:
        loss = logits_at(model, batch).logsumexp(-1).sum()
        return list(torch.autograd.grad(loss, parameters, allow_unused=True))

    wanted = gradients()
    with pack_passes(model) as packs:
        assert packs
        found = gradients()
    assert any(each is not None for each in wanted)
    for one, two in zip(found, wanted, strict=True):
        assert (one is None) == (two is None)
        if two is not None:
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", PADDED)
def test_other_encoders_stay_padded(kind: str) -> None:
    model, batch = tiny_tagging(kind, initializer_range=0.5), batch_of()
    with torch.no_grad():
        wanted = logits_at(model, batch)
        with pack_passes(model) as packs:
            assert not packs
            assert torch.equal(logits_at(model, batch), wanted)


def test_what_leaks_or_is_placed_wrongly_stays_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    for kind, name, wrong in (("bert", "_attend", sdpa_attention_forward), ("roberta", "first_position", lambda _: 0)):
        with monkeypatch.context() as patch:
            patch.setattr(f"nerbert.model.forward.{name}", wrong)
            with pack_passes(tiny_tagging(kind)) as packs:
                assert not packs


def test_a_model_of_another_library_stays_padded() -> None:
    with pack_passes(torch.nn.Linear(2, 2)) as packs:
        assert not packs
