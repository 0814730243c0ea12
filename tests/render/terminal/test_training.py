from pathlib import Path

import pytest

from nerbert.render.terminal.models import print_log
from nerbert.training.log import TrainLog


def test_names_are_neither_markup_nor_control(capsys: pytest.CaptureFixture[str]) -> None:
    log = TrainLog([{"step": 1, "epoch": 1.0, "loss": 0.5, "[/x]": 0.25}])
    print_log(log, Path("[/out]\x1b[31m"))
    shown = capsys.readouterr().out
    assert "[/x]" in shown
    assert r"encoder: [/out]\x1b[31m" in shown
    assert "25.00" in shown
