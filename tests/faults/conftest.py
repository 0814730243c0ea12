"""Desks at which commands are struck."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.harness import Command, Desk
from tests.faults.jobs import SETTINGS


@pytest.fixture(scope="session")
def inputs(
    sample: Path, sample_corpus: Path, tiny_encoder: Path, tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the commands read, by the names that they have in jobs.py."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(sample, folder, dirs_exist_ok=True)
    for name, path in (("corpus", sample_corpus), ("encoder", tiny_encoder), ("tagger", tiny_tagger)):
        shutil.copytree(path, folder / name)
    for name, settings in SETTINGS.items():
        (folder / f"{name}.toml").write_text(settings)
    return folder


@pytest.fixture
def desk_of(inputs: Path, tmp_path: Path, warm_python: None) -> Callable[[Command], Desk]:
    """Make the desk of a command, which has run once without a fault."""

    def make(command: Command) -> Desk:
        (tmp_path / "inputs").symlink_to(inputs)
        return Desk(tmp_path, command)

    return make
