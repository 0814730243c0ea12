from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from nerbert.encoder.objectives.mlm import Mlm, pair_masks
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError
from nerbert.model.forward import Batch
from nerbert.model.windows import IGNORED, Window, Windows
from nerbert.training.batches import collate
from nerbert.training.distributed import ProcessGroup
from tests.encoder.backbones import mlm_of, tiny_mlm
from tests.raised import raises

PAD, CLS, SEP, MASK, WORDS = 0, 2, 3, 4, 60
SPECIAL = (PAD, 1, CLS, SEP)


def made(count: int, longest: int = 30) -> Windows:
    """Windows of several lengths."""
    draw = np.random.default_rng(1)
    bodies = [draw.integers(5, WORDS, draw.integers(1, longest)).tolist() for _ in range(count)]
    return Windows.pack(Window(n, (CLS, *body, SEP), (0,), (1,), (0,)) for n, body in enumerate(bodies))


def mlm(seed: int = 1, share: float = 0.15, vocabulary: int = WORDS, **more: Any) -> Mlm:
    return Mlm(seed, share, MASK, vocabulary, SPECIAL, **more)


def score_mlm(model: Any, windows: Windows, objective: Mlm, max_tokens: int) -> dict[str, float]:
    """The figures of a model on windows, in one process."""
    settings = PretrainSettings(corpus=Path(), max_tokens_per_batch=max_tokens, precision="fp32", batch_size=1000)  # type: ignore[arg-type]
    alone = cast("ProcessGroup", SimpleNamespace(rank=0, count=1, totals=lambda *values: list(values)))
    score = objective._score(model, windows, PAD, settings, alone)
    assert (score.value, score.higher_is_better) == (score.figures["mlm_loss"], False)
    return score.figures


def batch_of(windows: Windows, *numbers: int) -> Batch:
    return collate(windows, np.array(numbers), PAD)


def asked(batch: Batch) -> dict[tuple[int, int], tuple[int, int]]:
    """(window number, column) → (what stands there, the label)."""
    numbers, shown = batch.numbers[batch.rows], batch.ids[batch.rows, batch.columns]
    places = zip(numbers.tolist(), batch.columns.tolist(), strict=True)
    return dict(zip(places, zip(shown.tolist(), batch.labels.tolist(), strict=True), strict=True))


def test_what_is_asked_for_stood_there_and_the_rest_is_untouched() -> None:
    windows = made(40)
    before = batch_of(windows, *range(40))
    kept = before.ids.clone()
    after = mlm().prepare(before, 1)
    assert torch.equal(before.ids, kept)
    assert torch.equal(after.labels, kept[after.rows, after.columns])
    assert len(asked(after)) == len(after.labels) > 50
    changed = kept.clone()
    changed[after.rows, after.columns] = after.ids[after.rows, after.columns]
    assert torch.equal(after.ids, changed)
    assert torch.equal(after.mask, before.mask)
    assert torch.equal(after.numbers, before.numbers)


@pytest.mark.parametrize("pad_id", [PAD, 9])
def test_special_pieces_and_padding_are_never_asked_for(pad_id: int) -> None:
    """Padding is known by its mask: a tokenizer without a piece for it pads with an ordinary one."""
    windows = made(40)
    after = mlm(share=1.0).prepare(collate(windows, np.arange(40), pad_id), 1)
    assert len(after.labels) == len(windows.ids) - 2 * len(windows)
    assert after.mask[after.rows, after.columns].all()
    assert not set(after.labels.tolist()) & {*SPECIAL, MASK}
    assert not set(after.ids[after.rows, after.columns].tolist()) & set(SPECIAL)


def test_shares_are_those_of_the_paper() -> None:
    windows = made(2000, 60)
    open_pieces = len(windows.ids) - 2 * len(windows)
    after = mlm().prepare(batch_of(windows, *range(2000)), 3)
    shown, labels = after.ids[after.rows, after.columns], after.labels
    count = len(labels)
    assert count / open_pieces == pytest.approx(0.15, abs=0.005)
    same, masked = float((shown == labels).sum()) / count, float((shown == MASK).sum()) / count
    assert masked == pytest.approx(0.8, abs=0.02)
    assert same == pytest.approx(0.1 + 0.1 / (WORDS - 5), abs=0.015)
    others = shown[(shown != MASK) & (shown != labels)]
    assert set(others.tolist()) == set(range(5, WORDS))
    frequencies = np.bincount(others, minlength=WORDS)[5:] / len(others)
    assert frequencies.max() < 3 / (WORDS - 5)


def test_masks_differ_by_step_and_seed() -> None:
    windows = made(40)
    batch = batch_of(windows, *range(40))
    draws = [asked(objective.prepare(batch, step)) for objective, step in ((mlm(), 1), (mlm(), 2), (mlm(2), 1))]
    assert asked(mlm().prepare(batch, 1)) == draws[0]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = set(draws[one]) & set(draws[other])
        assert len(both) < 0.4 * len(draws[one])


@pytest.mark.parametrize("kind", ["bert", "modernbert", "distilbert"])
def test_the_loss_is_that_of_transformers(kind: str) -> None:
    model, objective = tiny_mlm(kind), mlm(share=0.3)
    batch = objective.prepare(batch_of(made(6), *range(6)), 1)
    labels = torch.full_like(batch.ids, IGNORED)
    labels[batch.rows, batch.columns] = batch.labels
    wanted = model(input_ids=batch.ids, attention_mask=batch.mask, labels=labels).loss
    mine = objective.loss(model, batch)["loss"] / objective.terms(batch)["loss"]
    torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)


def test_the_score_is_that_of_all_masks_of_step_0() -> None:
    model, windows, objective = tiny_mlm("bert"), made(300), mlm()
    model.train()
    figures = score_mlm(model, windows, objective, 200)
    assert not model.training
    batch = objective.prepare(batch_of(windows, *range(300)), 0)
    logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns].detach()
    wanted = torch.nn.functional.cross_entropy(logits, batch.labels)
    assert list(figures) == ["mlm_loss", "mlm_accuracy"]
    assert figures["mlm_loss"] == pytest.approx(float(wanted), rel=1e-5)
    assert figures["mlm_accuracy"] == pytest.approx(float((logits.argmax(-1) == batch.labels).float().mean()))
    assert score_mlm(model, windows, objective, 4000) == pytest.approx(figures)
    assert all(each.grad is None for each in model.parameters())


def test_an_objective_for_a_tokenizer(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["wordpiece"]
    objective = mlm_of(tokenizer, SimpleNamespace(vocab_size=len(tokenizer) + 60), 1, 1.0)
    ids = tokenizer("The Margarethe sailed to Tromsø .")["input_ids"]
    batch = batch_of(Windows.pack([Window(0, tuple(ids), (0,), (1,), (0,))]), 0)
    after = objective.prepare(batch, 1)
    assert after.columns.tolist() == list(range(1, len(ids) - 1))
    assert tokenizer.mask_token_id in after.ids
    assert int(after.ids.max()) < len(tokenizer)


def test_messages(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["unigram"]
    tokenizer.name_or_path = "some/encoder"
    with raises(InputError, "some/encoder: has no mask piece"):
        mlm_of(tokenizer, SimpleNamespace(vocab_size=900), 1, 0.15)
    with raises(InputError, "has no mask piece that the model knows"):
        mlm_of(tokenizers["wordpiece"], SimpleNamespace(vocab_size=3), 1, 0.15)
    with raises(InputError, "no piece of the validation sentences is masked"):
        score_mlm(tiny_mlm("bert"), Windows.pack([]), mlm(), 100)


def paired(drawn: list[bool]) -> list[bool]:
    """The public loop (CrossNER, `run_language_modeling.py`), from its description: one piece after the other.

    A selected piece is remembered unless the one before it is selected. The next selected one forgets it if they touch.
    Otherwise it is given up, and the piece before the present one is selected instead.
    """
    found, remembered = list(drawn), None
    for place in (place for place, chosen in enumerate(drawn) if chosen):
        if remembered is None:
            remembered = None if place and found[place - 1] else place
        else:
            if remembered + 1 < place:
                found[remembered], found[place - 1] = False, True
            remembered = None
    return found


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_pairs_are_those_of_the_public_loop(share: float) -> None:
    drawn = np.random.default_rng(3).random((300, 40)) < share
    found = pair_masks(drawn)
    assert found.tolist() == [paired(row) for row in drawn.tolist()]
    assert found.sum() == drawn.sum(), "the share is the same"


@pytest.mark.parametrize("pairs", [False, True])
def test_masks_do_not_depend_on_how_a_step_is_cut(*, pairs: bool) -> None:
    windows, objective = made(40), mlm(share=0.2, pairs=pairs)
    whole = asked(objective.prepare(batch_of(windows, *range(40)), 3))
    parts = [asked(objective.prepare(batch_of(windows, *some), 3)) for some in (range(6, -1, -1), range(7, 40))]
    assert whole == parts[0] | parts[1]
    columns = {(number, column) for number, column in whole}
    alone = [each for each in columns if not {(each[0], each[1] - 1), (each[0], each[1] + 1)} & columns]
    assert (len(alone) < 0.2 * len(columns)) == pairs
    twice = objective.prepare(batch_of(windows, 2, 2), 1)
    assert torch.equal(twice.ids[0], twice.ids[1]), "copies of a window in one step are masked alike"
