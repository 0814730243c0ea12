import json
import shutil
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone, load_tokenizer, tags_of
from nerbert.model.concept_encoder import open_concepts
from nerbert.model.folder import EMBEDDED, MODELS, find_named, read_card, usual_model, write_card
from nerbert.tagger.tagger import Tagger
from tests.encoder.backbones import load_mlm_model, load_tagging_model, tiny_mlm, tiny_tagging
from tests.raised import raises

TAGS = ["O", "B-person", "I-person", "B-ship", "I-ship"]


@pytest.fixture
def folder(tiny_tagger: Path, tmp_path: Path) -> Path:
    """A copy of the tiny tagger, to be broken."""
    return Path(shutil.copytree(tiny_tagger, tmp_path / "model"))


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    some = {name: each for name, each in weights.items() if "attention" not in name}
    save_file(some, folder / "model.safetensors", {"format": "pt"})
    for tags in (None, TAGS):
        with raises(InputError, " say bert.encoder"):
            load_tagging_model(str(folder), tags)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    change_json(folder / "config.json", max_position_embeddings=99)
    with raises(InputError, "say bert.embeddings.position"):
        load_tagging_model(str(folder), TAGS)


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with raises(InputError, "tokenizer"):
        load_tokenizer(str(folder))


def test_the_card_says_what_a_folder_is(tmp_path: Path) -> None:
    assert read_card(str(tmp_path))["kind"] == "foreign"
    write_card(tmp_path, "tagger", word_splitter="joined-words-1", max_length=64)
    assert read_card(str(tmp_path))["word_splitter"] == "joined-words-1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "format = 99: must be 1"),
        ({"word_splitter": "x"}, "word splitter 'x'"),
        ({"word_splitter": ["x"]}, "word_splitter = "),
        ({"max_length": "x"}, "max_length = 'x'"),
        ({"max_length": 0}, "max_length = 0"),
        ({"max_length": True}, "max_length = True"),
        ({"kind": []}, "kind = []"),
        ({"head": {"linear": 1}}, "head = {"),
        ({"head": ["linear"]}, "head = ["),
        ({"language": ["en"]}, "language = "),
        ({"calibration": [1]}, "calibration = [1]: must be"),
        ({"calibration": {"temperature": 0}}, "calibration.temperature = 0"),
        ({"calibration": {"temperature": float("nan")}}, "calibration.temperature = nan"),
        ({"calibration": {"temperature": "2"}}, "calibration.temperature = '2'"),
        ({"calibration": {"temperature": 1e9}}, "calibration.temperature = 1000000000.0"),
        ({"threshold": 1.5}, "threshold = 1.5: must be less than or equal to 1"),
        ({"threshold": -0.1}, "threshold = -0.1"),
        ({"threshold": "0.5"}, "threshold = '0.5'"),
        ({"thresholds": 0.5}, "thresholds = 0.5: must be"),
        ({"thresholds": {"ship": 1.5}}, "thresholds.ship = 1.5: must be less than or equal to 1"),
        ({"thresholds": {"ship": True}}, "thresholds"),
        ({"thresholds": {"ship": None}}, "thresholds"),
    ],
)
def test_a_strange_card_is_refused_by_name(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_card(tmp_path, "tagger", word_splitter="unicode-words-2")
    change_json(tmp_path / "nerbert.json", **change)
    with raises(InputError, f"nerbert.json: {said}"):
        read_card(str(tmp_path))


def test_labels_that_are_not_bio_are_refused() -> None:
    model = tiny_tagging("bert", id2label=dict(enumerate(TAGS)))
    assert tags_of(model, "m") == TAGS
    for names in (["LABEL_0"], ["B-x", "I-x"], ["O", "S-x"]):
        model.config.id2label = dict(enumerate(names))
        with raises(InputError, "m: not a BIO tagger"):
            tags_of(model, "m")


def test_a_name_leads_to_the_encoder_in_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    name = "embedded"
    folder = Path(find_named(name))
    assert folder.name == EMBEDDED[name]
    assert read_card(name) == json.loads((folder / "nerbert.json").read_text())
    assert len(load_tokenizer(name)) == load_mlm_model(name, 0).config.vocab_size
    kept = load_file(folder / "model.safetensors")
    assert {each.dtype for each in kept.values()} == {torch.float16}
    loaded = load_tagging_model(name, ["O"]).state_dict()
    body = [key for key in loaded if key.startswith("bert.")]
    assert body
    assert all(torch.equal(loaded[key], kept[key].float()) for key in body)
    (tmp_path / name).mkdir()
    assert find_named(name) == name, "a folder of that name wins"


def folder_of_ours() -> Path:
    """What another distribution offers."""
    return Path(find_named("embedded-open"))


def test_another_distribution_brings_a_model_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = EntryPoint("ours", f"{__name__}:folder_of_ours", "nerbert.models")
    monkeypatch.setattr(MODELS, "_entry_points", {"ours": [ours]})
    assert find_named("ours") == find_named("embedded-open")
    assert find_named(f"{__name__}:folder_of_ours") != find_named("ours"), "a name is no code"
    with raises(InputError, "minilm: is a package of its own, which isn't installed: pip install nerbert-minilm"):
        find_named("minilm")


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_minilm_finds_what_it_is_asked_for(backend: str) -> None:
    pytest.importorskip("nerbert_minilm")  # an sdist has none
    tagger = Tagger.load("minilm", backend=backend).with_labels(["person", "company", "product"])
    found = [(span.text, span.type) for span in tagger.tag("In Berlin Tim Cook of Apple showed the iPhone 15.")]
    assert found == [("Tim Cook", "person"), ("Apple", "company"), ("iPhone 15", "product")]


def test_commands_take_minilm_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minilm = EntryPoint("minilm", f"{__name__}:folder_of_ours", "nerbert.models")
    for offered, model in (({"minilm": [minilm]}, "minilm"), ({}, "embedded-open")):
        monkeypatch.setattr(MODELS, "_entry_points", offered)
        assert usual_model("en") == model
    assert usual_model("de") == "many"
    told = "minilm isn't installed (pip install nerbert-minilm): embedded-open, a toy, is used\n"
    assert capsys.readouterr().err == told


def test_the_tagger_in_the_package_is_loaded_by_its_name() -> None:
    kept = load_file(Path(find_named("embedded-open")) / "model.safetensors")
    model = open_concepts(find_named("embedded-open"))
    loaded = model.text.state_dict()
    assert {each.dtype for each in kept.values()} == {torch.float16, torch.float8_e4m3fn}
    assert loaded.keys() == kept.keys()
    assert all(torch.equal(loaded[name], each.float()) for name, each in kept.items())
    assert {each.dtype for each in model.parameters()} == {torch.float32}
    tagger = Tagger.load("embedded-open", device="cpu", precision="fp32")
    for more in (0, 43):
        labels = ["Country", "person", *(f"kind of ship {number}" for number in range(more))]
        found = tagger.tag("Charles Darwin came to Brazil and Chile.", labels=labels)
        assert [(each.text, each.type) for each in found] == [
            ("Charles Darwin", "person"),
            ("Brazil", "Country"),
            ("Chile", "Country"),
        ]


@pytest.mark.parametrize(
    "entry",
    [
        {"attn_implementation": "somebody/kernel"},
        {"_attn_implementation": "somebody/kernel@v1:forward"},
        {"attn_implementation": {"": "somebody/kernel"}},
        {"text_config": {"experts_implementation": "somebody/kernel"}},
    ],
)
def test_a_configuration_names_no_code(entry: dict[str, object], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(find_named("embedded"), tmp_path / "m"))
    change_json(folder / "config.json", **entry)
    with raises(InputError, "config.json names code on the hub, 'somebody/kernel"):
        Backbone(str(folder), None, seed=0).load_body()


def test_the_models_in_the_package_are_small() -> None:
    sizes = {
        name: sum(path.stat().st_size for path in Path(find_named(name)).rglob("*.safetensors")) for name in EMBEDDED
    }
    assert sum(sizes.values()) <= 16_000_000
    assert sizes["embedded-open"] <= 8 << 20


def test_the_masked_language_form_has_its_head(tmp_path: Path) -> None:
    """Whatever the seed, nothing of it is made up."""
    tiny_mlm("bert").save_pretrained(tmp_path)
    one, other = (load_mlm_model(str(tmp_path), seed).state_dict() for seed in (1, 2))
    assert all(torch.equal(one[key], other[key]) for key in one)
