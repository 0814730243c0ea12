"""`nerbert --version`: one line that scripts read, then what a report of a fault needs; nothing heavy is imported."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

import nerbert
from nerbert import doctor, process
from tests.commands import exit_code


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


def test_the_version_loads_no_library_and_no_command() -> None:
    code = "from nerbert.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass\n"
    code += "import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not {"torch", "transformers", "onnxruntime", "numpy", "nerbert.cli.models", "nerbert.cli.tag"} & loaded
    assert "nerbert.process" in loaded
