"""The fastest back end is measured once, and remembered until something it depends on changes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nerbert.model.windows import Padded
from nerbert.rng import Array
from nerbert.tagger import choice
from nerbert.tagger.choice import fastest, machine_facts, seconds_of


def measures(calls: list[str], **seconds: float) -> dict[str, Callable[[], float]]:
    def of(name: str) -> Callable[[], float]:
        def measure() -> float:
            calls.append(name)
            return seconds[name]

        return measure

    return {name: of(name) for name in seconds}


def test_the_fastest_is_taken_and_measured_once(tmp_path: Path) -> None:
    calls: list[str] = []
    for _ in range(3):
        assert fastest(measures(calls, slow=3.0, quick=1.0), {"model": 1}, str(tmp_path)) == "quick"
    assert calls == ["slow", "quick"]
    assert fastest(measures(calls, slow=3.0, quick=4.0), {"model": 2}, str(tmp_path)) == "slow"
    assert fastest(measures(calls, slow=3.0, quick=4.0, new=1.0), {"model": 1}, str(tmp_path)) == "new"
    assert len(calls) == 7


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"slow": 3, "quick": "x"}', '{"slow": 3, "other": 1}'])
def test_a_damaged_verdict_is_made_again(tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []
    fastest(measures(calls, slow=3.0, quick=1.0), {}, str(tmp_path))
    (file,) = tmp_path.rglob("seconds.json")
    file.write_text(damage)
    assert fastest(measures(calls, slow=0.5, quick=1.0), {}, str(tmp_path)) == "slow"
    assert len(calls) == 4
    assert json.loads(file.read_text()) == {"slow": 0.5, "quick": 1.0}
    assert "damaged" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    calls: list[str] = []
    for _ in range(2):
        assert fastest(measures(calls, slow=3.0, quick=1.0), {}, str(tmp_path / "file" / "cache")) == "quick"
    assert len(calls) == 4
    assert "measured each time" in capsys.readouterr().err


@pytest.mark.parametrize(("max_tokens", "room", "vocabulary"), [(1, 2, 1), (64, 20, 50), (8192, 512, 30000)])
def test_what_is_measured_fits_the_model(max_tokens: int, room: int, vocabulary: int) -> None:
    seen: list[Padded] = []

    def scorer(batch: Padded, /) -> Array:
        seen.append(batch)
        return np.zeros((len(batch.rows), 3), np.float32)

    assert seconds_of(scorer, max_tokens, room, vocabulary) > 0
    for batch in seen:
        assert batch.ids.shape == batch.mask.shape
        assert batch.ids.shape[1] <= room
        assert batch.ids.size <= max_tokens or len(batch.ids) == 1
        assert batch.ids.min() >= 0
        assert batch.ids.max() < vocabulary
    assert sum(len(batch.ids) for batch in seen) == choice._WINDOWS * (choice._ROUNDS + 1)


def test_facts_change_with_the_model_and_the_threads(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a")
    facts = machine_facts([tmp_path / "model"], ["numpy", "no-such-package"], 1)
    assert facts == json.loads(json.dumps(facts))
    assert facts == machine_facts([tmp_path / "model"], ["numpy", "no-such-package"], 1)
    assert facts != machine_facts([tmp_path / "model"], ["numpy", "no-such-package"], 2)
    (tmp_path / "model").write_text("bc")
    assert facts != machine_facts([tmp_path / "model"], ["numpy", "no-such-package"], 1)
    assert facts["versions"]["numpy"]
    assert facts["versions"]["no-such-package"] == ""
