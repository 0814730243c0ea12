"""A million short lines: a result names the model that was measured."""

import hashlib
import json
import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_weights_of_all_shards_are_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for shard in shards:
        (tmp_path / shard).write_text(shard)
    index = {"weight_map": dict(zip("ab", shards, strict=True))}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "lines.conll").write_text("Ada\tB-person\nleft\tO\nKiel\tB-port\n")
    monkeypatch.syspath_prepend(BENCHMARKS)
    million = runpy.run_path(str(BENCHMARKS / "million.py"))
    part = SimpleNamespace(cpu_seconds=1.0, peak_bytes=1, counts={"entities": 2})
    parts = iter([part, SimpleNamespace(**{**vars(part), "cpu_seconds": 2.0})] * 3)
    monkeypatch.setitem(million["main"].__globals__, "_run", lambda *_: next(parts))
    monkeypatch.setattr(os, "environ", dict(os.environ))  # it sets variables for its processes
    monkeypatch.setattr(sys, "argv", ["million.py", str(tmp_path), str(tmp_path / "lines.conll"), "--lines", "30"])
    million["main"]()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["weights_sha256"] == [hashlib.sha256(shard.encode()).hexdigest() for shard in shards]
