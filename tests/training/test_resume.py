"""A training that is killed and run again is the one that never stopped, bit for bit."""

import os
import re
import shutil
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nerbert.training.checkpoint import BestCheckpoint, Checkpoints, TrainLog
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import train
from nerbert.training.objective import CheckpointScore
from nerbert.training.run import Run, make_optimizer
from nerbert.training.settings import TrainSettings
from tests.commands import python
from tests.training.child import SETTINGS, Tags, windows_of
from tests.training.runs import data_of, lines, same, tiny_model, weights

STEPS = 48


def start(folder: Path, *kill: str, processes: int = 1, **more: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    command = [python(), "-m", "tests.training.child", str(folder), *kill]
    if processes > 1:
        torchrun = ["torch.distributed.run", "--no-python", "--standalone", f"--nproc-per-node={processes}"]
        command = [python(), "-m", *torchrun, *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, error = process.communicate(timeout=300)
    return process.returncode, out + error


def finished(process: subprocess.Popen[str]) -> str:
    """What a process that ends well has printed."""
    code, out = finish(process)
    assert code == 0, out
    return out


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, warm_python: None) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    assert f"{STEPS} steps" in finished(start(folder))
    return folder


def assert_same(folder: Path, unbroken: Path) -> None:
    mine, other = (load_file(each / "end.safetensors") for each in (folder, unbroken))
    assert mine.keys() == other.keys()
    assert len(mine) > 90
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    assert lines(folder) == lines(unbroken)
    assert len([each for each in lines(folder) if each["kind"] == "train"]) == STEPS


@pytest.mark.parametrize("kill", ["step 31", "file 6"])
def test_killed_anywhere(unbroken: Path, tmp_path: Path, kill: str) -> None:
    folder = tmp_path / "run"
    assert finish(start(folder, *kill.split()))[0] == -signal.SIGKILL
    assert all((each / "state.json").is_file() for each in folder.glob("step-*"))
    out = finished(start(folder))
    assert "resuming after step" in out
    assert re.search(r"step 48 of 48: loss \d\.\d{4}, norm [\d.]+; [\d,]+ tokens/s, 0:00:00 left", out)
    assert len(list(folder.glob("step-*"))) == 2
    assert_same(folder, unbroken)


@pytest.mark.parametrize(
    ("step", "stop"),
    [(7, "term"), *(pytest.param(*each, marks=pytest.mark.nightly) for each in ((7, "int"), (48, "term")))],
)
def test_a_signal_ends_the_step_and_keeps_it(unbroken: Path, tmp_path: Path, stop: str, step: int) -> None:
    folder = tmp_path / "run"
    code, out = finish(start(folder, stop, str(step)))
    assert code == (143 if stop == "term" else -signal.SIGINT), out
    assert max(each.name for each in folder.glob("step-*")) == f"step-{step:09d}"
    assert [each["step"] for each in lines(folder) if each["kind"] == "train"][-1] == step
    finished(start(folder))
    assert_same(folder, unbroken)


def test_a_damaged_checkpoint_is_passed_over(unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert finish(start(folder, "file", "9"))[0] == -signal.SIGKILL
    newest = max(folder.glob("step-*"))
    (newest / "optimizer.safetensors").write_bytes(b"\0" * 100)
    assert f"{newest.name}/optimizer.safetensors: can't be read" in finished(start(folder))
    assert_same(folder, unbroken)


@pytest.mark.parametrize("every", [3, 8])
def test_a_damaged_checkpoint_takes_no_new_ones_place(tmp_path: Path, every: int) -> None:
    settings = replace(SETTINGS, epochs=1)
    run(tmp_path, tiny_model(0.2), settings, kept=1, steps=every)
    (newest,) = tmp_path.glob("step-*")
    (newest / "model.safetensors").write_bytes(b"\0" * 100)
    again, fresh = tiny_model(0.2), tiny_model(0.2)
    assert run(tmp_path, again, settings, kept=1, steps=every).steps == 8
    assert Checkpoints(tmp_path, 1).resume(fresh, make_optimizer(fresh, settings, "cpu"))[0].steps == 8
    assert same(weights(fresh), weights(again))


def run(folder: Path, model: Any, settings: TrainSettings, *, kept: int, steps: int) -> TrainLog:
    """Train in this process."""
    checkpoints = Checkpoints(folder, kept, steps=steps)
    objective = Tags()  # type: ignore[abstract]
    processes = make_process_group(settings)
    return train(Run(model, data_of(windows_of(30)), objective, settings, processes, checkpoints=checkpoints))


def test_a_training_with_two_rates_resumes_as_it_was(tmp_path: Path) -> None:
    """Also from a checkpoint that was made without the second one: moments are kept by name."""
    settings = replace(SETTINGS, epochs=2, schedule="cosine", new_layers_learning_rate=5e-3)

    def trained(folder: str, settings: TrainSettings = settings, forget: int = 9) -> list[torch.Tensor]:
        for each in sorted((tmp_path / folder).glob("step-*"))[forget:]:
            shutil.rmtree(each)
        run(tmp_path / folder, model := tiny_model(0.2), settings, kept=9, steps=3)
        return weights(model)

    whole = trained("whole")
    assert same(whole, trained("whole", forget=2))
    one_rate = trained("one", replace(settings, new_layers_learning_rate=0.0))
    assert not one_rate[-1].equal(whole[-1])
    assert not trained("one", forget=1)[-1].equal(one_rate[-1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": 3, "log": {"entries": [1], "steps": 8}}', "log.entries[0] = 1: must be"),
        ('{"format": 3, "log": {"entries": [], "steps": "8"}}', "log.steps = '8': must be a valid integer"),
        ('{"format": 3, "log": {"entries": [], "steps": 8, "best": {"value": 1}}}', "is missing"),
        ('{"format": 3, "log": {"entries": [], "steps": 7}}', "not of the folder's"),
        ('{"format": 2, "log": {"entries": [], "steps": 8}}', "format = 2: must be 3"),
        ('{"format": 3}', "log is missing"),
        ("[]", "state.json"),
        ("{", "not JSON"),
    ],
)
def test_an_odd_state_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    model = tiny_model()
    optimizer = make_optimizer(model, SETTINGS, "cpu")
    Checkpoints(tmp_path, 1).save(model, optimizer, TrainLog(steps=8))
    assert Checkpoints(tmp_path, 1).resume(model, optimizer)[0].steps == 8
    (tmp_path / "step-000000008" / "state.json").write_text(text)
    assert Checkpoints(tmp_path, 1).resume(model, optimizer)[0].steps == 0
    assert said in capsys.readouterr().err


def test_a_full_disk_stops_with_the_last_good_checkpoint(unbroken: Path, tmp_path: Path) -> None:
    """The moments no longer fit where the weights do; with more room the run goes on."""
    folder = tmp_path / "run"
    assert finish(start(folder, "file", "4"))[0] == -signal.SIGKILL
    (good,) = folder.glob("step-*")
    size = (good / "model.safetensors").stat().st_size
    code, out = finish(start(folder, LIMIT=str(size + 1000)))
    assert code == 1
    assert "can't be written: Error while serializing: I/O error: File too large (os error 27); choose another" in out
    assert f"; the last good checkpoint is {good}" in out
    assert [path.name for path in folder.iterdir() if "step" in path.name] == [good.name]
    finished(start(folder))
    assert_same(folder, unbroken)


@pytest.mark.usefixtures("warm_python")
def test_where_one_process_dies_all_end_and_any_number_goes_on(tmp_path: Path) -> None:
    """Two processes, then one: the losses are those of one process. No torchrun: it may kill the one that is left."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    ranks = [{"RANK": number, "LOCAL_RANK": number} for number in "01"]
    first, second = (start(broken, **{"DROPOUT": "0", "RANK_DIES": "17"} | place | each) for each in ranks)  # type: ignore[arg-type]
    assert finish(second)[0] == -signal.SIGKILL
    code, out = finish(first)
    assert code > 0
    assert "NerbertError: another process of this training has ended" in out
    assert f"the last good checkpoint is {broken}/step-000000016" in out
    for folder in (broken, whole):
        finished(start(folder, DROPOUT="0"))
    assert_close(broken, whole)


def assert_close(folder: Path, other: Path) -> None:
    two, one = lines(folder), lines(other)
    assert [each["step"] for each in one] == [each["step"] for each in two]
    assert [each["loss"] for each in two] == pytest.approx([each["loss"] for each in one], rel=1e-5)
    assert [each["norm"] for each in two] == pytest.approx([each["norm"] for each in one], rel=1e-4)
    assert [each["tokens"] for each in two if "tokens" in each] == [each["tokens"] for each in one if "tokens" in each]
    weights, others = (load_file(each / "end.safetensors") for each in (other, folder))
    for name in weights:
        torch.testing.assert_close(others[name], weights[name], rtol=1e-3, atol=1e-5)


@pytest.mark.nightly
@pytest.mark.usefixtures("warm_python")
@pytest.mark.parametrize("memory", ["0", "20"])
def test_two_processes_give_the_losses_of_one(tmp_path: Path, memory: str) -> None:
    """Also where the second one's memory takes smaller micro-batches alone."""
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        out = finished(start(folder, processes=processes, DROPOUT="0", MEMORY=memory))
        assert out.count("memory ran out") == (memory != "0" and processes == 2)
    assert_close(tmp_path / "2", tmp_path / "1")


@pytest.mark.nightly
@pytest.mark.usefixtures("warm_python")
def test_two_processes_go_on_as_they_were(tmp_path: Path) -> None:
    """With columns that both compute anew in each epoch."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finished(start(whole, processes=2, LABELS_ANEW="1"))
    assert finish(start(broken, "file", "9", processes=2, LABELS_ANEW="1"))[0] != 0
    assert (max(broken.glob("step-*")) / "column-labels.npy").is_file()
    finished(start(broken, processes=2, LABELS_ANEW="1"))
    assert [each["step"] for each in lines(whole) if each["kind"] == "epoch"] == [9, 17, 25, 33, 41]
    assert_same(broken, whole)


@pytest.mark.parametrize(
    ("values", "higher", "last", "saved"),
    [
        ([0.2, 0.5, 0.5, 0.4], True, False, [(1, 0), (2, 1)]),  # a tie goes to the earlier
        ([3.0, 2.0, 2.5, 1.0], False, False, [(1, 0), (2, 1), (4, 2)]),
        ([0.5, 0.2, 0.2], True, True, [(1, 0), (2, 1), (3, 2)]),  # the last is kept whatever its score
    ],
)
def test_the_value_chooses(values: list[float], higher: bool, last: bool, saved: list[tuple[int, int]]) -> None:
    kept: list[tuple[int, int]] = []
    best = BestCheckpoint(
        lambda value: CheckpointScore(value, higher, {"f1": value, "other": -value}),
        lambda _, *steps: kept.append(steps),
        last=last,
    )
    log = TrainLog()
    for log.steps, value in enumerate(values, 1):
        assert best(value, log)["f1"] == value
    assert kept == saved
    value = values[saved[-1][0] - 1]
    assert log.best == CheckpointScore(value, higher, {"f1": value, "other": -value})
    assert log.best_step == saved[-1][0]
