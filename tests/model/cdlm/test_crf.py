"""The CRF against all paths, one by one."""

from itertools import pairwise, product

import pytest
import torch

from nerbert.model.cdlm.cdlm_model import Crf

NAMES, LENGTHS = ("O", "B-x", "I-x"), (4, 1, 3)
TAGS = len(NAMES)


@pytest.fixture
def crf() -> Crf:
    torch.manual_seed(3)
    found = Crf(NAMES)
    for each in found.parameters():
        each.data.normal_()
    return found


@pytest.fixture
def emissions() -> torch.Tensor:
    torch.manual_seed(4)
    return torch.randn(len(LENGTHS), max(LENGTHS), TAGS)


MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]


def plain_score(crf: Crf, emissions: torch.Tensor, path: tuple[int, ...]) -> float:
    total = crf.first[path[0]] + crf.last[path[-1]]
    total = total + sum(emissions[word, tag] for word, tag in enumerate(path))
    return float((total + sum(crf.transitions[a, b] for a, b in pairwise(path))).detach())


def all_scores(crf: Crf, emissions: torch.Tensor, length: int) -> dict[tuple[int, ...], float]:
    return {path: plain_score(crf, emissions, path) for path in product(range(TAGS), repeat=length)}


@pytest.mark.parametrize(
    "tags", [[[0, -100, 1, -100], [-100] * 4, [1, 2, -100, 0]], [[0, 2, 1, 1], [2, 0, 0, 0], [1, 2, 0, 1]]]
)
def test_the_loss_is_that_of_all_paths_and_unknown_tags_may_be_any(
    crf: Crf, emissions: torch.Tensor, tags: list[list[int]]
) -> None:
    losses = crf.loss(emissions, torch.tensor(tags), MASK).detach()
    for number, length in enumerate(LENGTHS):
        scores = all_scores(crf, emissions[number], length)
        wanted = tags[number][:length]
        fits = [each for path, each in scores.items()
                if all(a in (b, -100) for a, b in zip(wanted, path, strict=True))]  # fmt: skip
        expected = torch.logsumexp(torch.tensor(list(scores.values())), 0) - torch.logsumexp(torch.tensor(fits), 0)
        assert float(losses[number]) == pytest.approx(float(expected), abs=1e-4)


def test_what_lies_beyond_a_sequence_has_no_gradient(crf: Crf, emissions: torch.Tensor) -> None:
    emissions.requires_grad_()
    crf.loss(emissions, torch.zeros(MASK.shape, dtype=torch.long), MASK).sum().backward()  # type: ignore[no-untyped-call]
    assert emissions.grad is not None
    assert (emissions.grad[~MASK] == 0).all()
    assert (emissions.grad[MASK] != 0).all()


def is_legal(path: tuple[int, ...]) -> bool:
    return path[0] != 2 and all(after != 2 or before for before, after in pairwise(path))


def test_the_best_legal_path_through_each_tag(crf: Crf, emissions: torch.Tensor) -> None:
    found = crf.best_through(emissions, MASK).detach()
    for number, length in enumerate(LENGTHS):
        scores = {path: each for path, each in all_scores(crf, emissions[number], length).items() if is_legal(path)}
        for word, tag in product(range(length), range(TAGS)):
            through = [score for path, score in scores.items() if path[word] == tag]
            if through:
                assert float(found[number, word, tag]) == pytest.approx(max(through), abs=1e-4)
            else:
                assert found[number, word, tag] < -9000
        viterbi = max(scores, key=lambda path: scores[path])
        assert tuple(found[number, :length].argmax(1).tolist()) == viterbi
    one = crf.best_through(emissions[1:2, :1], MASK[1:2, :1]).detach()
    torch.testing.assert_close(one, found[1:2, :1])
