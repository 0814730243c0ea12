"""An objective that only the tests know pre-trains an encoder by the command, in two processes."""

import json
from pathlib import Path

import pytest

from tests.commands import run_in

ROOT = Path(__file__).parents[2]
TOY = "tests.extending.toys.starts:Starts"


def test_it_pre_trains_by_the_command_in_two_processes(sample_corpus: Path, tmp_path: Path, warm: Path) -> None:
    settings = {
        "corpus": str(sample_corpus), "backbone": "embedded-mlm", "objective": TOY, "max_steps": 6, "epochs": 0.01,
        "batch_size": 8, "max_eval_samples": 30, "precision": "fp32", "threads": 1, "save_steps": 2,
        "max_tokens_per_batch": 200,
    }  # fmt: skip
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (tmp_path / "settings.toml").write_text("".join(lines))
    torchrun = ["-m", "torch.distributed.run", "--no-python", "--standalone", "--nproc-per-node=2"]
    command = ["nerbert", "pretrain", str(tmp_path / "settings.toml"), "-o", str(tmp_path / "e")]
    run_in(ROOT, "python", *torchrun, *command, path=warm)
    card = json.loads((tmp_path / "e" / "nerbert.json").read_text())
    assert (card["objective"], card["best_step"] > 0) == (TOY, True)
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
