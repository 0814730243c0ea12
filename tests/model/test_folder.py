"""What a model's folder is, and which of its files count."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.model.folder import FILES, MODEL_KINDS, ModelFolder, ModelKind, Use
from nerbert.model.head_kinds import HeadOptions, head_kind
from nerbert_bench.keys import encoder_digest
from tests.raised import raises

FOLDERS = {
    "tagger": "config.json nerbert.json model.safetensors tokenizer.json tokenizer_config.json vocab.txt README.md "
    "check.json onnx/nerbert-onnx.json onnx/model.onnx onnx/model_int8.onnx onnx/tokenizer.json optimizer.pt "
    ".hidden.json sub/config.json",
    "concept encoder": "config.json nerbert.json model.safetensors tokenizer.json concepts/concepts.json "
    "concepts/config.json concepts/model.safetensors concepts/scorer.safetensors concepts/vocab.txt",
    "gliner": "gliner_config.json model.safetensors pytorch_model.bin tokenizer.json tokenizer_config.json "
    "added_tokens.json labels_tokenizer/tokenizer.json labels_tokenizer/vocab.txt backbone/config.json onnx/model.onnx "
    "README.md",
    "pickled": "gliner_config.json pytorch_model.bin tokenizer.json spm.model",
}


def made(folder: Path, files: str) -> ModelFolder:
    """A folder with some files, which hold their names."""
    for name in files.split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}" if name.endswith(".json") else name)
    return ModelFolder(str(folder))


@pytest.mark.parametrize(
    ("kind", "fingerprint", "digest"),
    [
        ("tagger", "fe13c6847693b0c7", "a8aa97971fcf642a96559c597c083db67b19221329775829318466e971f37a39"),
        ("concept encoder", "bd0702953dfa36e1", "9cdae743f55ee71c80f28215c2a0405af6c071fa2cb8b8658b467e66a6f0b55c"),
        ("gliner", "e608b3198e51aa33", "425202b497fc98843d4440073c3736558b08173a97e6d8b59087f7ea40496464"),
        ("pickled", "797376391ad8d8c7", "81b5f55d445f08c6f260240c16e91cb22dd5637754c097559e0b17f4b4ab7f15"),
    ],
)
def test_digests_stay_as_users_have_them(kind: str, fingerprint: str, digest: str, tmp_path: Path) -> None:
    folder = made(tmp_path, FOLDERS[kind])
    assert (folder.fingerprint, encoder_digest(folder.path)) == (fingerprint, digest)


@pytest.mark.parametrize(
    ("kind", "use", "wanted"),
    [
        ("tagger", "loaded", "model.safetensors onnx/model.onnx onnx/model_int8.onnx"),
        ("tagger", "weights", "model.safetensors"),
        ("tagger", "tagger", FOLDERS["tagger"].partition(" optimizer.pt")[0]),
        ("concept encoder", "weights", "concepts/model.safetensors concepts/scorer.safetensors model.safetensors"),
        ("concept encoder", "tagger", FOLDERS["concept encoder"]),
        ("gliner", "weights", "model.safetensors"),
        ("gliner", "tagger", FOLDERS["gliner"].replace("pytorch_model.bin ", "")),
        ("pickled", "weights", "pytorch_model.bin"),
        ("pickled", "tagger", "gliner_config.json spm.model tokenizer.json"),
    ],
)
def test_which_files_count(kind: str, use: Use, wanted: str, tmp_path: Path) -> None:
    found = made(tmp_path, FOLDERS[kind]).files(use)
    assert {path.relative_to(tmp_path).as_posix() for path in found} == set(wanted.split())
    assert found == sorted(found)


def test_no_pattern_takes_pickles_or_code() -> None:
    names = [name for patterns in FILES.values() for name in patterns]
    assert not [each for each in names if each.endswith((".bin", ".pt", ".pkl", ".py")) or each == "*"]


@pytest.mark.parametrize(
    ("files", "kind", "head", "backend"),
    [
        (FOLDERS["tagger"], "transformers", "linear", "torch"),
        (FOLDERS["concept encoder"], "concepts", "concepts", "torch"),
        (FOLDERS["gliner"], "gliner", "gliner", "torch"),
        (FOLDERS["pickled"], "gliner", "gliner", "torch"),
        ("config.json onnx/nerbert-onnx.json onnx/model.onnx", "transformers", "linear", "onnx"),
        ("config.json model.safetensors nerbert-onnx.json", "transformers", "linear", "torch"),
    ],
)
def test_its_kind(files: str, kind: str, head: str, backend: str, tmp_path: Path) -> None:
    folder = made(tmp_path, files.replace("nerbert.json ", ""))
    assert folder.kind is MODEL_KINDS.find(kind)
    assert (folder.head_name, folder.backend) == (head, backend)


def test_two_models_at_once_are_refused(tmp_path: Path) -> None:
    folder = made(tmp_path, FOLDERS["gliner"] + " config.json")
    assert folder.check() is folder, "some packages put an encoder's configuration there"
    for names in (["BertModel"], "For"):
        (tmp_path / "config.json").write_text(json.dumps({"architectures": names}))
        assert ModelFolder(str(tmp_path)).check().kind.head == "gliner"
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertForTokenClassification"]}))
    with raises(InputError, "holds gliner_config.json and config.json, so it is a GLiNER model and a model of transfo"):
        ModelFolder(str(tmp_path)).check()


def test_a_part_of_a_second_model_is_none(tmp_path: Path) -> None:
    folder = made(tmp_path, FOLDERS["gliner"] + " concepts/concepts.json")
    assert folder.check().kind is MODEL_KINDS.find("gliner")


class OwnKind(ModelKind):
    """A kind from outside."""

    marker = "own.json"
    head = "own"

    @classmethod
    def check(cls, folder: ModelFolder) -> None:
        raise InputError(f"{folder}: seen")


OPENER, NO_KIND = "nerbert.model.head_kinds:HeadKind", "': must be a subclass of nerbert.model.head_kinds.HeadKind"


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (lambda folder: folder.check(), InputError, "seen"),
        (head_kind, SettingsError, "its head is 'own', code outside of nerbert, no head's na"),
        (lambda folder: head_kind(folder, "pathlib:Path"), SettingsError, f"head 'pathlib:Path{NO_KIND}"),
        (lambda folder: head_kind(folder, "json:dumps"), SettingsError, f"head 'json:dumps{NO_KIND}"),
        (
            lambda folder: head_kind(folder, OPENER).open(folder, HeadOptions()),
            SettingsError,
            "head HeadKind: opens no tagger: the class has no `open` of its own",
        ),
    ],
)
def test_messages_of_kinds_from_outside(
    act: Callable[[ModelFolder], object],
    kind: type[NerbertError],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MODEL_KINDS._known, "own", OwnKind)
    folder = made(tmp_path, "config.json own.json")
    assert folder.kind is OwnKind
    with raises(kind, words):
        act(folder)
