"""GLiNER2's models as graphs: the scores and entities are torch's, and none where the prompt's mark predicts none."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nerbert.errors import InputError
from nerbert.model.gliner2.config import COUNTING
from nerbert.model.gliner2.prompt import MARKS
from nerbert.records import EntityLabel
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger
from tests.model.gliner.test_export import CHILD, LABELS, TEXT, compared, row

from .conftest import Make


@pytest.mark.parametrize("counting", COUNTING)
@pytest.mark.parametrize("instances", [0, 2])
def test_scores_are_torchs(make: Make, capfd: pytest.CaptureFixture[str], counting: str, instances: int) -> None:
    folder = make(counting=counting, instances=instances)
    export(folder, int8=True)
    assert capfd.readouterr() == ("", "")
    for labels in (LABELS, LABELS[:1], [EntityLabel(f"type {number}") for number in range(30)]):
        spread = compared(folder, labels)
        assert (np.std(spread) > 0.1) if instances else not spread


def test_without_torch(make: Make, tmp_path: Path) -> None:
    folder = make()
    light = export(folder, output=tmp_path / "light").folder
    own = Tagger.load(folder, device="cpu", backend="torch")
    wanted = [list(row(each)) for each in own.tag(TEXT, ["ship", "city"])]
    assert wanted
    run = [sys.executable, "-W", "error", "-c", CHILD, str(light), TEXT]
    name, found = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert (name, found) == ("onnx fp32 cpu", wanted)


def test_marks_of_another_model_are_refused(make: Make) -> None:
    folder = make()
    export(folder)
    path = folder / "onnx" / "nerbert-onnx.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"own": {"marks": {"<<ENT>>": [1], "<<SEP>>": [2]}}}))
    with pytest.raises(InputError, match=r"belongs to another model than config\.json"):
        Tagger.load(folder, backend="onnx")
    path.write_text(json.dumps(card | {"own": {"marks": dict.fromkeys(MARKS, ())}}))
    with pytest.raises(InputError, match=r"own: marks\..* must have at least 1 item|own: marks\."):
        Tagger.load(folder, backend="onnx")
