"""Memory: what is extrapolated is what autograd keeps, what is said to fit fits, and real failures are one line."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.errors import NerbertError, SettingsError
from nerbert.model.windows import Window, Windows
from nerbert.training.base_settings import TrainSettings
from nerbert.training.memory import (
    Activations,
    Memory,
    as_bytes,
    check_fits,
    explained,
    measure_activations,
    memory_of,
    out_of_memory,
    sized_batch,
)

CPU = torch.device("cpu")
SMALL = Memory(
    weights=400, gradients=400, moments=800, activations=Activations(100, 2.0, 0.05), longest=64, most_rows=1024,
    max_tokens_per_batch=65536, on_cpu=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Windows of 20 pieces, every other one a word."""
    rows = (
        Window(number, tuple(range(5, 25)), tuple(range(10)), tuple(range(0, 20, 2)), (number % 31,) * 10)
        for number in range(40)
    )
    return Windows.pack(rows)


def make_model(dropout: float = 0.1, attention: str = "sdpa") -> Any:
    from transformers import BertConfig, BertForTokenClassification

    torch.set_num_threads(1)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=60, hidden_size=64, num_hidden_layers=3, num_attention_heads=2, intermediate_size=256, num_labels=31,
        max_position_embeddings=512, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    return BertForTokenClassification._from_config(config, attn_implementation=attention).train()


def loss_of(model: Any, windows: Windows, precision: str, rows: int, length: int) -> torch.Tensor:
    """Logits at the chosen places alone."""
    batch = sized_batch(windows, rows, length)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
        return torch.nn.functional.cross_entropy(logits.float(), batch.labels, reduction="sum")


def saved_by(node: Any) -> Iterator[torch.Tensor]:
    """What the nodes of an autograd graph hold, read off each node: the reference."""
    todo, seen = [node], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        values = (getattr(node, name) for name in dir(node) if name.startswith("_saved_"))
        yield from (value for value in values if isinstance(value, torch.Tensor))
        todo += [each for each, _ in node.next_functions]


def kept_by(model: Any, loss: torch.Tensor) -> int:
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    storages = [tensor.untyped_storage() for tensor in saved_by(loss.grad_fn)]
    return sum({each.data_ptr(): each.nbytes() for each in storages if each.data_ptr() not in own}.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("dropout", "attention"), [(0.1, "sdpa"), (0.0, "sdpa"), (0.1, "eager")])
def test_extrapolated_as_measured(windows: Windows, precision: str, dropout: float, attention: str) -> None:
    model = make_model(dropout, attention)
    loss = partial(loss_of, model, windows, precision)
    found = measure_activations(model, loss, 256)
    for rows, length in ((16, 128), (8, 256), (80, 40), (3, 31)):
        kept = kept_by(model, loss(rows, length))
        assert found.bytes(rows, length) == pytest.approx(kept, rel=0.02), (rows, length)


def test_longest_windows_of_a_few_pieces(windows: Windows) -> None:
    model = make_model()
    loss = partial(loss_of, model, windows, "fp32")
    assert measure_activations(model, loss, 3).bytes(50, 3) == pytest.approx(kept_by(model, loss(50, 3)), rel=0.05)


def test_parameters_dont_count_and_frozen_ones_need_less(windows: Windows) -> None:
    model, settings = make_model(), TrainSettings(batch_size=100, max_tokens_per_batch=2048)
    count = sum(each.numel() for each in model.parameters())
    loss = partial(loss_of, model, windows, "fp32")
    whole = memory_of(model, measure_activations(model, loss, 64), 64, settings, CPU)
    assert (whole.weights, whole.gradients, whole.moments) == (4 * count, 4 * count, 8 * count)
    assert whole.activations.fixed < 0.01 * whole.weights
    for module in (model.bert.embeddings, *model.bert.encoder.layer[:2]):
        module.requires_grad_(False)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    part = memory_of(model, measure_activations(model, loss, 64), 64, settings, CPU)
    assert (part.weights, part.gradients, part.moments) == (4 * count, 4 * trained, 8 * trained)
    assert part.micro_batch < whole.micro_batch / 2


def test_a_sized_batch_has_its_shape_and_the_windows_share_of_terms(windows: Windows) -> None:
    batch = sized_batch(windows, 100, 33)
    assert batch.ids.shape == batch.mask.shape == (100, 33)
    assert len(batch.rows) == len(batch.columns) == len(batch.labels) == 1650
    places = set(zip(batch.rows.tolist(), batch.columns.tolist(), strict=True))
    assert len(places) == 1650
    assert max(places) <= (99, 32)
    assert batch.mask.sum() == 3200
    assert set(batch.ids.flatten().tolist()) == set(range(5, 25))


def test_a_micro_batch_is_no_larger_than_a_step() -> None:
    few = replace(SMALL, most_rows=4)
    assert few.at(65536) == few.at(256) == few.with_batch(4, 64)
    assert few.at(1) == few.at(64) == few.with_batch(1, 64) < few.at(96)
    assert few.micro_batch == few.activations.bytes(4, 64)
    assert few.held == round(few.micro_batch / 20)
    assert replace(few, on_cpu=True).held == round(500e6 + few.gradients + 0.15 * few.micro_batch)


def test_the_largest_that_is_known_to_come_counts() -> None:
    known = replace(SMALL, largest=(3, 50))
    assert known.micro_batch == SMALL.activations.bytes(3, 50)
    assert known.total == SMALL.with_batch(3, 50) < known.most == SMALL.total
    check_fits(known, known.total)
    with pytest.raises(SettingsError, match=r"max_tokens_per_batch = 65536 .*: [0-9]+ fits"):
        check_fits(known, known.total - 1)
    settings = TrainSettings(batch_size=33, max_tokens_per_batch=10**6)
    model = torch.nn.Linear(2, 2)
    assert memory_of(model, SMALL.activations, 64, settings, CPU, processes=2).most_rows == 17


@pytest.mark.parametrize("free", [3000, 10_000, 50_000, 200_000])
@pytest.mark.parametrize("on_cpu", [True, False])
def test_what_is_said_to_fit_fits(free: int, on_cpu: bool) -> None:
    memory = replace(SMALL, on_cpu=on_cpu, gradients=100)
    free += memory.with_batch(0, 0) if on_cpu else 0
    with pytest.raises(
        SettingsError, match=r"max_tokens_per_batch = 65536 needs about .* are free: [0-9]+ fits"
    ) as told:
        check_fits(memory, free)
    fitting = int(str(told.value).split()[-2])
    assert memory.at(fitting) <= free
    check_fits(replace(memory, max_tokens_per_batch=fitting), free)
    if fitting >= 128:
        assert memory.at(2 * fitting) > free


def test_a_step_smaller_than_its_micro_batches_is_halved_too() -> None:
    memory = replace(SMALL, most_rows=8, on_cpu=False)
    with pytest.raises(SettingsError, match=r"max_tokens_per_batch = 65536 .*: 256 fits"):
        check_fits(memory, memory.at(511))


def test_where_no_micro_batch_fits() -> None:
    with pytest.raises(SettingsError, match=r"a single window of 64 pieces needs .*: max_length = 24 fits"):
        check_fits(SMALL, SMALL.with_batch(1, 31))
    with pytest.raises(SettingsError, match=r"a single window .*: take a smaller model"):
        check_fits(SMALL, SMALL.with_batch(1, 7))
    with pytest.raises(SettingsError, match=r"the model needs .* gradients and moments.*: take a smaller one"):
        check_fits(SMALL, 1600)


def test_what_fits_or_is_not_known_is_not_refused() -> None:
    check_fits(SMALL, SMALL.total)
    check_fits(SMALL, None)


def test_figures_are_readable() -> None:
    memory = replace(SMALL, weights=10**9, activations=Activations(0, 6e5, 0))
    with pytest.raises(
        SettingsError, match=r"max_tokens_per_batch = 65536 needs about 42.3 GB, 22.9 GB are free: 32768"
    ):
        check_fits(memory, 22_900_000_000)
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
    with pytest.raises(NerbertError) as told, out_of_memory(TrainSettings(batch_size=960, max_tokens_per_batch=65536)):
        fail()
    assert str(told.value).startswith(f"memory ran out{tried} with max_tokens_per_batch = 65536: ")
    assert "try max_tokens_per_batch=32768;" in str(told.value)


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
    told = explained(MemoryError(), TrainSettings(**change))
    assert told is not None
    assert todo in str(told)


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
