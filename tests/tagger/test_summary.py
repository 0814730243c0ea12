"""What a model's folder is, by its small files; whatever is wrong with them is one line."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.model.folder import find_named, write_card
from nerbert.tagger.summary import summarise
from nerbert.words import SPLITTER
from tests.commands import exit_code
from tests.encoder.backbones import tiny_mlm
from tests.raised import raises

Caught = pytest.CaptureFixture[str]
CARD = {
    "format": 1,
    "kind": "tagger",
    "made_by": "nerbert 0.1.0",
    "word_splitter": "unicode-words-1",
    "language": "en",
    "types": ["port", "ship"],
    "max_length": 128,
    "settings": {"epochs": 3.0, "seed": 7},
    "changed": ["epochs", "seed"],
    "encoder": {"kind": "encoder", "name": "embedded", "corpus": None},
    "data": {"name": "ships", "sentences": 300, "sha256": {"train.conll": "x"}},
    "dev": {"f1": 0.381, "sentences": 50},
    "calibration": {
        "temperature": 1.5,
        "precision": 0.8,
        "entities": 229,
        "sentences": 50,
        "data": {"name": "dev.conll"},
    },
    "thresholds": {"ship": 0.25},
    "previous": {"thresholds": {}},
}
EXPORTED = {
    "format": 1,
    "tags": ["O", "B-port", "I-port", "B-ship", "I-ship"],
    "made_from": {"weights": {}},
    "before": [1],
    "after": [2],
    "pad_id": 0,
    "room": 512,
    "vocabulary": 9,
    "agreement": {"onnx int8": {"f1": 0.399, "share": 0.97, "other": 3, "loss": 0.01}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tagger's folder without a model's numbers."""
    (tmp_path / "my" / "onnx").mkdir(parents=True)
    sizes = {"model_type": "bert", "num_hidden_layers": 6, "hidden_size": 1920}
    head = json.dumps({"__metadata__": {"format": "pt"}, "a": {"shape": [40, 25], "dtype": "F32"}, "b": {"shape": []}})
    content = len(head).to_bytes(8, "little") + head.encode()
    for name, text in (("nerbert.json", CARD), ("config.json", sizes), ("onnx/nerbert-onnx.json", EXPORTED)):
        (tmp_path / "my" / name).write_text(json.dumps(text))
    (tmp_path / "my" / "model.safetensors").write_bytes(content)
    (tmp_path / "my" / "onnx" / "model_int8.onnx").write_bytes(b"x" * 3000)
    return tmp_path / "my"


def test_a_tagger_is_shown(folder: Path, capsys: Caught) -> None:
    size = (folder / "model.safetensors").stat().st_size
    assert exit_code("show", folder) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{folder}: a tagger, fixed types",
        "types (2): port, ship",
        "temperature: 1.500, fitted on 229 entities in 50 sentences of dev.conll",
        "thresholds (for precision 80.00): ship 0.250",
        "exported: onnx int8, 3.0 kB; F1 39.90, 97.00 % of torch's entities",
        "words: unicode-words-1; language: en; windows of 128 subwords",
        f"architecture: bert, 6 layers, width 1920, head linear; 1,001 parameters, {size} bytes",
        "made by: nerbert 0.1.0, from embedded (encoder)",
        "trained on: ships, 300 sentences (train.conll)",
        "settings that aren't the defaults: epochs = 3.0, seed = 7",
        "dev: F1 38.10 on 50 sentences",
    ]
    assert exit_code("show", folder, "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["card"] == CARD
    assert (told["types"], told["parameters"], told["labels_at_run_time"]) == (["port", "ship"], 1001, False)
    unknown = {"low": None, "high": None}
    assert told["exports"] == {"int8": {"bytes": 3000, "f1": 0.399, "share": 0.97, "loss": 0.01, **unknown}}


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({}, "threshold: 0.5, the default"),
        ({"threshold": 0.3}, "threshold: 0.300, the best on the held-out texts of its training"),
        ({"threshold": 0.3, "kind": "tagger"}, "threshold: 0.300, that of the model it was fine-tuned from"),
        (
            {
                "threshold": 0.3,
                "calibration": {"threshold_f1": 0.5, "data": {"name": "my.conll"}},
                "thresholds": {"ship": 0.7},
            },
            "threshold of other labels: 0.300, the best on my.conll",
        ),
        (
            {"threshold": 0.3, "calibration": {"threshold_f1": 0.5, "data": {"name": "\x1b[red]"}}},
            "threshold: 0.300, the best on \\x1b[red]",
        ),
    ],
)
def test_the_threshold_of_labels_at_run_time(
    card: dict[str, object], said: str, tmp_path: Path, capsys: Caught
) -> None:
    folder = shutil.copytree(find_named("embedded-open"), tmp_path / "open")
    own = json.loads((folder / "nerbert.json").read_text()) | {"threshold": None}
    (folder / "nerbert.json").write_text(json.dumps(own | card))
    assert exit_code("show", folder) == 0
    assert said in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("embedded", ["an encoder, fixed types", "categories (87): ENTITY, academicjournal", "6 layers, width 192"]),
        (
            "embedded-open",
            ["a zero-shot tagger, labels at run time (--labels)", "head concepts; 7,649,092 parameters, 7.7 MB"],
        ),
    ],
)
def test_models_of_the_package_are_shown_without_torch(
    name: str, words: list[str], capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("torch", "transformers"):
        monkeypatch.setitem(sys.modules, module, None)
    assert exit_code("show", name) == 0
    told = capsys.readouterr().out
    assert all(each in told for each in words), told


def test_an_encoder_without_types_is_to_be_fine_tuned(tmp_path: Path, capsys: Caught) -> None:
    tiny_mlm("bert").save_pretrained(tmp_path)
    write_card(tmp_path, "encoder", word_splitter=SPLITTER)
    assert exit_code("show", tmp_path) == 0
    assert "an encoder, no types; fine-tune it" in capsys.readouterr().out


def test_seeds_are_shown_one_by_one(folder: Path, capsys: Caught) -> None:
    for seed in ("seed-1", "seed-2"):
        shutil.copytree(folder, folder.parent / "seeds" / seed)
    assert [Path(each.name).name for each in summarise(str(folder.parent / "seeds"))] == ["seed-1", "seed-2"]
    assert exit_code("show", folder.parent / "seeds") == 0
    assert capsys.readouterr().out.count("a tagger, fixed types\n") == 2


NOT_OURS = "its nerbert.json is not as nerbert writes it: "


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        *(
            ("model.safetensors", content, "the file is damaged")
            for content in (b"", b"\xff" * 8, (3).to_bytes(8, "little") + b"[1]")
        ),
        *(
            ("nerbert.json", json.dumps(CARD | odd).encode(), NOT_OURS)
            for odd in ({"encoder": "bert"}, {"settings": 3}, {"data": {"sha256": 3}})
        ),
    ],
)
def test_damaged_weights_and_a_card_that_nerbert_did_not_write_are_named(
    folder: Path, name: str, content: bytes, words: str, capsys: Caught
) -> None:
    (folder / name).write_bytes(content)
    assert exit_code("show", folder) == 1
    told = capsys.readouterr().err
    assert words in told
    assert name in told


def test_nothing_that_is_shown_acts(folder: Path, capsys: Caught) -> None:
    (folder / "nerbert.json").write_text(json.dumps(CARD | {"types": ["\x1b[31m[red]"], "language": "\x1b"}))
    assert exit_code("show", folder) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "[red]" in told


def test_an_exported_part_names_its_tagger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for name in (str(folder / "onnx"), "onnx"):
        with raises(InputError, f"onnx: holds only an exported model; give the tagger's own folder, {folder}"):
            summarise(name)


def test_a_zero_shot_model_says_what_labels_cost(tiny_gliner: Path, capsys: Caught) -> None:
    assert exit_code("show", tiny_gliner) == 0
    said = capsys.readouterr().out
    assert "exported: no (nerbert export)" in said
    assert "scores single words; labels are read with the text, 25 at a time" in said
    assert "architecture: bert, 1 layers, width 192, head gliner" in said
