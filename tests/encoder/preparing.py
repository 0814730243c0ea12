"""Pre-trainings that are about to start, the gradients of one step, two processes in turn, and files of rows."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import torch

from nerbert.encoder.pretrain import Preparation, prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.training.distributed import make_process_group
from nerbert.training.run import Run
from nerbert.training.step import train_step

Result = TypeVar("Result")


def prepared(settings: PretrainSettings) -> Preparation:
    """A pre-training that is about to start, without dropout."""
    work = prepare(settings, make_process_group(settings))
    for module in work.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return work


def gradients(work: Preparation, most: int, *, trains: bool = True) -> dict[str, Any]:
    """The figures and gradients of a step that is cut into micro-batches of at most so many tokens."""
    settings = PretrainSettings(
        corpus=(Path("_"),), precision="fp32", threads=1, max_tokens_per_batch=most, max_grad_norm=9e5
    )
    kept: dict[str, Any] = {}

    class Keep(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            named = work.model.named_parameters()
            kept.update({name: one.grad.clone() for name, one in named if one.grad is not None})

    numbers, processes = work.data.numbers_of(0)[:24], make_process_group(settings)
    run = Run(work.model.train(trains), work.data, work.objective, settings, processes)
    run.optimizer = Keep(work.model.parameters(), 0.0)
    figures = train_step(run, numbers, 0.0, 1)
    return kept | {"figures": figures}


def assert_cut_changes_nothing(work: Preparation, most: int = 100, *, trains: bool = True) -> dict[str, Any]:
    """The figures and gradients of a whole step, which are those of one that is cut."""
    whole, cut = (gradients(work, each, trains=trains) for each in (1 << 20, most))
    assert whole.keys() == cut.keys()
    for name in whole.keys() - {"figures"}:
        torch.testing.assert_close(cut[name], whole[name], rtol=1e-3, atol=1e-5)
    for name, figure in whole["figures"].items():
        assert abs(cut["figures"][name] - figure) <= 1e-4 * abs(figure), name
    return whole


def written(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """A file of rows of JSON."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def by_two_processes(run: Callable[[Any], Result]) -> Result:
    """What a function returns in the second of two processes, which run in turn: each is given the other's share.

    Each round knows one more of what the other process gathers.
    """
    shares: list[list[Any]] = [[], []]
    for _ in range(50):
        for rank in (0, 1):
            known, own = shares[1 - rank], list[Any]()

            def gather(items: list[Any], rank: int = rank, known: Any = known, own: Any = own) -> list[Any]:
                own.append(items)
                if len(own) > len(known):
                    raise LookupError
                pair = (items, known[len(own) - 1])
                return [*pair[rank], *pair[1 - rank]]

            group = SimpleNamespace(rank=rank, count=2, is_first=not rank, gather=gather, device=torch.device("cpu"))
            with suppress(LookupError):
                result = run(group)
                if rank:
                    return result
            shares[rank] = own
    raise AssertionError("the processes never end")
