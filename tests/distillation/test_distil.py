"""The command, with a teacher that needs no model, and students of few steps."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nerbert
import nerbert.distillation.distil as stage
import nerbert.tagger.jobs.files as files
from nerbert.entity_labels import entity_labels
from nerbert.errors import InputError, NerbertError, SettingsError, StaleOutput
from nerbert.model.folder import SILVER, find_named, read_card, write_card
from nerbert.model.heads import Entities
from nerbert.records import EntityLabel, Example, Span
from nerbert.tagger.tagger import Tagger
from tests.commands import exit_code
from tests.raised import raises
from tests.tagger.jobs.fakes import TYPES, Capitals
from tests.tagger.jobs.rows import rows

Caught = pytest.CaptureFixture[str]
FEW: dict[str, Any] = {
    "source_epochs": 0.1,
    "epochs": 0.1,
    "min_steps": 1,
    "threads": 1,
    "precision": "fp32",
    "min_f1_share": 0,
}
NAMES = [chr(ord("A") + number % 26) + chr(ord("a") + number // 26) for number in range(60)]
LINES = [f"there {name} met {name}x on board number {number} ." for number, name in enumerate(NAMES)]
EMPTY = [f"nobody slept in room {number} ." for number in range(60)]
load = Tagger.load


class Teacher(Capitals):
    """Finds words that begin with a capital, and can be asked for some of its types."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.thresholds = SimpleNamespace(name="instant", types=list(TYPES), decoding="legal"), {}

    def with_labels(self, labels: Iterable[str | EntityLabel]) -> "Teacher":
        """Return itself, which knows what it was asked for."""
        self.labels = entity_labels(labels)
        return self


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Teacher:
    """What `Tagger.load("teacher")` gives; there are texts `in/a.txt` and `in/b.txt` in the working folder."""
    fake = Teacher()

    def loaded(source: str, **more: Any) -> Tagger:
        return load(source, **more) if Path(source, "model.safetensors").exists() else fake

    monkeypatch.setattr(Tagger, "load", loaded)
    monkeypatch.setattr(files, "_PART", 800)
    monkeypatch.chdir(tmp_path)
    for name in ("teacher", "tagger"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("\n".join(LINES))
    (tmp_path / "in" / "b.txt").write_text("\n".join(EMPTY))
    return fake


@pytest.fixture
def untrained(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let students be no more than cards; what each would have been trained by."""
    trainings = list[Any]()

    def finetune_domains(*given: Any) -> Any:
        trainings.append(given)
        return SimpleNamespace(
            head=SimpleNamespace(predict=lambda examples: Entities.of([[] for _ in examples])),
            save=lambda folder, **facts: write_card(folder, "tagger", word_splitter="unicode-words-1", **facts),
        )

    monkeypatch.setattr(stage, "finetune_domains", finetune_domains)
    monkeypatch.setattr(stage, "held_out_facts", lambda *_: {})
    monkeypatch.setattr("nerbert.tagger.self_check.add_check", lambda card: None)
    return trainings


def silver(folder: str) -> list[dict[str, Any]]:
    return rows(Path(folder, SILVER))


def distil(source: str = "in", output: str = "out", /, **settings: Any) -> Tagger:
    return nerbert.distil("teacher", source, output, **FEW | settings)


def write_data(folder: Path, **splits: str) -> Path:
    folder.mkdir()
    for name, text in splits.items():
        (folder / f"{name}.marked").write_text(text)
    return folder


def test_a_student_knows_what_the_teacher_found(teacher: Teacher, capsys: Caught) -> None:
    student = distil(max_sentences=40)
    assert student.types == TYPES
    assert len(teacher.seen) == 120
    kept = silver("out")
    assert [sum(bool(each["spans"]) is has for each in kept) for has in (True, False)] == [18, 18]
    for each in kept:
        assert [span["text"] for span in each["spans"]] == [word for word in each["tokens"] if word[0].isupper()]
    assert len({span["confidence"] for each in kept for span in each["spans"]}) > 10
    assert [[span.type for span in each.spans] for each in nerbert.read_data(f"out/{SILVER}").train] == [
        [span["type"] for span in each["spans"]] for each in kept
    ]
    card = read_card("out")
    assert card["settings"]["objective"] == "distillation"
    assert card["data"]["name"] == SILVER
    assert card["distilled"]["silver"] | {"entities": 0} == {
        "rows": 120,
        "sentences": 120,
        "excluded": 0,
        "with_entities": 60,
        "lost": 0,
        "kept": 36,
        "kept_empty": 18,
        "apart": 4,
        "entities": 0,
    }
    assert card["distilled"]["teacher"]["name"] is None
    assert "out: trained on 36 of 120 sentences, 18 of them with entities (" in capsys.readouterr().err
    assert "silver" in Path("out/README.md").read_text()
    assert not Path(".out.work").exists()


def test_settings_of_training_may_change_between_runs_and_the_teacher_may_not(
    teacher: Teacher, untrained: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stage, "finetune_domains", None)
        with pytest.raises(TypeError):
            distil()
    teacher.thresholds = {"else": 0.5}
    with raises(StaleOutput, "thresholds"):
        distil()
    teacher.thresholds = {}
    teacher.seen.clear()
    distil(max_sentences=5)
    assert not teacher.seen
    assert len(silver("out")) == 5
    ((_, domains, settings),) = untrained
    assert (settings.epochs, settings.min_steps, domains.source) == (0.1, 0, None)


def test_confidences_are_taught_above_thresholds_and_labelled_sentences_are_sure(
    teacher: Teacher, untrained: list[Any]
) -> None:
    teacher.thresholds = {"else": 0.02}
    labelled = Example("Ada met Bob", ((0, 3), (8, 11)), (Span(0, 3, "vowel", "", 0.3), Span(8, 11, "else", "", 0.2)))
    distil(data=[labelled])
    ((_, domains, _),) = untrained
    assert [[span.confidence for span in each.spans] for each in domains.target.train] == [[1.0, 1.0]]
    for row, taught in zip(silver("out"), domains.source.train, strict=True):
        for told, span in zip(row["spans"], taught.spans, strict=True):
            assert (span.confidence > told["confidence"]) is (span.type == "else" and told["confidence"] < 1)


def test_labelled_sentences_are_learnt_last(teacher: Teacher, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", train="[Ada|else] met [Eve|vowel] .\n", dev="[Bob|else] slept .\n")
    distil(data=data)
    card = read_card("out")
    assert card["distilled"]["teacher"]["labels"] == TYPES
    assert (card["data"]["name"], card["source_data"]["name"]) == ("data", SILVER)
    assert card["shared_types"] == TYPES
    assert card["dev"]["sentences"] == 1


@pytest.mark.usefixtures("untrained")
def test_a_student_that_is_much_worse_than_its_teacher_is_not_kept(teacher: Teacher, capsys: Caught) -> None:
    with raises(InputError, "F1 of the student 0.00, of the teacher 100.00, on 12 held-out silver"):
        distil(min_f1_share=0.5)
    teacher.seen.clear()
    distil()
    assert not teacher.seen, "what was tagged is kept"
    assert "out: F1 of the student 0.00, of the teacher 100.00, on 12 held-out silver" in capsys.readouterr().err
    assert read_card("out")["distilled"]["scored_sentences"] == 12
    assert len({*LINES, *EMPTY} - {row["text"] for row in silver("out")}) == 12
    distil("in", "few", max_sentences=5, min_f1_share=1)
    assert "few: isn't scored: no sentence" in capsys.readouterr().err


SLEPT = {"train": [nerbert.example("Ada slept", [(0, 3, "else")])]}
UNFIT: list[tuple[dict[str, Any], type[NerbertError], str]] = [
    (
        {"labels": TYPES, "data": SLEPT},
        InputError,
        "no training sentence has an entity of 'vowel', so the student would unlearn",
    ),
    ({"data": {"train": [nerbert.example("Ada", [(0, 3, "other")])]}}, InputError, "teacher: knows none of the types"),
    ({"data": {"train": [nerbert.example("Ada")]}}, InputError, "no training sentence has an entity; leave"),
    ({"data": SLEPT, "select": "dev"}, SettingsError, "must be 'last', or 'dev' with data"),
    ({"data": "data"}, InputError, "test.marked"),
    ({"decoding": "nested"}, SettingsError, "teacher: its entities may be nested"),
]


@pytest.mark.parametrize(("how", "kind", "words"), UNFIT)
def test_labelled_sentences_and_teachers_that_do_not_fit_are_refused_before_tagging(
    teacher: Teacher, tmp_path: Path, how: dict[str, Any], kind: type[NerbertError], words: str
) -> None:
    write_data(tmp_path / "data", train="[Ada|else] slept .\n", test="[Ada| slept .\n")
    how = dict(how)
    teacher.head.decoding = how.pop("decoding", "legal")
    with raises(kind, words):
        distil(**how)
    assert not teacher.seen


def test_an_encoder_that_cannot_be_trained_is_refused_before_tagging(teacher: Teacher) -> None:
    shutil.copytree(find_named("embedded"), "odd")
    config = json.loads(Path("odd/config.json").read_text())
    Path("odd/config.json").write_text(json.dumps(config | {"model_type": "odd"}))
    with raises(InputError, "odd"):
        distil(encoder="odd")
    assert not teacher.seen


def test_a_teacher_that_finds_nothing_is_told(teacher: Teacher) -> None:
    with raises(InputError, "teacher: found no entity in 60 rows of text, looking for else, vowel from"):
        distil("in/b.txt")
    assert not Path("out").exists()


@pytest.mark.usefixtures("untrained")
def test_the_tests_own_texts_are_warned_of_and_can_be_left_out(tmp_path: Path, capsys: Caught) -> None:
    train = "[Ada|else] met [Eve|vowel] .\n"
    data = write_data(tmp_path / "data", train=train, test="\n".join([*LINES[:3], "[Zoe|else] slept ."]))
    distil(data=data)
    told = capsys.readouterr().err
    assert "warning: 3 of 120 silver sentences share 8 words in a row with the test split" in told
    assert f"--exclude {data / 'test.marked'}" in told
    distil("in", "other", data=data, exclude=[data / "test.marked"])
    assert "warning" not in capsys.readouterr().err
    assert not {each["text"] for each in silver("other")} & set(LINES[:3])
    assert read_card("other")["distilled"]["silver"]["excluded"] == 3
    with raises(InputError, "no sentence with an entity is left: of 60, 60 share words with --exclude"):
        distil("in/a.txt", "none", exclude=["in/a.txt"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["empty"], "empty: contains no file with a known name"),
        (["in", "-o", "taken"], "taken: exists already"),
        (["in", "--encoder", "nowhere/at/all"], "nowhere/at/all"),
        (["in", "--set", "objective=mlm"], "objective = 'mlm': is for `nerbert pretrain` only"),
        (["in", "--set", "empty_share=1"], "setting empty_share = 1"),
        (["in", "--exclude", "missing.txt"], "missing.txt"),
    ],
)
@pytest.mark.usefixtures("teacher")
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], told: str, capsys: Caught) -> None:
    for name in ("empty", "taken"):
        (tmp_path / name).mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    output = [] if "-o" in arguments else ["-o", "out"]
    assert exit_code("distil", "teacher", *arguments, *output) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not Path("out").exists()


@pytest.mark.usefixtures("untrained")
def test_an_unreadable_line_costs_nothing_of_what_was_tagged(teacher: Teacher, tmp_path: Path) -> None:
    with (tmp_path / "in" / "a.txt").open("ab") as stream:
        stream.write(b"\nR\xe9 met Eve.\n")
    with raises(InputError, path="in/a.txt", line=61):
        distil()
    seen = len(teacher.seen)
    assert seen > 30
    distil(errors="replace")
    assert len(teacher.seen) == 121


def test_a_real_tagger_teaches_and_its_types_are_fixed(
    tiny_tagger: Path, tiny_encoder: Path, sample: Path, tmp_path: Path, capsys: Caught
) -> None:
    texts = sample / "domain" / "train.conll"
    few = [part for name, value in FEW.items() for part in ("--set", f"{name}={value}")]
    common = ["--encoder", tiny_encoder, "-o", tmp_path / "student", *few]
    assert exit_code("distil", tiny_tagger, texts, "--labels", "nothing such", *common) == 1
    assert "label 'nothing such' is none of this tagger's fixed types" in capsys.readouterr().err
    types = load(tiny_tagger, device="cpu").types[:2]
    assert exit_code("distil", tiny_tagger, texts, "--labels", ",".join(types), *common) == 0
    assert set(load(tmp_path / "student").types) <= set(types)
    assert exit_code("distil", tiny_tagger, texts, *common) == 1
    assert "exists already" in capsys.readouterr().err


def test_labelled_texts_are_read_as_the_teacher_reads(teacher: Teacher, untrained: list[Any], tmp_path: Path) -> None:
    """By its language's sentences and its words, which the other sentences have."""
    write_card(Path("teacher"), "tagger", word_splitter="unicode-words-1", language="de")
    data = write_data(tmp_path / "data", train="Am 3. Oktober in [서울|vowel]에서.\n")
    distil(data=data, max_sentences=10)
    domains = untrained[0][1]
    assert [each.tokens for each in domains.target.train] == [("Am", "3", ".", "Oktober", "in", "서울에서", ".")]
    for reading in (domains.target.reading, domains.source.reading):
        assert (reading.word_splitter, reading.language) == ("unicode-words-1", "de")
    nerbert.distil("tagger", "in", "other", data=data, max_sentences=10, **FEW)
    assert untrained[1][1].target.reading.language == "en", "the encoder's, since such a teacher says none"


@pytest.mark.usefixtures("teacher")
@pytest.mark.parametrize(
    ("settings", "objective"),
    [
        ({"encoder": "embedded"}, "distillation"),
        ({"encoder": "embedded-open"}, "names"),
        ({"encoder": "embedded", "objective": "tagging"}, "tagging"),
    ],
)
def test_the_students_form_decides_the_objective(untrained: list[Any], settings: Any, objective: str) -> None:
    """A student that takes labels at run time learns entities in its own way; any other gets soft labels."""
    distil(**settings)
    _, _, chosen = untrained[-1]
    assert chosen.objective == objective
