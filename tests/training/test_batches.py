import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from nerbert.model.windows import Window, Windows, cheapest_cuts, micro_batches
from nerbert.training.batches import collate
from nerbert.training.batches import steps_of_epoch as array_steps


def steps_of_epoch(lengths: list[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    steps = array_steps(np.arange(len(lengths)), np.array(lengths, np.int64), batch_size, seed, epoch)
    return [step.tolist() for step in steps]


LENGTHS = st.lists(st.integers(1, 60), max_size=300)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_covers_each_window_once(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    steps = steps_of_epoch(lengths, size, seed, epoch)
    assert sorted(index for step in steps for index in step) == list(range(len(lengths)))
    assert all(1 <= len(step) <= size for step in steps)
    assert steps == steps_of_epoch(lengths, size, seed, epoch)


def test_order_depends_on_seed_and_epoch() -> None:
    lengths = list(range(200))
    orders = [str(steps_of_epoch(lengths, 4, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    one, other = ({frozenset(step) for step in steps_of_epoch([*range(1, 101)], 16, 1, epoch)} for epoch in range(2))
    assert not one & other, "small sets meet in other batches each epoch"


@given(LENGTHS, st.integers(1, 200))
def test_micro_batches_cover_a_step_and_stay_small(lengths: list[int], most: int) -> None:
    groups = list(micro_batches(lengths, most))
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    assert all(len(group) * max(lengths[place] for place in group) <= most or len(group) == 1 for group in groups)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(1, 200), st.integers(0, 80))
def test_a_step_is_cut_at_the_least_cost(lengths: list[int], most: int, start: int) -> None:
    groups = cheapest_cuts(lengths, most, start)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    assert all(len(group) * max(lengths[place] for place in group) <= most or len(group) == 1 for group in groups)

    def cost(parts: list[list[int]]) -> int:
        return sum(len(part) * max(part) + start for part in parts)

    def cuts(rest: list[int]) -> list[list[list[int]]]:
        sizes = [size for size in range(1, len(rest) + 1) if size == 1 or size * rest[size - 1] <= most]
        return [[rest[:size], *others] for size in sizes for others in cuts(rest[size:])] if rest else [[]]

    assert cost([[lengths[place] for place in group] for group in groups]) == min(map(cost, cuts(sorted(lengths))))


def test_long_epochs_are_sorted_by_length_in_pools() -> None:
    lengths = [number % 97 for number in range(16 * 400)]
    spread = [max(own) - min(own) for step in steps_of_epoch(lengths, 16, 1, 0) if (own := [lengths[i] for i in step])]
    assert sum(spread) / len(spread) < 4


def test_collate_pads_and_points_at_first_pieces() -> None:
    rows = [
        Window(0, (2, 7, 3), (0,), (1,), (5,)),
        Window(3, (1, 1), (0,), (1,), (4,)),
        Window(1, (2, 8, 9, 9, 3), (0, 2), (1, 3), (6, 0)),
    ]
    batch = collate(Windows.pack(rows), np.array([0, 2]), 99)
    assert batch.ids.tolist() == [[2, 7, 3, 99, 99], [2, 8, 9, 9, 3]]
    assert batch.mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert torch.stack([batch.rows, batch.columns, batch.labels]).tolist() == [[0, 1, 1], [1, 1, 3], [5, 6, 0]]
    assert batch.numbers.tolist() == [0, 2]
