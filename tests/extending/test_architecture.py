"""A zero-shot architecture that only the tests know: made, trained, saved, fine-tuned, tagged with and checked."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nerbert.config import make_settings
from nerbert.encoder.pretrain import pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError
from nerbert.finetuning.finetune import finetune
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.gliner.folder import load_gliner
from nerbert.registry import ARCHITECTURES
from nerbert.tagger.self_check import check, checking
from nerbert.tagger.tagger import Tagger
from tests.encoder.objectives.test_zero_shot import SMALL, row, write
from tests.finetuning.test_replay import EXAMPLES, SETTINGS, TEXT

DOT = "tests.extending.toys.dot:Dot"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of some steps."""
    place = tmp_path_factory.mktemp("dot")
    path = write(place / "open.jsonl", [row(number) for number in range(60)])
    settings = make_settings(
        PretrainSettings, SMALL | {"open_types": {"files": (path,)}, "cache": str(place / "cache")}
    )
    pretrain(settings.changed({"epochs": 8, "zero_shot": {"architecture": DOT, "max_width": 0}}), place / "m")
    return place / "m"


def test_it_is_made_trained_and_read(folder: Path) -> None:
    assert json.loads((folder / "gliner_config.json").read_text())["architecture"] == "dot"
    assert json.loads((folder / "nerbert.json").read_text())["architecture"] == "dot"
    steps = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = [each["loss"] for each in steps if each["kind"] == "train"]
    assert losses[-1] < losses[0]
    model, kept = load_gliner(folder).model, load_file(folder / "model.safetensors")
    assert {"words.weight", "labels.weight", "odds"} <= kept.keys()
    assert all(torch.equal(each, kept[name]) for name, each in model.state_dict().items())


def test_its_taggers_tag_and_check_themselves(folder: Path, tmp_path: Path) -> None:
    (tuned,) = finetune(
        str(folder), EXAMPLES, tmp_path / "t", FinetuneSettings(**SETTINGS), card=checking(lambda *_: True)
    )
    tagger = Tagger.load(tuned, device="cpu", thresholds=0.0)
    assert {each.type for each in tagger.tag(TEXT, labels=["ship", "city"])} <= {"ship", "city"}
    assert tagger.tag(TEXT)
    (done,) = check(tuned, device="cpu")
    assert not done.differences
    assert len(done.expected.answers) == 20


def test_a_folders_own_word_is_not_enough(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "gliner_config.json").read_text())
    for name in ("nothing", DOT):
        (tmp_path / "m" / "gliner_config.json").write_text(json.dumps(config | {"architecture": name}))
        with pytest.raises(InputError, match=f"architecture '{name}'.*; import what registers it, or name its head"):
            Tagger.load(tmp_path / "m", device="cpu")
    monkeypatch.setattr(ARCHITECTURES, "_known", {k: v for k, v in ARCHITECTURES._known.items() if k != "dot"})
    with pytest.raises(InputError, match="architecture 'dot'"):
        Tagger.load(folder, device="cpu")
