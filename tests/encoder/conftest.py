"""Tokenizers of several kinds and tiny models for them, made on the spot."""

from pathlib import Path

import pytest
import torch

from nerbert.encoder.settings import PretrainSettings
from tests.encoder.corpora import cut
from tests.encoder.open_rows import ROWS
from tests.encoder.preparing import written


@pytest.fixture
def corpus(sample_corpus: Path, tmp_path: Path) -> Path:
    """The sample corpus in several shards, of the test's own."""
    return cut(sample_corpus, tmp_path / "corpus")


@pytest.fixture(scope="session")
def few(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of every tenth sentence of the sample's, in several shards; read only."""
    folder = tmp_path_factory.mktemp("few") / "corpus"
    return cut(sample_corpus, folder, lambda table: table.take([*range(0, len(table), 10)]))


@pytest.fixture
def settings(corpus: Path, tmp_path: Path) -> PretrainSettings:
    """Settings with a cache of the test's own."""
    return PretrainSettings(corpus=(corpus,), cache=str(tmp_path / "cache"))


@pytest.fixture
def open_file(tmp_path: Path) -> Path:
    """Rows of open types as a file."""
    return written(tmp_path / "open.jsonl", ROWS)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the other cores alone; scikit-learn starts a process to count them unless it is told."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
