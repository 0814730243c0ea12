"""What the light core (`pip install nerbert[onnx]`) does without the extras `corpus` and `train`, and what it refuses.

One process has these libraries blocked, as if they weren't installed, and runs all commands. The nightly test makes a
real environment, measures it, and runs the same commands there.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nerbert.cli import app
from nerbert.data.convert import convert_data
from nerbert.tagger.export import export
from tests.test_package import ROOT, commands

CHILD = """
import contextlib, io, json, sys
heavy, lines = json.load(sys.stdin)
for name in heavy:
    sys.modules[name] = None
from nerbert.cli import main
answers = {}
for line in lines:
    out, err, code = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(line.split())
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException as error:
            code = repr(error)
        out.flush()
    answers[line] = [code, out.buffer.getvalue().decode(), err.getvalue()]
print(json.dumps(answers))
"""
HEAVY = """
    pyarrow duckdb lxml torch transformers safetensors huggingface_hub datasets spacy scipy mcp
""".split()
TEXT_FORMATS = "conll jsonl csv gliner doccano label-studio prodigy argilla marked brat".split()
WORKS = (
    "tag light notes.txt",
    "tag light notes.txt --json",
    "tag light notes.txt -o tagged.jsonl",
    "tag light rows.jsonl -o tagged.conll",
    "tag light test.conll -o tagged.csv --to csv",
    "tag light rows.csv -o tagged.html",
    "tag light rows.csv -o tagged.txt",
    "report light test.conll -o report.html",
    "report open test.conll -o open.html",
    "evaluate light test.conll",
    "evaluate light rows.jsonl --json",
    "evaluate light domain --train domain",
    "serve light --check",
    "calibrate light --data domain --dry-run",
    "show light",
    "check light",
    "show tagger",
    "tag open notes.txt --labels ship,port --json",
    "tag open rows.csv --labels ship -o open.conll",
    "evaluate open test.conll",
    "calibrate open --data test.conll --dry-run",
    "show open",
    "tag gliner notes.txt --labels ship,port --json",
    "evaluate gliner test.conll",
    "show gliner",
    "data list",
    "data check domain",
    "data check rows.jsonl",
    "data sample domain --size 5 -o drawn",
    *(f"data convert test.conll to/{name} --to {name}" for name in TEXT_FORMATS),
    *(f"data convert to/{name} back/{name} --from {name} --to jsonl" for name in TEXT_FORMATS),
    *(f"data check to/{name}" for name in TEXT_FORMATS if name != "marked"),
    "data check to/marked --from marked",
    "knowledge fetch --language en --list",
    "data fetch --list",
)
REFUSED = {
    "tag light notes.txt rows.parquet -o new": "corpus",
    "tag light rows.parquet": "corpus",
    "tag light --from parquet": "corpus",
    "tag light notes.txt -o new.parquet": "corpus",
    "tag light notes.txt -o new --to datasets": "datasets",
    "tag light notes.txt -o new.spacy": "spacy",
    "evaluate light rows.parquet": "corpus",
    "data check rows.parquet": "corpus",
    "data convert rows.parquet new.jsonl": "corpus",
    "data convert test.conll new.parquet": "corpus",
    "data convert test.conll new --to datasets": "datasets",
    "data convert test.conll new.spacy": "spacy",
    "corpus build wiki.xml --knowledge knowledge -o new": "corpus",
    "corpus show new": "corpus",
    "corpus export new -o new.conll": "corpus",
    "knowledge gazetteer knowledge -o new.tsv": "corpus",
    "pretrain settings.toml -o new": "train",
    "finetune embedded --data domain -o new": "train",
    "distil tagger notes.txt -o new": "train",
    "tag tagger notes.txt": "train",
    "export tagger": "train",
    "mcp light": "mcp",
    "benchmark suites/quickstart.toml --data . -o new": "train",
    "quickstart --keep new": "train",
}
HELPS = tuple(" ".join((*words, "--help")) for words in commands(app))
pytestmark = pytest.mark.extras  # an export is made
Answers = Mapping[str, tuple[Any, str, str]]


@pytest.fixture(scope="module")
def place(tiny_tagger: Path, tiny_gliner: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tagger, its export, and data."""
    folder = tmp_path_factory.mktemp("light")
    for name in ("to", "back"):
        (folder / name).mkdir()
    for name, target in (("tagger", tiny_tagger), *((each.name, each) for each in sample.iterdir())):
        (folder / name).symlink_to(target)
    export(tiny_tagger, int8=True, output=folder / "light")
    export("embedded-open", output=folder / "open")
    export(tiny_gliner, output=folder / "gliner")
    first = (sample / "domain" / "test.conll").read_text(encoding="utf-8").split("\n\n")[:20]
    (folder / "test.conll").write_text("\n\n".join(first) + "\n", encoding="utf-8")
    for name in ("rows.jsonl", "rows.parquet"):
        convert_data(folder / "test.conll", folder / name)
    (folder / "notes.txt").write_text("The brig Margarethe was built in Tromsø.\nShort.\n", encoding="utf-8")
    (folder / "rows.csv").write_text("text,id\nThe brig Margarethe was built in Tromsø.,1\n", encoding="utf-8")
    (folder / "settings.toml").write_text('corpus = "corpus"\n')
    return folder


@pytest.fixture(scope="module")
def answers(place: Path) -> Answers:
    """Exit code, output and errors of each command."""
    return run(sys.executable, place, HEAVY)


def run(python: str | Path, place: Path, heavy: Sequence[str]) -> Answers:
    asked = json.dumps([heavy, [*WORKS, *REFUSED, *HELPS]])
    done = subprocess.run([python, "-c", CHILD], cwd=place, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {line: tuple(answer) for line, answer in json.loads(done.stdout).items()}


@pytest.mark.parametrize("line", [*WORKS, *HELPS])
def test_works(answers: Answers, line: str) -> None:
    code, out, err = answers[line]
    assert code == 0, err
    assert "not installed" not in err
    assert out or err


@pytest.mark.parametrize(("line", "extra"), REFUSED.items())
def test_is_refused_in_one_line_that_names_the_extra(answers: Answers, line: str, extra: str) -> None:
    code, out, err = answers[line]
    assert (code, out) == (1, "")
    assert err.startswith("nerbert: ")
    assert err.endswith(f" not installed: pip install 'nerbert[{extra}]'\n")
    assert err.count("\n") == 1


def test_refused_commands_leave_nothing(answers: Answers, place: Path) -> None:
    assert answers
    assert not [path.name for path in place.rglob("*") if path.name.removeprefix(".").startswith("new")]


def test_formats_keep_entities(answers: Answers, place: Path) -> None:
    assert answers
    wanted = entities(place / "rows.jsonl")
    assert len(wanted) > 20
    for name in TEXT_FORMATS:
        assert entities(place / "back" / name) == wanted, name


def entities(path: Path) -> list[tuple[str, str]]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [(each["text"], each["type"]) for row in rows for each in row["spans"]]


@pytest.mark.nightly
def test_a_fresh_environment_is_small_and_does_the_same(place: Path, tmp_path: Path) -> None:
    """Needs a package index. Sizes are of files without byte code; pip itself is among them."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", f"{ROOT}[onnx]"], check=True)
    (packages,) = python.parent.parent.glob("lib/python*/site-packages")
    assert not {"pyarrow", "duckdb", "lxml", "torch"} & {each.name for each in packages.iterdir()}
    files = (each for each in packages.rglob("*") if each.is_file() and each.suffix != ".pyc")
    assert sum(each.stat().st_size for each in files) <= 250e6
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *ROOT.glob("packages/*")], check=True)
    found = run(python, place, ())
    for line in (*WORKS, *HELPS):
        assert found[line][0] == 0, (line, found[line])
    for line, extra in REFUSED.items():
        assert found[line][0] == 1, (line, found[line])
        assert f"pip install 'nerbert[{extra}]'" in found[line][2]
