"""Fine-tuning of a GLiNER folder: it stays one, and takes any labels."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert.data.splits import DataSet
from nerbert.encoder.objectives.zero_shot import ZeroShot
from nerbert.encoder.pretrain import pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.finetuning.data import FinetuneData, ReplaySettings
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import train_tagger
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.documents import document_of
from nerbert.formats.jsonl import JsonLines
from nerbert.metrics.calibration import Scaling, scaling_of
from nerbert.model.backbone import Backbone
from nerbert.model.folder import read_card
from nerbert.model.gliner.head import GlinerHead
from nerbert.model.threshold_fit import TRIED
from nerbert.records import Example, Span
from nerbert.tagger.self_check import add_check, check
from nerbert.tagger.tagger import Tagger
from nerbert.training.batches import TrainingData
from nerbert.training.objective import Task
from nerbert.training.sections import make_settings
from nerbert.words import split_words
from nerbert_bench.systems.finetuned import in_key
from tests.encoder.objectives.test_zero_shot import SMALL, row
from tests.encoder.preparing import written
from tests.fixtures import Once
from tests.raised import raises
from tests.stages import finetune

TEXT = "The Political_Party of Oslo-by-the-sea met 3 times."
SETTINGS: dict[str, Any] = {"max_steps": 3, "batch_size": 4, "precision": "fp32", "threads": 1, "max_length": 64}


def example(number: int) -> Example:
    text = TEXT.replace("3", str(number))
    return Example(text, split_words(text), (Span(4, 19, "Political_Party"), Span(23, 27, "city")))


EXAMPLES = [example(number) for number in range(6)]


def start_of(once: Once, objective: str, small: dict[str, Any]) -> Path:
    """Make a folder with a small folder `m` of an objective, and `open.jsonl` that it learnt from."""

    def make(folder: Path) -> None:
        folder.mkdir()
        path = written(folder / "open.jsonl", [row(number) for number in range(60)])
        values = small | {"objective": objective, "open_types": {"files": (path,)}, "cache": str(folder / "cache")}
        pretrain(make_settings(PretrainSettings, values), folder / "m")

    return once(f"start of {objective}", make)


@pytest.fixture(scope="module")
def start(once: Once) -> Path:
    return start_of(once, "zero_shot", SMALL)


def test_a_fine_tuned_folder_takes_any_labels(start: Path, tmp_path: Path) -> None:
    settings = FinetuneSettings(sections=(ReplaySettings(files=(start / "open.jsonl",)),), **SETTINGS)
    hook = add_check(lambda *_: True)
    (folder,) = finetune(str(start / "m"), EXAMPLES, tmp_path / "tuned", settings, card=hook)
    card = read_card(str(folder))
    assert (card["kind"], card["head"], card["types"]) == ("tagger", "gliner", ["Political_Party", "city"])
    assert (card["labels"], card["max_width"], card["word_splitter"]) == ("normalised", 3, "gliner-words-1")
    assert (card["settings"]["objective"], card["settings"]["replay"]) == (
        "zero_shot",
        {"files": ["open.jsonl"], "share": 0.5},
    )
    tagger = Tagger.load(folder, device="cpu", thresholds=0.0)
    assert {each.type for each in tagger.tag(TEXT, labels=["Sea Bird", "city"])} <= {"Sea Bird", "city"}
    assert tagger.types == []
    assert {each.type for each in tagger.tag(TEXT)} <= {"Political_Party", "city"}
    (done,) = check(folder, device="cpu")
    assert not done.differences
    assert len(done.expected.answers) == 20


def test_the_threshold_goes_with_the_folder(start: Path, tmp_path: Path) -> None:
    """The start's, as a probability before its scaling, or the best on dev as a confidence after the new one."""
    before = Path(shutil.copytree(start / "m", tmp_path / "m"))
    card = read_card(str(before)) | {"threshold": 0.3, "calibration": {"temperature": 2.0, "bias": 0.5}}
    (before / "nerbert.json").write_text(json.dumps(card))
    plain = pytest.approx(Scaling(2.0, 0.5).undo(0.3))
    for split, some in (("train", EXAMPLES), ("dev", EXAMPLES[:3])):
        (tmp_path / "data").mkdir(exist_ok=True)
        JsonLines().write(tmp_path / "data" / f"{split}.jsonl", map(document_of, some))
    kept, fitted, left_out = (
        finetune(str(before), data, tmp_path / name, FinetuneSettings(**SETTINGS), calibrate=name != "left out")[0]
        for name, data in (("kept", EXAMPLES), ("fitted", tmp_path / "data"), ("left out", tmp_path / "data"))
    )
    assert read_card(str(kept))["threshold"] == read_card(str(left_out))["threshold"] == plain
    assert Tagger.load(kept, device="cpu").with_labels(["city"]).thresholds == {"city": plain}
    card = read_card(str(fitted))
    assert card["calibration"]["threshold_f1"] == card["dev"]["f1"]
    raw = scaling_of(card).undo(card["threshold"])
    assert min(abs(raw - each) for each in TRIED) < 1e-3


def prepared(start: Path, examples: list[Example], share: float, **changes: Any) -> tuple[Task, ZeroShot, TrainingData]:
    """Return the task, the objective and the windows of a fine-tuning that replays what the folder learnt from."""
    replayed = ReplaySettings(files=(start / "open.jsonl",), share=share)
    settings = FinetuneSettings(objective="zero_shot", sections=(replayed,), **SETTINGS | changes)
    found: FinetuneData = ZeroShot.data(FinetuneData(settings, Domains(DataSet(Path("data"), examples))))
    assert found.replay is not None
    backbone = Backbone.of(str(start / "m"), 1)
    task = Task(found.types, settings, backbone, found.concepts, found.concept_texts, finetunes=True)
    objective = ZeroShot.of(task)
    pieces = objective.subwords(objective.make_model(backbone), backbone, settings)
    return task, objective, found.windows(pieces, objective.labels)


def test_dev_chooses_by_the_data_s_own_types(start: Path) -> None:
    settings = FinetuneSettings(select="dev", **SETTINGS)
    done = train_tagger(str(start / "m"), Domains(DataSet(Path("data"), EXAMPLES, EXAMPLES[:2])), settings)
    assert isinstance(done.head, GlinerHead)
    assert done.head.types == ["Political_Party", "city"]
    assert "dev_f1" in done.log.entries[-1]


def test_the_datas_types_are_closed_and_replays_are_not(start: Path) -> None:
    examples = [replace(EXAMPLES[0], spans=EXAMPLES[0].spans[:1]), *EXAMPLES[1:]]
    task, objective, data = prepared(start, examples, 0.5)
    (alone,) = objective.begin_step(data.windows, np.arange(1), 1).prompts.values()
    assert {task.concepts.concepts[each].name for each in alone.tolist()} == {"political party", "city"}
    step = objective.begin_step(data.windows, np.arange(8), 1)
    names = {
        number: {task.concepts.concepts[each].name for each in prompt.tolist()}
        for number, prompt in step.prompts.items()
    }
    assert all(names[number] == {"political party", "city"} for number in range(6))
    assert all({"ship", "polar ship", "city", "harbour"} <= names[number] for number in (6, 7))
    assert all("political party" not in names[number] for number in (6, 7))  # nobody asked for it there


@pytest.mark.parametrize(("share", "many"), [(0.25, 2), (0.5, 6), (0.75, 18)])
def test_a_share_of_each_epoch_is_replayed(start: Path, share: float, many: int) -> None:
    *_, data = prepared(start, EXAMPLES, share, max_steps=12)
    epochs = [data.numbers_of(epoch) for epoch in range(2)]
    assert [len(each) for each in epochs] == [6 + many] * 2
    assert all(set(range(6)) <= set(each.tolist()) for each in epochs)
    assert not set(epochs[0].tolist()) & set(epochs[1].tolist()) - set(range(6))
    *_, again = prepared(start, EXAMPLES, share, max_steps=12)
    assert np.array_equal(again.windows.ids, data.windows.ids)


REPLAYED = {"files": (Path("none.jsonl"),)}


@pytest.mark.parametrize(
    ("encoder", "changes", "kind", "words"),
    [
        ("", {"on_too_long": "error"}, SettingsError, "on_too_long"),
        ("", {"source_head": "shared"}, SettingsError, "not for the head of"),
        ("", {"num_layers": 1}, SettingsError, "num_layers = 1: must be 0 where the start is a GLiNER folder"),
        ("", {"tagging": {"joined_layer": 1}}, SettingsError, "joined_layer: is for objective 'tagging', but object"),
        ("", {"replay": REPLAYED}, InputError, "none.jsonl: can't be read"),
        ("embedded", {"objective": "zero_shot"}, SettingsError, "continues a GLiNER folder; make one with `nerbert"),
        (
            "embedded",
            {"objective": "tagging", "replay": REPLAYED},
            SettingsError,
            "replay.files: is for objective 'concepts' or 'names' or 'zero_shot', but objective = 'tagging'",
        ),
    ],
)
def test_messages(start: Path, encoder: str, changes: dict[str, Any], kind: type[NerbertError], words: str) -> None:
    with raises(kind, words):
        domains = Domains(DataSet(Path("data"), EXAMPLES))
        train_tagger(encoder or str(start / "m"), domains, make_settings(FinetuneSettings, SETTINGS | changes))


def test_keys_of_cells_before_hold_and_replay_counts_by_content(start: Path) -> None:
    replayed = ReplaySettings(files=(start / "open.jsonl",))
    usual = FinetuneSettings(objective="zero_shot")
    plain, other = in_key(usual), in_key(replace(usual, sections=(replayed,)))
    assert other.keys() - plain.keys() == {"replay"}
    (digest,) = other["replay"]["files"]
    assert "open" not in digest
