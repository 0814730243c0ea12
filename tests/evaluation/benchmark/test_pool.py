"""What the runner's processes are given: GPUs, modules that are loaded once for all; and what they tell of failures."""

import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import nerbert
from nerbert.errors import InputError, SettingsError, StaleOutput, WriteError
from nerbert.evaluation.benchmark.inputs import Machine, SourceTraining
from nerbert.evaluation.benchmark.pool import _PRELOAD, Processes, _gpus, _model_modules
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.worker import End, SourceGone, _ended
from nerbert.finetuning.settings import FinetuneSettings


def crew(workers: int, device: str = "cpu") -> Processes:
    return Processes(Path("out"), Path("data"), Machine(device, "fp32"), workers)


def test_as_many_workers_as_cores_or_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 5})
    assert crew(0).workers == 3
    assert crew(2).workers == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-ab")
    assert _gpus() == ["4", "GPU-ab"]
    assert crew(0, "cuda").workers == 2
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert _gpus() == ["0", "1"]


def test_what_is_loaded_for_all_is_there(tiny_encoder: Path) -> None:
    modules = _model_modules(tiny_encoder)
    assert modules[0] == "transformers.models.bert.modeling_bert"
    for name in (*_PRELOAD, modules[0]):
        importlib.import_module(name)


@pytest.mark.parametrize("content", ["", "[]", "{}", *(f'{{"model_type": {kind}}}' for kind in ("1", '"../x"', '""'))])
def test_a_strange_model_loads_nothing(tmp_path: Path, content: str) -> None:
    assert _model_modules(tmp_path) == []
    (tmp_path / "config.json").write_text(content)
    assert _model_modules(tmp_path) == []


def test_a_hyphen_is_no_part_of_a_modules_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "deberta-v2"}')
    assert _model_modules(tmp_path)[0] == "transformers.models.deberta_v2.modeling_deberta_v2"


ALONE = """
from pathlib import Path
from nerbert.evaluation.benchmark.pool import Processes
from nerbert.evaluation.benchmark.inputs import Machine, SourceTraining
from nerbert.evaluation.benchmark.store import Store
from nerbert.finetuning.settings import FinetuneSettings

if __name__ == "__main__":
    store = Store(Path("out"))
    task = SourceTraining("key", "far", Path("far"), "e", FinetuneSettings())
    with store.hold(), Processes(store.folder, Path(), Machine("cpu", "fp32"), 200_000_000) as crew:
        crew.start(task)
        ((_, end),) = crew.wait()
    print(end.why)
"""
MARK = "import os, pathlib; pathlib.Path({place!r}, f'{{__name__}} {{os.getpid()}}').touch()\n"


def test_nothing_of_the_current_folder_is_imported(tmp_path: Path) -> None:
    """Modules that others import if they are there, of the standard library, and an old copy of this package."""
    here, marks, script = tmp_path / "here", tmp_path / "marks", tmp_path / "bin" / "run.py"
    for folder in (here / "nerbert", marks, script.parent):
        folder.mkdir(parents=True)
    for name in ("h2.py", "random.py", "selectors.py", "nerbert/__init__.py"):
        (here / name).write_text(MARK.format(place=str(marks)))
    script.write_text(ALONE)
    tree = os.pathsep.join([str(Path(nerbert.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    done = subprocess.run(
        [sys.executable, script], cwd=here, env=os.environ | {"PYTHONPATH": tree, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert "train.conll" in done.stdout
    assert [path.name for path in marks.iterdir()] == []
    assert done.stderr == ""


def test_a_child_that_cannot_begin_tells_why(tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    task = SourceTraining("key", "far", Path("far"), "e", FinetuneSettings())
    with store.hold(), Processes(store.folder, tmp_path, Machine("cpu", "fp32"), 1) as processes:
        (store.scratch / "key").touch()
        processes.start(task)
        ((_, end),) = processes.wait()
    assert end == End("FileExistsError: [Errno 17] File exists: 'its folder'", try_again=True)


def chained(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "again", "full", "at_once"),
    [
        (InputError("x"), False, False, False),
        (SettingsError("x"), False, False, False),
        (RuntimeError("x"), False, False, False),
        (StaleOutput("x"), True, False, False),
        (SourceGone("x"), True, False, True),
        (MemoryError(), True, False, False),
        (torch.OutOfMemoryError("x"), True, False, False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True, False, False),
        (InputError("x: can't be loaded"), False, False, False),
        (chained(InputError("x"), FileNotFoundError(errno.ENOENT, "x")), False, False, False),
        (chained(InputError("x"), OSError(errno.EMFILE, "x")), True, False, False),
        (chained(InputError("x"), MemoryError()), True, False, False),
        (chained(InputError("x"), torch.OutOfMemoryError("x")), True, False, False),
        (chained(InputError("x"), chained(OSError("can't load"), Exception("Too many open files (os error 24)"))),
         True, False, False),
        (WriteError("x"), True, True, False),
        (OSError(errno.ENOSPC, "x"), True, True, False),
        (chained(RuntimeError("x"), OSError(errno.EROFS, "x")), True, True, False),
    ],
)  # fmt: skip
def test_whose_fault_a_failure_is(error: Exception, again: bool, full: bool, at_once: bool, tmp_path: Path) -> None:
    assert _ended(raising(error), tmp_path)[1:] == (again, full, at_once)


def test_what_was_raised_meanwhile_counts(tmp_path: Path) -> None:
    def work() -> None:
        try:
            raise OSError(errno.ENOMEM, "x")
        except OSError:
            raise InputError("can't be loaded") from None

    assert _ended(work, tmp_path).try_again


def test_a_failure_is_a_line_without_the_scratch_folder(tmp_path: Path) -> None:
    assert (
        _ended(raising(InputError(f"{tmp_path}/ships/train.conll:2: torn")), tmp_path).why
        == "ships/train.conll:2: torn"
    )
    assert _ended(raising(ValueError("a\nb" * 999)), tmp_path).why.startswith("ValueError: a ba b")
    assert len(_ended(raising(ValueError("a" * 999)), tmp_path).why) == 500
    assert _ended(lambda: None, tmp_path) == ("", False, False, False)


def raising(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work
