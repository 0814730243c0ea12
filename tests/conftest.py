"""Fixtures that many tests share."""

import bz2
import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.testing  # noqa: F401  (below version 2 its import starts a process, which no fast test may)
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.fake_hub import FakeHub

pytest_plugins = ["tests.model_fixtures"]

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nerbert", UNTIMED)
settings.register_profile("fast", UNTIMED, max_examples=25)
gc.disable()  # until all tests are found

INTEGRATION = frozenset({"extending", "faults", "golden", "quickstart", "roads"})
"""Folders of tests that run whole commands."""
HEAVY = frozenset({"sample_corpus", "shared", "tiny_encoder", "tiny_tagger", "warm", "warm_python"})
"""Fixtures that build, train, start processes or read real data."""
SAMPLE = Path(__file__).parent.parent / "nerbert" / "sample"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that renews golden files, and those of the slow tests in tests/faults."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/*.json anew, on purpose")
    parser.addoption("--kills", type=int, default=10, help="how often each command is killed in tests/faults")
    parser.addoption("--kill-seed", type=int, default=1, help="seed of the places at which it is killed")
    parser.addoption("--other-python", default="", help="a Python in which another version of nerbert is installed")


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer examples of each property in the fast tier."""
    settings.load_profile("fast" if "not integration" in config.option.markexpr else "nerbert")


def pytest_collection_finish() -> None:
    """Let no garbage collection look at what was imported: torch's objects made each one take a third of a second."""
    gc.enable()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let all be collected at the end: DuckDB lists what isn't."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what builds, trains, starts processes or reads real data as `integration`: the fast tier is without it."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in INTEGRATION or not HEAVY.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("integration")


@pytest.fixture(autouse=True)
def no_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test of the fast tier fail if it starts a process."""
    if not any(map(request.node.get_closest_marker, ("integration", "slow"))):

        def refuse(*_: object, **__: object) -> None:
            pytest.fail("a test that starts a process needs pytest.mark.integration", pytrace=True)

        monkeypatch.setattr("subprocess.Popen.__init__", refuse)
        monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)


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
def sample_corpus(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample wiki's corpus; read only."""
    import nerbert

    output = tmp_path_factory.mktemp("corpus") / "corpus"
    nerbert.build_corpus(sample / "wiki.xml", sample / "knowledge", output, min_mentions=5)
    return output


@pytest.fixture(scope="session")
def tiny_encoder(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights, its tokenizer made from the sample corpus; read only."""
    import torch

    from nerbert.encoder.settings import PretrainSettings
    from tests.encoder.backbones import write_fresh

    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("models") / "encoder"
    settings = PretrainSettings(
        corpus=(sample_corpus,), fresh_num_layers=1, fresh_hidden_size=64, fresh_vocab_size=1500
    )
    write_fresh(settings, output)
    return output


@pytest.fixture(scope="session")
def tiny_gliner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GLiNER folder of single words on one layer, untrained, which finds nothing at its threshold; read only."""
    from nerbert.model.backbone import Backbone
    from nerbert.model.gliner.architectures import Zero
    from nerbert.model.gliner.folder import save_gliner
    from nerbert.model.gliner.fresh import new_gliner

    output = tmp_path_factory.mktemp("models") / "gliner"
    output.mkdir()
    backbone = Backbone.of("embedded", seed=1, num_layers=1)
    made = new_gliner(backbone, None, architecture=Zero, max_width=1, max_len=100)
    save_gliner(output, made)
    return output


@pytest.fixture(scope="session")
def tiny_tagger(tiny_encoder: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger of the sample domain, small and bad, that does find entities; read only."""
    from nerbert.finetuning.settings import FinetuneSettings
    from tests.stages import finetune

    output = tmp_path_factory.mktemp("models") / "tagger"
    settings = FinetuneSettings(epochs=12, min_steps=0, learning_rate=3e-3, precision="fp32", threads=1, batch_size=8)
    finetune(str(tiny_encoder), sample / "domain", output, settings)
    return output


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "FakeHub":
    """A hub without a network."""
    from tests.fake_hub import FakeHub

    made = FakeHub(tmp_path / "hub")
    monkeypatch.setattr("nerbert.model.download._refusal", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.snapshot_download", made.snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi", made.api)
    return made
