"""The commands on a Ray cluster of two nodes of this machine: the same bytes as local processes, also after kills."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nerbert import ray_executor
from nerbert.about import __version__
from nerbert.errors import InputError, SettingsError, WorkerDied, WriteError
from nerbert.executors import ONE_CORE, Executor, Resources, open_executor
from tests.long_jobs import COMMANDS, desk, outcome
from tests.raised import raises
from tests.test_executors import refuse

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.extras
__all__ = ["desk"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores, and two nodes of one core each."""
    from ray.cluster_utils import Cluster

    made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100_000_000})
    for gpus in range(2):  # one says that it has a GPU; nothing uses it
        made.add_node(num_cpus=1, num_gpus=gpus, object_store_memory=100_000_000)
    made.wait_for_nodes()
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    os.environ.pop("RAY_ADDRESS") if before is None else os.environ.update(RAY_ADDRESS=before)
    made.shutdown()


@pytest.fixture(scope="module")
def on_ray(cluster: Any) -> Iterator[Executor]:
    """An executor that stays connected; tests of connecting come before its first use."""
    with open_executor("ray") as executor:
        yield executor


def times(number: int, by: int) -> int:
    return number * by


def place(_: int) -> tuple[str, int]:
    return ray.get_runtime_context().get_node_id(), os.getpid()


def visible_gpus(_: int) -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "not set")


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Loaded:
    """What says in which process it was unpickled, and how often there."""

    count = 0

    def __setstate__(self, _: object) -> None:
        Loaded.count += 1

    def __getstate__(self) -> object:
        return "a model"

    def __call__(self, _: int) -> tuple[int, int]:
        return os.getpid(), Loaded.count


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ray://somewhere:10001", "must be host:port of the cluster's head"),
        ("127.0.0.1:1", "no cluster at '127.0.0.1:1'"),
    ],
)
def test_no_cluster_is_refused(address: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with raises(SettingsError, words=told), open_executor("ray"):
        pass


def test_an_executor_connects_and_disconnects(
    cluster: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_executor("ray") as executor:
        assert executor.workers == 2
    assert capsys.readouterr().err.splitlines() == ["Ray: machines: 2, cores: 2"]
    assert not ray.is_initialized()
    monkeypatch.setattr(ray_executor, "__version__", "9.9")
    with raises(SettingsError, words="9.9 on another; install the same on each"), open_executor("ray") as executor:
        list(executor.map_ordered(partial(times, by=1), [1]))
    assert not ray.is_initialized()


def test_few_items_are_taken_ahead(cluster: Any) -> None:
    taken = list[int]()

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with open_executor("ray", 1) as executor:
        results: Any = executor.map_ordered(partial(times, by=1), items())
        assert next(results) == 0
        assert len(taken) == 3
    results.close()
    assert not ray.is_initialized()


def test_results_come_in_order(on_ray: Executor) -> None:
    assert list(on_ray.map_ordered(partial(times, by=3), range(20))) == [3 * n for n in range(20)]


def test_a_process_unpickles_a_task_once(on_ray: Executor) -> None:
    found = set(on_ray.map_ordered(Loaded(), range(40)))
    assert {count for _, count in found} == {1}
    assert len(found) <= 3


def test_a_tasks_own_error_is_raised_as_it_was_and_not_tried_again(on_ray: Executor) -> None:
    with raises(InputError, path="x.txt", line=7) as caught:
        list(on_ray.map_ordered(refuse, [7, 8]))
    assert str(caught.value) == "refused 7"
    assert list(on_ray.map_ordered(partial(times, by=2), [1])) == [2]


def test_a_task_that_kills_its_process_is_given_up(on_ray: Executor) -> None:
    with raises(WorkerDied, words="died, and so did those that ran its task"):
        list(on_ray.map_ordered(die, [0]))


def test_tasks_on_a_gpu_share_a_process_unless_they_are_isolated(on_ray: Executor) -> None:
    kept = set(on_ray.map_ordered(place, range(4), Resources(gpus=1)))
    apart = set(on_ray.map_ordered(place, range(2), Resources(gpus=1, isolated=True)))
    (none,) = set(on_ray.map_ordered(visible_gpus, range(2)))
    (one,) = set(on_ray.map_ordered(visible_gpus, range(2), Resources(gpus=1)))
    assert (len(kept), len(apart), none, one) == (1, 2, "", "0")


@pytest.mark.parametrize(
    ("needs", "told"),
    [(Resources(gpus=2), "needs 2 GPU, the machines of the cluster have at"), (Resources(cpus=9), "needs 9 CPU")],
)
def test_a_task_that_no_machine_can_run_is_refused(on_ray: Executor, needs: Resources, told: str) -> None:
    with raises(SettingsError, words=told):
        next(iter(on_ray.map_ordered(place, [0], needs)))


def test_a_task_of_another_version_or_folder_is_refused(tmp_path: Path) -> None:
    with raises(SettingsError, words="0.0.1 on another; install the same"):
        ray_executor._run(ray_executor._Task("a", "0.0.1", ".", False, b""), 0)
    with raises(SettingsError, words="none: isn't on every machine of the cluster"):
        ray_executor._run(ray_executor._Task("b", __version__, str(tmp_path / "none"), False, b""), 0)


def test_a_full_object_store_is_told() -> None:
    with raises(WriteError, words="more --object-store-memory"), ray_executor._translate_errors():
        raise ray.exceptions.ObjectStoreFullError


KILLS = 5


class Killing(ray_executor.RayExecutor):
    """Kills a node after every second result, until it has killed five; a new one comes for each."""

    cluster: Any = None
    killed = 0

    def map_ordered(self, task: Any, items: Any, needs: Resources = ONE_CORE) -> Iterator[Any]:
        """Yield the results, and kill."""
        for number, result in enumerate(super().map_ordered(task, items, needs)):
            yield result
            if number % 2 and Killing.killed < KILLS:
                Killing.killed += 1
                nodes = Killing.cluster.worker_nodes
                Killing.cluster.remove_node(sorted(nodes, key=id)[0], allow_graceful=False)
                Killing.cluster.add_node(num_cpus=1, object_store_memory=100_000_000)


def cases() -> Iterator[Any]:
    """Each command on Ray, also with kills; most of it by hand."""
    for name in COMMANDS:
        yield pytest.param("ray", name, marks=() if name == "corpus" else pytest.mark.nightly)
        yield pytest.param("tests.test_ray:Killing", name, marks=pytest.mark.nightly)


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(("executor", "name"), tuple(cases()))
def test_the_same_bytes_as_local_workers_even_if_nodes_are_killed(cluster: Any, executor: str, name: str) -> None:
    ray.shutdown()  # of the tests before: a command connects by itself
    Killing.cluster, Killing.killed = cluster, 0
    one, other = outcome(name, "--executor", executor), outcome(name)
    assert one == other
    assert Killing.killed == (0 if executor == "ray" else KILLS)
