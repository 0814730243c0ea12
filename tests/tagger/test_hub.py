"""A tagger is loaded, saved and pushed as huggingface_hub does it; what would be sent is looked at, nothing is sent."""

import json
import shutil
from pathlib import Path

import pytest

from nerbert.errors import InputError, OutputExists
from nerbert.metrics.calibration import Scaling
from nerbert.model.folder import REPORT
from nerbert.tagger.tagger import Tagger
from tests.fake_hub import FakeHub
from tests.raised import raises, raising

TEXT = "The brig Margarethe was built by Larsen & Holm in Tromsø."


def test_a_tagger_of_the_hub_is_loaded_from_its_local_copy(hub: FakeHub, tiny_tagger: Path) -> None:
    shutil.copytree(tiny_tagger, hub.place / "me" / "ships")
    found = Tagger.from_pretrained("me/ships", revision="v1", token="t", device="cpu", offsets="utf-16")
    assert (found.offsets, found.types) == ("utf-16", Tagger.load("me/ships", device="cpu").types)
    (_, asked), (_, plain) = hub.calls
    assert asked | {"name": "me/ships", "revision": "v1", "token": "t", "force_download": False} == asked
    assert plain == {"name": "me/ships", "allow_patterns": asked["allow_patterns"]}
    assert "onnx/model_int8.onnx" in asked["allow_patterns"]
    assert not [each for each in asked["allow_patterns"] if each.endswith((".bin", ".pt", "*", ".py"))]
    with raises(InputError, "the hub: 404: no such reposit"):
        Tagger.from_pretrained("me/none")


def test_a_saved_tagger_is_the_same(folder: Path, tiny_tagger: Path, tmp_path: Path) -> None:
    (folder / "optimizer.pt").write_bytes(b"pickle")
    (folder / ".secret.json").write_text("{}")
    tagger = Tagger.load(folder, device="cpu")
    assert tagger.save_pretrained(tmp_path / "saved") is None
    saved = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir() if path.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(saved)
    assert not {"optimizer.pt", ".secret.json"} & set(saved)
    assert all((folder / name).read_bytes() == content for name, content in saved.items() if name != "nerbert.json")
    assert json.loads(saved["nerbert.json"]) == json.loads((folder / "nerbert.json").read_text())
    assert Tagger.load(tmp_path / "saved", device="cpu").tag(TEXT) == tagger.tag(TEXT) != []
    changed = Tagger.from_pretrained(tiny_tagger, device="cpu", thresholds=0.25)
    changed.scaling = Scaling(2.5, -0.5)
    changed.save_pretrained(str(tmp_path / "changed"))
    again = Tagger.load(tmp_path / "changed", device="cpu")
    assert (again.scaling, again.thresholds) == (Scaling(2.5, -0.5), dict.fromkeys(tagger.types, 0.25))
    assert again.tag(TEXT) == changed.tag(TEXT)


def test_only_another_tagger_is_overwritten(tagger: Tagger, tiny_tagger: Path, tmp_path: Path) -> None:
    work, corpus, encoder = (tmp_path / name for name in ("work", "corpus", "encoder"))
    for folder, name in ((work, "thesis.txt"), (corpus, "manifest.json"), (encoder, "nerbert.json")):
        folder.mkdir()
        (folder / name).write_text('{"format": 1, "kind": "encoder", "word_splitter": "unicode-words-1"}')
        for overwrite in (False, True):
            with raises(OutputExists, "exists already" if not overwrite else "holds no tagger"):
                tagger.save_pretrained(folder, overwrite=overwrite)
        assert [path.name for path in folder.iterdir()] == [name]
    tagger.save_pretrained(tmp_path / "one")
    with raises(OutputExists, "exists already"):
        tagger.save_pretrained(tmp_path / "one")
    tagger.save_pretrained(tmp_path / "one", overwrite=True)
    for place in (tiny_tagger, tiny_tagger / "inside", tiny_tagger.parent):
        with raises(InputError, "itself, is in it or contains it"):
            tagger.save_pretrained(place, overwrite=True)
    with raises(InputError, "not loaded from a folder can't be saved, pushed or pickled"):
        Tagger(tagger.head, "unicode-words-1", "en").save_pretrained(tmp_path / "x")


def test_a_tagger_is_pushed_as_one_commit(hub: FakeHub, folder: Path, tmp_path: Path) -> None:
    tagger = Tagger.load(folder, device="cpu")
    address = tagger.push_to_hub("me/ships", private=True, token="t", commit_message="New", branch="b", create_pr=True)
    assert address == "https://hub/me/ships/commit/1"
    assert hub.calls == [
        ("HfApi", {"token": "t"}),
        ("create_repo", {"name": "me/ships", "repo_type": "model", "private": True, "exist_ok": True}),
        (
            "upload_folder",
            {
                "repo_id": "me/ships",
                "repo_type": "model",
                "commit_message": "New",
                "revision": "b",
                "create_pr": True,
                "delete_patterns": ["*.safetensors", "concepts/*", "onnx/*"],
            },
        ),
    ]
    assert Tagger.from_pretrained("me/ships", device="cpu").tag(TEXT) == tagger.tag(TEXT)
    assert tagger.save_pretrained(tmp_path / "brigs", push_to_hub=True, private=True) == "https://hub/me/brigs/commit/1"
    assert (tmp_path / "brigs" / "nerbert.json").read_bytes() == (hub.place / "me/brigs/nerbert.json").read_bytes()
    (folder / "onnx").mkdir()
    for name in (REPORT, "notes.txt", "secret.bin", "onnx/nerbert-onnx.json"):
        (folder / name).write_text("{}")
    tagger.push_to_hub("me/more")
    pushed = {path.relative_to(hub.place / "me/more").as_posix() for path in (hub.place / "me/more").rglob("*")}
    assert {REPORT, "README.md", "nerbert.json", "notes.txt", "onnx/nerbert-onnx.json"} <= pushed
    assert "secret.bin" not in pushed


def test_what_the_hub_refuses_is_one_line(hub: FakeHub, tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "create_repo", raising(PermissionError("401: log in\nfirst")))
    with raises(InputError, "me/ships: can't be pushed to the hub: 401: log in"):
        tagger.push_to_hub("me/ships")
