"""Exported taggers: the same logits, without torch; whatever is wrong with the folder is one line."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert.errors import InputError, OutputExists, SettingsError
from nerbert.formats.examples import read_examples
from nerbert.model.backbone import load_tokenizer
from nerbert.model.folder import ModelFolder
from nerbert.records import Span
from nerbert.tagger.backends import LinearHeadKind, Wanted
from nerbert.tagger.export import Export, export
from nerbert.tagger.tagger import Tagger

SHIP = "The brig Margarethe was built by Larsen & Holm in Tromsø."


@pytest.fixture(scope="module")
def done(tiny_tagger: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The tiny tagger, exported into its own folder (a copy); read only."""
    folder = shutil.copytree(tiny_tagger, tmp_path_factory.mktemp("exported") / "tagger")
    return export(folder, int8=True, data=sample / "domain")


@pytest.fixture(scope="module")
def texts(sample: Path) -> list[str]:
    return [each.text for each in read_examples(sample / "domain" / "test.conll")]


def places(spans: Iterable[list[Span]]) -> list[list[tuple[int, int, str]]]:
    return [[(span.start, span.end, span.type) for span in some] for some in spans]


def test_fp32_spans_are_torchs_and_int8s_nearly(done: Export, texts: list[str]) -> None:
    found = {}
    for backend, precision in (("torch", "fp32"), ("onnx", "fp32"), ("onnx", "int8")):
        tagger = Tagger.load(done.folder, backend=backend, precision=precision, device="cpu")
        assert tagger.head.name == f"{backend} {precision} cpu"
        found[backend, precision] = list(tagger.tag_many(texts))
    own = places(found["torch", "fp32"])
    assert sum(map(len, own)) > 100
    assert places(found["onnx", "fp32"]) == own
    for one, other in zip(found["torch", "fp32"], found["onnx", "fp32"], strict=True):
        assert [each.confidence for each in one] == pytest.approx([each.confidence for each in other], abs=1e-4)
    int8 = places(found["onnx", "int8"])
    same = sum(len(set(one) & set(other)) for one, other in zip(own, int8, strict=True))
    assert same > 0.9 * sum(map(len, own))


def test_what_was_measured_is_told(done: Export, texts: list[str]) -> None:
    told = json.loads((done.folder / "onnx" / "nerbert-onnx.json").read_text())
    assert set(done.agreement) == {"torch fp32", "onnx fp32", "onnx int8"} == set(told["agreement"])
    assert done.agreement["onnx fp32"].share == 1
    assert done.agreement["onnx fp32"].f1 == done.agreement["torch fp32"].f1 > 0
    assert done.sizes["model_int8.onnx"] < done.sizes["model.onnx"]
    files = {path.name for path in (done.folder / "onnx").iterdir()}
    assert files == {"model.onnx", "model_int8.onnx", "tokenizer.json", "nerbert-onnx.json"}


def test_other_tools_find_a_plain_graph(done: Export) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(done.folder / "onnx" / "model.onnx")
    assert [each.name for each in session.get_inputs()] == ["input_ids", "attention_mask"]
    encoded = load_tokenizer(str(done.folder))([SHIP, "Short."], padding=True, return_tensors="np")
    feed = {name: encoded[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
    (logits,) = session.run(None, feed)
    assert logits.shape[:2] == encoded["input_ids"].shape


CHILD = """
import sys
for name in ("torch", "transformers", "accelerate", "safetensors", "huggingface_hub"):
    sys.modules[name] = None
import json
from nerbert import Tagger
tagger = Tagger.load(sys.argv[1])
print(json.dumps([tagger.head.name, [[s.text, s.type, s.start, s.end] for s in tagger.tag(sys.argv[2])]]))
"""


@pytest.mark.parametrize("command", ["python", "tag"])
def test_without_torch(done: Export, tmp_path: Path, command: str) -> None:
    """From a folder that holds no torch weights, in a process where torch can't be imported."""
    light = export(done.folder, int8=True, output=tmp_path / "light").folder
    assert not list(light.glob("*.safetensors"))
    wanted = [[s.text, s.type, s.start, s.end] for s in Tagger.load(light).tag(SHIP)]
    assert wanted
    if command == "python":
        run = [sys.executable, "-W", "error", "-c", CHILD, str(light), SHIP]
        name, found = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
        assert name in ("onnx int8 cpu", "onnx fp32 cpu")
    else:
        (tmp_path / "text").write_text(SHIP)
        block = "; ".join(f"sys.modules[{name!r}] = None" for name in ("torch", "transformers", "huggingface_hub"))
        words = ["tag", str(light), str(tmp_path / "text"), "--json"]
        code = f"import sys; {block}; from nerbert.cli import main; main({words!r})"
        done_ = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert not done_.stderr
        found = [[s["text"], s["type"], s["start"], s["end"]] for s in json.loads(done_.stdout)["spans"]]
    assert found == wanted


def test_auto_takes_a_gpu_then_int8_then_fp32_then_torch(
    done: Export, tiny_tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def chosen(folder: Path, **options: str) -> str:
        return Tagger.load(folder, **options).head.name  # type: ignore[arg-type]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen(done.folder) == "onnx int8 cpu"
    assert (
        chosen(done.folder, precision="fp32") == chosen(done.folder, precision="fp32", device="cpu") == "onnx fp32 cpu"
    )
    assert chosen(done.folder, precision="bf16") == "torch bf16 cpu"
    assert chosen(done.folder, backend="torch", precision="fp32") == "torch fp32 cpu"
    assert chosen(tiny_tagger, precision="fp32") == "torch fp32 cpu"
    without = Path(shutil.copytree(done.folder, tmp_path / "fp32"))
    (without / "onnx" / "model_int8.onnx").unlink()
    assert chosen(without) == "onnx fp32 cpu"
    on_torch = replace(LinearHeadKind.open(ModelFolder(str(without)), Wanted()), name="torch gpu")
    monkeypatch.setattr("nerbert.tagger.backends._on_torch", lambda *_: on_torch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("nerbert.tagger.backends._GPU_DEVICES", (str(tmp_path),))
    assert LinearHeadKind.open(ModelFolder(str(done.folder)), Wanted()).name == "torch gpu"
    assert LinearHeadKind.open(ModelFolder(str(done.folder)), Wanted(device="cpu")).name == "onnx int8 cpu"
    assert LinearHeadKind.open(ModelFolder(str(done.folder)), Wanted(backend="onnx")).name == "onnx int8 cpu"
    monkeypatch.setattr("nerbert.tagger.backends.installed", lambda name: name != "onnxruntime")
    assert LinearHeadKind.open(ModelFolder(str(done.folder)), Wanted(device="cpu")).name == "torch gpu"


def test_an_exported_tagger_starts_without_torch_where_no_driver_of_a_gpu_is(done: Export, tmp_path: Path) -> None:
    """The folder has torch weights too, and torch is installed."""
    (tmp_path / "text").write_text(SHIP)
    code = f"""
import sys
from nerbert.cli import main
from nerbert.tagger import backends
backends._GPU_DEVICES = ()
try:
    main(["tag", {str(done.folder)!r}, {str(tmp_path / "text")!r}, "--json"])
finally:
    print(sorted({{"torch", "transformers"}} & set(sys.modules)), file=sys.stderr)
"""
    done_ = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done_.stderr.splitlines()[-1:] == ["[]"]
    assert json.loads(done_.stdout)["spans"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backend": "tpu"}, "backend = 'tpu'"),
        ({"precision": "fp16"}, "precision = 'fp16'"),
        ({"threads": -1}, "threads = -1"),
    ],
)
def test_unknown_ways_to_compute_are_refused(done: Export, options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Tagger.load(done.folder, **options)


def test_a_back_end_that_is_not_there_is_told(done: Export, tiny_tagger: Path) -> None:
    with pytest.raises(InputError, match="holds no onnx/; run `nerbert export`"):
        Tagger.load(tiny_tagger, backend="onnx")
    with pytest.raises(InputError, match=r"backend = 'torch', precision = 'int8'.* torch computes in bf16 and fp32;"):
        Tagger.load(done.folder, backend="torch", precision="int8")
    with pytest.raises(InputError, match=r"device = 'cuda': .* onnx computes on a CPU"):
        Tagger.load(done.folder, backend="onnx", device="cuda")


def _card(folder: Path, **changes: Any) -> None:
    path = folder / "onnx" / "nerbert-onnx.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _outside(folder: Path) -> None:
    """A graph whose weights are said to lie elsewhere."""
    import onnx

    graph = onnx.load(folder / "onnx" / "model.onnx")
    onnx.save(graph, str(folder / "outside.onnx"), save_as_external_data=True, location="stolen.bin", size_threshold=0)
    shutil.move(folder / "outside.onnx", folder / "onnx" / "model.onnx")


NOT_LOADED = "can't be loaded by onnxruntime"
BREAKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "torn graph": (
        lambda f: (f / "onnx" / "model.onnx").write_bytes(b"\x08\x01torn"),
        NOT_LOADED,
    ),
    "empty graph": (lambda f: (f / "onnx" / "model.onnx").write_bytes(b""), NOT_LOADED),
    "weights outside": (_outside, "names files outside itself"),
    "other classes": (lambda f: _card(f, tags=["O", "B-x", "I-x"]), "they don't belong together"),
    "no BIO": (lambda f: _card(f, tags=["yes", "no"]), "tag 'yes'"),
    "tags are numbers": (lambda f: _card(f, tags=[1]), r"tags\[0\] = 1: must be a valid string"),
    "format": (lambda f: _card(f, format=9), "format = 9: must be 1; export the tagger again"),
    "a list": (lambda f: (f / "onnx" / "nerbert-onnx.json").write_text("[]"), "must be an object"),
    "torn card": (lambda f: (f / "onnx" / "nerbert-onnx.json").write_text("{"), "not JSON"),
    "negative pieces": (lambda f: _card(f, before=[-1]), r"before\[0\] = -1: must be greater than"),
    "room": (lambda f: _card(f, room="much"), "room = 'much'"),
    "no room": (lambda f: _card(f, room=3), "too few for text"),
    "small vocabulary": (lambda f: _card(f, vocabulary=2), "they don't belong together"),
    "no tokenizer": (lambda f: (f / "onnx" / "tokenizer.json").unlink(), "tokenizer.json: can't be read"),
    "torn tokenizer": (lambda f: (f / "onnx" / "tokenizer.json").write_text('{"a'), "not JSON"),
    "other weights": (lambda f: _card(f, made_from={"weights": {"model.safetensors": "0"}}), "made from other weights"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_export_is_one_line(done: Export, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(done.folder, tmp_path / "tagger"))
    change, said = BREAKS[name]
    change(folder)
    with pytest.raises(InputError, match=said) as caught:
        Tagger.load(folder, backend="onnx", precision="fp32")
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value) or name in ("no room", "small vocabulary")


def test_an_export_is_replaced_on_demand_alone(done: Export, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done.folder, tmp_path / "tagger"))
    with pytest.raises(OutputExists, match="--overwrite"):
        export(folder)
    assert set(export(folder, overwrite=True).sizes) == {"model.onnx"}
    assert Tagger.load(folder, backend="onnx").head.name == "onnx fp32 cpu"
    with pytest.raises(InputError, match="no such file or folder; name a file of annotated"):
        export(folder, overwrite=True, data=tmp_path / "none.conll")


HEAVY = (
    "torch transformers huggingface_hub safetensors accelerate pyarrow duckdb lxml pandas scipy sklearn jinja2 httpx "
    "rich tomllib multiprocessing.context nerbert.pool concurrent.futures.process"
).split()
STAGES = "annotate corpus distillation encoder evaluation finetuning render training".split()


def test_one_line_imports_little(done: Export) -> None:
    """Each of these takes from some milliseconds to seconds, before the first word is read."""
    told = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    code = f"{told}; from nerbert.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "tag", str(done.folder), "--text", SHIP]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(run.stderr.splitlines()[-1].split())
    assert "Margarethe" in run.stdout
    assert {"onnxruntime", "nerbert.tagger.tagger"} <= loaded
    assert not loaded & {*HEAVY, *(f"nerbert.{stage}" for stage in STAGES)}
