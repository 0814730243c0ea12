"""Calibration of a tagger that is there: what it writes, what it says, what it refuses."""

import json
import pickle
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, SettingsError
from nerbert.evaluation.evaluate import evaluate
from nerbert.formats.documents import Reading
from nerbert.metrics.calibration import Threshold
from nerbert.metrics.calibration import calibrate as calibration_error
from nerbert.model.folder import embedded, read_card
from nerbert.render.cards import tagger_card, write_tagger_card
from nerbert.render.terminal.models import print_calibrations
from nerbert.tagger import self_check
from nerbert.tagger.answers import CHECK
from nerbert.tagger.calibrate import Calibrated, undo
from nerbert.tagger.calibrate import calibrate as calibrate_tagger
from nerbert.tagger.tagger import Tagger
from tests.commands import exit_code
from tests.tagger.test_answering import fixed

calibrate = partial(calibrate_tagger, card=write_tagger_card)


@pytest.fixture
def folder(tiny_tagger: Path, tmp_path: Path) -> Path:
    """A copy of the tiny tagger."""
    return Path(shutil.copytree(tiny_tagger, tmp_path / "tagger"))


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
    assert told["sentences"] == 150
    assert told["data"]["name"] == "test.conll"
    assert after["thresholds"] == {}
    assert after["previous"] == {"calibration": before["calibration"]}
    assert {**after, "calibration": 0} == {**before, "calibration": 0, "thresholds": {}, "previous": after["previous"]}
    assert not done.old_readme
    assert (folder / "README.md").read_text() == tagger_card(after)
    assert read_card(str(folder)) == after


def test_spans_stay_and_are_more_honest(folder: Path, data: Path) -> None:
    from nerbert.formats.examples import read_examples
    from nerbert.model.heads import predict_entities

    text = "The brig Margarethe was built by Larsen & Holm in Bergen."
    card = card_of(folder)
    (folder / "nerbert.json").write_text(json.dumps(card | {"calibration": None}))
    before = Tagger.load(folder, device="cpu", precision="fp32")
    (done,) = calibrate(folder, data)
    after = Tagger.load(folder, device="cpu", precision="fp32")
    assert after.temperature == done.calibration["temperature"]
    spans, again = before.tag(text), after.tag(text)
    assert spans
    assert [(each.start, each.end, each.type) for each in spans] == [(e.start, e.end, e.type) for e in again]
    assert [each.confidence for each in spans] != [each.confidence for each in again]
    found = predict_entities(after.head, read_examples(data / "dev.conll"))
    error = calibration_error(found.entities.confidences(1.0).tolist(), found.right.tolist()).ece
    assert done.calibration["ece_before"] == pytest.approx(error, abs=1e-4)


def test_thresholds_leave_out_and_go_with_the_next_temperature(folder: Path, data: Path) -> None:
    from nerbert.formats.examples import read_examples

    (done,) = calibrate(folder, data, precision=0.6)
    chosen = card_of(folder)["thresholds"]
    assert chosen == {name: each.confidence for name, each in done.thresholds.items() if each.confidence is not None}
    assert any(bound > 0 for bound in chosen.values())
    examples = read_examples(data / "dev.conll")
    kept = [span for spans in Tagger.load(folder, device="cpu", precision="fp32").tag_many(examples) for span in spans]
    every = [
        span
        for spans in Tagger.load(folder, device="cpu", precision="fp32", thresholds=0).tag_many(examples)
        for span in spans
    ]
    for name, bound in done.thresholds.items():
        assert sum(span.type == name for span in kept) == bound.kept
        assert sum(span.type == name for span in every) == bound.predicted
        if bound.confidence is not None:
            assert bound.precision >= 0.6
    assert "precision reached 60.00" in (folder / "README.md").read_text()
    (again,) = calibrate(folder, data)
    assert set(again.lost) == set(chosen)
    assert card_of(folder)["thresholds"] == {}
    assert "by_type" not in card_of(folder)["calibration"]


def test_answers_of_earlier_confidences_do_not_stay(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise InputError("no answer")

    assert (folder / CHECK).is_file()
    monkeypatch.setattr(self_check, "answers_of", fail)
    calibrate(folder, data / "test.conll")
    assert not (folder / CHECK).exists()
    assert capsys.readouterr().err.endswith("no check.json was written: no answer\n")


def test_the_same_twice_is_the_same(folder: Path, data: Path) -> None:
    calibrate(folder, data, precision=0.5)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    calibrate(folder, data, precision=0.5)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_each_seed_is_calibrated(folder: Path, data: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        shutil.copytree(folder, tmp_path / "taggers" / f"seed-{seed}")
    done = calibrate(tmp_path / "taggers", data / "test.conll")
    assert [each.folder.name for each in done] == ["seed-1", "seed-2"]
    for each in done:
        assert card_of(each.folder)["calibration"]["sentences"] == 150


def test_a_readme_of_ones_own_is_left(folder: Path, data: Path) -> None:
    (folder / "README.md").write_text("mine")
    (done,) = calibrate(folder, data / "test.conll")
    assert done.old_readme
    assert (folder / "README.md").read_text() == "mine"


def test_what_it_was_trained_on_is_refused(folder: Path, data: Path, tmp_path: Path) -> None:
    before = (folder / "nerbert.json").read_bytes()
    with pytest.raises(InputError, match=r"train\.conll: .*tagger was trained on it"):
        calibrate(folder, data / "train.conll")
    card = card_of(folder) | {"source_data": {"sha256": {"x.conll": card_of(folder)["data"]["sha256"]["dev.conll"]}}}
    (folder / "nerbert.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="trained on it"):
        calibrate(folder, data)
    (folder / "nerbert.json").write_bytes(before)
    calibrate(folder, data)


def test_the_dev_part_of_the_file_that_was_cut_is_taken(folder: Path, data: Path) -> None:
    card = card_of(folder)
    card["data"] = {"sha256": {"test.conll": sha256_of(data / "test.conll")}, "split": "60/40", "split_seed": 3}
    (folder / "nerbert.json").write_text(json.dumps(card))
    for other in (Reading(), Reading(split="60/40"), Reading(split="50/50", split_seed=3)):
        with pytest.raises(InputError, match=r"trained on it, .*--split and --split-seed as in training"):
            calibrate(folder, data / "test.conll", reading=other)
    (done,) = calibrate(folder, data / "test.conll", reading=Reading(split="60/40", split_seed=3))
    assert 0 < done.calibration["sentences"] < 150


def test_no_threshold_of_a_zero_shot_tagger_is_below_what_was_looked_at(data: Path, tmp_path: Path) -> None:
    shutil.copytree(embedded("embedded-open"), tmp_path / "open")
    (done,) = calibrate(tmp_path / "open", data / "dev.conll", precision=0.3)
    chosen = card_of(done.folder)["thresholds"]
    lowest = 1 / (1 + 19 ** (1 / done.calibration["temperature"]))  # of the probability 0.05
    assert chosen
    assert min(chosen.values()) == pytest.approx(lowest, abs=1e-5)
    assert all(each.kept_right <= each.right and each.kept <= each.predicted for each in done.thresholds.values())


def test_a_zero_shot_tagger_gets_the_threshold_that_is_best_on_the_data(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(embedded("embedded-open"), tmp_path / "open"))
    (folder / "nerbert.json").write_text(json.dumps(first := card_of(folder) | {"threshold": 0.9}))
    (done,) = calibrate(folder, data / "dev.conll")
    card, told = card_of(folder), done.calibration
    assert (card["threshold"], card["thresholds"]) == (done.threshold, {})
    assert card["previous"]["threshold"] == 0.9
    print_calibrations([done], data / "dev.conll")
    assert f"threshold {done.threshold:.3f} for all labels without one of their own" in capsys.readouterr().out
    how: dict[str, Any] = {"device": "cpu", "precision": "fp32", "backend": "torch"}
    kept = evaluate(Tagger.load(folder, **how), data / "dev.conll").judgements["tagger"].score.f1
    assert kept == pytest.approx(told["threshold_f1"], abs=1e-6)
    for other in (0.05, 0.5, 0.9):
        loaded = Tagger.load(folder, **how, thresholds=other)
        assert evaluate(loaded, data / "dev.conll").judgements["tagger"].score.f1 <= kept + 1e-9
    before = (folder / "nerbert.json").read_bytes()
    calibrate(folder, data / "dev.conll")
    assert (folder / "nerbert.json").read_bytes() == before, "the result doesn't depend on the threshold before"
    (back,) = undo(folder)
    assert back.threshold == 0.9
    assert {name: value for name, value in card_of(folder).items() if name != "previous"} == first


def test_what_can_not_be_calibrated(folder: Path, data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; a model on the hub must be copied"):
        calibrate("some/tagger", data)
    with pytest.raises(InputError, match=r"embedded-open: no such folder; that one is part of the package: copy "):
        calibrate("embedded-open", data)
    with pytest.raises(InputError, match="no tagger that `nerbert finetune` made"):
        calibrate(tiny_encoder, data)
    with pytest.raises(InputError, match=r"holds no dev split, say dev\.conll"):
        calibrate(folder, tmp_path)
    with pytest.raises(InputError, match=r"none\.conll: no such file"):
        calibrate(folder, tmp_path / "none.conll")
    with pytest.raises(SettingsError, match="precision = 90"):
        calibrate(folder, data, precision=90)
    (tmp_path / "strange.conll").write_text("\u200d\tO\n")
    before = (folder / "nerbert.json").read_bytes()
    with pytest.raises(InputError, match=r"finds no entity in strange\.conll"):
        calibrate(folder, tmp_path / "strange.conll")
    assert (folder / "nerbert.json").read_bytes() == before


def test_a_seed_that_is_no_tagger_stops_all(folder: Path, data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "taggers" / "seed-1")
    shutil.copytree(tiny_encoder, tmp_path / "taggers" / "seed-2")
    before = (tmp_path / "taggers" / "seed-1" / "nerbert.json").read_bytes()
    with pytest.raises(InputError, match="seed-2: no tagger"):
        calibrate(tmp_path / "taggers", data / "test.conll")
    assert (tmp_path / "taggers" / "seed-1" / "nerbert.json").read_bytes() == before


def test_the_command(folder: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nerbert.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["calibrate", str(folder), str(data), "--precision", "0.6"])
    assert not stop.value.code
    told = capsys.readouterr().out
    assert "entities found in 50 sentences" in told
    assert f"temperature {card_of(folder)['calibration']['temperature']:.3f}" in told
    assert "precision reaches 60.00" in told
    for name in card_of(folder)["calibration"]["by_type"]:
        assert name in told
    with pytest.raises(SystemExit) as stop:
        main(["calibrate", str(folder), str(data / "train.conll")])
    assert stop.value.code == 1
    assert "was trained on it" in capsys.readouterr().err


def test_nothing_that_is_printed_acts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "[red]\x1b[31m"
    told = {"temperature": 1.5, "ece_before": 0.2, "ece_after": 0.1, "bins": 10, "folds": 5, "entities": 1,
            "sentences": 1, "precision": 0.9}  # fmt: skip
    thresholds = {evil: Threshold(None, 1, 0, 1, 0)}
    print_calibrations([Calibrated(tmp_path / "x\x1b", told, thresholds, (evil,), True)], Path("y\x1b"))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "[red]" in printed
    assert "changed by hand" in printed
    assert "never reached" in printed
    assert "fewer than 5 are kept" in printed


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


def test_data_without_a_type_of_the_tagger_is_refused(small: Path, tmp_path: Path) -> None:
    before = (small / "nerbert.json").read_bytes()
    with pytest.raises(
        InputError, match=r"small knows none of its types \(disease, drug\).*of the tagger \(port, ship\)"
    ):
        calibrate_tagger(small, gold(tmp_path, "drug", "disease"))
    assert (small / "nerbert.json").read_bytes() == before


def test_types_that_are_not_shared_are_warned_of(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (done,) = calibrate_tagger(small, gold(tmp_path, "ship", "harbour"), dry_run=True)
    assert (done.unknown, done.absent) == (("harbour",), ("port",))
    print_calibrations([done], tmp_path, dry_run=True)
    told = capsys.readouterr().out
    assert "warning: the tagger doesn't know types of this data (harbour), so they are not looked at\n" in told
    assert "warning: this data has no entity of some of the tagger's types (port), so each that is found counts" in told
    assert told.endswith("nothing was written (--dry-run)\n")


def test_a_dry_run_writes_nothing(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small / CHECK).write_text("{}")
    before = {path.name: path.read_bytes() for path in small.iterdir()}
    assert exit_code("calibrate", small, gold(tmp_path, "ship", "port"), "--precision", "0.9", "--dry-run") == 0
    assert "nothing was written (--dry-run)" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in small.iterdir()} == before


def test_the_values_before_can_be_put_back(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, data = card_of(small), gold(tmp_path, "ship", "port")
    assert exit_code("calibrate", small, data, "--precision", "0.9") == 0
    second = card_of(small)
    assert second["previous"] == {"thresholds": {"ship": 0.7}}
    assert exit_code("calibrate", small, data, "--precision", "0.9") == 0
    assert card_of(small) == second, "the same again keeps what was before it"
    capsys.readouterr()
    assert exit_code("calibrate", small, "--undo") == 0
    assert capsys.readouterr().out == f"{small}: temperature 1.000 again, thresholds ship 0.700\n"
    undone = card_of(small)
    assert {name: value for name, value in undone.items() if name != "previous"} == first
    assert exit_code("calibrate", small, "--undo") == 0
    assert card_of(small) == second


def test_what_undo_refuses(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, why in (
        (["--undo"], "its card has no earlier calibration"), (["x", "--undo"], "--undo: takes no data"),
        ([], "name annotated sentences to fit it to, or give --undo"),
    ):  # fmt: skip
        assert exit_code("calibrate", small, *words) == 1
        assert why in capsys.readouterr().err
    (small / "nerbert.json").write_text(json.dumps(card_of(small) | {"previous": {"thresholds": {"ship": 2}}}))
    with pytest.raises(InputError, match=r"previous\.thresholds\.ship = 2"):
        undo(small)


def test_labels_with_enough_entities_get_temperatures_of_their_own(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tagger is 90 % sure of each SHIP and PORT; all ships are right, and every other port."""
    path = tmp_path / "many.conll"
    ports = ["B-port" if number % 2 else "O" for number in range(120)]
    path.write_text("".join(f"SHIP\tB-ship\nand\tO\nPORT\t{port}\n\n" for port in ports))
    (done,) = calibrate_tagger(small, path)
    told = card_of(small)["calibration"]
    own = told["temperatures"]
    assert sorted(own) == ["port", "ship"]
    assert own["ship"] < told["temperature"] < own["port"]
    assert told["ece_by_label"] < told["ece_by_label_one_temperature"]
    print_calibrations([done], path)
    assert f"temperatures of labels with at least 100 entities: port {own['port']:.3f}, " in capsys.readouterr().out
    path.write_text("".join(f"SHIP\tB-ship\nand\tO\nPORT\t{port}\n\n" for port in ports[:99]))
    (done,) = calibrate_tagger(small, path)
    assert "temperatures" not in card_of(small)["calibration"]


def test_a_tagger_applies_saves_and_pickles_the_temperatures_of_its_labels(folder: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {"device": "cpu", "precision": "fp32"}
    text = "The brig Margarethe was built by Larsen & Holm in Bergen."
    card = card_of(folder) | {"thresholds": {}, "calibration": {"temperature": 1.0}}
    (folder / "nerbert.json").write_text(json.dumps(card))
    before = {each.type: each.confidence for each in Tagger.load(folder, **how).tag(text)}
    name = min(before)
    (folder / "nerbert.json").write_text(
        json.dumps(card | {"calibration": {"temperature": 1.0, "temperatures": {name: 5.0}}})
    )
    tagger = Tagger.load(folder, **how)
    after = {each.type: each.confidence for each in tagger.tag(text)}
    assert after[name] < before[name]
    assert {key: each for key, each in after.items() if key != name} == {
        key: each for key, each in before.items() if key != name}  # fmt: skip
    assert f"temperature 1.000 (another for 1 of {len(tagger.types)} types)" in str(tagger.answering)
    (example,) = [each for _, each in tagger.sentences(text)]
    (words,) = tagger.tag_examples([example])
    assert {tag[2:]: sure for tag, sure in zip(words.tags, words.confidences, strict=True) if tag != "O"} == after
    assert pickle.loads(pickle.dumps(tagger)).scaling == tagger.scaling
    tagger.temperatures = {name: 2.0}
    tagger.save_pretrained(tmp_path / "saved")
    assert card_of(tmp_path / "saved")["calibration"] == {"temperature": 1.0, "temperatures": {name: 2.0}}
    (folder / "nerbert.json").write_text(json.dumps(card | {"calibration": {"temperatures": {name: 0.0}}}))
    with pytest.raises(InputError, match=rf"calibration\.temperatures\.{name} = 0\.0"):
        Tagger.load(folder, **how)
