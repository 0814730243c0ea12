"""A result: its figures, and what it says of them."""

from dataclasses import replace

import pytest

from nerbert.evaluation.quickstart import ModelScores, QuickstartResult


def made_up_model(title: str, *f1: float, sentences: int = 31) -> ModelScores:
    """A model whose seeds reached `f1`."""
    return ModelScores(f"tagger-{title}" if sentences else title, title, sentences, f1, tuple(one + 0.1 for one in f1))


def test_figures_of_a_model() -> None:
    model = made_up_model("toy", 0.2, 0.4, 0.9)
    assert (model.mean, model.sd) == pytest.approx((0.5, 0.13**0.5))  # (0.09 + 0.01 + 0.16) / (3 - 1)
    assert (model.label, model.summary) == ("toy after 31 sentences", "50.00 ± 36.06")
    one_seed = made_up_model("good", 0.25, sentences=0)
    assert (one_seed.sd, one_seed.label, one_seed.summary) == (0.0, "good without a sentence", "25.00")


def test_verdict_says_what_was_measured() -> None:
    models = (
        made_up_model("toy", 0.5, 0.6),
        made_up_model("good", 0.4321, sentences=0),
        made_up_model("good", 0.53, 0.65),
    )
    result = QuickstartResult(models, 151, 2643, "The brig Ada left.", ())
    toy, *good = "toy after 31 sentences 55.0", "good without a sentence 43.2", "good after 31 sentences 59.0"
    assert result.verdict == f"F1 on 151 test sentences: {', '.join([toy, *good])}."
    assert replace(result, models=result.models[:1]).verdict == f"F1 on 151 test sentences: {toy}."
