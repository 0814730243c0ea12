"""The gate of int8: what it measures, and what it lets pass."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nerbert.tagger.export as stage
from nerbert.errors import InputError
from nerbert.model.heads import Entities, Head
from nerbert.records import Example, Span
from nerbert.tagger.export import Agreement, agreement_of, check_loss
from tests.commands import exit_code
from tests.raised import raises

TEXT = "Anna went to Oslo."
WORDS = ((0, 4), (5, 9), (10, 12), (13, 18))
PERSON, PLACE = Span(0, 4, "person", "Anna"), Span(13, 18, "place", "Oslo.")


class Fake(Head):
    """Finds words with their types and log-odds: the same in each sentence, but for some sentences nothing."""

    def __init__(self, *found: tuple[int, str, float], silent: int = 0) -> None:
        self.found, self.silent = found, silent

    @property
    def types(self) -> list[str]:
        return ["person", "place"]

    def predict(self, examples: Sequence[Example]) -> Entities:
        return Entities.of(
            [
                [] if number < self.silent else [((word, word + 1, type_), odds) for word, type_, odds in self.found]
                for number in range(len(examples))
            ]
        )


def sentences(count: int) -> list[Example]:
    return [Example(TEXT, WORDS, (PERSON, PLACE))] * count


def test_what_agrees_with_the_first_head() -> None:
    torch, int8 = Fake((0, "person", 2.0), (3, "place", 2.0)), Fake((0, "person", 1.0), (2, "place", 2.0))
    found = agreement_of({"torch fp32": torch, "onnx int8": int8}, sentences(100))
    exact, rough = found["torch fp32"], found["onnx int8"]
    assert (exact.f1, exact.loss, exact.low, exact.high, exact.share, exact.other) == (1, 0, 0, 0, 1, 0)
    assert (rough.f1, rough.loss, rough.share, rough.other) == (0.5, 0.5, 0.5, 100)
    assert rough.confidence == pytest.approx(0.8808 - 0.7311, abs=1e-4)


def test_a_loss_has_an_interval_of_the_same_sentences() -> None:
    torch, int8 = Fake((0, "person", 2.0)), Fake((0, "person", 2.0), silent=5)
    found = agreement_of({"torch fp32": torch, "onnx int8": int8}, sentences(100))["onnx int8"]
    assert 0 < found.low < found.loss < found.high < 0.1


GOOD = Agreement(0.8, 500, 0.001, -0.002, 0.004, 0.99, 3, 0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": 0.011}, "int8: 1.1 points of F1 [-0.2, 0.4] are lost (at most 1 allowed)"),
        ({"confidence": 0.06}, "confidences differ by 0.060"),
    ],
)
def test_what_loses_more_than_allowed_is_refused(changes: dict[str, Any], message: str) -> None:
    check_loss("int8", GOOD, 1.0)
    with raises(InputError, message):
        check_loss("int8", replace(GOOD, **changes), 1.0)


@pytest.mark.extras
def test_a_bad_int8_leaves_nothing_and_the_earlier_export_stays(
    tiny_tagger: Path,
    sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code("export", tiny_tagger, "-o", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "not compared" not in out
    assert "fp32 alone: with --int8 there is also" in out
    assert exit_code("export", tiny_tagger, "--int8", "-o", tmp_path / "out", "--overwrite") == 0
    out = capsys.readouterr().out
    assert "int8 is not compared with fp32: name annotated sentences with --data" in out
    assert "fp32 alone" not in out
    before = (tmp_path / "out" / "onnx" / "nerbert-onnx.json").read_bytes()
    monkeypatch.setattr(stage, "agreement_of", lambda *_: {"torch fp32": GOOD, "onnx int8": replace(GOOD, loss=0.3)})
    words = ("export", tiny_tagger, "--int8", "--data", sample / "domain", "--overwrite", "-o", tmp_path / "out")
    assert exit_code(*words) == 1
    assert (tmp_path / "out" / "onnx" / "nerbert-onnx.json").read_bytes() == before
    assert exit_code(*words, "--max-loss", 40) == 0
