"""An objective that only the tests know pre-trains an encoder by the command, in two processes."""

import json
from pathlib import Path
from typing import Any

import pytest

import nerbert
from nerbert.config import Section, load_settings, make_settings, plain_settings
from nerbert.errors import SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.registry import OBJECTIVES
from nerbert.training.objective import FINETUNE, chosen_objective
from nerbert.training.tagging import TaggingSettings
from tests.commands import run_in
from tests.extending.toys.margin_toy import MarginSettings
from tests.raised import raises

ROOT = Path(__file__).parents[2]
TOY = "tests.extending.toys.starts:Starts"


def test_it_pre_trains_by_the_command_in_two_processes(sample_corpus: Path, tmp_path: Path, warm: Path) -> None:
    settings = {
        "corpus": str(sample_corpus), "backbone": "embedded-mlm", "objective": TOY, "max_steps": 6, "epochs": 0.01,
        "batch_size": 8, "max_eval_samples": 30, "precision": "fp32", "threads": 1, "save_steps": 2,
        "max_tokens_per_batch": 200,
    }  # fmt: skip
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (tmp_path / "settings.toml").write_text("".join(lines))
    torchrun = ["-m", "torch.distributed.run", "--no-python", "--standalone", "--nproc-per-node=2"]
    command = ["nerbert", "pretrain", str(tmp_path / "settings.toml"), "-o", str(tmp_path / "e")]
    run_in(ROOT, "python", *torchrun, *command, path=warm)
    card = json.loads((tmp_path / "e" / "nerbert.json").read_text())
    assert (card["objective"], card["best_step"] > 0) == (TOY, True)
    assert card["validation"].keys() == {"missed"}
    assert card["scored_by"] == "missed", "a fact of the score that chose the checkpoint"
    log = [json.loads(line) for line in (tmp_path / "e" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in log if line["kind"] == "train"]
    assert steps[-1]["loss"] < steps[0]["loss"]
    for line in steps:
        assert line["loss"] == pytest.approx(line["type"] + line["length"], rel=1e-6)
    assert card["validation"]["missed"] == min(line["missed"] for line in log if line["kind"] == "validation")
    readme = (tmp_path / "e" / "README.md").read_text()
    assert "pre-trained to find where entities begin" in readme
    assert "one less the F1 of spans" in readme


@pytest.mark.parametrize("name", ["none", "tests.extending.toys.starts:Nothing", "no.module:X"])
def test_one_that_is_not_there(name: str) -> None:
    with raises(SettingsError, "objective"):
        OBJECTIVES.find(name)


MARGIN = "tests.extending.toys.margin_toy:Margin"
FAST: dict[str, Any] = {"objective": MARGIN, "max_steps": 2, "min_steps": 0, "precision": "fp32", "threads": 1}


def test_settings_of_its_own_are_set_in_every_way(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(f'objective = "{MARGIN}"\n[margin]\nwidth = 2\npower = "two"\n')
    of_file = load_settings(FinetuneSettings, tmp_path / "own.toml")
    assert of_file.of(MarginSettings) == MarginSettings(width=2.0, power="two")
    changed = load_settings(FinetuneSettings, tmp_path / "own.toml", ["margin.width=3"])
    assert changed.of(MarginSettings) == MarginSettings(width=3.0, power="two")
    assert make_settings(FinetuneSettings, {"objective": MARGIN, "margin": {"width": 3}}, of_file) == changed
    own = MarginSettings(width=3, power="two")
    assert make_settings(FinetuneSettings, {"objective": MARGIN, "margin": own}) == changed
    assert FinetuneSettings(objective=MARGIN, sections=(own,)) == changed
    assert plain_settings(changed)["margin"] == {"width": 3.0, "power": "two"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("margin.width=0", "setting margin.width = 0: must be a number, above 0, at most 100"),
        ("margin.power=three", "setting margin.power = 'three': must be 'one' or 'two'"),
        ("margin.widht=2", "unknown setting 'margin.widht': did you mean 'width'"),
        ("margn.width=2", "unknown setting 'margn': did you mean 'margin'"),
        ("margin=2", "setting margin = 2: is a section: write margin.width = "),
    ],
)
def test_wrong_settings_of_its_own_are_refused(changes: str, words: str) -> None:
    with raises(SettingsError, words):
        load_settings(FinetuneSettings, None, [f"objective={MARGIN}", changes])


@pytest.mark.parametrize(
    ("objective", "section", "setting", "words"),
    [
        (MARGIN, TaggingSettings(label_smoothing=0.1), "tagging.label_smoothing",
         f"is for objective 'tagging', but objective = '{MARGIN}', which reads margin"),
        ("tagging", MarginSettings(width=2), "margin.width", "but objective = 'tagging'"),
    ],
)  # fmt: skip
def test_settings_of_another_one_are_refused(objective: str, section: Section, setting: str, words: str) -> None:
    with raises(SettingsError, words, setting=setting):
        chosen_objective(FinetuneSettings(objective=objective, sections=(section,)), FINETUNE)


def test_it_trains_by_its_settings(tiny_encoder: Path, sample: Path, tmp_path: Path) -> None:
    losses, settings = {}, make_settings(FinetuneSettings, FAST)
    for width in (1, 8):
        made = nerbert.finetune(
            tiny_encoder, sample / "domain", tmp_path / str(width), settings, calibrate=False,
            sections=(MarginSettings(width=width),),
        )  # fmt: skip
        card = json.loads((tmp_path / str(width) / "nerbert.json").read_text())
        losses[width] = card["log"][0]["loss"]
        assert made.types
        assert card["settings"]["margin"]["width"] == width
    assert losses[8] > 3 * losses[1] > 0
