"""Model folders and checkpoints with one hostile file: used in processes that may crash, or refused in one line."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from nerbert.training.checkpoint import Checkpoints, TrainLog, digest_of
from tests.commands import LINUX
from tests.fuzz.children import each_in_child
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_values import dumped
from tests.fuzz.model_cases import HostileFile, HostileFolders, hostile_json, hostile_weights, tag
from tests.fuzz.model_seeds import write_exported
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import check_message

pytestmark = [pytest.mark.fuzz, LINUX]
CARDS = ("tokenizer.json", "tokenizer_config.json", "check.json")
GRAPH = [b"location", b"input_ids", b"logits", b"\x08", b"\x12\x01", b"\x7a\x00", b"MatMul", b"Loop", b"If", b"Scan"]
"""Pieces of an exported graph."""
_LENGTHS: tuple[Any, ...] = ("x", [], None, float("nan"), float("inf"), True)
_UNKNOWN = dumped({"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "x"}})
FOUND = (
    *(
        HostileFile(name, "tokenizer_config.json", dumped({"model_max_length": length}))
        for name in ("linear", "words", "gliner")
        for length in _LENGTHS
    ),
    *(HostileFile(name, "tokenizer.json", _UNKNOWN) for name in ("linear", "gliner", "gliner2", "names", "cdlm")),
)
"""Tokenizers that raised what no one expects: lengths that are no numbers, and a missing piece for unknown words."""
FOUND_EXPORTED = [HostileFile(name, "onnx/tokenizer.json", _UNKNOWN) for name in ("names-onnx", "gliner-onnx")]
Cases: TypeAlias = st.SearchStrategy[HostileFile]
Load: TypeAlias = Callable[[HostileFolders, Cases, Sequence[HostileFile]], None]


@pytest.fixture
def load(fuzz: Fuzz, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load and use hostile folders in processes of their own, which have no hub."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def run(folders: HostileFolders, cases: Cases, found: Sequence[HostileFile]) -> None:
        def use(case: HostileFile) -> str:
            with folders.with_file(case) as folder:
                return tag(folder, "onnx" if folder.name.endswith("-onnx") else "torch")

        for name in folders.names:  # children have what these import
            assert use(HostileFile(name, "tokenizer.json", folders.content(name, "tokenizer.json"))) == "tagged"
        gathered = list[HostileFile]()
        fuzz(cases, gathered.append, found=found)
        each_in_child(gathered, use, reads=[folders.root], writes=[folders.root, cache])

    return run


@pytest.fixture(scope="module")
def exported_folders(tmp_path_factory: pytest.TempPathFactory) -> HostileFolders:
    root = tmp_path_factory.mktemp("exported")
    return HostileFolders(root, write_exported(root))


def test_a_folder(model_folders: HostileFolders, load: Load) -> None:
    cards = model_folders.files("*.json", without=CARDS)
    tokenizers = model_folders.files("tokenizer*.json", ("linear", "gliner", "cdlm", "words"))
    weights = model_folders.cases(model_folders.files("*.safetensors"), hostile_weights)
    values = [model_folders.cases(files, hostile_json) for files in (cards, tokenizers)]
    load(model_folders, st.one_of(*values, weights), FOUND)


@pytest.mark.extras
def test_an_exported_folder(exported_folders: HostileFolders, load: Load) -> None:
    beside = exported_folders.cases(exported_folders.files("onnx/*.json"), hostile_json)
    graphs = exported_folders.files("onnx/*.onnx")
    broken = exported_folders.cases(graphs, lambda content: mutated([content], GRAPH))
    load(exported_folders, beside | broken, FOUND_EXPORTED)


STEP = "step-000000003"
COLUMNS = {"a": np.arange(6), "b": np.linspace(0, 1, 4)}


def training() -> tuple[Any, torch.optim.Optimizer]:
    """Return a model and its optimiser after a step."""
    torch.manual_seed(1)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    train(model, optimizer)
    return model, optimizer


def train(model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Make a step."""
    optimizer.zero_grad()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> HostileFolders:
    root = tmp_path_factory.mktemp("checkpoints")
    log = TrainLog([{"step": 3, "loss": 0.5}], steps=3, tokens=9, seconds=1.0, begun=1, columns=digest_of(COLUMNS))
    Checkpoints(root / "run", 1).save(*training(), log, COLUMNS)
    return HostileFolders(root, {"run": root / "run"})


ARRAYS = [
    b"'descr': '|O'",
    b"'fortran_order': True",
    b"'shape': (-1,)",
    b"(9999999999999,)",
    b"'<U9'",
    b"__import__('os')",
]


def hostile(place: tuple[str, str]) -> Callable[[bytes], st.SearchStrategy[bytes]]:
    """Return what makes hostile files of one."""
    by_suffix = {".json": hostile_json, ".safetensors": hostile_weights}
    return by_suffix.get(Path(place[1]).suffix, lambda valid: mutated([valid], ARRAYS))


def test_a_checkpoint(folders: HostileFolders, fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setattr("nerbert.training.checkpoint.tell", said.append)

    def resume(case: HostileFile) -> None:
        said.clear()
        with folders.with_file(case) as folder:
            model, optimizer = training()
            log, columns = Checkpoints(folder, 1).resume(model, optimizer)
        for each in said:
            check_message(each)
            assert str(folder) in each
        assert said or log.steps == 3
        assert digest_of(columns) == log.columns
        train(model, optimizer)

    cases = st.one_of([folders.cases([place], hostile(place)) for place in folders.files("step-*/*")])
    gathered = [HostileFile("run", f"{STEP}/state.json", folders.content("run", f"{STEP}/state.json"))]
    resume(gathered[0])
    assert not said, "the valid one is resumed"
    fuzz(cases, gathered.append)
    each_in_child(gathered, resume, reads=[folders.root, Path("/tmp")], writes=[folders.root, Path("/tmp")])
