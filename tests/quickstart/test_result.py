"""What the tour found: its figures, who is ahead, and the JSON of it."""

import json
import re
from pathlib import Path

import pytest

from nerbert.metrics import Counts, Score, score_tags
from nerbert.quickstart.result import means_by_type, verdict
from tests.quickstart.made_up import made_up_result, made_up_way


def test_mean_and_standard_deviation_of_the_sample() -> None:
    way = made_up_way("mlm", 0.2, 0.4, 0.9)
    assert way.mean == pytest.approx(0.5)
    assert way.sd == pytest.approx(0.13**0.5)  # (0.09 + 0.01 + 0.16) / (3 - 1)
    assert way.told == "50.00 ± 36.06"


def test_one_seed_has_no_deviation() -> None:
    assert made_up_way("mlm", 0.25).sd == 0.0
    assert made_up_way("mlm", 0.25).told == "25.00 ± 0.00"


def test_gains_are_by_seed_second_way_minus_first() -> None:
    assert made_up_result((0.5, 0.2, 0.3), (0.75, 0.1, 0.3)).gains == pytest.approx([0.25, -0.1, 0.0])


@pytest.mark.parametrize(
    ("mlm", "ner", "told"),
    [
        ((0.5, 0.6), (0.53, 0.65), "NER pre-training is ahead by 4.0 points of F1, in 2 of 2 seeds."),
        ((0.5,), (0.625,), "NER pre-training is ahead by 12.5 points of F1, in 1 of 1 seeds."),
        (
            (0.53, 0.65, 0.4), (0.5, 0.6, 0.3),
            "Masked words are ahead by 6.0 points of F1, in 3 of 3 seeds: here the types of links did not help.",
        ),
        (
            (0.5, 0.5, 0.5), (0.9, 0.9, 0.49),
            "The seeds don't agree (NER pre-training +26.3 points of F1 on average): too close to call here.",
        ),
        (
            (0.5, 0.5), (0.51, 0.4),
            "The seeds don't agree (NER pre-training -4.5 points of F1 on average): too close to call here.",
        ),
        (
            (0.5, 0.5), (0.5, 0.6),  # one ahead, one equal
            "The seeds don't agree (NER pre-training +5.0 points of F1 on average): too close to call here.",
        ),
        (
            (0.5, 0.5), (0.5101, 0.4898),  # a hair behind: no "-0.0"
            "The seeds don't agree (NER pre-training +0.0 points of F1 on average): too close to call here.",
        ),
        (
            (0.5, 0.25), (0.5, 0.25),
            "Both ways reach the same F1, in 2 of 2 seeds: the types of links made no difference here.",
        ),
    ],
)  # fmt: skip
def test_verdict_says_no_more_than_the_seeds(mlm: tuple[float, ...], ner: tuple[float, ...], told: str) -> None:
    assert verdict(made_up_result(mlm, ner)) == told


def _score(gold: list[str], found: list[str]) -> Score:
    return score_tags([gold], [found])


def test_means_by_type_count_a_type_that_a_tagger_never_met_as_nought() -> None:
    both = _score(["B-port", "O", "B-date"], ["B-port", "O", "B-date"])
    half = _score(["B-port", "O", "B-port"], ["B-port", "O", "O"])
    assert half.by_type["port"].f1 == pytest.approx(2 / 3)
    assert "date" not in half.by_type
    found = means_by_type([both, half])
    assert list(found) == ["date", "port"]
    assert found["date"] == pytest.approx(0.5)
    assert found["port"] == pytest.approx((1 + 2 / 3) / 2)
    assert isinstance(both.by_type["port"], Counts)
    assert means_by_type([]) == {}


def test_written_json_has_every_figure(tmp_path: Path) -> None:
    result = made_up_result()
    result.write(tmp_path / "result.json")
    found = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert found["verdict"] == verdict(result)
    assert [way["key"] for way in found["ways"]] == ["mlm", "ner"]
    for told, way in zip(found["ways"], result.ways, strict=True):
        for name in ("title", "steps", "pieces", "seconds", "by_type"):
            assert told[name] == getattr(way, name)
        assert (told["f1"], told["spans_f1"]) == (list(way.f1), list(way.spans_f1))
        assert told["curve"] == [list(point) for point in way.curve]
    for name in ("train", "mentions", "test", "test_mentions", "made", "seconds"):
        assert found[name] == getattr(result, name)
    assert (found["seeds"], found["confidences"]) == ([1, 2, 3], list(result.confidences))
    assert found["own"] == {"text": result.own.text, "marked": {"ner": [[9, 12, "vessel"], [18, 24, "port"]]}}
    assert [each["text"] for each in found["examples"]] == [each.text for each in result.examples]
    assert found["examples"][0]["marked"]["mlm"] == [[9, 24, "port"]]
    assert set(found) == {*result.__dataclass_fields__, "verdict"}
    assert not re.search(r"NaN|Infinity", (tmp_path / "result.json").read_text(encoding="utf-8"))
