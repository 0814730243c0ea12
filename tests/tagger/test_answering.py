"""What decides a tagger's answers is said: in one line, in its repr, by `tag` where nobody asked for it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from nerbert.errors import InputError, few
from nerbert.metrics.calibration import Scaling
from nerbert.model.heads import Head
from nerbert.model.loading import Loading
from nerbert.records import EntityLabel
from nerbert.tagger.hub import Origin
from nerbert.tagger.jobs.job import TagJob
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.commands import exit_code
from tests.raised import raises
from tests.tagger.test_labels import NamesHead


class FixedNames(NamesHead):
    """Finds the names of types that it learnt: 60 % sure of those in lower case, 90 % of others."""

    usual_threshold, decoding, name = 0.0, "legal", "onnx int8 cpu"

    def __init__(self, types: Sequence[str] = ("port", "ship")) -> None:
        super().__init__([EntityLabel(each) for each in types], [0.0] * len(types))

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> Head:  # type: ignore[override]
        return Head.for_labels(self, labels, thresholds)


def fixed(thresholds: dict[str, float] | None = None) -> Tagger:
    """Return a tagger of two types whose folder has thresholds."""
    tagger = Tagger(FixedNames(), SPLITTER, "en", thresholds=thresholds)
    tagger.card = {"thresholds": thresholds or {}, "kind": "tagger"}
    return tagger


def test_how_it_answers_is_one_line() -> None:
    assert str(fixed().answering) == "onnx int8 cpu, legal decoding, temperature 1.000, no thresholds"
    tagger = fixed()
    tagger.scaling = Scaling(1.5, -0.25)
    assert "temperature 1.500, bias -0.250" in str(tagger.answering)
    assert fixed({"ship": 0.8, "port": 0.0}).answering.bounds == "threshold 0.800 for 1 of 2 types"
    assert fixed({"ship": 0.8, "port": 0.25}).answering.bounds == "thresholds 0.250 to 0.800"
    assert repr(fixed()) == f"<Tagger of no folder: types port, ship; {fixed().answering}>"
    assert "labels at run time" in repr(Tagger(NamesHead(), SPLITTER, "en"))


def test_names_are_listed_as_far_as_people_read_them() -> None:
    assert few(map(str, range(87))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 77 more"
    assert (few("abcde"), few([])) == ("a, b, c, d, e", "none")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: fixed().tag(["a ship", "a port"]), "can't tag list: give a str; `tag_many` takes several texts"),  # type: ignore[arg-type]
        (lambda: fixed().tag(b"a ship"), "can't tag bytes: give a str"),  # type: ignore[arg-type]
        (
            lambda: Tagger(FixedNames([f"type{number}" for number in range(87)]), SPLITTER, "en").with_labels(
                ["typ86"]
            ),
            "did you mean 'type86'? (must be one of type0, ",
        ),
    ],
)
def test_messages(act: Callable[[], object], words: str) -> None:
    with raises(InputError, words):
        act()


@pytest.mark.parametrize(
    ("weights", "constants"), [("model.safetensors", ""), ("onnx/model.onnx", ""), ("model.safetensors", "its own")]
)
def test_tag_says_what_the_folder_decides(
    weights: str, constants: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tagger = fixed({"ship": 0.8})
    tagger.origin = Origin(str(tmp_path), Loading(), ())
    (tmp_path / "onnx").mkdir()
    (tmp_path / weights).write_bytes(b"")
    (tmp_path / "in.txt").write_text("A ship and a SHIP.\n")
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: tagger)
    exported = SimpleNamespace(card=SimpleNamespace(constants=constants))
    monkeypatch.setattr("nerbert.tagger.jobs.job.read_exported", lambda _: exported)
    chosen = "the exported int8 model is used (--precision fp32 for a more exact one)"
    own = "entities below its own threshold 0.800 for 1 of 2 types are left out (--min-confidence sets others)"
    both = f"{chosen}; {own}" if weights == "model.safetensors" and not constants else own
    for options, note in (((), both), (("--precision", "int8"), own), (("--min-confidence", "0"), both[: -len(own)])):
        assert exit_code("tag", "my-tagger", tmp_path / "in.txt", *options) == 0
        assert capfd.readouterr().err == (f"my-tagger: {note.removesuffix('; ')}\n" if note else "")
    job = TagJob(tagger="x", loading=Loading(backend="onnx"), min_confidence="0.5")
    assert job.load() is tagger
    assert capfd.readouterr().err == ""
