"""Thresholds and temperatures of one tagger for another, by the labels' names."""

import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.model.folder import read_card
from nerbert.render.cards import tagger_card
from nerbert.tagger.calibrate import undo
from nerbert.tagger.copied import copy_calibration
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.commands import exit_code
from tests.raised import raises
from tests.tagger.test_judged import loaded

OWN = {
    "calibration": {"temperature": 2.0, "temperatures": {"ship": 1.5, "crew": 3.0}},
    "thresholds": {"ship": 0.7, "crew": 0.6},
}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Tagger, "load", loaded)
    return made(tmp_path / "old", types=["crew", "ship"], **OWN)


def made(folder: Path, **card: Any) -> Path:
    folder.mkdir()
    facts = {"format": 1, "kind": "tagger", "word_splitter": SPLITTER, "types": ["port", "ship"]} | card
    (folder / "nerbert.json").write_text(json.dumps(facts))
    return folder


def test_an_uncalibrated_tagger_takes_all_of_its_labels(source: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "new", thresholds={"port": 0.2})
    (done,) = copy_calibration(folder, source)
    card = read_card(str(folder))
    assert card["thresholds"] == {"port": 0.2, "ship": 0.7}
    assert card["calibration"] == {"temperature": 2.0, "temperatures": {"ship": 1.5}, "copied_from": "old"}
    assert (done.unknown, done.without, done.took_temperatures) == (("crew",), ("port",), True)
    assert "copied\nfrom another tagger" in tagger_card({**card, "encoder": {"kind": "x", "name": ""}, "dev": None})
    undo(folder)
    now = read_card(str(folder))
    assert (now["thresholds"], "calibration" in now) == ({"port": 0.2}, False)


def test_a_calibrated_tagger_keeps_its_temperature(source: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "new", calibration={"temperature": 1.25, "ece_after": 0.1})
    (done,) = copy_calibration(folder, source, dry_run=True)
    assert "thresholds" not in read_card(str(folder))
    assert copy_calibration(folder, source) == [done]
    card = read_card(str(folder))
    assert card["thresholds"] == {"ship": 0.7}, "a confidence says the same in both"
    assert card["calibration"] == {"temperature": 1.25, "ece_after": 0.1}
    assert not done.took_temperatures


def test_a_tagger_of_labels_at_run_time_takes_all(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nerbert.model.folder.ModelFolder.labels_at_run_time", True)
    (source / "nerbert.json").write_text(json.dumps(read_card(str(source)) | {"threshold": 0.4}))
    folder = made(tmp_path / "new", kind="encoder", types=None, threshold=0.5)
    (done,) = copy_calibration(folder, source)
    card = read_card(str(folder))
    assert (card["thresholds"], card["threshold"]) == ({"ship": 0.7, "crew": 0.6}, 0.4)
    assert (done.unknown, done.threshold) == ((), 0.4)


def test_the_command_says_what_was_copied(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(tmp_path / "new")
    assert exit_code("calibrate", folder, "--copy-from", source, "--dry-run") == 0
    told = capsys.readouterr().out
    for line in (f"thresholds of {source}: ship 0.700", "temperature 2.000, ship 1.500",
                 "not copied, since this tagger doesn't know them: crew",
                 "without a value there, so unchanged: port"):  # fmt: skip
        assert f"{line}\n" in told
    assert told.endswith("nothing was written (--dry-run)\n")


@pytest.mark.parametrize(
    ("target", "origin", "words"),
    [
        ("other", "bare", "bare: has no thresholds and no temperature to copy"),
        ("other", "old", "other: knows none of the labels of "),
        ("gone", "old", "gone: no such folder"),
    ],
)
def test_where_nothing_can_be_copied(source: Path, tmp_path: Path, target: str, origin: str, words: str) -> None:
    made(tmp_path / "bare")
    other = made(tmp_path / "other", types=["drug"])
    with raises(InputError, words):
        copy_calibration(tmp_path / target, source.parent / origin)
    assert "calibration" not in read_card(str(other))
