"""`nerbert data …` and its page: what is printed, and that the page's commands run."""

import json
import re
import shutil
from pathlib import Path

import pytest

from nerbert.data.catalogue import known_data
from tests.commands import exit_code, run_in
from tests.data.conftest import TRAIN, Make

PAGE = Path(__file__).parents[5] / "docs" / "how-to" / "data-sets.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Output = pytest.CaptureFixture[str]


def data(*arguments: object) -> int:
    return exit_code("data", *arguments)


def test_list_names_all_that_is_known(capsys: Output) -> None:
    assert data("list") == 0
    shown = capsys.readouterr().out
    assert set(known_data()) <= {line.partition(" ")[0] for line in shown.splitlines()}, "no name is cut"
    assert "14041/3250/3453" in shown
    assert "there" not in shown
    assert data("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in listed] == list(known_data())
    assert listed[0]["splits"]["train"]["sha256"] == known_data()["crossner_politics"].splits["train"].sha256


def test_list_says_what_is_there(make: Make, root: Path, capsys: Output) -> None:
    make("[bold]ships\x1b[2J")
    (root / "empty").mkdir()
    for name in ("conll2003", "twice"):
        (make(name, train="Oslo\tB-place\n", test="Oslo\tB-place\n") / "train.jsonl").write_text("")
    assert data("list", "--data", root) == 0
    shown = capsys.readouterr().out
    assert "[bold]ships\\x1b[2J" in shown
    assert "\x1b" not in shown
    assert "empty" not in shown
    assert data("list", "--data", root, "--json") == 0
    there = {each["name"]: each["there"] for each in json.loads(capsys.readouterr().out)}
    assert there["conll2003"] == "another train, no dev, another test"
    assert there["twice"] == "not known", "a folder with two files of a split hides no other"
    assert there["btc"] == "–"
    assert there["[bold]ships\x1b[2J"] == "not known"
    assert data("list", "--data", root / "nowhere") == 1
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_list_says_what_leads_out(make: Make, root: Path, tmp_path: Path, capsys: Output) -> None:
    outside = make("outside").rename(tmp_path / "outside")
    for name in ("btc", "boats"):
        (root / name).symlink_to(outside)
    (make("conll2003") / "dev.conll").symlink_to(outside / "train.conll")
    make("inside")
    (root / "alias").symlink_to(root / "inside")
    assert data("list", "--data", root, "--json") == 0
    there = {each["name"]: each["there"] for each in json.loads(capsys.readouterr().out)}
    states = {name: there[name] for name in ("btc", "boats", "conll2003", "alias")}
    assert states == {"btc": "link out", "boats": "link out", "conll2003": "link out", "alias": "not known"}


def test_check_prints_what_it_found(make: Make, root: Path, capsys: Output) -> None:
    train = TRAIN.replace("Larsen", "Larsen\x9b")
    make(train=train, test=train.replace("-person", "-[red]x") + "Oslo\tI-ship\n\n")
    for arguments in (["ships", "--data", root], [root / "ships"]):
        assert data("check", *arguments) == 0
        shown = capsys.readouterr().out
        assert "[red]x" in shown
        assert "Larsen\\x9b" in shown
        assert "\x9b" not in shown
    assert data("check", "ships", "--data", root, "--json") == 0
    assert json.loads(capsys.readouterr().out)["lacking"] == {"test": {"[red]x": 1}}
    assert data("check", "../ships", "--data", root) == 1
    assert data("check", make("one", train="Oslo\tB-place\n")) == 0
    assert "1 type, entities of each" in capsys.readouterr().out


def test_sample_prints_the_k_reached(make: Make, root: Path, tmp_path: Path, capsys: Output) -> None:
    make(train=TRAIN * 2)
    assert data("sample", "ships", "--data", root, "--size", "k=3", "-o", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert "size k=3, draw 1: " in shown
    assert "k reached: 2 to 4 entities a type, 3 asked for" in shown or "k reached: 2 to 3" in shown
    assert "all of train has only: person 2" in shown


def test_the_pages_commands_and_python_run(sample: Path, tmp_path: Path, warm: Path) -> None:
    shutil.copytree(sample / "domain", tmp_path / "data" / "ships")
    blocks = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    commands = [["bash", "-euo", "pipefail", "-c", body] for language, body in blocks if language == "sh"]
    code = [["python", "-W", "error", "-c", body] for language, body in blocks if language == "python"]
    assert (len(commands), len(code)) == (4, 1)
    for command in [*commands, *code]:
        run_in(tmp_path, *command, path=warm)
    made = sorted(each.name for each in tmp_path.iterdir())
    assert made == ["cut", "data", "ships-20", "ships-5percent", "ships-json", "ships-k2", "ships.json", "train.jsonl"]
