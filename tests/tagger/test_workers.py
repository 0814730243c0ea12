"""A tagger in other processes: loaded again from its folder, the same, and never waiting for threads of its parent."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nerbert.errors import InputError
from nerbert.metrics.calibration import Scaling
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger
from tests.fixtures import Once
from tests.raised import raises

TEXT = "👩 The brig Margarethe was built by Larsen & Holm in Tromsø."
SCRIPT = """
import json, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from nerbert import Tagger

TEXTS = [{text!r} * (1 + number % 3) for number in range(8)]


def threads(tagger):
    torch = sys.modules.get("torch")
    return [tagger.origin.loading.threads, torch.get_num_threads() if torch else 1]


def entities():
    return [each.to_dicts() for each in tagger.tag_many(TEXTS)], threads(tagger)


def tag(tagger, text):
    return tagger.tag(text), threads(tagger)


if __name__ == "__main__":
    tagger = Tagger.load(sys.argv[1], backend=sys.argv[2], device="cpu", precision="fp32", threads=2)
    found = {{}}
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        found["untouched"] = pool.submit(entities).result()
    found["own"] = [tagger.tag(text).to_dicts() for text in TEXTS]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found["inherited"] = pool.apply_async(entities).get()
    tagger = Tagger.load(sys.argv[1], backend=sys.argv[2], device="cpu", precision="fp32")
    if sys.argv[2] == "onnx":
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            spans, count = pool.submit(tag, tagger, TEXTS[2]).result()
        found["spawned"] = [spans.to_dicts(), spans.text, count]
    json.dump(found, sys.stdout)
"""
BACKENDS = ["torch", pytest.param("onnx", marks=pytest.mark.extras)]


@pytest.fixture
def folder(tiny_tagger: Path, request: pytest.FixtureRequest, once: Once, tmp_path: Path) -> Path:
    """The tiny tagger with torch's weights, and for ONNX with a graph, too."""
    if request.node.callspec.params.get("backend") != "onnx":
        return tiny_tagger
    return once("workers", lambda made: export(shutil.copytree(tiny_tagger, made)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pickled_tagger_is_the_same(folder: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    tagger = Tagger.load(
        folder.name,
        backend=backend,
        precision="fp32",
        device="cpu",
        decoding="greedy",
        offsets="utf-16",
        thresholds=0.3,
    )
    tagger.scaling = Scaling(1.5, 0.5)
    pickled = pickle.dumps(tagger)
    assert len(pickled) < 2000
    monkeypatch.chdir("/")
    again = pickle.loads(pickled)
    assert (again.head.name, again.decoding, again.offsets) == (f"{backend} fp32 cpu", "greedy", "utf-16")
    assert (again.scaling, again.thresholds) == (Scaling(1.5, 0.5), dict.fromkeys(tagger.types, 0.3))
    assert again.tag(TEXT) == tagger.tag(TEXT) != []


def test_a_tagger_whose_folder_holds_other_weights_or_none_is_not_pickled(
    tiny_tagger: Path, tagger: Tagger, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_tagger, tmp_path / "copy")
    pickled = pickle.dumps(Tagger.load(copy, device="cpu"))
    os.utime(copy / "model.safetensors", ns=(0, 0))
    for _ in range(2):
        with raises(InputError, "copy: is gone, or holds other weights than when the tagger was loaded"):
            pickle.loads(pickled)
        (copy / "model.safetensors").unlink(missing_ok=True)
    with raises(InputError, "can't be saved, pushed or pickled"):
        pickle.dumps(Tagger(tagger.head, "unicode-words-1", "en"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_worker_processes_find_the_same(folder: Path, tmp_path: Path, backend: str) -> None:
    """Forked before the parent has tagged and after, and spawned, which pickles it (not torch, which loads slowly)."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(text=TEXT))
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, script, folder, backend],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
        timeout=600,
    )
    found = json.loads(done.stdout)
    assert sum(map(len, found["own"])) > 8
    assert found["untouched"][0] == found["own"]
    assert found["inherited"] == [found["own"], [2, 1]]
    assert backend == "torch" or found["spawned"] == [found["own"][2], TEXT * 3, [1, 1]]


def test_threads_are_the_processs_own(tiny_tagger: Path) -> None:
    before = torch.get_num_threads()
    try:
        Tagger.load(tiny_tagger, backend="torch", device="cpu", threads=3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
