import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, SettingsError, WorkerDied, WriteError
from nerbert.executors import LocalExecutor, Resources, open_executor
from nerbert.process import stop_asked
from tests.faults.harness import wait_for
from tests.raised import raises, raising


def square(number: int) -> int:
    return number * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise InputError(f"refused {number}", path="x.txt", line=number)


def pid(_: int) -> int:
    return os.getpid()


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(") ")[2][0] != "Z"


@pytest.fixture(scope="module")
def two() -> Iterator[LocalExecutor]:
    """Two processes, which are started anew after each test that ends them."""
    with LocalExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize("workers", [1, 2])
def test_one_pool_gives_all_results_in_order_until_the_executor_ends(workers: int) -> None:
    with LocalExecutor(workers) as executor:
        assert list(executor.map_ordered(square, range(20))) == [n * n for n in range(20)]
        pids = set(executor.map_ordered(pid, range(20)))
        with raises(InputError, path="x.txt", line=0):
            list(executor.map_ordered(refuse, range(3)))
        pids |= set(executor.map_ordered(pid, range(20)))
        assert list(islice(executor.map_ordered(square, count()), 3)) == [0, 1, 4], "an endless input is no fault"
    assert len(pids) <= workers
    assert (os.getpid() in pids) == (workers == 1)
    if workers == 2:
        wait_for(lambda: not any(map(runs, pids)), "workers live on")


def test_an_isolated_worker_is_a_process_of_its_own() -> None:
    with LocalExecutor() as executor:
        (other,) = executor.map_ordered(pid, [0], Resources(isolated=True))
        with raises(WorkerDied):
            list(executor.map_ordered(die, [0], Resources(isolated=True)))
    assert other != os.getpid()


def test_a_dead_worker_is_an_error_and_the_next_task_runs(two: LocalExecutor) -> None:
    with raises(WorkerDied, words="a worker process died (out of memory?): try fewer --workers"):
        list(two.map_ordered(die, range(3)))
    assert list(two.map_ordered(square, range(3))) == [0, 1, 4]


def test_tokenizers_of_workers_have_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    with LocalExecutor(2) as two:
        assert list(two.map_ordered(os.getenv, ["TOKENIZERS_PARALLELISM"])) == ["false"]


def test_a_task_that_is_given_up_leaves_the_others_alone(two: LocalExecutor) -> None:
    outer = two.map_ordered(square, range(20))
    assert next(outer) == 0
    inner = two.map_ordered(square, range(100, 200))
    assert next(inner) == 10_000
    del inner
    assert list(outer) == [n * n for n in range(1, 20)]
    assert list(two.map_ordered(square, range(3))) == [0, 1, 4]


class Loaded:
    """A model of a kind: it is not pickled, but loaded where it is used, and notes by which process."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def __reduce__(self) -> tuple[Any, ...]:
        return load, (self.notes,)


def load(notes: Path) -> Loaded:
    with notes.open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    return Loaded(notes)


def use(number: int, model: Loaded) -> int:
    time.sleep(0.01)
    return os.getpid()


def test_what_a_task_carries_is_loaded_once_in_each_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    task = partial(use, model=Loaded(tmp_path / "notes"))
    with LocalExecutor(2) as two:
        workers = {pid for _ in range(2) for pid in two.map_ordered(task, range(20))}
        files = list(tmp_path.glob("nerbert-*/*"))
    loaded = (tmp_path / "notes").read_text().split()
    assert len(files) == 1, "a task travels once, its items alone"
    assert len(loaded) == len(set(loaded))
    assert {str(pid) for pid in workers} <= set(loaded)


def test_an_executor_by_its_name() -> None:
    for workers, made in ((None, 1), (3, 3)):
        with open_executor("local", workers) as executor:
            assert (type(executor), executor.workers) == (LocalExecutor, made)


class Startless(LocalExecutor):
    """One that has no room for any worker."""

    def __enter__(self) -> "Startless":
        raise RuntimeError("no room")


class Textual(LocalExecutor):
    """One whose workers are no number."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.workers: Any = "two"


class Hiding(LocalExecutor):
    """One that would hide errors."""

    def __exit__(self, *_: object) -> Any:
        return True


FORMS = "must be one of 'local', 'ray', or your own as module:name"


@pytest.mark.parametrize(
    ("name", "workers", "told"),
    [
        ("", None, f"executor '': {FORMS}"),
        ("local:4", None, "executor 'local:4': did you mean 'local'? (must be one of"),
        ("ray://host:10001", None, f"executor 'ray://host:10001': {FORMS}"),
        ("locl", None, "executor 'locl': did you mean 'local'? (must be one of"),
        ("local", 0, "workers = 0: must be at least 1"),
        ("json:loads", None, "executor 'json:loads': can't be started: TypeError: "),
        (
            "builtins:int",
            None,
            "executor 'builtins:int': has no workers, map_ordered, __enter__, __exit__, which every",
        ),
        (f"{__name__}:Startless", None, "can't be started: RuntimeError: no room; fix it, or use local"),
        (f"{__name__}:Textual", None, "workers = 'two': must be a number of at least 1"),
        ("torn_executor:Any", None, "executor 'torn_executor:Any': torn; importing torn_executor failed"),
    ],
)
def test_names_of_executors_that_are_refused(
    name: str, workers: int | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn_executor.py").write_text("raise ValueError('torn')")
    monkeypatch.syspath_prepend(tmp_path)
    with raises(SettingsError, words=told), open_executor(name, workers):
        pass


def test_an_executor_hides_no_error() -> None:
    with pytest.raises(ZeroDivisionError), open_executor(f"{__name__}:Hiding"):
        raise ZeroDivisionError


def test_a_task_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", raising(OSError(errno.ENOSPC, "No space left on device")))
    with (
        LocalExecutor(2) as executor,
        raises(WriteError, words="tasks can't be written: No space left on device; set TMPDIR to another folder"),
    ):
        list(executor.map_ordered(square, range(3)))


def test_a_temporary_folder_with_a_path_too_long_for_sockets_is_one_line(tmp_path: Path) -> None:
    (deep := tmp_path / ("x" * 90)).mkdir()
    code = "from nerbert.executors import LocalExecutor\nprint(*LocalExecutor(2).map_ordered(abs, [-1, 2]))"
    environment = os.environ | {"TMPDIR": str(deep)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    told = "InputError: workers can't be started: AF_UNIX path too long; set TMPDIR to a folder with a short path"
    assert found.stderr.splitlines()[-1].endswith(told)


def linger(file: str) -> None:
    """Write this process's id into `file`, then stay."""
    Path(file).with_suffix(".part").write_text(str(os.getpid()))
    Path(file).with_suffix(".part").rename(file)
    time.sleep(600)


def run_lingering(folder: str) -> None:
    """The main process of a run whose two tasks don't end."""
    list(LocalExecutor(2).map_ordered(linger, [f"{folder}/{number}.pid" for number in range(2)]))


def test_workers_end_with_a_main_process_that_is_killed(tmp_path: Path) -> None:
    main = get_context("spawn").Process(target=run_lingering, args=(str(tmp_path),))
    main.start()
    try:
        wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2, "workers don't begin")
    finally:
        main.kill()
        main.join()
    workers = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    wait_for(lambda: not any(map(runs, workers)), "workers live on")


def hears_ctrl_c(_: int) -> bool:
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_ctrl_c_is_the_main_processs_alone(two: LocalExecutor) -> None:
    assert list(two.map_ordered(hears_ctrl_c, range(3))) == [False] * 3
    assert hears_ctrl_c(0)


@pytest.mark.parametrize("left", ["results", "executor"])
def test_workers_end_with_a_run_that_is_given_up(tmp_path: Path, two: LocalExecutor, left: str) -> None:
    """Who stops in the middle doesn't wait for what is under way, and can go on with other tasks."""
    results = two.map_ordered(linger_after_the_first, [f"{tmp_path}/{number}.pid" for number in range(6)])
    assert next(results) == ""
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2, "workers don't begin")
    if left == "results":
        del results
    else:
        two.__exit__()
    workers = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    wait_for(lambda: not any(map(runs, workers)), "workers live on")
    assert list(two.map_ordered(square, range(3))) == [0, 1, 4]


def linger_after_the_first(file: str) -> str:
    if not file.endswith("/0.pid"):
        linger(file)
    return ""


STOPPED = """
import pathlib, sys, time
from nerbert.artifacts import publish_folder
from nerbert.cli import stop_on_sigterm

stop_on_sigterm()
with publish_folder(pathlib.Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_sigterm_cleans_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STOPPED, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert (tmp_path / ".out.partial").exists()
        process.terminate()
        assert process.wait(120) == 143
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as Python has it; a shell's background jobs begin with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_stop_that_is_asked_for_is_noted(ctrl_c: None) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with stop_asked() as asked:
        assert asked() == 0
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert asked() == signal.SIGTERM
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_ctrl_c_stops_at_once(ctrl_c: None) -> None:
    with stop_asked() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert asked() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_threads_leave_signals_alone() -> None:
    before, found = signal.getsignal(signal.SIGTERM), list[Any]()

    def work() -> None:
        with stop_asked() as asked:
            found.extend([asked(), signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0, before]
