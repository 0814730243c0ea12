"""Encoders of many types are exported, and what can't be is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone, save_model
from nerbert.model.surgery import renew_head, train_tokenizer
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger
from nerbert.training.tagging import TaggingSettings, TokenClassification
from tests.encoder.backbones import tiny_tagging
from tests.raised import raises
from tests.tagger.batches import check_same

pytestmark = pytest.mark.extras
TAGS = ["O", "B-person", "I-person", "B-ship", "I-ship"]
NAMES = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: number for number, tag in enumerate(TAGS)}}
TEXTS = ["The Margarethe was built by Larsen in Tromsø.", "Yes.", "A long one, " * 40, "Two. Sentences, here"]
KINDS = [("bert", 0), ("bert", 1), ("deberta-v2", 0), ("modernbert", 1), ("roberta", 0)]
MORE = [
    ("albert", 0),
    ("big_bird", 0),
    ("distilbert", 0),
    ("electra", 0),
    ("xlm-roberta", 0),
    ("deberta-v2", 1),
    ("modernbert", 0),
]


def made(folder: Path, kind: str, joined: int = 0, **shape: Any) -> Path:
    """A tagger of a type with random weights that finds all kinds of things."""
    torch.set_num_threads(1)
    tokenizer = train_tokenizer([*TEXTS, "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"] * 3, 120)
    model = tiny_tagging(kind, len(tokenizer), pad_token_id=tokenizer.pad_token_id, **NAMES, **shape)
    model.config.initializer_range = 1.0
    if joined:
        save_model(folder, model, tokenizer)
        model = TokenClassification(("person", "ship"), TaggingSettings(joined_layer=joined)).make_model(
            Backbone(str(folder), None, 1)
        )
    renew_head(model, 1)
    save_model(folder, model, tokenizer)
    return folder


@pytest.mark.parametrize(
    ("kind", "joined"), [*KINDS, *(pytest.param(*each, marks=pytest.mark.nightly) for each in MORE)]
)
def test_the_graph_tags_as_torch_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, joined: int
) -> None:
    folder = made(tmp_path / kind, kind, joined, **({"position_buckets": 8} if kind == "deberta-v2" else {}))
    capfd.readouterr()
    export(folder, int8=True)
    assert capfd.readouterr() == ("", "")
    found = {}
    for backend, precision in (("torch", "fp32"), ("onnx", "fp32"), ("onnx", "int8")):
        tagger = Tagger.load(folder, backend=backend, precision=precision, device="cpu", decoding="legal")
        found[precision if backend == "onnx" else backend] = list(tagger.tag_many(TEXTS))
    assert sum(map(len, found["torch"])) > 5
    for spans, others in zip(found["torch"], found["fp32"], strict=True):
        check_same(spans, others, 1e-4)
    assert json.loads((folder / "onnx" / "nerbert-onnx.json").read_text())["tags"] == TAGS
    assert any(found["int8"])


def test_a_tagger_that_others_made_is_exported_into_a_folder_of_ours(tmp_path: Path) -> None:
    folder = made(tmp_path / "bert", "bert")
    for overwrite in (False, True):
        assert export(folder, output=tmp_path / "light", overwrite=overwrite).folder == tmp_path / "light"
    own, light = (Tagger.load(each, precision="fp32", device="cpu") for each in (folder, tmp_path / "light"))
    assert (light.head.name, light.splitter, light.decoding) == ("onnx fp32 cpu", own.splitter, own.decoding)
    for found, wanted in zip(light.tag_many(TEXTS), own.tag_many(TEXTS), strict=True):
        check_same(found, wanted, 1e-4)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        pytest.param("longformer", {}, "its graph's output differs from torch's by ", marks=pytest.mark.nightly),
        ("bert", {"_LARGEST": 1000}, "bytes of weights in fp32 don't fit into one ONNX file"),
        ("bert", {"_CLOSE": 0.0}, "its graph's output differs from torch's by "),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, changes: dict[str, float], words: str
) -> None:
    """A type whose trace holds for one length, a model too large for one file, a graph that differs."""
    folder = made(tmp_path / "model", kind)
    for name, value in changes.items():
        monkeypatch.setattr(f"nerbert.model.head_kinds.{name}", value)
    with raises(InputError, words) as caught:
        export(folder)
    assert "\n" not in str(caught.value)
    assert [path.name for path in folder.iterdir() if "onnx" in path.name] == []
