"""The commands on a Ray cluster of two nodes of this machine: the same bytes as local processes, also after kills."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nerbert import __version__, ray_executor
from nerbert.corpus.shards import read_sentences
from nerbert.errors import InputError, SettingsError, WorkerDied, WriteError
from nerbert.executors import ONE_CORE, Executor, Resources, open_executor
from tests.commands import exit_code
from tests.raised import raises

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.extras


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


def refuse(number: int) -> int:
    raise InputError(f"refused {number}", path="x.txt", line=number)


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
    ("name", "address", "told"),
    [
        ("ray://somewhere:10001", "", "Ray Client isn't supported; run the command on one of the cluster's machines"),
        ("ray", "ray://somewhere:10001", "must be host:port of the cluster's head"),
        ("ray", "127.0.0.1:1", "no cluster at '127.0.0.1:1'"),
    ],
)
def test_no_cluster_is_refused(name: str, address: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with raises(SettingsError, words=told), open_executor(name):
        pass


def test_an_executor_connects_and_disconnects(
    cluster: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_executor("ray") as executor:
        assert executor.workers == 2
    assert capsys.readouterr().err.splitlines() == ["Ray: machines: 2, cores: 2"]
    assert not ray.is_initialized()
    monkeypatch.setattr(ray_executor, "__version__", "9.9")
    with raises(SettingsError, words="here: 9.9; install the same on each machine"), open_executor("ray"):
        pass
    assert not ray.is_initialized()


def test_few_items_are_taken_ahead(cluster: Any) -> None:
    taken = list[int]()

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with open_executor("ray:1") as executor:
        results: Any = executor.map_ordered(partial(times, by=1), items())
        assert next(results) == 0
        assert len(taken) == 3
    results.close()
    assert not ray.is_initialized()


def test_machines_without_nerbert_are_refused(on_ray: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor, "version", _unknown)
    with raises(SettingsError, words="doesn't say which (PackageNotFoundError)"), open_executor("ray"):
        pass


def _unknown(_: str) -> str:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError("nerbert")


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


@pytest.mark.parametrize(("needs", "told"), [(Resources(gpus=2), "needs 2 GPU, the machines of the cluster have at"),
                                             (Resources(cpus=9), "needs 9 CPU")])  # fmt: skip
def test_a_task_that_no_machine_can_run_is_refused(on_ray: Executor, needs: Resources, told: str) -> None:
    with raises(SettingsError, words=told):
        next(iter(on_ray.map_ordered(place, [0], needs)))


def test_a_task_of_another_version_or_folder_is_refused(tmp_path: Path) -> None:
    with raises(SettingsError, words="0.0.1 on another; install the same"):
        ray_executor._run(ray_executor._Task("a", "0.0.1", ".", False, b""), 0)
    with raises(SettingsError, words="none: isn't on every machine of the cluster"):
        ray_executor._run(ray_executor._Task("b", __version__, str(tmp_path / "none"), False, b""), 0)


def test_a_full_object_store_is_told() -> None:
    with raises(WriteError, words="more --object-store-memory"), ray_executor._told():
        raise ray.exceptions.ObjectStoreFullError


TINY = ("--set", "threads=1", "--set", "fresh_num_layers=1", "--set", "fresh_hidden_size=64", "--set", "epochs=1")
FEW = ("--set", "source_epochs=0.1", "--set", "epochs=0.1", "--set", "threads=1", "--set", "precision=fp32")
COMMANDS = {
    "corpus": ("corpus", "build", "sample/wiki.xml", "--knowledge", "sample/knowledge", "--set", "min_mentions=5",
               "--set", "split_bytes=9000"),
    "pretrain": ("pretrain", "pretrain.toml", *TINY),
    "tag": ("tag", "tagger", "texts.txt", "--to", "jsonl"),
    "distil": ("distil", "tagger", "texts.txt", "--encoder", "encoder", *FEW),
    "benchmark": ("benchmark", "suite.toml", "--data", "data"),
}  # fmt: skip
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


@pytest.fixture
def desk(
    name: str, sample: Path, sample_corpus: Path, tiny_encoder: Path, tiny_tagger: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A working folder with what the commands read; jobs have many parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", 4000)
    for source, name in ((sample, "sample"), (tiny_tagger, "tagger"), (tiny_encoder, "encoder")):
        shutil.copytree(source, name)
    if name == "pretrain":
        assert exit_code(*COMMANDS["corpus"], "-o", "several") == 0
    Path("pretrain.toml").write_text('corpus = "several"\nfresh_vocab_size = 1000\n')
    Path("texts.txt").write_text("".join(f"{each.text}\n" for each in read_sentences(sample_corpus)))
    shutil.copytree("sample/domain", "data/domain")
    Path("suite.toml").write_text(
        'seeds = [1, 2, 3, 4]\n[systems.tiny]\nencoder = "encoder"\n[protocols.fast]\nmax_steps = 2\nmin_steps = 0\n'
        'precision = "fp32"\n[[targets]]\ndata = "domain"\nsizes = ["all", 5, 10]\ndraw_by_seed = true\n'
    )


def outcome(output: Path) -> dict[str, Any]:
    """What must be the same: files of rows and weights, and a benchmark's predictions."""
    files = {str(each.relative_to(output)): each for each in (*output.rglob("*"), output) if each.is_file()}
    kept = {name: path.read_bytes() for name, path in files.items()
            if path.suffix in (".parquet", ".jsonl", ".safetensors") and path.name != "log.jsonl"}  # fmt: skip
    found = {name: json.loads(path.read_bytes()) for name, path in files.items() if name.startswith("predictions/")}
    return kept | {name: each["entities"] for name, each in found.items()} | {"names": sorted(files)}


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
    suffix = ".jsonl" if name == "tag" else ""
    for output, on in ((f"ray{suffix}", ("--executor", executor)), (f"local{suffix}", ())):
        assert exit_code(*COMMANDS[name], "-o", output, *on) == 0
    found = outcome(Path(f"ray{suffix}"))
    assert found
    assert found == outcome(Path(f"local{suffix}"))
    assert Killing.killed == (0 if executor == "ray" else KILLS)
