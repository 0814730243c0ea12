"""Calibration of a tagger that is there: what it writes, what it says, what it refuses."""

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nerbert
from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.evaluation.evaluate import evaluate
from nerbert.formats.documents import Reading
from nerbert.metrics.calibration import Threshold
from nerbert.metrics.calibration import calibrate as calibration_error
from nerbert.model import forward
from nerbert.model.folder import find_named, read_card
from nerbert.model.heads import predict_entities
from nerbert.render.cards import tagger_card
from nerbert.render.terminal import print_calibrations
from nerbert.tagger import self_check_answers
from nerbert.tagger.calibrate import Calibrated
from nerbert.tagger.self_check_answers import CHECK
from nerbert.tagger.tagger import Tagger
from tests.commands import exit_code
from tests.examples import read_examples
from tests.raised import raises, raising
from tests.tagger.test_answering import fixed

Caught = pytest.CaptureFixture[str]
calibrate = nerbert.calibrate
FP32: dict[str, Any] = {"device": "cpu", "precision": "fp32"}


@pytest.fixture
def data(sample: Path) -> Path:
    return sample / "domain"


def card_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "nerbert.json").read_text()))


def test_what_is_written(folder: Path, data: Path) -> None:
    before = card_of(folder)
    (done,) = calibrate(folder, data / "test.conll")
    after = card_of(folder)
    told = after["calibration"]
    assert told == done.calibration
    assert told["temperature"] != 1
    assert told["ece_after"] < told["ece_before"]
    assert (told["sentences"], told["data"]["name"]) == (150, "test.conll")
    assert after == before | {"calibration": told, "thresholds": {}}
    assert not done.old_readme
    assert (folder / "README.md").read_text() == tagger_card(after)
    assert read_card(str(folder)) == after
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    calibrate(folder, data / "test.conll")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files, "the same twice is the same"


def test_spans_stay_and_are_more_honest(folder: Path, data: Path) -> None:
    text = "The brig Margarethe was built by Larsen & Holm in Bergen."
    card = card_of(folder)
    (folder / "nerbert.json").write_text(json.dumps(card | {"calibration": None}))
    before = Tagger.load(folder)
    (done,) = calibrate(folder, data)
    after = Tagger.load(folder)
    assert after.scaling.temperature == done.calibration["temperature"]
    spans, again = before.tag(text), after.tag(text)
    assert spans
    assert [(each.start, each.end, each.type) for each in spans] == [(e.start, e.end, e.type) for e in again]
    assert [each.confidence for each in spans] != [each.confidence for each in again]
    found = predict_entities(after.head, read_examples(data / "dev.conll"))
    error = calibration_error(found.entities.confidences().tolist(), found.right.tolist()).ece
    assert done.calibration["ece_before"] == pytest.approx(error, abs=1e-4)


def test_thresholds_go_with_the_next_temperature(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "best_precision", lambda *_: "bf16")
    (done,) = calibrate(folder, data, precision=0.6)
    chosen = card_of(folder)["thresholds"]
    assert chosen == {name: each.confidence for name, each in done.thresholds.items() if each.confidence is not None}
    assert any(bound > 0 for bound in chosen.values())
    examples = read_examples(data / "dev.conll")
    taggers = (Tagger.load(folder, thresholds=bound) for bound in (None, 0))
    kept, every = (
        Counter(each.head.predict(examples).at_least(each.thresholds, each.scaling).types) for each in taggers
    )
    for name, bound in done.thresholds.items():
        assert (kept[name], every[name]) == (bound.kept, bound.predicted)
        assert bound.confidence is None or bound.precision >= 0.6
    assert "precision reached 60.00" in (folder / "README.md").read_text()
    (again,) = calibrate(folder, data)
    assert set(again.lost) == set(chosen)
    assert card_of(folder)["thresholds"] == {}
    assert "by_type" not in card_of(folder)["calibration"]


def test_answers_of_earlier_confidences_do_not_stay_and_a_readme_of_ones_own_does(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    (folder / "README.md").write_text("mine")
    assert (folder / CHECK).is_file()
    monkeypatch.setattr(self_check_answers, "answers_of", raising(InputError("no answer")))
    (done,) = calibrate(folder, data / "test.conll")
    assert not (folder / CHECK).exists()
    assert capsys.readouterr().err.endswith("no check.json was written: no answer\n")
    assert (done.old_readme, (folder / "README.md").read_text()) == (True, "mine")


def test_each_seed_is_calibrated_and_one_that_is_no_tagger_stops_all(
    folder: Path, data: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    seeds = tmp_path / "taggers"
    for seed in (1, 2):
        shutil.copytree(folder, seeds / f"seed-{seed}")
    done = calibrate(seeds, data / "test.conll")
    assert [each.folder for each in done] == [seeds / "seed-1", seeds / "seed-2"]
    assert [card_of(each.folder)["calibration"]["sentences"] for each in done] == [150, 150]
    shutil.copytree(tiny_encoder, seeds / "seed-3")
    before = (seeds / "seed-1" / "nerbert.json").read_bytes()
    with raises(InputError, "seed-3: no tagger"):
        calibrate(seeds, data / "dev.conll")
    assert (seeds / "seed-1" / "nerbert.json").read_bytes() == before


def test_what_it_was_trained_on_is_refused(folder: Path, data: Path) -> None:
    with raises(InputError, "tagger was trained on it"):
        calibrate(folder, data / "train.conll")
    card = card_of(folder) | {"source_data": {"sha256": {"x.conll": card_of(folder)["data"]["sha256"]["dev.conll"]}}}
    (folder / "nerbert.json").write_text(json.dumps(card))
    with raises(InputError, "trained on it"):
        calibrate(folder, data)


def test_the_dev_part_of_the_file_that_was_cut_is_taken(folder: Path, data: Path) -> None:
    card = card_of(folder)
    card["data"] = {"sha256": {"test.conll": sha256_of(data / "test.conll")}, "split": "60/40", "split_seed": 3}
    (folder / "nerbert.json").write_text(json.dumps(card))
    for other in (Reading(), Reading(split="60/40"), Reading(split="50/50", split_seed=3)):
        with raises(InputError, "--split and --split-seed as in training"):
            calibrate(folder, data / "test.conll", reading=other)
    (done,) = calibrate(folder, data / "test.conll", reading=Reading(split="60/40", split_seed=3))
    assert 0 < done.calibration["sentences"] < 150


def test_a_zero_shot_tagger_gets_the_threshold_that_is_best_on_the_data(
    data: Path, tmp_path: Path, capsys: Caught
) -> None:
    folder = Path(shutil.copytree(find_named("embedded-open"), tmp_path / "open"))
    (folder / "nerbert.json").write_text(json.dumps(card_of(folder) | {"threshold": 0.9, "previous": {}}))
    (done,) = calibrate(folder, data / "dev.conll")
    card, told = card_of(folder), done.calibration
    assert (card["threshold"], card["thresholds"], "previous" in card) == (done.threshold, {}, False)
    print_calibrations([done], data / "dev.conll")
    assert f"threshold {done.threshold:.3f} for all labels without their own" in capsys.readouterr().out

    def f1(bound: float | None) -> float:
        tagger = Tagger.load(folder, **FP32, backend="torch", thresholds=bound)
        return evaluate(tagger, data / "dev.conll").judgements["tagger"].score.f1

    kept = f1(None)
    assert kept == pytest.approx(told["threshold_f1"], abs=1e-6)
    assert max(map(f1, (0.05, 0.5, 0.9))) <= kept + 1e-9
    before = (folder / "nerbert.json").read_bytes()
    calibrate(folder, data / "dev.conll")
    assert (folder / "nerbert.json").read_bytes() == before, "the result doesn't depend on the threshold before"
    assert not (folder / CHECK).exists()
    (done,) = calibrate(folder, data / "dev.conll", precision=0.3)
    assert min(card_of(folder)["thresholds"].values()) == done.least == done.threshold, "no lower than before"
    assert all(each.kept_right <= each.right and each.kept <= each.predicted for each in done.thresholds.values())


Act = Callable[[Path, Path], object]
REFUSED: list[tuple[Act, type[NerbertError], str]] = [
    (lambda _, data: calibrate("some/tagger", data), InputError, "no such folder; a model on the hub must be copied"),
    (
        lambda _, data: calibrate("embedded-open", data),
        InputError,
        "embedded-open: no such folder; that one is part of the package: copy ",
    ),
    (
        lambda folder, data: calibrate(folder.parent / "encoder", data),
        InputError,
        "no tagger that `nerbert finetune` made",
    ),
    (lambda folder, _: calibrate(folder, folder.parent), InputError, "holds no dev split, say dev.conll"),
    (lambda folder, _: calibrate(folder, folder / "none.conll"), InputError, "none.conll: no such file"),
    *(
        (lambda folder, data, each=each: calibrate(folder, data, precision=each), SettingsError, f"precision = {each}")
        for each in (90, 0, math.nan)
    ),
    (
        lambda folder, _: calibrate(folder, folder.parent / "strange.conll"),
        InputError,
        "finds no entity in strange.conll",
    ),
]


@pytest.mark.parametrize(("act", "kind", "words"), REFUSED)
def test_what_can_not_be_calibrated(
    folder: Path, data: Path, tiny_encoder: Path, act: Act, kind: type[NerbertError], words: str
) -> None:
    shutil.copytree(tiny_encoder, folder.parent / "encoder")
    (folder.parent / "strange.conll").write_text("\u200d\tO\n")
    before = (folder / "nerbert.json").read_bytes()
    with raises(kind, words):
        act(folder, data)
    assert (folder / "nerbert.json").read_bytes() == before


def test_nothing_that_is_printed_acts(tmp_path: Path, capsys: Caught) -> None:
    evil = "[red]\x1b[31m"
    told = {
        "temperature": 1.5,
        "bias": 0.25,
        "ece_before": 0.2,
        "ece_after": 0.1,
        "bins": 10,
        "folds": 5,
        "entities": 1,
        "sentences": 1,
        "precision": 0.9,
    }
    thresholds = {evil: Threshold(None, 1, 0, 1, 0), "ship": Threshold(0.2, 1, 1, 1, 1)}
    print_calibrations([Calibrated(tmp_path / "x\x1b", told, thresholds, (evil,), True, least=0.2)], Path("y\x1b"))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    for words in (
        "[red]",
        "changed by hand",
        "never reached",
        "fewer than 5 are kept",
        "temperature 1.500, bias 0.250\n",
        "entities found in 1 sentences",
        "precision reaches 90.00",
        "20.00 points before",
        "ship: every entity found was right, so the threshold stays at 0.200",
    ):
        assert words in printed


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose tagger finds ships and ports by name; its model has no files."""
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: fixed())
    folder = tmp_path / "small"
    folder.mkdir()
    card = {"format": 1, "kind": "tagger", "word_splitter": "unicode-words-1", "types": ["port", "ship"]}
    (folder / "nerbert.json").write_text(json.dumps(card | {"thresholds": {"ship": 0.7}}))
    return folder


def gold(folder: Path, *types: str) -> Path:
    """Sentences in which a ship and a port of these types are found, the port by chance."""
    lines = "".join(f"SHIP\tB-{types[0]}\nport\tO\nPORT\tB-{types[-1]}\n\n" for _ in range(5))
    path = folder / "gold.conll"
    path.write_text(lines)
    return path


def test_types_that_are_not_shared_are_warned_of_and_a_dry_run_writes_nothing(
    small: Path, tmp_path: Path, capsys: Caught
) -> None:
    (small / CHECK).write_text("{}")
    before = {path.name: path.read_bytes() for path in small.iterdir()}
    assert exit_code("calibrate", small, gold(tmp_path, "ship", "harbour"), "--precision", 0.9, "--dry-run") == 0
    told = capsys.readouterr().out
    assert "warning: the tagger doesn't know types of this data (harbour), so they are ignored\n" in told
    assert "warning: this data has no entity of some of the tagger's types (port), so each that is found counts" in told
    assert told.endswith("nothing was written (--dry-run)\n")
    assert {path.name: path.read_bytes() for path in small.iterdir()} == before


def test_data_without_a_type_of_the_tagger(small: Path, tmp_path: Path) -> None:
    before = (small / "nerbert.json").read_bytes()
    with raises(InputError, "small knows none of its types (disease, drug)"):
        calibrate(small, gold(tmp_path, "drug", "disease"))
    assert (small / "nerbert.json").read_bytes() == before
