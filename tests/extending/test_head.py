"""A head and an objective that only the tests know: trained, also in two processes, tagged with, and benchmarked."""

import json
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.tagger.export import export
from tests.commands import exit_code, run_in
from tests.raised import raises

OBJECTIVE, HEAD = "tests.extending.toys.starts:Starts", "tests.extending.toys.starts:StartsKind"
TEXT = "The brig Margarethe was built by Larsen & Holm in Bergen."


def run(*command: object) -> None:
    """Run a command of nerbert; raise AssertionError if it fails."""
    assert exit_code(*command) == 0


@pytest.fixture(scope="module")
def tagger(tiny_encoder: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("own-head") / "tagger"
    settings = ("epochs=12", "batch_size=8", "select=dev", "min_steps=0", "learning_rate=3e-3", "precision=fp32",
                "threads=1", f"objective={OBJECTIVE}")  # fmt: skip
    run("finetune", tiny_encoder, "--data", sample / "domain", "-o", output, *(f"--set={each}" for each in settings))
    return output


def test_tags_and_scores(tagger: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads((tagger / "nerbert.json").read_text())["head"] == HEAD
    (tmp_path / "text.txt").write_text(TEXT)
    capsys.readouterr()
    run("tag", tagger, tmp_path / "text.txt", "--head", HEAD, "--json")
    spans = json.loads(capsys.readouterr().out)["spans"]
    assert spans
    assert all(TEXT[each["start"] : each["end"]] == each["text"] for each in spans)
    assert all(0 < each["confidence"] < 1 for each in spans)
    run("evaluate", tagger, sample / "domain" / "dev.conll", "--head", HEAD, "--json")
    scores = json.loads(capsys.readouterr().out)
    assert scores["f1"] > 0.1
    (judged,) = scores["taggers"].values()
    assert judged["calibration"]["entities"] == judged["micro"]["predicted"] > 0
    run("calibrate", tagger, sample / "domain" / "test.conll", "--head", HEAD)


@pytest.mark.parametrize("command", ["tag", "export"])
def test_a_folders_own_word_is_not_enough(tagger: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(command, tagger) == 1
    assert HEAD in capsys.readouterr().err


def test_one_without_an_export_says_so(tagger: Path) -> None:
    with raises(InputError, "its head can't be exported: StartsKind has no `export`"):
        export(tagger, head=HEAD)


ROOT = Path(__file__).parents[2]


def test_it_pre_trains_by_the_command_in_two_processes(sample_corpus: Path, tmp_path: Path, warm: Path) -> None:
    settings = {
        "corpus": str(sample_corpus), "backbone": "embedded-mlm", "objective": OBJECTIVE, "max_steps": 6,
        "epochs": 0.01, "batch_size": 8, "max_eval_samples": 30, "precision": "fp32", "threads": 1, "save_steps": 2,
        "max_tokens_per_batch": 200,
    }  # fmt: skip
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (tmp_path / "settings.toml").write_text("".join(lines))
    torchrun = ["-m", "torch.distributed.run", "--no-python", "--standalone", "--nproc-per-node=2"]
    command = ["nerbert", "pretrain", str(tmp_path / "settings.toml"), "-o", str(tmp_path / "e")]
    run_in(ROOT, "python", *torchrun, *command, path=warm)
    card = json.loads((tmp_path / "e" / "nerbert.json").read_text())
    assert (card["objective"], card["best_step"] > 0) == (OBJECTIVE, True)
    assert card["validation"].keys() == {"missed"}
    assert card["scored_by"] == "missed", "a fact of the score that chose the checkpoint"
    log = [json.loads(line) for line in (tmp_path / "e" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in log if line["kind"] == "train"]
    assert steps[-1]["loss"] < steps[0]["loss"]
    for line in steps:
        assert line["loss"] == pytest.approx(line["type"] + line["length"], rel=1e-6)
    assert card["validation"]["missed"] == min(line["missed"] for line in log if line["kind"] == "validation")
    readme = (tmp_path / "e" / "README.md").read_text()
    assert "pre-trained to find where entities begin" in readme
    assert "one less the F1 of spans" in readme
