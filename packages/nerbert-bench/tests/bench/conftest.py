"""A desk for benchmarks: a few sentences as data sets, and suites that are quickly run."""

from pathlib import Path

import pytest

from nerbert.executors import ONE_CORE
from nerbert_bench import runner
from nerbert_bench.suite import Suite, read_suite
from tests.golden.test_golden import SUITE

SHIPS = (
    "The\tO\nMargarethe\tB-ship\nsailed\tO\n\nLarsen\tB-person\n&\tI-person\nHolm\tI-person\n\n"
    "In\tO\nMay\tO\nthe\tO\nIngeborg\tB-ship\nleft\tO\nBergen\tB-place\nfor\tO\nOslo\tB-place\n.\tO\n\n"
)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the cells of `benchmark` with one worker here, where a test can patch what they do."""
    monkeypatch.setattr(runner, "Resources", lambda **_: ONE_CORE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """`ships` (with dev), `far` (a source domain), `torn` (a broken line in train)."""
    root = tmp_path / "data"
    for name in ("ships", "far", "torn"):
        (root / name).mkdir(parents=True)
        (root / name / "train.conll").write_text(SHIPS * 4)
        (root / name / "test.conll").write_text(SHIPS)
    (root / "ships" / "dev.conll").write_text(SHIPS)
    (root / "far" / "train.conll").write_text("Oslo\tB-place\nharbour\tO\n\n" * 6)
    (root / "torn" / "train.conll").write_text("The\tO\nMargarethe\n")
    return root


@pytest.fixture
def suite_file(tmp_path: Path, tiny_encoder: Path) -> Path:
    """Two systems, one with a source, on `ships` in full and at three sentences; two seeds: eight cells."""
    path = tmp_path / "small.toml"
    path.write_text(SUITE.format(seeds=[1, 2], encoder=tiny_encoder, epochs=2, source_epochs=1, size=3))
    return path


@pytest.fixture
def suite(suite_file: Path) -> Suite:
    return read_suite(suite_file)


@pytest.fixture
def encoders(tmp_path: Path) -> Path:
    """A folder with what looks like two encoders, `a` and `b`, to a plan."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_text(name)
    return tmp_path
