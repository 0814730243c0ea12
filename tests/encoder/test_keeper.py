"""What the loop's scorer keeps, with a prediction that is set by hand."""

from pathlib import Path
from typing import Any

import pytest

import nerbert.encoder.keeper as stage
from nerbert.encoder.keeper import Keeper
from nerbert.formats.conll import example_of
from nerbert.training.settings import TrainSettings

F1S = {1: 0.2, 2: 0.5, 3: 0.5, 4: 0.4}


def keeper(monkeypatch: pytest.MonkeyPatch, saved: list[int], only_at: int = 0) -> Keeper:
    class NoPieces:
        tokenizer = None

    made = Keeper(Path("x"), NoPieces(), [example_of(["a"], ["O"])], ["O"], TrainSettings(), lambda *_: {}, only_at)  # type: ignore[arg-type]
    monkeypatch.setattr(stage, "predict", lambda *_, **__: [])
    monkeypatch.setattr(stage, "save_model", lambda folder, model, tokenizer: saved.append(model))
    return made


@pytest.mark.parametrize(("only_at", "kept"), [(0, [1, 2]), (3, [])])
def test_the_first_figure_chooses_and_a_tie_goes_to_the_earlier(
    monkeypatch: pytest.MonkeyPatch, only_at: int, kept: list[int]
) -> None:
    saved: list[int] = []
    scorer: Any = keeper(monkeypatch, saved, only_at)
    shown = {}
    for step, f1 in F1S.items():
        scorer.figures = lambda *_, f1=f1: {"f1": f1, "other": -f1}
        shown[step] = scorer(step, step)
    assert saved == kept
    assert scorer.best_step == (2 if not only_at else 0)
    assert [step for step, figures in shown.items() if figures] == ([only_at] if only_at else list(F1S))
