"""A format that only these tests know goes through the commands, in this process and in workers."""

import json
from pathlib import Path

import pytest

from nerbert.data.splits import find_splits
from nerbert.formats.conll import write_conll
from nerbert.formats.documents import Reading
from nerbert.formats.format import FORMATS, find_format, read_documents
from tests.commands import exit_code
from tests.examples import read_examples
from tests.extending.guides import blocks, module, run_commands
from tests.extending.toys.format_toy import Toy

NAME = "tests.extending.toys.format_toy:Toy"
SENTENCES = (
    "The [Margarethe](ship) sailed",
    "[Larsen & Holm](person) slept",
    "In May the [Ingeborg](ship) left [Bergen](place) for [Oslo](place) .",
)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The same data set, `ships`, in CoNLL and in the toy format: kind → its folder."""
    for kind in ("conll", "toy"):
        (tmp_path / kind / "ships").mkdir(parents=True)
    for split, times in (("train", 4), ("dev", 2), ("test", 1)):
        toy = tmp_path / "toy" / "ships" / f"{split}.toy"
        toy.write_text("".join(f"{each}\n" for each in SENTENCES * times))
        write_conll(tmp_path / "conll" / "ships" / f"{split}.conll", read_examples(toy, Reading(from_=NAME)))
    return {kind: tmp_path / kind for kind in ("conll", "toy")}


def test_a_registered_format_is_found_by_its_suffix_and_its_content(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = folders["toy"] / "ships"
    assert exit_code("data", "check", ours) == 1
    assert f"{ours}: holds no " in capsys.readouterr().err
    monkeypatch.setitem(FORMATS._known, "toy", Toy)
    assert exit_code("data", "check", ours, "--json") == 0
    assert json.loads(capsys.readouterr().out)["splits"]["train"]["types"] == {"ship": 8, "place": 8, "person": 4}
    assert len(read_examples((ours / "test.toy").rename(tmp_path / "gold.txt"))) == 3


def test_data_commands_read_it(folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = str(folders["toy"] / "ships")
    assert exit_code("data", "check", ours, "--from", NAME, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["scheme"]["name"] for each in told["splits"].values()] == ["spans"] * 3
    assert exit_code("data", "sample", ours, "--from", NAME, "--size", 2, "-o", tmp_path / "few") == 0
    assert len(read_examples(tmp_path / "few" / "train.toy", Reading(from_=NAME))) == 2
    assert (tmp_path / "few" / "test.toy").read_bytes() == (Path(ours) / "test.toy").read_bytes()
    assert set(json.loads((tmp_path / "few" / "manifest.json").read_text())["sha256"]) == {
        "train.toy",
        "dev.toy",
        "test.toy",
    }


def test_the_guides_format_runs(
    tiny_encoder: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module("format.md", "offsets", tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ships").mkdir()
    for split, path in find_splits(folders["conll"] / "ships").items():
        find_format(path, "offsets:Offsets").write(tmp_path / "ships" / f"{split}.offsets", read_documents(path))
    commands = blocks("format.md", "bash")[0].replace("embedded", str(tiny_encoder))
    run_commands(commands.replace(" -o ", " --set max_steps=2 --set min_steps=0 -o "))
    card = json.loads((tmp_path / "tagger" / "nerbert.json").read_text())
    assert set(card["data"]["sha256"]) == {"train.offsets", "dev.offsets"}
