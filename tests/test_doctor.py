"""What `nerbert doctor` finds on machines that lack something, and what `nerbert --version` says of one."""

import json
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nerbert
from nerbert import doctor, process
from tests.commands import exit_code

Caught = pytest.CaptureFixture[str]


def found(what: str, folder: Path) -> doctor.Finding:
    return next(each for each in doctor.examine(folder) if each.what == what)


def require(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: list(lines))


def test_this_machine_is_well(tmp_path: Path, capsys: Caught) -> None:
    assert exit_code("doctor", tmp_path, "--json") == 0
    findings = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert {"nerbert", "cores", "memory", "core", "nerbert[train]", "GPU"} <= findings.keys()
    assert findings["nerbert[train]"]["state"] == "ok"
    assert "torch" in findings["nerbert[train]"]["found"]
    assert list(tmp_path.iterdir()) == []


def test_a_table_ends_with_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught) -> None:
    require(monkeypatch, "numpy>=1.26")
    monkeypatch.setattr(doctor, "memory_limit", lambda: 1 << 30)
    assert exit_code("doctor", tmp_path) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "memory wrong 1.0 GB" in told
    assert told.endswith("take a small batch_size and one worker")


def test_missing_extras_are_no_fault_and_old_libraries_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(
        monkeypatch,
        "numpy>=1.26",
        "no-such-thing>=1; extra == 'odd'",
        "numpy>=999.1; extra == 'old'",
        "numpy[some]>=1; extra == 'two-words'",
    )
    assert found("core", tmp_path).state == "ok"
    odd = found("nerbert[odd]", tmp_path)
    assert (odd.state, odd.found, odd.advice) == ("missing", "no no-such-thing", "pip install 'nerbert[odd]'")
    old = found("nerbert[old]", tmp_path)
    assert old.state == "wrong"
    assert old.found.endswith("(needs 999.1)")
    assert found("nerbert[two-words]", tmp_path).state == "ok"
    require(monkeypatch, "no-such-thing")
    assert found("core", tmp_path).state == "wrong"


def test_models_are_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "minilm" in found("models", tmp_path).found
    monkeypatch.setattr("nerbert.model.folder.MODELS", [])
    assert found("models", tmp_path)[1:] == ("missing", "none is installed", "pip install nerbert-minilm")


def test_places_without_room_or_rights_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "there"))
    assert found("cache", tmp_path).state == "ok"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
        assert found("folder for outputs", tmp_path)[1:] == ("wrong", f"{tmp_path}: 1 GB free", "name another folder")
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        assert found("temporary folder", tmp_path).advice == "set TMPDIR to another folder"


def test_a_cache_without_a_home_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-has-this-name/cache")
    assert found("cache", tmp_path)[1] == "wrong"
    assert found("cache", tmp_path).advice == "set XDG_CACHE_HOME to another folder"


def test_a_containers_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def text_of(path: Path, **_: Any) -> str:
        return "MemTotal:       24000000 kB\n" if path.name == "meminfo" else "2000000000\n"

    monkeypatch.setattr(Path, "read_text", text_of)
    assert doctor.memory_limit() == 2_000_000_000


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: Caught) -> None:
    assert exit_code("doctor", tmp_path / "none") == 1
    assert "none: no such folder; name the one to work in" in capsys.readouterr().err


def test_the_first_line_is_the_version_and_the_rest_is_what_a_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    first, about, *libraries = capsys.readouterr().out.splitlines()
    assert first == f"nerbert {nerbert.__version__}" == f"nerbert {metadata.version('nerbert')}"
    assert about == process.machine()
    assert about.startswith(f"Python {sys.version.split()[0]}, ")
    assert libraries == [f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "onnxruntime")]
    assert next(each.found for each in doctor._machine()) == f"{nerbert.__version__}, {about}"


def test_a_library_that_is_missing_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_REPORTED", ("no-such-library",))
    assert process.version_report().splitlines()[2:] == ["no-such-library not installed"]
    assert process.installed_version("regex") == metadata.version("regex"), "the module's own is another number"
