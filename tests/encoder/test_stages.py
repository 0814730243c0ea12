"""Stages: what a settings file makes of them, and which of them are made when the command is given again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

import nerbert
from nerbert.encoder import stages as module
from nerbert.encoder.objectives.zero_shot import ZeroShotSettings
from nerbert.encoder.open_texts import OpenTypesSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.encoder.stages import PretrainStage, pretrain_stages, read_stages
from nerbert.errors import InputError, SettingsError, StaleOutput
from nerbert.training.checkpoint import TrainLog
from nerbert.training.sections import load_settings
from nerbert.training.settings import Section
from nerbert.training.tagging import TaggingSettings, TokenClassification
from nerbert_papers.cluster_typing import TypingSettings
from nerbert_papers.self_training import SelfTrainingSettings
from tests.raised import raises

FILE = """
corpus = "{corpus}"
epochs = 1
seed = 3

[[stages]]
name = "ESI"
label_set = "1type"
learning_rate = 6e-6

[[stages]]
name = "NEE"
objective = "self_training"
gazetteers.files = ["{names}"]
epochs = 2
"""


@pytest.fixture
def file(sample_corpus: Path, tmp_path: Path) -> Path:
    names = tmp_path / "place.txt"
    names.write_text("London\nParis\n")
    (tmp_path / "s.toml").write_text(FILE.format(corpus=sample_corpus, names=names))
    return tmp_path / "s.toml"


def test_each_stage_has_the_settings_of_the_file_and_its_own(file: Path, tmp_path: Path) -> None:
    changes = ["seed=5", "backbone=embedded", "NEE.epochs=4", "learning_rate=1e-3", "ESI.learning_rate=2e-3"]
    one, two = read_stages(file, changes, tmp_path / "out")
    assert [(each.name, each.folder) for each in (one, two)] == [(n, tmp_path / "out" / n) for n in ("ESI", "NEE")]
    assert (one.settings.label_set, one.settings.epochs, one.settings.learning_rate) == ("1type", 1, 2e-3)
    assert (two.settings.objective, two.settings.epochs, two.settings.learning_rate) == ("self_training", 4, 1e-3)
    assert (one.settings.backbone, two.settings.backbone) == ("embedded", str(tmp_path / "out" / "ESI"))
    assert one.settings.seed == two.settings.seed == 5
    (_, own) = read_stages(file, ["NEE.backbone=embedded"], tmp_path / "out")
    assert own.settings.backbone == "embedded"
    assert "before" not in own.made_from


def test_the_package_has_the_stages_of_cofee(file: Path, sample_corpus: Path, tmp_path: Path) -> None:
    lists = f'gazetteers.files=["{tmp_path / "place.txt"}"]'
    changes = [f"corpus={sample_corpus}", f"NEE.{lists}", f"FET.{lists}"]
    one, two, three = read_stages(Path("configs/cofee.toml"), changes, tmp_path)
    assert (one.settings.objective, one.settings.label_set) == ("tagging", "1type")
    assert (two.settings.objective, two.settings.of(SelfTrainingSettings).threshold) == ("self_training", 0.1)
    assert (three.settings.objective, three.settings.of(TypingSettings).num_clusters) == ("typing", 23)
    assert three.settings.backbone == str(tmp_path / "NEE")


SECTIONED = """
corpus = "{corpus}"
tagging.outside_weight = 0.5
zero_shot.max_types = 9
open_types = {{ files = ["{texts}"], copies = 2 }}

[[stages]]
name = "ESI"
tagging.label_smoothing = 0.1

[[stages]]
name = "NEE"
objective = "zero_shot"
open_types.asked = "all"

[[stages]]
name = "FET"
objective = "self_training"
self_training.outside_weight = 0.25
"""


@pytest.fixture
def sectioned(sample_corpus: Path, tmp_path: Path) -> Path:
    (tmp_path / "texts.jsonl").write_text("{}\n")
    text = SECTIONED.format(corpus=sample_corpus, texts=tmp_path / "texts.jsonl")
    (tmp_path / "sectioned.toml").write_text(text)
    return tmp_path / "sectioned.toml"


def test_a_section_is_read_by_the_stages_whose_objective_has_it(sectioned: Path, tmp_path: Path) -> None:
    changes = [
        "NEE.zero_shot.max_types=3",
        "NEE.open_types.copies=4",
        "zero_shot.negative_ratio=2",
        "FET.self_training.threshold=0.3",
        "tagging.label_smoothing=0.2",
        "ESI.tagging.outside_weight=0.75",
    ]
    one, two, three = (each.settings for each in read_stages(sectioned, changes, tmp_path / "out"))
    assert one.sections == (TaggingSettings(label_smoothing=0.2, outside_weight=0.75),)
    texts = OpenTypesSettings(files=(tmp_path / "texts.jsonl",), copies=4, asked="all")
    assert {*two.sections} == {texts, ZeroShotSettings(max_types=3, negative_ratio=2)}
    assert three.sections == (SelfTrainingSettings(outside_weight=0.25, threshold=0.3),)
    plain = [each.settings.sections for each in read_stages(sectioned, [], tmp_path / "out")]
    assert plain[0] == (TaggingSettings(label_smoothing=0.1, outside_weight=0.5),)
    assert ZeroShotSettings(max_types=9) in plain[1]
    for changes in (["zero_shot.max_types=3", "NEE.zero_shot.max_types=4"],) * 2:
        (_, two, _) = (each.settings for each in read_stages(sectioned, changes, tmp_path / "out"))
        assert two.of(ZeroShotSettings).max_types == 4, "a stage's own value wins, whatever the order"
        changes.reverse()


def test_what_a_stages_section_says_decides_its_encoder(sectioned: Path, tmp_path: Path, made: list[str]) -> None:
    out = tmp_path / "out"
    with raises(SettingsError, "stage NEE: setting mlm.probability: ", setting="mlm.probability"):
        run(read_stages(sectioned, ["NEE.mlm.probability=0.3"], out))
    assert made == []
    assert run(read_stages(sectioned, [], out)) == ["ESI", "NEE", "FET"]
    assert run(read_stages(sectioned, ["NEE.zero_shot.max_types=9", "NEE.zero_shot.positive_weight=2"], out)) == []
    with raises(StaleOutput, "max_types: 9 then, 3 now)"):
        run(read_stages(sectioned, ["NEE.zero_shot.max_types=3"], out))
    (tmp_path / "texts.jsonl").write_text("{} \n")
    with raises(StaleOutput, "(files.1 texts.jsonl: "):
        run(read_stages(sectioned, [], out))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToySettings(Section):
    """Settings of an objective of one's own."""

    section: ClassVar[str] = "toy"
    strength: float = 1.0


class Toy(TokenClassification):
    """An objective of one's own."""

    settings: ClassVar[type[Section]] = ToySettings


def test_an_objective_of_ones_own_has_its_section_in_stages(sample_corpus: Path, tmp_path: Path) -> None:
    table = f'[[stages]]\nname = "A"\nobjective = "{__name__}:Toy"\ntoy.strength = 2\n'
    (tmp_path / "s.toml").write_text(f'corpus = "{sample_corpus}"\n{table}')
    for changes, strength in ([], 2), (["toy.strength=3"], 3), (["A.toy.strength=4", "toy.strength=3"], 4):
        (stage,) = read_stages(tmp_path / "s.toml", changes, tmp_path / "out")
        assert stage.settings.of(ToySettings).strength == strength


def test_a_stage_called_as_a_setting_hides_none(sample_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f'corpus = "{sample_corpus}"\n[[stages]]\nname = "epochs"\n')
    for changes, epochs in (["epochs=7"], 7), (["epochs.epochs=5", "epochs=7"], 5):
        (stage,) = read_stages(tmp_path / "s.toml", changes, tmp_path / "out")
        assert stage.settings.epochs == epochs


A = '[[stages]]\nname = "A"'


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("stages = 3", [], "stages: must be tables, each under a line [[stages]]"),
        ("stages = []", [], "must be tables"),
        ("[[stages]]\nepochs = 1", [], "name = None: must be unique"),
        ('[[stages]]\nname = "../x"', [], "name = '../x': must be unique, of letters, digits, - and _"),
        (f"{A}\n{A}", [], "name = 'A': must be"),
        (f"{A}\nepoch = 1", [], "stage A: unknown setting 'epoch': did you mean 'epochs'?"),
        (A, ["A=1"], "stage A: unknown setting 'A'"),
        (A, ["B.epochs=1"], "setting 'B': neither a stage nor a section: must be one of A, "),
        ('[[stages]]\nname = "NEE"', ["NEF.epochs=1"], "neither a stage nor a section: did you mean 'NEE'?"),
        (A, ["taging.outside_weight=0"], "nor a section: did you mean 'tagging'?"),
        (f"[taging]\n{A}", [], "setting 'taging': neither a stage nor a section: did you mean"),
        (A, ["A.taging.outside_weight=0"], "unknown setting 'taging': did you mean 'tagging'?"),
        (A, ["tagging.outsideweight=0"], "unknown setting 'tagging.outsideweight': did you"),
        (A, ["A.tagging.outside_weight=-1"], "stage A: setting tagging.outside_weight = -1"),
        (A, ["outside_weight=0"], "setting outside_weight: is now tagging.outside_weight"),
        (A, ["tagging=0"], "stage A: setting tagging = 0: is a section: write tagging."),
        (A, ["mlm.probability=0.2"], "setting mlm: no stage has an objective that reads this"),
        (f"[mlm]\nprobability = 0.2\n{A}", [], "setting mlm: no stage has an objective that reads"),
        ('[[stages]]\nname = "mlm"', [], "stages: name = 'mlm': is a section of settings; use another name"),
        (f"{A}\nobjective = 3", [], "stage A: setting objective = 3: must be"),
    ],
)
def test_messages(tmp_path: Path, sample_corpus: Path, text: str, changes: list[str], words: str) -> None:
    (tmp_path / "s.toml").write_text(f'corpus = "{sample_corpus}"\n{text}\n')
    with raises(SettingsError, words):
        read_stages(tmp_path / "s.toml", changes, tmp_path / "out")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were made, by a training that only makes the folder."""
    names: list[str] = []

    def pretrain(_: Any, folder: Path, *, overwrite: bool, card: Any, processes: Any, executor: Any) -> TrainLog:
        assert processes is not None
        names.append(folder.name)
        folder.mkdir(parents=True, exist_ok=overwrite)
        card(folder, None)
        return TrainLog()

    monkeypatch.setattr(module, "pretrain", pretrain)
    return names


def run(stages: list[PretrainStage], **more: Any) -> list[str]:
    return [stage.name for stage, _ in pretrain_stages(stages, **more)]


def test_stages_that_are_done_are_passed_over(file: Path, tmp_path: Path, made: list[str]) -> None:
    out = tmp_path / "out"
    assert run(read_stages(file, [], out)) == ["ESI", "NEE"]
    assert run(read_stages(file, ["threads=2"], out)) == [], "what decides nothing may change"
    assert run(read_stages(file, [], out), overwrite=True) == ["ESI", "NEE"]
    (out / "NEE" / "stage.json").unlink()
    (out / "NEE").rmdir()
    assert run(read_stages(file, ["NEE.epochs=7"], out)) == ["NEE"]
    assert made == ["ESI", "NEE"] * 2 + ["NEE"]


def test_python_makes_them_too(file: Path, tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cards: list[str] = []
    monkeypatch.setattr("nerbert.render.cards.write_encoder_card", lambda folder, _: cards.append(folder.name))
    out = tmp_path / "out"
    assert list(nerbert.pretrain_stages(out, file, ["NEE.epochs=4"])) == made == cards == ["ESI", "NEE"]
    assert nerbert.pretrain_stages(str(out), str(file), ["NEE.epochs=4"]) == {}
    (tmp_path / "one.toml").write_text('corpus = "c"\n')
    assert read_stages(tmp_path / "one.toml", [], out) == []
    with raises(SettingsError, "one.toml: has no tables [[stages]]"):
        nerbert.pretrain_stages(out, tmp_path / "one.toml")


def test_the_order_of_lists_equal_names_and_contents_count(file: Path, tmp_path: Path, made: list[str]) -> None:
    """The list that comes first decides, so lists in another order make another encoder; so does each one of a name."""
    (tmp_path / "b").mkdir()
    for path, text in (("b/place.txt", "Oslo\n"), ("person.txt", "Paris\n"), ("own.tsv", "Person\tperson\n")):
        (tmp_path / path).write_text(text)
    one, two, three, own = (str(tmp_path / path) for path in ("place.txt", "b/place.txt", "person.txt", "own.tsv"))
    out, lists, labels = tmp_path / "out", f"NEE.gazetteers.files={[one, two, three]}", f"ESI.label_set={own}"
    run(read_stages(file, [lists, labels], out))
    with raises(StaleOutput, "(files.1 place.txt: "):
        run(read_stages(file, [f"NEE.gazetteers.files={[three, two, one]}", labels], out))
    Path(one).write_text("Rome\n")
    with raises(StaleOutput, "(files.1 place.txt: "):
        run(read_stages(file, [lists, labels], out))
    Path(own).write_text("Place\tplace\n")
    with raises(StaleOutput, "own.tsv"):
        run(read_stages(file, [lists, labels], out))


def test_what_a_later_stage_needs_is_looked_at_first(file: Path, tmp_path: Path, made: list[str]) -> None:
    (tmp_path / "place.txt").write_text("London\tplace\n")
    with raises(InputError, "stage NEE: "):
        run(read_stages(file, [], tmp_path / "out"))
    with raises(SettingsError, "stage NEE: ", setting="gazetteers.files"):
        run(read_stages(file, ["NEE.objective=concepts"], tmp_path / "out"))
    (tmp_path / "place.txt").unlink()
    with raises(InputError, "stage NEE: "):
        read_stages(file, [], tmp_path / "out")
    assert made == []


@pytest.mark.parametrize("name", ["nuner", "gliner", "nuner_zero", "nuner_zero_span"])
def test_the_papers_types_are_read_by_their_names_alone(name: str) -> None:
    assert not load_settings(PretrainSettings, Path(f"configs/{name}.toml")).wordings


def test_dapt_has_the_public_codes_settings() -> None:
    settings = load_settings(PretrainSettings, Path("configs/dapt.toml"))
    assert (settings.backbone, settings.weight_decay) == ("google-bert/bert-base-cased", 0)
