"""What the runner's processes are given: GPUs, and modules that are loaded once for all."""

import importlib
from pathlib import Path

import pytest

from nerbert.evaluation.benchmark.crew import _PRELOAD, Processes, _gpus, _model_modules
from nerbert.evaluation.benchmark.plan import Machine


def crew(workers: int, device: str = "cpu") -> Processes:
    return Processes(Path("out"), Path("data"), Machine(device, "fp32"), workers)


def test_as_many_workers_as_cores_or_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 5})
    assert crew(0).workers == 3
    assert crew(2).workers == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-ab")
    assert _gpus() == ["4", "GPU-ab"]
    assert crew(0, "cuda").workers == 2
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert _gpus() == ["0", "1"]


def test_what_is_loaded_for_all_is_there(tiny_encoder: Path) -> None:
    modules = _model_modules(tiny_encoder)
    assert modules[0] == "transformers.models.bert.modeling_bert"
    for name in (*_PRELOAD, modules[0]):
        importlib.import_module(name)


@pytest.mark.parametrize("content", ["", "[]", "{}", *(f'{{"model_type": {kind}}}' for kind in ("1", '"../x"', '""'))])
def test_a_strange_model_loads_nothing(tmp_path: Path, content: str) -> None:
    assert _model_modules(tmp_path) == []
    (tmp_path / "config.json").write_text(content)
    assert _model_modules(tmp_path) == []


def test_a_hyphen_is_no_part_of_a_modules_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "deberta-v2"}')
    assert _model_modules(tmp_path)[0] == "transformers.models.deberta_v2.modeling_deberta_v2"
