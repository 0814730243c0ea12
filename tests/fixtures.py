"""Fixtures that many tests share."""

import bz2
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.fake_hub import FakeHub

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("day", UNTIMED, max_examples=25, derandomize=True)  # a change is judged by its own faults
settings.register_profile("night", UNTIMED, max_examples=500)
gc.disable()  # until all tests are found

SAMPLE = Path(__file__).parent.parent / "nerbert" / "sample"
Once = Callable[[str, Callable[[Path], object]], Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that renews golden files, and those of the nightly tests in tests/faults."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/*.json anew, on purpose")
    parser.addoption("--kills", type=int, default=10, help="how often each command is killed in tests/faults")
    parser.addoption("--kill-seed", type=int, default=1, help="seed of the places at which it is killed")


def pytest_configure(config: pytest.Config) -> None:
    """Try more examples of each property at night."""
    settings.load_profile("night" if config.option.markexpr.startswith("nightly") else "day")


def pytest_collection_finish() -> None:
    """Let no garbage collection look at what was imported: torch's objects made each one take a third of a second."""
    gc.enable()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let all be collected at the end: DuckDB lists what isn't."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Write without fsync, which a test that asks for it patches itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, for their child processes too."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `python` and `nerbert` that have torch loaded already, to be found in PATH."""
    from tests.warm import warm_commands

    with warm_commands(tmp_path_factory.mktemp("warm")) as folder:
        yield folder


@pytest.fixture(scope="module")
def warm_python(warm: Path) -> Iterator[None]:
    """Let `tests.commands.python` be one that has torch loaded already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARM_PYTHON", str(warm / "python"))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout, or where NERBERT_SHARED says; skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("NERBERT_SHARED") or beside)
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}: set NERBERT_SHARED to run this test")
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample that ships with the package, its dump unpacked as `wiki.xml`; read only."""
    folder = tmp_path_factory.mktemp("sample")
    (dump,) = (SAMPLE / "wiki").glob("*.xml.bz2")
    (folder / "wiki.xml").write_bytes(bz2.decompress(dump.read_bytes()))
    for name in ("knowledge", "domain"):
        shutil.copytree(SAMPLE / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once a run, whichever worker needs it first: `once(name, make)`; read only."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    root.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def sample_corpus(sample: Path, once: Once) -> Path:
    """The sample wiki's corpus; read only."""
    import nerbert

    wiki, knowledge = sample / "wiki.xml", sample / "knowledge"
    return once("corpus", lambda folder: nerbert.build_corpus(wiki, knowledge, folder, min_mentions=5))


@pytest.fixture(scope="session")
def tiny_encoder(sample_corpus: Path, once: Once) -> Path:
    """A BERT of one layer with random weights, its tokenizer made from the sample corpus; read only."""
    import torch

    from nerbert.encoder.settings import PretrainSettings
    from tests.encoder.backbones import write_fresh

    torch.set_num_threads(1)
    settings = PretrainSettings(
        corpus=(sample_corpus,), fresh_num_layers=1, fresh_hidden_size=64, fresh_vocab_size=1500
    )
    return once("encoder", lambda folder: write_fresh(settings, folder))


@pytest.fixture(scope="session")
def tiny_gliner(once: Once) -> Path:
    """A GLiNER folder of single words on one layer, untrained, which finds nothing at its threshold; read only."""
    from nerbert.model.backbone import Backbone
    from nerbert.model.gliner.weights import new_gliner, save_gliner

    def make(folder: Path) -> None:
        folder.mkdir()
        backbone = Backbone.of("embedded", seed=1, num_layers=1)
        save_gliner(folder, new_gliner(backbone, None, architecture="zero", max_width=1, max_len=100))

    return once("gliner", make)


@pytest.fixture(scope="session")
def tiny_tagger(tiny_encoder: Path, sample: Path, once: Once) -> Path:
    """A tagger of the sample domain, small and bad, that does find entities; read only."""
    from nerbert.finetuning.settings import FinetuneSettings
    from tests.stages import finetune

    settings = FinetuneSettings(epochs=12, min_steps=0, learning_rate=3e-3, precision="fp32", threads=1, batch_size=8)
    return once("tagger", lambda folder: finetune(str(tiny_encoder), sample / "domain", folder, settings))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "FakeHub":
    """A hub without a network."""
    from tests.fake_hub import FakeHub

    made = FakeHub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.snapshot_download", made.snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi", made.api)
    return made
