"""A pre-training in stages that is killed anywhere, inside labelling anew too, leads to the same encoders."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.shards import read_sentences
from tests.commands import exit_code, python

pytestmark = pytest.mark.usefixtures("warm_python")

CHILD = """
import os, signal, sys

place, when, count = sys.argv[1], int(sys.argv[2]), 0

def counted(real):
    def call(*given, **named):
        global count
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return call

if place == "stage":
    from nerbert.encoder import stages
    stages.pretrain = counted(stages.pretrain)
elif place == "labelling":
    from nerbert.encoder.objectives.self_training import SelfTraining
    SelfTraining._labels = counted(SelfTraining._labels)
elif place == "report":
    from nerbert.training.log import StepLog
    StepLog.report = counted(StepLog.report)
from nerbert.cli import main
main(["pretrain", *sys.argv[3:]])
"""
SETTINGS = """
corpus = "{corpus}"
batch_size = 32
learning_rate = 3e-3
precision = "fp32"
threads = 1
max_length = 64
max_eval_samples = 100
fresh_num_layers = 1
fresh_hidden_size = 64
fresh_vocab_size = 600
max_tokens_per_batch = 4096
cache = "{cache}"

[[stages]]
name = "ESI"
label_set = "1type"
epochs = 1
max_steps = 20

[[stages]]
name = "NEE"
objective = "self_training"
gazetteers.files = ["{names}"]
gazetteers.max_words = 12
epochs = 3
"""


def kill(folder: Path, place: str, when: int) -> None:
    """Pre-train in a process of its own, which is killed at a call."""
    command = [python(), "-c", CHILD, place, str(when), str(folder.parent / "s.toml"), "-o", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def run(folder: Path, *more: str) -> int:
    return exit_code("pretrain", folder.parent / "s.toml", "-o", folder, *more)


def made(folder: Path) -> dict[str, Any]:
    """All of the encoders that doesn't hang on the clock."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{key: value for key, value in each.items() if key != "seconds"} for each in lines]
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoders of a run that nothing stops; every second anchor stands in a list."""
    folder = tmp_path_factory.mktemp("desk")
    anchors = dict.fromkeys(
        (each.text[mention.start : mention.end], mention.class_path[0] if mention.class_path else "Thing")
        for each in read_sentences(sample_corpus) for mention in each.mentions
    )  # fmt: skip
    names = folder / "names.tsv"
    names.write_text("".join(f"{anchor}\t{root}\n" for anchor, root in list(anchors)[::2]), encoding="utf-8")
    text = SETTINGS.format(corpus=sample_corpus, names=names, cache=folder / "cache")
    (folder / "s.toml").write_text(text)
    assert run(folder / "whole") == 0
    return folder / "whole"


def test_the_stages_are_encoders(whole: Path) -> None:
    cards = {name: json.loads((whole / name / "nerbert.json").read_text()) for name in ("ESI", "NEE")}
    assert {path.name for path in whole.iterdir()} == {"ESI", "NEE"}
    assert cards["ESI"]["settings"]["backbone"] == "fresh"
    assert cards["NEE"]["settings"]["backbone"] == "ESI"
    assert cards["NEE"]["label_set"]["match"] == "anchors"
    assert cards["NEE"]["label_set"]["entries"] > 1000
    reports = [json.loads((whole / "NEE" / f"relabelled-epoch-{number}.json").read_text()) for number in (2, 3)]
    assert [each["epoch"] for each in reports] == [2, 3]
    lines = [json.loads(line) for line in (whole / "NEE" / "log.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2]
    for line, report in zip(epochs, reports, strict=True):
        assert line["kept"] == sum(each["kept"] for each in report["counts"].values())
    assert sum(line["added"] + line["changed"] + line["removed"] for line in epochs) > 0


@pytest.mark.parametrize(
    ("place", "when"),
    [
        ("labelling", 3), pytest.param("stage", 2, marks=pytest.mark.nightly),
        pytest.param("report", 2, marks=pytest.mark.nightly),
    ],
)  # fmt: skip
def test_killed_between_stages_and_inside_labelling(
    whole: Path, place: str, when: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = whole.with_name(f"killed-{place}")
    kill(folder, place, when)
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["ESI"]
    assert run(folder) == 0
    assert "stage ESI: done before" in capsys.readouterr().err
    assert made(folder) == made(whole)
    assert not list(folder.glob(".*"))


def test_work_of_a_stage_that_is_done_is_removed(whole: Path) -> None:
    """It was killed after the last stage had got its name."""
    before, work = made(whole), whole / ".NEE.work"
    work.mkdir()
    (work / "lock").touch()
    assert run(whole) == 0
    assert (made(whole), work.exists()) == (before, False)


def test_done_stages_of_other_settings_are_refused(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = made(whole)
    assert run(whole, "--set", "NEE.epochs=4") == 1
    said = "NEE: made already, but from something else (settings.epochs: 3.0 then, 4.0 now)"
    assert said in capsys.readouterr().err
    assert made(whole) == before
