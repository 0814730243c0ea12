"""`benchmarks/gpu.py` with tiny sizes on the CPU: all of it runs, and its losses are the stored ones."""

import json
import sys
from pathlib import Path

import pytest

from tests.commands import run_in

ROOT = Path(__file__).parents[1]


@pytest.mark.nightly
def test_all_sides_run_and_losses_are_those_that_are_stored(tmp_path: Path) -> None:
    run_in(ROOT, sys.executable, "benchmarks/gpu.py", "-o", str(tmp_path), path=Path(sys.executable).parent)
    found = json.loads((tmp_path / "gpu.json").read_text())
    sides = found["training"]["sides"]
    assert {"padded", "packed", "padded, overlap", "packed, overlap", "Trainer", "Trainer, sorted"} <= sides.keys()
    assert all(each["pieces_a_second"] > 0 for each in sides.values())
    assert sides["packed"]["pieces"] == sides["padded"]["pieces"]
    assert found["losses"]["fp32"] < 1e-5
    assert found["losses"]["fp32, packed, overlap"] < 1e-5
    assert found["losses"]["bf16"] < 0.01
    assert found["tagging"]["torch"] > 0
    page = (tmp_path / "gpu.md").read_text()
    assert all(f"| {name} |" in page for name in sides)
    assert "these figures say only that everything runs" in page
