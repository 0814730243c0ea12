"""A head that only the tests know: fine-tuned, tagged with, evaluated, calibrated and benchmarked by the commands."""

import csv
import json
from pathlib import Path

import pytest

from nerbert.cli import main

OBJECTIVE, HEAD = "tests.extending.toys.starts:Starts", "tests.extending.toys.starts:StartsKind"
TEXT = "The brig Margarethe was built by Larsen & Holm in Bergen."


def run(*command: str) -> None:
    """Run a command of nerbert; raise AssertionError if it fails."""
    with pytest.raises(SystemExit) as stop:
        main(list(command))
    assert not stop.value.code


@pytest.fixture(scope="module")
def tagger(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("own-head") / "tagger"
    settings = {"objective": OBJECTIVE, "epochs": 4, "min_steps": 0, "learning_rate": 2e-3, "select": "dev",
                "precision": "fp32", "threads": 1}  # fmt: skip
    changes = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    run("finetune", "embedded", "--data", str(sample / "domain"), "-o", str(output), *changes)
    return output


def test_tags_and_scores(tagger: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads((tagger / "nerbert.json").read_text())["head"] == HEAD
    (tmp_path / "text.txt").write_text(TEXT)
    capsys.readouterr()
    run("tag", str(tagger), str(tmp_path / "text.txt"), "--head", HEAD, "--json")
    spans = json.loads(capsys.readouterr().out)["spans"]
    assert spans
    assert all(TEXT[each["start"] : each["end"]] == each["text"] for each in spans)
    assert all(0 < each["confidence"] < 1 for each in spans)
    run("evaluate", str(tagger), str(sample / "domain" / "dev.conll"), "--head", HEAD, "--json")
    scores = json.loads(capsys.readouterr().out)
    assert scores["f1"] > 0.1
    (judged,) = scores["taggers"].values()
    assert judged["calibration"]["entities"] == judged["micro"]["predicted"] > 0
    run("calibrate", str(tagger), str(sample / "domain" / "test.conll"), "--head", HEAD)


@pytest.mark.parametrize("command", [["tag"], ["export"]])
def test_a_folders_own_word_is_not_enough(tagger: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command, str(tagger)])
    assert stop.value.code == 1
    assert HEAD in capsys.readouterr().err


@pytest.mark.slow
def test_a_benchmark_with_two_workers(tmp_path: Path, sample: Path) -> None:
    ships = tmp_path / "data" / "ships"
    ships.mkdir(parents=True)
    for name in ("train", "test"):
        (ships / f"{name}.conll").write_bytes((sample / "domain" / "dev.conll").read_bytes())
    (tmp_path / "own.toml").write_text(f"""
seeds = [1, 2]
[systems.embedded]
encoder = "embedded"
[protocols.own]
objective = "{OBJECTIVE}"
epochs = 12
learning_rate = 2e-3
min_steps = 0
[[targets]]
data = "ships"
sizes = ["all"]
""")
    out = str(tmp_path / "out")
    run("benchmark", str(tmp_path / "own.toml"), "--data", str(tmp_path / "data"), "-o", out, "--workers", "2")
    with (tmp_path / "out" / "own.csv").open(newline="") as file:
        f1 = [float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "micro.f1"]
    assert len(f1) == 2
    assert min(f1) > 0
