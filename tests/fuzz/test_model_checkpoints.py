"""Checkpoints of a training of which one file is hostile: resumed and trained on, or left out with one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from nerbert.training.checkpoint import Checkpoints, digest_of
from nerbert.training.log import TrainLog
from tests.commands import LINUX
from tests.fuzz.children import each_in_child
from tests.fuzz.conftest import Fuzz
from tests.fuzz.model_cases import HostileFile, HostileFolders, hostile_json, hostile_weights
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import check_message

pytestmark = [pytest.mark.fuzz, LINUX]
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


ARRAYS = [b"'descr': '|O'", b"'fortran_order': True", b"'shape': (-1,)", b"(9999999999999,)", b"'<U9'",
          b"__import__('os')"]  # fmt: skip


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
            kept = Checkpoints(folder, 1)
            log = kept.resume(model, optimizer)
            columns = kept.taken_columns()
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
