"""A tagger without a model, and the command as a function."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nerbert.tagger.tagger import Tagger
from tests.commands import exit_code
from tests.tagger.jobs.fakes import Capitals

Tag = Callable[..., int]


@pytest.fixture
def capitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Capitals:
    """What `Tagger.load` gives from now on; its folder is `tagger` in the working folder."""
    fake = Capitals()
    monkeypatch.setattr(Tagger, "load", lambda source, **_: fake)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tagger").mkdir()
    (tmp_path / "tagger" / "config.json").write_text("{}")
    return fake


@pytest.fixture
def tag(capitals: Capitals) -> Tag:
    """`nerbert tag tagger …`; its exit code."""
    return partial(exit_code, "tag", "tagger")
