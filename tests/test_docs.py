"""The documentation is true: its commands run, its generated pages are fresh, its links lead somewhere."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nerbert.quickstart.result import QuickstartResult
from nerbert.render.quickstart import picture

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


@pytest.fixture(scope="module")
def desk(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as README assumes it: a dump, knowledge and data; the configs are the package's."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(sample / "wiki.xml", folder / "dump.xml")
    shutil.copytree(sample / "knowledge", folder / "knowledge")
    shutil.copytree(sample / "domain", folder / "data")
    return folder


def run_in(desk: Path, *command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=desk, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_readmes_commands_and_python_run(desk: Path) -> None:
    shown = run_in(desk, "bash", "-euo", "pipefail", "-c", "".join(blocks(ROOT / "README.md", "sh")))
    assert "what came in, went out, was dropped" in shown
    assert "F1 over 2 seeds" in shown
    assert '{"text": "The whaler Ingeborg left Bergen in May.", "spans": [' in shown
    shutil.rmtree(desk / "encoder")
    for command in blocks(ROOT / "docs" / "pretraining.md", "sh"):
        shown = run_in(desk, "bash", "-euo", "pipefail", "-c", command)
    assert "typed_f1" in shown
    for code in [*blocks(ROOT / "README.md", "python"), *blocks(ROOT / "docs" / "formats.md", "python")]:
        run_in(desk, sys.executable, "-W", "error", "-c", code)


def test_readmes_first_command_prints_what_the_readme_shows(desk: Path) -> None:
    """The embedded tagger works untouched; its output is the next block, but for confidences, which vary by machine."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (name, command), (_, shown) = FENCE.findall(text)[:2]
    assert name == "sh"
    printed = run_in(desk, "bash", "-euo", "pipefail", "-c", command)
    assert re.sub(r"0\.\d\d", "0.##", printed) == re.sub(r"0\.\d\d", "0.##", shown)


def test_taggings_commands_and_python_run(tiny_tagger: Path, sample: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_tagger, tmp_path / "my-tagger" / "seed-1")
    shutil.copytree(sample / "domain", tmp_path / "data")
    (tmp_path / "notes.txt").write_text("The brig Margarethe was built by Larsen & Holm.\n" * 5)
    (tmp_path / "letters" / "1893").mkdir(parents=True)
    shutil.copy(sample / "domain" / "test.conll", tmp_path / "letters" / "1893")
    shutil.copy(tmp_path / "notes.txt", tmp_path / "letters")
    for command in blocks(ROOT / "docs" / "tagging.md", "sh"):
        run_in(tmp_path, "bash", "-euc", command)  # no pipefail: `head` ends what stands before it
    for code in blocks(ROOT / "docs" / "tagging.md", "python"):
        run_in(tmp_path, sys.executable, "-W", "error", "-c", code)
    assert "<mark" in (tmp_path / "notes.html").read_text(encoding="utf-8")
    made = [path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/**/*.jsonl")]
    assert sorted(made) == [
        "again/1893/test.jsonl",
        "again/notes.jsonl",
        "tagged/1893/test.jsonl",
        "tagged/notes.jsonl",
    ]


def test_only_known_pages_hold_commands() -> None:
    """A page that gains `sh` blocks must be run by a test too; results' commands need data that isn't ours."""
    known = ["README.md", "benchmark.md", "data.md", "pretraining.md", "tagging.md"]
    assert [page.name for page in PAGES if blocks(page, "sh")] == known


def test_readmes_two_commands_are_those_of_ci() -> None:
    two = [line.partition("#")[0].strip() for line in blocks(ROOT / "README.md", "bash")[0].splitlines()]
    assert two == ["./run quickstart", "./run test"]
    ci = (ROOT / ".ci" / "run").read_text()
    assert all(command in ci for command in two)


def test_readmes_picture_is_of_a_run() -> None:
    """The picture is drawn from figures that a tour left, by today's code; `nerbert quickstart --keep` makes both."""
    images = ROOT / "docs" / "images"
    assert "](docs/images/quickstart.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
    drawn = picture(QuickstartResult.read(images / "quickstart.json"))
    assert (images / "quickstart.svg").read_bytes() == drawn.encode("utf-8")


def test_settings_page_is_fresh() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate.py"))["settings_page"]()
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page, "run: python docs/generate.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_configs_are_valid() -> None:
    from nerbert.config import load_settings
    from nerbert.encoder.settings import PretrainSettings
    from nerbert.finetuning.settings import FinetuneSettings

    for path in (ROOT / "nerbert" / "configs").glob("*.toml"):
        assert load_settings(FinetuneSettings if path.name.startswith("finetune") else PretrainSettings, path)


def test_nothing_names_this_machine() -> None:
    """No tracked text holds an absolute path of a developer's machine."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for name in filter(None, tracked.split("\0")):
        text = (ROOT / name).read_bytes()
        assert b"/wo" + b"rk/" not in text, name
        assert b"/ro" + b"ot/" not in text, name
