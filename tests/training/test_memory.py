"""Memory: the peak is that of the process, and real failures are one line."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.errors import NerbertError
from nerbert.training.base_settings import TrainSettings
from nerbert.training.memory import as_bytes, explained, out_of_memory, peak_memory


def test_the_peak_is_that_of_the_process() -> None:
    before = peak_memory(torch.device("cpu"))
    kept = torch.ones(before // 4)  # as many bytes again
    assert before < kept.nbytes + 4
    assert before + 50_000_000 < peak_memory(torch.device("cpu")) < 3 * before


def test_sizes_are_readable() -> None:
    assert [as_bytes(count) for count in (1_234, 12_345_678, 999_000_000, 41_234_000_000)] == [
        "0.0 MB", "12 MB", "999 MB", "41.2 GB",
    ]  # fmt: skip


def allocate_tensor() -> Any:
    return torch.empty(1 << 50)


def allocate_array() -> Any:
    return np.empty(1 << 50)


def allocate_on_gpu() -> Any:
    raise torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15 GiB"
    )


def no_workspace() -> Any:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def no_map() -> Any:
    raise OSError(12, "Cannot allocate memory")


@pytest.mark.parametrize(
    ("fail", "tried"),
    [
        (allocate_tensor, " (4,503,599.6 GB at once)"), (allocate_array, ""), (allocate_on_gpu, " (20.00 GiB at once)"),
        (no_workspace, ""), (no_map, ""),
    ],
)  # fmt: skip
def test_memory_that_runs_out_is_one_line(fail: Callable[[], Any], tried: str) -> None:
    with (
        pytest.raises(NerbertError) as caught,
        out_of_memory(TrainSettings(batch_size=960, max_tokens_per_batch=65536)),
    ):
        fail()
    assert str(caught.value).startswith(f"memory ran out{tried} with max_tokens_per_batch = 65536: ")
    assert "try max_tokens_per_batch=32768;" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "todo"),
    [
        ({"max_tokens_per_batch": 3000}, "max_tokens_per_batch=1024"),
        ({"max_tokens_per_batch": 10**6, "batch_size": 32}, "max_tokens_per_batch=4096"),
        ({"max_tokens_per_batch": 300}, "max_length=128, or a smaller model"),
        ({"batch_size": 1, "max_length": 8}, "max_length=8, or a smaller model"),
    ],
)
def test_what_to_set(change: dict[str, Any], todo: str) -> None:
    found = explained(MemoryError(), TrainSettings(**change))
    assert found is not None
    assert todo in str(found)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shape '[2]' is invalid for input of size 3"), OSError(28, "No space left on device"),
     NerbertError("the loss became nan"), KeyError("x"), KeyboardInterrupt()],
)  # fmt: skip
def test_other_errors_pass_as_they_are(error: BaseException) -> None:
    assert explained(error, TrainSettings()) is None
    with pytest.raises(type(error)) as caught, out_of_memory(TrainSettings()):
        raise error
    assert caught.value is error


_CHILD = """
import resource, torch
from nerbert.training.memory import out_of_memory
from nerbert.training.base_settings import TrainSettings
torch.set_num_threads(1)
weights = torch.randn(1024, 1024, requires_grad=True)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (200 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    with out_of_memory(TrainSettings()):
        kept = [weights @ weights for _ in range(200)]
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux")
def test_an_allocator_that_really_fails() -> None:
    ended = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("NerbertError memory ran out (4.2 MB at once) with max_tokens_per_batch = 8192: try")
