"""What a report says: the figures of `nerbert evaluate`, and of a case that can be counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, SettingsError
from nerbert.evaluation.evaluate import evaluate
from nerbert.evaluation.report.report import CURVES, THRESHOLDS, learning_curve, make_report
from nerbert.formats.conll import example_of, write_conll
from nerbert.metrics.judging import bootstrap
from nerbert.records import Example
from tests.evaluation.report.answers import GOLD, RIGHT, WRONG, told
from tests.raised import raises


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    write_conll(tmp_path / "gold.conll", GOLD)
    return tmp_path / "gold.conll"


def test_a_case_counted_by_hand() -> None:
    report = make_report(told(**WRONG), GOLD)
    score = report.judgement.score
    assert (score.right, score.predicted, score.gold) == (1, 4, 5)
    assert [(each.name, each.counts.right, each.counts.predicted, each.counts.gold) for each in report.by_type] == [
        ("ship", 1, 2, 4),
        ("port", 0, 2, 1),
    ]
    assert [(each.name, each.counts.right, each.counts.predicted, each.counts.gold) for each in report.by_length] == [
        ("1", 1, 4, 4),
        ("2", 0, 0, 1),
    ]
    assert report.confusions == (("ship", "port", 1),)
    assert report.judgement.kinds == {"type": 1, "boundary": 1, "both": 0, "missed": 2, "spurious": 1}
    assert [each.number for each in report.worst.sentences] == [1, 3]
    assert [each.number for each in report.missed.sentences] == [2, 4]
    assert (report.source.sentences, report.source.words, report.source.entities) == (4, 17, 5)
    assert (report.speed.sentences, report.speed.words) == (4, 17)
    assert report.speed.seconds > 0
    rows = np.array([(0, 2, 2), (1, 1, 2), (0, 1, 0), (0, 0, 1)])
    assert report.intervals == {each: bootstrap(rows, each) for each in ("f1", "precision", "recall")}


def test_figures_are_those_of_evaluate(gold: Path) -> None:
    report, wanted = make_report(told(**WRONG), gold, train=gold), evaluate(told(**WRONG), gold, train=gold)
    (judged,) = wanted.judgements.values()
    assert report.judgement == judged
    assert {each.name: each.counts for each in report.by_type} == judged.score.by_type
    assert report.intervals["f1"] == judged.interval
    assert report.intervals["precision"] != report.intervals["recall"]
    assert judged.calibration is not None
    entities = sum(each.entities for each in report.reliability)
    gaps = sum(each.entities * abs(each.precision - each.confidence) for each in report.reliability)
    assert entities == judged.calibration.entities
    assert gaps / entities == pytest.approx(judged.calibration.ece)
    assert sum(each.entities for each in report.confusions) == judged.kinds["type"]
    assert report.judgement.seen is not None
    assert (report.source.file, report.source.sha256, report.name) == (str(gold), sha256_of(gold), "tagger")


def test_thresholds_leave_out_what_is_less_sure() -> None:
    report = make_report(told(**WRONG), GOLD)
    whole, ship, port = report.thresholds
    assert [at for at, _ in whole.curve] == [*THRESHOLDS]
    kept = {at: counts.predicted for at, counts in whole.curve}
    assert (kept[0.0], kept[0.4], kept[0.8], kept[0.9], kept[0.99]) == (4, 3, 2, 1, 0)
    assert [each.confidence for each in ship.lowest] == pytest.approx([0.7] * 3)
    assert [each.kept for each in ship.lowest] == [1] * 3
    assert [each.confidence for each in port.lowest] == [None] * 3


def test_few_types_have_a_curve() -> None:
    examples = [example_of([f"w{n}"], [f"B-t{n}"]) for n in range(CURVES + 2)]
    report = make_report(told([f"t{n}" for n in range(CURVES + 2)]), examples)
    assert [bool(each.curve) for each in report.thresholds] == [True] * (CURVES + 1) + [False] * 2


@pytest.mark.parametrize("examples", [[GOLD[2]], [GOLD[0]], GOLD])
def test_nothing_found_and_nothing_annotated(examples: list[Example]) -> None:
    report = make_report(told(), examples)
    assert (report.judgement.score.f1, report.worst.total, report.reliability) == (0.0, 0, ())
    assert report.missed.total == sum(bool(each.spans) for each in examples)
    assert [each.lowest for each in report.thresholds] == [()] * len(report.thresholds)
    report = make_report(told(Nobody=[(0, 1, "ship", 0.3)]), [GOLD[2]])
    assert [(each.name, each.counts.gold, each.counts.predicted) for each in report.by_type] == [("ship", 0, 1)]
    assert (report.worst.total, report.missed.total, report.confusions) == (1, 0, ())


def test_several_seeds_are_refused(tmp_path: Path, gold: Path) -> None:
    for name in ("seed-1", "seed-2"):
        (tmp_path / "taggers" / name).mkdir(parents=True)
    with raises(InputError, words="a report is of one; name one of them, say "):
        make_report(tmp_path / "taggers", gold)
    with raises(InputError, words="a report is of one"):
        make_report(told(), gold, against=str(tmp_path / "taggers"))
    with raises(SettingsError, words="a loaded one has its own"):
        make_report(told(), gold, backend="onnx")


def test_a_known_file_has_its_licence(gold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nerbert.data.catalogue import KnownSplit, known_data

    (known, *_) = known_data().values()
    split = next(iter(known.splits.values()))
    changed = {field: getattr(split, field) for field in KnownSplit.__slots__} | {"sha256": sha256_of(gold)}
    monkeypatch.setitem(known.splits, "test", KnownSplit(**changed))
    source = make_report(told(), gold).source
    assert (source.title, source.licence) == (known.title, known.licence)


def test_the_curve_of_a_training_is_read_from_its_log() -> None:
    log = [
        {"step": 5, "loss": 1.0, "dev_f1": 0.25},
        {"step": 9, "loss": 0.5},
        "x",
        {"step": "9", "dev_f1": 0.5},
        {"step": 10, "dev_f1": 0.5},
        {"step": 11, "dev_f1": float("nan")},
        {"step": 12, "dev_f1": 7},
    ]
    assert learning_curve({"log": log}) == ((5, 0.25), (10, 0.5))
    assert learning_curve({"log": "x"}) == learning_curve({}) == ()


def test_two_taggers_are_compared(gold: Path) -> None:
    report = make_report(told(**RIGHT), gold, against=told(**WRONG))
    compared = report.comparison
    assert compared is not None
    assert (report.name, compared.name) == ("first tagger", "second tagger")
    assert [compared.overall.f1, compared.overall.other] == pytest.approx([1.0, 2 / 9])
    assert not compared.overall.sure, "five sentences"
    assert compared.counts == {"broken": 0, "changed": 0, "fixed": 5}
    assert [each.number for each in compared.sentences["fixed"].sentences] == [1, 2, 3, 4]
    assert [(each.name, each.gold) for each in compared.by_type] == [("ship", 4), ("port", 1)]
    back = make_report(told(**WRONG), gold, against=told(**RIGHT)).comparison
    assert back is not None
    assert back.overall.gain == -compared.overall.gain
    assert (back.overall.interval.low, back.overall.interval.high) == pytest.approx(
        (-compared.overall.interval.high, -compared.overall.interval.low), abs=0.02
    ), "but for the draws, which count other rows first"
    assert back.counts == {"broken": 5, "changed": 0, "fixed": 0}
    same = make_report(told(**WRONG), gold, against=told(**WRONG)).comparison
    assert same is not None
    assert (same.overall.gain, same.overall.sure, set(same.counts.values())) == (0.0, False, {0})
