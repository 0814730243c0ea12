"""A head that only the tests know: fine-tuned, tagged with, evaluated, calibrated and benchmarked by the commands."""

import csv
import json
from pathlib import Path

import pytest

from nerbert.cli import main
from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import check_head
from nerbert.tagger.export import export
from nerbert.tagger.self_check import check
from nerbert.training.objective import find_objective

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


@pytest.mark.nightly
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


CRF = "tests.extending.toys.crf:Crf"


@pytest.fixture(scope="module")
def crf(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("crf") / "tagger"
    settings = {"objective": CRF, "epochs": 3, "min_steps": 0, "learning_rate": 2e-3, "precision": "fp32", "threads": 1}
    changes = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    run("finetune", "embedded", "--data", str(sample / "domain"), "-o", str(output), *changes)
    return output


def test_one_with_an_export_checks_itself(crf: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind = f"{CRF}Kind"
    assert any(each["projection"] for each in json.loads((crf / "check.json").read_text())["answers"])
    run("export", str(crf), "--head", kind, "--int8", "--data", str(sample / "domain"))
    card = json.loads((crf / "onnx" / "nerbert-onnx.json").read_text())
    assert card["agreement"]["onnx fp32"]["share"] == 1
    assert card["agreement"]["onnx fp32"]["f1"] > 0.3
    capsys.readouterr()
    for backend, precision in (("torch", "fp32"), ("onnx", "fp32"), ("onnx", "int8")):
        run("check", str(crf), "--head", kind, "--backend", backend, "--precision", precision)
        assert "20 texts are answered as expected" in capsys.readouterr().out
    card["own"]["follows"] = [[each + 1 for each in row] for row in card["own"]["follows"]]
    (crf / "onnx" / "nerbert-onnx.json").write_text(json.dumps(card))
    (checked,) = check(crf, head=kind, backend="onnx", precision="fp32")
    assert checked.differences, "the self-check sees what the head alone has"


def test_what_a_head_can_not_start_from_is_refused() -> None:
    settings = FinetuneSettings(objective=CRF, source_head="shared")
    with pytest.raises(SettingsError, match=f"setting source_head = 'shared': not for the head of objective '{CRF}'"):
        check_head(find_objective(CRF), settings)


def test_one_without_an_export_says_so(tagger: Path) -> None:
    with pytest.raises(InputError, match="its head can't be exported: StartsKind has no `export`"):
        export(tagger, head=HEAD)
