"""Exported taggers: the same logits, without torch; whatever is wrong with the folder is one line."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError
from nerbert.model.folder import ModelFolder
from nerbert.model.head_kinds import HeadOptions
from nerbert.tagger.backends import LinearHeadKind
from nerbert.tagger.export import Export, export
from nerbert.tagger.tagger import Tagger
from tests.raised import raises

pytestmark = pytest.mark.extras
SHIP = "The brig Margarethe was built by Larsen & Holm in Tromsø."


@pytest.fixture(scope="module")
def done(tiny_tagger: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The tiny tagger, exported into its own folder (a copy); read only."""
    folder = shutil.copytree(tiny_tagger, tmp_path_factory.mktemp("exported") / "tagger")
    return export(folder, int8=True, data=sample / "domain")


def test_what_was_measured_is_told(done: Export) -> None:
    told = json.loads((done.folder / "onnx" / "nerbert-onnx.json").read_text())
    assert set(done.agreement) == {"torch fp32", "onnx fp32", "onnx int8"} == set(told["agreement"])
    torch, fp32, int8 = (done.agreement[name] for name in ("torch fp32", "onnx fp32", "onnx int8"))
    assert fp32.share == 1
    assert fp32.f1 == torch.f1 > 0
    assert fp32.confidence < 1e-4
    assert int8.share > 0.9
    assert done.sizes["model_int8.onnx"] < done.sizes["model.onnx"]
    files = {path.name for path in (done.folder / "onnx").iterdir()}
    assert files == {"model.onnx", "model_int8.onnx", "tokenizer.json", "nerbert-onnx.json"}


def test_without_torch(done: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder that holds no torch weights."""
    light = export(done.folder, int8=True, output=tmp_path / "light").folder
    assert (light / "nerbert.json").read_bytes() == (done.folder / "nerbert.json").read_bytes()
    assert not list(light.glob("*.safetensors"))
    wanted = Tagger.load(done.folder, backend="onnx").tag(SHIP)
    for name in ("torch", "transformers", "safetensors", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    assert Tagger.load(light).head.name == "onnx int8 cpu"
    assert Tagger.load(light).tag(SHIP) == wanted != []


def test_auto_takes_a_gpu_then_int8_then_fp32_then_torch(
    done: Export, tiny_tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def chosen(folder: Path, **options: str) -> str:
        return Tagger.load(folder, **options).head.name  # type: ignore[arg-type]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen(done.folder) == "onnx int8 cpu"
    for options in ({}, {"device": "cpu"}):
        assert chosen(done.folder, precision="fp32", **options) == "onnx fp32 cpu"
    assert chosen(done.folder, precision="bf16") == "torch bf16 cpu"
    assert chosen(done.folder, backend="torch", precision="fp32") == "torch fp32 cpu"
    assert chosen(tiny_tagger, precision="fp32") == "torch fp32 cpu"
    without = Path(shutil.copytree(done.folder, tmp_path / "fp32"))
    (without / "onnx" / "model_int8.onnx").unlink()
    assert chosen(without) == "onnx fp32 cpu"
    on_torch = replace(LinearHeadKind.open(ModelFolder(str(without)), HeadOptions()), name="torch gpu")
    monkeypatch.setattr("nerbert.tagger.backends._on_torch", lambda *_: on_torch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("nerbert.tagger.backends._GPU_DEVICES", (str(tmp_path),))

    def opened(**wanted: str) -> str:
        return LinearHeadKind.open(ModelFolder(str(done.folder)), HeadOptions(**wanted)).name  # type: ignore[arg-type]

    assert (opened(), opened(device="cpu"), opened(backend="onnx")) == ("torch gpu", "onnx int8 cpu", "onnx int8 cpu")
    monkeypatch.setattr("nerbert.tagger.backends.find_spec", lambda name: None if name == "onnxruntime" else name)
    assert opened(device="cpu") == "torch gpu"


def _card(folder: Path, **changes: Any) -> None:
    path = folder / "onnx" / "nerbert-onnx.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _without_tokenizers(folder: Path) -> None:
    for path in folder.rglob("tokenizer.json"):
        path.unlink()


BREAKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "other classes": (lambda f: _card(f, tags=["O", "B-x", "I-x"]), "they don't belong together"),
    "no BIO": (lambda f: _card(f, tags=["yes", "no"]), "tag 'yes'"),
    "format": (lambda f: _card(f, format=9), "format = 9: must be 1; export the tagger again"),
    "torn card": (lambda f: (f / "onnx" / "nerbert-onnx.json").write_text("{"), "not JSON"),
    "no room": (lambda f: _card(f, room=3), "too few for text"),
    "no tokenizer": (_without_tokenizers, "tokenizer.json: can't be read"),
    "other weights": (lambda f: _card(f, made_from={"weights": {"model.safetensors": "0"}}), "made from other weights"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_export_is_one_line(done: Export, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(done.folder, tmp_path / "tagger"))
    change, words = BREAKS[name]
    change(folder)
    with raises(InputError, words) as caught:
        Tagger.load(folder, backend="onnx", precision="fp32")
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value) or name == "no room"


TORCH = "torch computes in bf16 and fp32;"


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (lambda folder: Tagger.load(folder, backend="tpu"), SettingsError, "backend = 'tpu'"),
        (lambda folder: Tagger.load(folder, threads=-1), SettingsError, "threads = -1"),
        (lambda folder: Tagger.load(folder, backend="torch", precision="int8"), InputError, TORCH),
        (lambda folder: Tagger.load(folder, backend="onnx", device="cuda"), InputError, "onnx computes on a CPU"),
        (
            lambda folder: export(folder, overwrite=True, data=folder / "none.conll"),
            InputError,
            "no such file or folder; name a file of annotated",
        ),
        (
            lambda folder: export(folder, overwrite=True, int8=True, data=folder.parent / "other.conll"),
            InputError,
            "finds none of the data's types (PER), so nothing can be compared",
        ),
        (export, OutputExists, "--overwrite"),
        (lambda folder: export(folder, max_loss=0), SettingsError, "--max-loss 0: points of F1"),
        (lambda folder: Tagger.load(folder.parent, backend="onnx"), InputError, "holds no onnx/; run `nerbert export`"),
        (
            lambda _: export("embedded"),
            InputError,
            "embedded: is part of the package, which is not written to; name a folder",
        ),
    ],
)
def test_messages(
    done: Export, tiny_tagger: Path, tmp_path: Path, act: Callable[[Path], object], kind: type[NerbertError], words: str
) -> None:
    folder = Path(shutil.copytree(tiny_tagger, tmp_path / "tagger"))
    shutil.copytree(done.folder, folder / "exported")
    (folder / "other.conll").write_text("Anna B-PER\nleft O\n\n")
    with raises(kind, words):
        act(folder / "exported")


HEAVY = (
    "torch transformers huggingface_hub safetensors pyarrow duckdb lxml pandas scipy sklearn jinja2 httpx "
    "rich tomllib multiprocessing.context nerbert.pool concurrent.futures.process"
).split()
STAGES = "annotate corpus distillation encoder evaluation finetuning render training".split()


def test_one_line_imports_little(done: Export) -> None:
    """Each of these takes from some milliseconds to seconds, before the first word is read."""
    told = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    no_gpu = "from nerbert.tagger import backends; backends._GPU_DEVICES = ()"
    code = f"{told}; {no_gpu}; from nerbert.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "tag", str(done.folder), "--text", SHIP]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(run.stderr.splitlines()[-1].split())
    assert "Margarethe" in run.stdout
    assert {"onnxruntime", "nerbert.tagger.tagger"} <= loaded
    assert not loaded & {*HEAVY, *(f"nerbert.{stage}" for stage in STAGES)}
