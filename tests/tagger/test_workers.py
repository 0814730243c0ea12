"""A tagger in other processes: loaded again from its folder, the same, and never waiting for threads of its parent."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from datasets.fingerprint import Hasher

from nerbert.errors import InputError
from nerbert.model.heads import Head
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger

TEXT = "👩 The brig Margarethe was built by Larsen & Holm in Tromsø."
SCRIPT = """
import json, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from nerbert import Tagger

TEXTS = [{text!r} * (1 + number % 3) for number in range(8)]


def threads(tagger):
    torch = sys.modules.get("torch")
    return [dict(tagger.origin.options)["threads"], torch.get_num_threads() if torch else 1]


def entities(rows, tagger):
    found = [each.to_dicts() for each in tagger.tag_many(rows["text"])]
    return {{"entities": found, "threads": [threads(tagger)] * len(found)}}


def entities_by_global(rows):
    return entities(rows, tagger)


def tag(tagger, text):
    return tagger.tag(text), threads(tagger)


if __name__ == "__main__":
    from datasets import Dataset

    tagger = Tagger.load(sys.argv[1], backend=sys.argv[2], device="cpu", precision="fp32", threads=2)
    found = {{}}
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        found["untouched"] = pool.submit(entities_by_global, {{"text": TEXTS}}).result(60)
    found["own"] = [tagger.tag(text).to_dicts() for text in TEXTS]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found["inherited"] = pool.apply_async(entities_by_global, [{{"text": TEXTS}}]).get(60)
    tagger = Tagger.load(sys.argv[1], backend=sys.argv[2], device="cpu", precision="fp32")
    mapped = Dataset.from_dict({{"text": TEXTS}}).map(
        entities, batched=True, num_proc=2, fn_kwargs={{"tagger": tagger}}
    )
    order = ("text", "type", "start", "end", "confidence")
    inside = [[{{key: one[key] for key in order}} for one in each] for each in mapped["entities"]]
    found["mapped"] = {{"entities": inside, "threads": mapped["threads"][:]}}
    if sys.argv[2] == "onnx":
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            spans, count = pool.submit(tag, tagger, TEXTS[2]).result(60)
        found["spawned"] = {{"entities": spans.to_dicts(), "text": spans.text, "threads": count}}
    json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def folder(tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny tagger with torch's weights and a graph."""
    copy = shutil.copytree(tiny_tagger, tmp_path_factory.mktemp("workers") / "tagger")
    export(copy)
    return copy


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_pickled_tagger_is_the_same(folder: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    tagger = Tagger.load(
        folder.name, backend=backend, precision="fp32", device="cpu", decoding="greedy", offsets="utf-16",
        thresholds=0.3,
    )  # fmt: skip
    tagger.temperature = 1.5
    pickled = pickle.dumps(tagger)
    assert len(pickled) < 2000
    monkeypatch.chdir("/")
    again = pickle.loads(pickled)
    assert (again.head.name, again.decoding, again.offsets) == (f"{backend} fp32 cpu", "greedy", "utf-16")
    assert (again.temperature, again.thresholds) == (1.5, dict.fromkeys(tagger.types, 0.3))
    assert again.tag(TEXT) == tagger.tag(TEXT) != []


def test_datasets_keeps_what_the_same_tagger_found(folder: Path) -> None:
    def load(**options: float) -> Tagger:
        return Tagger.load(folder, backend="onnx", **options)  # type: ignore[arg-type]

    assert Hasher.hash(load()) == Hasher.hash(load())
    assert Hasher.hash(load()) != Hasher.hash(load(thresholds=0.5))


@pytest.mark.parametrize("change", [lambda path: os.utime(path, ns=(0, 0)), Path.unlink], ids=["changed", "gone"])
def test_other_weights_are_not_loaded(folder: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    tagger = Tagger.load(copy, backend="onnx")
    pickled, key = pickle.dumps(tagger), Hasher.hash(tagger)
    change(copy / "model.safetensors")
    with pytest.raises(InputError, match="copy: is gone, or holds other weights than when the tagger was loaded"):
        pickle.loads(pickled)
    assert Hasher.hash(Tagger.load(copy, backend="onnx")) != key


def test_a_tagger_without_a_folder_is_not_pickled(tagger: Tagger) -> None:
    head: Head = tagger.head
    with pytest.raises(InputError, match="can't be saved, pushed or pickled"):
        pickle.dumps(Tagger(head, "unicode-words-1", "en"))


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_worker_processes_find_the_same(folder: Path, tmp_path: Path, backend: str) -> None:
    """Forked before the parent has tagged and after, pickled by `datasets`, spawned (not torch, which loads slowly)."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(text=TEXT))
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, script, folder, backend], capture_output=True, text=True, check=False, timeout=170,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert sum(map(len, found["own"])) > 8
    assert found["own"] == found["untouched"]["entities"]
    assert found["own"] == found["inherited"]["entities"] == found["mapped"]["entities"]
    assert found["inherited"]["threads"] == [[2, 1]] * 8
    assert found["mapped"]["threads"] == [[1, 1]] * 8
    if backend == "onnx":
        assert found["spawned"] == {"entities": found["own"][2], "text": TEXT * 3, "threads": [1, 1]}


def test_threads_are_the_processs_own(folder: Path) -> None:
    before = torch.get_num_threads()
    try:
        Tagger.load(folder, backend="torch", device="cpu", threads=3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
