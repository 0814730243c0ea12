"""The CRF against all paths, one by one."""

from itertools import pairwise, product

import pytest
import torch

from nerbert.model.cdlm.crf import Crf

TAGS, LENGTHS = 3, (4, 1, 3)


@pytest.fixture
def crf() -> Crf:
    torch.manual_seed(3)
    found = Crf(TAGS)
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


def test_the_loss_is_that_of_all_paths(crf: Crf, emissions: torch.Tensor) -> None:
    tags = torch.randint(TAGS, MASK.shape, generator=torch.Generator().manual_seed(5))
    losses = crf.loss(emissions, tags, MASK).detach()
    for number, length in enumerate(LENGTHS):
        scores = all_scores(crf, emissions[number], length)
        wanted = torch.logsumexp(torch.tensor(list(scores.values())), 0) - scores[tuple(tags[number, :length].tolist())]
        assert float(losses[number]) == pytest.approx(float(wanted), abs=1e-4)


def test_what_lies_beyond_a_sequence_has_no_gradient(crf: Crf, emissions: torch.Tensor) -> None:
    emissions.requires_grad_()
    crf.loss(emissions, torch.zeros(MASK.shape, dtype=torch.long), MASK).sum().backward()  # type: ignore[no-untyped-call]
    assert emissions.grad is not None
    assert (emissions.grad[~MASK] == 0).all()
    assert (emissions.grad[MASK] != 0).all()


def test_the_best_path_through_each_tag(crf: Crf, emissions: torch.Tensor) -> None:
    found = crf.best_through(emissions, MASK).detach()
    for number, length in enumerate(LENGTHS):
        scores = all_scores(crf, emissions[number], length)
        total = float(torch.logsumexp(torch.tensor(list(scores.values())), 0))
        for word, tag in product(range(length), range(TAGS)):
            best = max(score for path, score in scores.items() if path[word] == tag)
            assert float(found[number, word, tag]) == pytest.approx(best - total, abs=1e-4)
        viterbi = max(scores, key=lambda path: scores[path])
        assert tuple(found[number, :length].argmax(1).tolist()) == viterbi
