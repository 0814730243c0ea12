"""Fine-tuning of folders that compare words with names of types: they keep their form, and are compared with it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.data.splits import DataSet
from nerbert.encoder.objectives import concepts as concepts_of_steps
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.finetuning.data import FinetuneData, words_of_types
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import train_tagger
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import Start
from nerbert.model.concept_encoder import open_concepts
from nerbert.model.folder import read_card
from nerbert.records import Example, Span
from nerbert.tagger.self_check import add_check, check
from nerbert.tagger.tagger import Tagger
from nerbert.training.sections import make_settings
from nerbert.words import split_words
from tests.encoder.objectives.test_names import NAMES
from tests.finetuning.test_data import EXAMPLES, SETTINGS, TEXT, start_of
from tests.fixtures import Once
from tests.raised import raises
from tests.stages import finetune

SHORT = FinetuneSettings(**SETTINGS)
DATA = DataSet(Path("data"), EXAMPLES)
EMPTY = Example("Nothing here.", split_words("Nothing here."))


@pytest.fixture(scope="module")
def names(once: Once) -> str:
    """A small folder of the objective `names`."""
    return str(start_of(once, "names", NAMES) / "m")


@pytest.fixture(scope="module")
def concepts(once: Once) -> str:
    """A small folder of the objective `concepts`."""
    return str(start_of(once, "concepts", NAMES) / "m")


@pytest.mark.parametrize("objective", ["names", "concepts"])
def test_both_encoders_train_on(objective: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    start = request.getfixturevalue(objective)
    (folder,) = finetune(start, EXAMPLES, tmp_path / "tuned", SHORT, card=add_check(lambda *_: True))
    card = read_card(str(folder))
    assert (card["kind"], card["head"], card["types"]) == ("tagger", "concepts", ["Political_Party", "city"])
    assert card["settings"]["objective"] == objective
    assert card["words_of_types"] == {"Political_Party": "political party", "city": "city"}
    before, after = open_concepts(start).state_dict(), open_concepts(str(folder)).state_dict()
    assert before.keys() == after.keys()
    assert ("boundaries.weight" in after) == (objective == "names")
    moved = {name.partition(".")[0] for name, each in after.items() if not torch.equal(each, before[name])}
    assert moved == {"text", "names", "bias"} | ({"boundaries"} if objective == "names" else set())
    tagger = Tagger.load(folder, device="cpu", thresholds=0.0)
    assert {each.type for each in tagger.tag(TEXT)} <= {"Political_Party", "city"}
    assert {each.type for each in tagger.tag(TEXT, labels=["sea bird"])} <= {"sea bird"}
    (done,) = check(folder, device="cpu")
    assert not done.differences
    (again,) = finetune(str(folder), EXAMPLES, tmp_path / "again", SHORT)
    assert read_card(str(again))["settings"]["objective"] == objective


def test_the_folder_reads_types_as_the_training_did(names: str, tmp_path: Path) -> None:
    """Asked by the data's names, a loaded tagger reads their words, as the head in memory does."""
    labels = {"Political_Party": "group of politicians", "river": "river"}
    done = train_tagger(names, Domains(DATA, labels=labels), SHORT)
    assert done.card["types"] == ["Political_Party", "city", "river"]
    done.save(tmp_path)
    again = Start.of(str(tmp_path), Domains(DATA, labels={"city": "town"}), SHORT)
    assert again.facts["words_of_types"] == {"Political_Party": "group of politicians", "city": "town"}
    wanted = list(done.head.for_labels(done.head.labels, [0.0] * 3).predict(EXAMPLES).spans())
    for asked in (["Political_Party", "city", "river"], ["city", "river", "Political_Party"]):
        tagger = Tagger.load(tmp_path, device="cpu", thresholds=0.0, precision="fp32").with_labels(asked)
        assert [each.text for each in tagger.labels if each.name == "Political_Party"] == ["group of politicians"]
        got = list(tagger.head.predict(EXAMPLES).spans())
        assert [each[:4] for each in got] == [each[:4] for each in wanted]
        assert np.allclose([each[4] for each in got], [each[4] for each in wanted], atol=1e-4)


def test_a_type_without_a_sentence_is_unknown(names: str) -> None:
    """A sentence without entities tells that the types of other sentences are absent, but not those of none."""
    start = Start.of(names, Domains(DataSet(Path("data"), [*EXAMPLES, EMPTY]), labels={"river": "river"}), SHORT)
    data = start.source.windows(start.pieces, start.objective.labels)
    shared = start.objective.begin_step(data.windows, np.array([len(EXAMPLES)]), 1)  # type: ignore[attr-defined]
    assert sorted(shared.texts) == ["city", "political party", "river"]
    known = dict(zip(shared.texts, shared.known.all(0).tolist(), strict=True))
    assert known == {"city": True, "political party": True, "river": False}
    assert not shared.has.any()


def test_what_a_sentence_was_asked_for_stays(names: str) -> None:
    asked = [replace(EXAMPLES[0], asked=("river", "city")), EXAMPLES[1]]
    start = Start.of(names, Domains(DataSet(Path("data"), asked), labels={"river": "river"}), SHORT)
    assert [example.asked for example in start.source.domains.target.train] == [
        ("river", "city"),
        ("Political_Party", "city"),
    ]


@pytest.mark.parametrize(
    ("start", "settings", "labels", "kind", "words"),
    [
        ("names", {"objective": "concepts"}, {}, SettingsError, "was trained with 'names'"),
        ("concepts", {"objective": "names"}, {}, SettingsError, "was trained with 'concepts'"),
        ("names", {"names": {"temperature": 2.0}}, {}, SettingsError, "names.temperature = 2.0: must be left out in"),
        ("names", {"names": {"backbone": "embedded"}}, {}, SettingsError, "names.backbone = 'embedded': must be left"),
        ("tiny_encoder", {"objective": "names"}, {}, InputError, "holds no concept encoder"),
        ("tiny_encoder", {}, {"city": "town"}, SettingsError, "labels = 'city': must be left out: objective = 'tagg"),
        ("names", {"objective": "tagging"}, {"city": "town"}, SettingsError, "objective = 'tagging' has fixed types"),
    ],
)
def test_messages(
    start: str,
    settings: dict[str, Any],
    labels: dict[str, str],
    kind: type[NerbertError],
    words: str,
    request: pytest.FixtureRequest,
) -> None:
    made, folder = make_settings(FinetuneSettings, SETTINGS | settings), str(request.getfixturevalue(start))
    with raises(kind, words):
        train_tagger(folder, Domains(DATA, labels=labels), made)


@pytest.mark.parametrize(
    ("types", "labels", "wanted", "same"),
    [
        (
            ["PER", "ORG", "PoliticalParty", "sea_bird"],
            {"sea_bird": "Bird of the Sea"},
            ["person", "organisation", "political party", "bird of the sea"],
            "",
        ),
        (["ORG", "Organisation", "city"], {}, ["org", "organisation", "city"], "ORG, Organisation"),
        (["ORG", "Organisation"], {"ORG": "company"}, ["company", "organisation"], ""),
        (["_", "__"], {}, ["_", "__"], ""),
    ],
)
def test_types_in_words_keep_their_names_where_they_mean_the_same(
    types: list[str], labels: dict[str, str], wanted: list[str], same: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words_of_types(types, labels) == dict(zip(types, wanted, strict=True))
    told = capsys.readouterr().err
    assert (f"types {same} mean the same in words" in told) if same else (told == "")


def test_types_with_the_same_words_are_refused() -> None:
    with raises(InputError, "types 'ORG' and 'org' are both read as 'org'; rename one"):
        words_of_types(["ORG", "org"], {})


def test_a_label_without_a_sentence_is_read() -> None:
    settings = make_settings(FinetuneSettings, SETTINGS | {"objective": "names"})
    data = FinetuneData(settings, Domains(DATA, labels={"river": "long river"})).open_named()
    assert data.types == ["Political_Party", "city", "river"]
    assert data.concept_texts["river"] == "long river"
    assert data.concepts is not None
    own = zip([each.name for each in data.concepts.concepts], data.concepts.counts, strict=True)
    assert list(own) == [("political party", 6), ("city", 6), ("long river", 0)]


def test_of_very_many_types_a_step_has_its_own(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a distillation with all types that a teacher knows: to encode each of them in each step would cost most."""
    examples = [*EXAMPLES, Example("Rome", split_words("Rome"), (Span(0, 4, "city"),))]
    start = Start.of(names, Domains(DataSet(Path("data"), examples)), SHORT)
    data, numbers = start.source.windows(start.pieces, start.objective.labels), np.array([len(EXAMPLES)])
    assert set(start.objective.begin_step(data.windows, numbers, 1).texts) == {"city", "political party"}  # type: ignore[attr-defined]
    monkeypatch.setattr(concepts_of_steps, "_ALWAYS", 1)
    fewer = Start.of(names, Domains(DataSet(Path("data"), examples)), SHORT)
    assert set(fewer.objective.begin_step(data.windows, numbers, 1).texts) == {"city"}  # type: ignore[attr-defined]


def test_the_usual_steps_and_rate_are_those_of_a_start_that_trains_on(
    names: str, tiny_encoder: Path, tiny_gliner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usual(encoder: str, **more: Any) -> tuple[int, float]:
        start = Start.of(encoder, Domains(DATA), FinetuneSettings(**more))
        return start.settings.min_steps, start.settings.learning_rate

    assert usual(names) == (100, 5e-4)
    assert usual(names, objective="tagging") == usual(str(tiny_encoder)) == (250, 2e-4)
    assert usual(names, min_steps=0, learning_rate=1e-3) == (0, 1e-3)
    assert usual(str(tiny_gliner)) == (250, 2e-4)
    monkeypatch.setattr("nerbert.finetuning.start._NARROW", 32)
    assert usual(names) == (50, 1e-4)


def test_of_too_many_concepts_those_of_the_data_stay(names: str) -> None:
    replay = str(Path(names).parent / "open.jsonl")
    some = {"replay": {"files": (replay,), "share": 0.5}, "names": {"max_concepts": 3}}
    start = Start.of(names, Domains(DATA), make_settings(FinetuneSettings, SETTINGS | some))
    data = start.source.windows(start.pieces, start.objective.labels)
    shared = start.objective.begin_step(data.windows, data.numbers_of(0), 1)  # type: ignore[attr-defined]
    assert {"political party", "city"} < set(shared.texts)
    assert (len(shared.texts), shared.left_out > 0) == (3, True)
