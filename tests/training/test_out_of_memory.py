"""Where memory runs out, a step is cut into smaller micro-batches, and its loss and gradient stay."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from nerbert.errors import NerbertError
from nerbert.model.forward import Batch
from nerbert.training.checkpoint import BestCheckpoint
from nerbert.training.objective import Objective
from nerbert.training.settings import TrainSettings
from tests.raised import raises
from tests.training.conftest import Trained

Train = Callable[..., Trained]
FP32 = TrainSettings(precision="fp32", threads=1, batch_size=8, epochs=3)
FAILURES = {
    "a CPU": "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes",
    "a GPU": "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15 GiB",
}


class Limited(Objective):
    """Any objective, on a machine whose memory takes batches of up to `most` tokens.

    The pass over a batch that is too large fails after its backward pass, so that half a gradient is there.
    """

    def __init__(self, real: Objective, most: int, error: Exception) -> None:
        self._real, self._most, self._error = real, most, error
        self.sizes: list[int] = []

    def terms(self, batch: Batch) -> Any:
        return self._real.terms(batch)

    def loss(self, model: Any, batch: Batch) -> Any:
        losses = self._real.loss(model, batch)
        self.sizes.append(batch.ids.numel())
        if batch.ids.numel() > self._most:
            losses["loss"].backward()  # type: ignore[no-untyped-call]
            raise self._error
        return losses


@pytest.mark.parametrize(("kind", "most"), [("a CPU", 60), ("a GPU", 12)])
def test_a_step_begins_again_with_smaller_micro_batches(
    trained: Train, objective: Objective, most: int, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = torch.OutOfMemoryError(FAILURES[kind]) if kind == "a GPU" else RuntimeError(FAILURES[kind])
    limited, fitting = (Limited(objective, most, error) for _ in range(2))  # type: ignore[abstract]
    whole, cut = trained(FP32), trained(FP32, objective=limited)
    assert max(limited.sizes) > most
    losses, wanted = ([entry["loss"] for entry in each.log.entries] for each in (cut, whole))
    assert losses == pytest.approx(wanted, rel=1e-5)
    for one, other in zip(whole.weights, cut.weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    told = capsys.readouterr().err
    assert told.count("memory ran out with max_tokens_per_batch = 8192: step cut to ") == 1
    (size,) = {int(each) for each in re.findall(r"max_tokens_per_batch=(\d+) saves", told)}
    trained(replace(FP32, max_tokens_per_batch=size), objective=fitting)
    assert max(fitting.sizes) <= most


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
    ],
    ids=["a GPU's driver", "cuBLAS", "C++", "Python"],
)
def test_whatever_says_that_memory_ran_out_makes_micro_batches_smaller(
    trained: Train, objective: Objective, error: Exception
) -> None:
    limited = Limited(objective, 25, error)  # type: ignore[abstract]
    assert trained(replace(FP32, max_steps=2), objective=limited).log.steps == 2
    assert min(limited.sizes) <= 25 < max(limited.sizes)


def test_what_does_not_fit_alone_is_one_line(trained: Train, objective: Objective) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError(f"{FAILURES['a GPU']}\nmore lines")

    class TooLarge(torch.nn.Module):
        to = fail

    with raises(NerbertError, "memory ran out ") as error:
        trained(FP32, TooLarge())
    assert "20.00 GiB" in str(error.value)
    with raises(NerbertError, "step 1: memory ran out with single windows of up to 11 tokens: try "):
        trained(FP32, objective=Limited(objective, 9, RuntimeError(FAILURES["a CPU"])))  # type: ignore[abstract]
    with raises(NerbertError, "memory ran out outside "):
        trained(FP32, evaluate=BestCheckpoint(fail, lambda *_: None))


def test_other_errors_pass_as_they_are(trained: Train, objective: Objective) -> None:
    error = RuntimeError("shape '[2]' is invalid for input of size 3")
    with pytest.raises(RuntimeError) as caught:
        trained(FP32, objective=Limited(objective, 9, error))  # type: ignore[abstract]
    assert caught.value is error
