"""A zero-shot architecture that only the tests know: made, trained, saved, fine-tuned, tagged with and checked."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nerbert.config import make_settings
from nerbert.encoder.objectives.zero_shot.start import labels_backbone, start_model
from nerbert.encoder.pretrain import pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.finetune import finetune
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.backbone import Backbone
from nerbert.model.gliner.architectures import ZeroSpan, architecture_of
from nerbert.model.gliner.config import GlinerConfig
from nerbert.model.gliner.folder import load_gliner
from nerbert.registry import ARCHITECTURES
from nerbert.tagger.self_check import check, checking
from nerbert.tagger.tagger import Tagger
from tests.encoder.objectives.test_zero_shot import SMALL, row
from tests.encoder.preparing import written
from tests.extending.toys.dot import Dot
from tests.finetuning.test_replay import EXAMPLES, SETTINGS, TEXT
from tests.raised import raises

DOT = "tests.extending.toys.dot:Dot"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of some steps."""
    place = tmp_path_factory.mktemp("dot")
    path = written(place / "open.jsonl", [row(number) for number in range(60)])
    own = {"open_types": {"files": (path,)}, "cache": str(place / "cache"), "epochs": 4}
    settings = make_settings(PretrainSettings, SMALL | own | {"zero_shot": {"architecture": DOT}})
    pretrain(settings, place / "m")
    return place / "m"


class Nameless(Dot):
    """An architecture that its file forgot to register."""

    name = "nameless"


class Namesake(ZeroSpan):
    """Another one's name, and other layers."""


@pytest.mark.parametrize("own", [Nameless, Namesake])
def test_one_that_a_folder_could_not_find_again_is_not_trained(own: type) -> None:
    name = f"{own.__module__}:{own.__name__}"
    settings = make_settings(PretrainSettings, {"objective": "zero_shot", "zero_shot": {"architecture": name}})
    backbone = Backbone("embedded", None, 0)
    with raises(SettingsError, "must be registered: its folders say '", setting="zero_shot.architecture"):
        labels_backbone(settings, backbone)
    with raises(SettingsError, "must be registered: its folders say '", setting="zero_shot.architecture"):
        start_model(backbone, None, settings, finetunes=False)


@pytest.mark.parametrize(
    ("name", "odd", "said"),
    [
        ("dot", {"span_mode": "token_level"}, "span_mode 'token_level'"),
        ("zero_span", {"labels_encoder": "bert"}, "labels_encoder 'bert'"),
        ("bi_encoder", {}, "labels_encoder None"),
    ],
)
def test_a_name_that_the_rest_contradicts_is_refused(name: str, odd: dict[str, str], said: str) -> None:
    with raises(InputError, f"architecture '{name}': gliner_config.json has {said}, which contradicts it"):
        architecture_of(GlinerConfig(architecture=name, **odd))  # type: ignore[arg-type]


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
    settings = FinetuneSettings(**SETTINGS)
    (tuned,) = finetune(str(folder), EXAMPLES, tmp_path / "t", settings, card=checking(lambda *_: True))
    tagger = Tagger.load(tuned, device="cpu", thresholds=0.0)
    assert {each.type for each in tagger.tag(TEXT, labels=["ship", "city"])} <= {"ship", "city"}
    assert tagger.tag(TEXT)
    (done,) = check(tuned, device="cpu")
    assert (done.differences, len(done.expected.answers)) == ([], 20)


def test_a_folders_own_word_is_not_enough(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "gliner_config.json").read_text())
    for name in ("nothing", DOT):
        (tmp_path / "m" / "gliner_config.json").write_text(json.dumps(config | {"architecture": name}))
        with raises(InputError, "; import what registers it, or name its head"):
            Tagger.load(tmp_path / "m", device="cpu")
    monkeypatch.setattr(ARCHITECTURES, "_known", {k: v for k, v in ARCHITECTURES._known.items() if k != "dot"})
    with raises(InputError, "architecture 'dot'"):
        Tagger.load(folder, device="cpu")
