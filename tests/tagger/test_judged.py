"""Calibration by answers on drawn spans: a person's session, a file of answers, what is written and refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.metrics.temperatures import Temperatures
from nerbert.model.folder import read_card
from nerbert.records import EntityLabel
from nerbert.render.cards import tagger_card
from nerbert.render.terminal.judging import ask_person, print_judged
from nerbert.tagger.calibrate import undo
from nerbert.tagger.judged import Judged, answers_path, calibrate_judged
from nerbert.tagger.span_answers import SpanAnswers
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.commands import exit_code
from tests.tagger.test_answering import FixedNames
from tests.tagger.test_labels import NamesHead


def loaded(folder: Path, **_: object) -> Tagger:
    """Return a tagger of ships and ports whose folder has a card alone."""
    card = read_card(str(folder))
    at_run_time = card.get("kind") == "encoder"
    tagger = Tagger(NamesHead() if at_run_time else FixedNames(), SPLITTER, "en")
    tagger.card, tagger.scaling = card, Temperatures.of_card(card)
    if not at_run_time:
        tagger.thresholds = {"port": 0.0, "ship": 0.0} | (card.get("thresholds") or {})
    return tagger


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose tagger is 60 % sure of ships and ports in lower case, and 90 % of those in capitals."""
    monkeypatch.setattr(Tagger, "load", loaded)
    folder = tmp_path / "tagger"
    folder.mkdir()
    card = {"format": 1, "kind": "tagger", "word_splitter": SPLITTER, "types": ["port", "ship"]}
    (folder / "nerbert.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text(
        "".join(f"Here {number} is a SHIP.\nAnd {number} a ship in PORT or port.\n" for number in range(40))
    )
    return path


def typed(*keys: str) -> Callable[[], str]:
    """Return what reads these lines, then the end of the input."""
    lines: Iterator[str] = iter(keys)
    return lambda: f"{each}\n" if (each := next(lines, None)) is not None else ""


def in_capitals(answers: SpanAnswers) -> None:
    """Answer that what is in capitals is right."""
    answers.answer_all({place: answers.questions[place].span.isupper() for place in answers.open}, "test")


def calibrated(folder: Path, texts: Path, **how: Any) -> Judged:
    done = calibrate_judged(folder, [texts], how.pop("ask", in_capitals), **how)
    assert done is not None
    return done


def test_what_is_written(folder: Path, texts: Path) -> None:
    before = read_card(str(folder))
    done = calibrated(folder, texts, precision=0.8)
    after = read_card(str(folder))
    assert after["calibration"] == done.calibration
    assert after["previous"] == {}
    assert after["thresholds"] == pytest.approx({"port": 0.9, "ship": 0.9}, abs=0.1)
    assert done.before is not None
    assert done.before.low < 0.5 < done.before.high, "one of two is right"
    assert done.after is not None
    assert (done.after.share, done.right_kept) == (1.0, 1.0)
    assert done.after.low < 0.95
    judged = done.calibration["judged"]
    assert (judged["found"], judged["by"], judged["seed"], judged["unsure"]) == (160, {"test": 100}, 0, 0)
    assert done.calibration["data"]["name"] == "texts.txt"
    assert done.calibration["sentences"] == 80
    assert "100 answers, right or wrong" in tagger_card({**after, "encoder": {"kind": "x", "name": ""}, "dev": None})
    undo(folder)
    assert {name: each for name, each in read_card(str(folder)).items() if name != "previous"} == before


def test_without_a_precision_the_thresholds_keep_what_they_kept(folder: Path, texts: Path) -> None:
    card = read_card(str(folder))
    (folder / "nerbert.json").write_text(json.dumps(card | {"thresholds": {"ship": 0.7}}))
    done = calibrated(folder, texts)
    bound = read_card(str(folder))["thresholds"]["ship"]
    assert done.calibration["temperature"] != 1
    tagger = loaded(folder)
    assert [each.text for each in tagger.tag("a ship, a SHIP")] == ["SHIP"]
    assert bound != 0.7
    assert done.after == done.before


def test_a_label_has_figures_only_with_enough_answers(
    folder: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = calibrated(folder, texts, spans=30, precision=0.8)
    print_judged(done, dry_run=True)
    told = capsys.readouterr().out
    assert {each.precision for each in done.labels.values()} == {None}
    assert {each.own for each in done.labels.values()} == {False}
    assert "too few to tell (" in told
    assert done.pooled is not None
    assert f"threshold {done.pooled:.3f} for labels without one of their own" in told
    assert told.endswith("nothing was written into the tagger (--dry-run)\n")
    done = calibrated(folder, texts, precision=0.8, answers=folder.parent / "more.jsonl")
    assert {each.own for each in done.labels.values()} == {True}
    assert all(each.precision is not None and each.precision.low < 1 for each in done.labels.values())


def test_what_is_never_reached_stays(folder: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(answers: SpanAnswers) -> None:
        answers.answer_all(dict.fromkeys(answers.open, False), "test")

    done = calibrated(folder, texts, precision=0.9, ask=wrong)
    assert done.pooled is None
    assert read_card(str(folder))["thresholds"] == {}
    print_judged(done)
    assert "90.00 % is never reached" in capsys.readouterr().out


def test_labels_at_run_time_get_a_threshold_of_all(folder: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.model.folder.ModelFolder.labels_at_run_time", True)
    card = read_card(str(folder)) | {"kind": "encoder", "types": None, "thresholds": {"crew": 0.3}}
    (folder / "nerbert.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="takes its labels at run time: give labels"):
        calibrate_judged(folder, [texts], in_capitals)
    done = calibrated(folder, texts, labels="ship,port", spans=30, precision=0.8)
    card = read_card(str(folder))
    assert card["threshold"] == done.pooled
    assert list(card["thresholds"]) == ["crew"]
    found = loaded(folder).tag("a ship, a SHIP", [EntityLabel("ship")])
    assert [each.text for each in found] == ["SHIP"]


def test_a_session_on_the_terminal(folder: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def session(*keys: str) -> Callable[[SpanAnswers], None]:
        return lambda answers: ask_person(answers, typed(*keys))

    assert calibrate_judged(folder, [texts], session("y", "n", "u", "s", "what", "y", "q"), spans=6) is None
    told = capsys.readouterr().out
    assert "1/6 " in told
    assert "[[" in told
    assert "3 of 6 answered, kept in " in told
    assert told.count("y: right, n: wrong") == 2, "at the start, and after what is no key"
    kept = SpanAnswers.read(answers_path(folder))
    assert [each.right for each in kept.questions] == [True, "unsure", True, None, None, None]
    assert {each.by for each in kept.questions[:3]} == {"person"}
    assert "calibration" not in read_card(str(folder))
    assert calibrate_judged(folder, [texts], session("u", "n")) is None, "nothing to undo; the input ends"
    assert "nothing to undo in this session" in capsys.readouterr().out
    done = calibrated(folder, texts, ask=session("YES", "no"))
    assert (done.unsure, done.calibration["entities"]) == (1, 5)
    assert [each.right for each in SpanAnswers.read(answers_path(folder)).questions] == [
        True, "unsure", True, False, True, False]  # fmt: skip


def test_nothing_that_is_shown_acts(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evil.txt").write_text("A \x1b[31m [red]ship here.\n")
    calibrate_judged(folder, [tmp_path / "evil.txt"], lambda answers: ask_person(answers, typed()))
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "[red]" in told


def test_a_file_filled_in_with_an_editor(folder: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how = ("--texts", texts, "--spans", 20)
    assert exit_code("calibrate", folder, *how) == 1
    path = answers_path(folder)
    assert f"{path}: 20 of 20 spans have no answer: run this on a terminal, or give" in capsys.readouterr().err
    path.write_text(path.read_text().replace('"right": null', '"right": true'))
    assert exit_code("calibrate", folder, "--texts", texts, "--dry-run") == 0
    assert "20 of them judged (file: 20)" in capsys.readouterr().out
    assert "calibration" not in read_card(str(folder))
    assert exit_code("calibrate", folder, "--texts", texts) == 0
    assert read_card(str(folder))["calibration"]["judged"]["by"] == {"file": 20}
    assert exit_code("calibrate", folder, "--texts", texts, "--precision", "0.9") == 0, "the new card changes no draw"


def test_answers_on_other_spans_are_refused(folder: Path, texts: Path, tmp_path: Path) -> None:
    calibrated(folder, texts, spans=10)
    path = answers_path(folder)
    with pytest.raises(
        InputError, match=r"drawn with spans 10, not 20; give that again, or another file with --answers"
    ):
        calibrate_judged(folder, [texts], in_capitals, spans=20)
    with pytest.raises(InputError, match=r"drawn with seed 0, not 1;"):
        calibrate_judged(folder, [texts], in_capitals, seed=1)
    with pytest.raises(InputError, match=r"drawn with labels port, ship, not ship;"):
        calibrate_judged(folder, [texts], in_capitals, labels="ship")
    (tmp_path / "other.txt").write_text("A SHIP.\n")
    with pytest.raises(InputError, match=r"drawn with texts [0-9a-f]{64}, not [0-9a-f]{64};"):
        calibrate_judged(folder, [tmp_path / "other.txt"], in_capitals)
    whole = path.read_text()
    (folder / "model.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match=r"drawn with tagger [0-9a-f]{16}, not [0-9a-f]{16};"):
        calibrate_judged(folder, [texts], in_capitals)
    (folder / "model.safetensors").unlink()
    for old, new, why in (
        ('"label": "ship"', '"label": "port"', "isn't found where it was"),
        ('"span": "', '"span": "x', "isn't found where it was"),
        ('"right": true', '"right": "yes"', r"answers\.jsonl:\d+: right"),
        ('"probability": 0.', '"probability": 5.', "probability"),
        ('"format": "nerbert span answers 1"', '"format": 2', "the file holds no answers"),
        ("\n", "\n\n\x00", "not JSON"),
    ):  # fmt: skip
        path.write_text(whole.replace(old, new))
        with pytest.raises(InputError, match=why):
            calibrate_judged(folder, [texts], in_capitals)
    for content, why in (("", "is empty"), ("\n".join(whole.splitlines()[:5]), "has 4 spans where 10")):
        path.write_text(content)
        with pytest.raises(InputError, match=why):
            calibrate_judged(folder, [texts], in_capitals)


def test_texts_and_answers_that_tell_nothing_are_refused(folder: Path, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("Nothing here.\n")
    with pytest.raises(InputError, match=r"finds no entity in none\.txt"):
        calibrate_judged(folder, [tmp_path / "none.txt"], in_capitals)
    with pytest.raises(InputError, match="must be files or folders"):
        calibrate_judged(folder, ["-"], in_capitals)
    with pytest.raises(InputError, match="no span was judged right or wrong"):
        calibrate_judged(folder, [texts], lambda each: each.answer_all(dict.fromkeys(each.open, "unsure"), "x"))
    with pytest.raises(SettingsError, match="spans = 0"):
        calibrate_judged(folder, [texts], in_capitals, spans=0)
    (tmp_path / "seeds" / "seed-1").mkdir(parents=True)
    with pytest.raises(InputError, match="holds a tagger for each seed"):
        calibrate_judged(tmp_path / "seeds", [texts], in_capitals)
    assert "calibration" not in read_card(str(folder))


def test_texts_that_it_was_trained_on_are_refused(folder: Path, tmp_path: Path) -> None:
    from nerbert.artifacts import sha256_of

    gold = tmp_path / "train.conll"
    gold.write_text("SHIP\tB-ship\n\n")
    card = read_card(str(folder)) | {"data": {"sha256": {"train.conll": sha256_of(gold)}}}
    (folder / "nerbert.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"train\.conll: .*was trained on it"):
        calibrate_judged(folder, [gold], in_capitals)


def test_options_that_do_not_belong_together(folder: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, why in (
        (("x.conll", "--texts", texts), "three ways to calibrate"), (("x.conll", "--spans", "5"), "are for --texts"),
        (("--copy-from", "x", "--precision", "0.9"), "leave --precision out"),
        (("--texts", texts, "--undo"), "--undo: takes no data and no other option"),
        (("x.conll", "--endpoint", "http://localhost:1", "--model", "m"), "are for --texts"),
    ):  # fmt: skip
        assert exit_code("calibrate", folder, *words) == 1
        assert why in capsys.readouterr().err
