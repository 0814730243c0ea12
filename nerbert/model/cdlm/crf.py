"""A linear-chain CRF (Lafferty et al. 2001) in torch's own operations, for padded sequences.

Emissions are (sequences, words, tags) in fp32, masks (sequences, words), true for words, which come first.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch

from nerbert.model.linear import TagClasses

Joined = Callable[[torch.Tensor, int], torch.Tensor]
"""How the scores of several paths become one: their sum, or the best."""
_NEVER = -1e4


class Crf(torch.nn.Module):
    """Scores of neighbouring BIO tags: `transitions[before, after]`, and those of the first and the last tag."""

    def __init__(self, tags: Sequence[str]) -> None:
        super().__init__()
        self._tags = tuple(tags)
        self.transitions = torch.nn.Parameter(torch.zeros(len(tags), len(tags)))
        self.first = torch.nn.Parameter(torch.zeros(len(tags)))
        self.last = torch.nn.Parameter(torch.zeros(len(tags)))

    def loss(self, emissions: torch.Tensor, tags: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (sequences,): −log P of all paths that have the tags; where a tag is negative, any may stand."""
        numbers = torch.arange(emissions.shape[2], device=tags.device)
        allowed = (tags.unsqueeze(2) == numbers) | (tags.unsqueeze(2) < 0)
        known = emissions.masked_fill(~allowed, _NEVER)
        return self._total(emissions, mask) - self._total(known, mask)

    def best_through(self, emissions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (sequences, words, tags): the score of the best legal path through each tag of each word.

        The likeliest tags of a row's words are Viterbi's path, and the softmax over tags says how far it is ahead.
        """
        transitions, first = self._legal(emissions.device)
        forward = self._forward(emissions, mask, _highest, transitions, first)
        later = self.last.expand(emissions[:, 0].shape)
        backward = [later]
        for word in range(emissions.shape[1] - 2, -1, -1):
            onward = _highest((later + emissions[:, word + 1]).unsqueeze(1) + transitions, 2)
            later = torch.where(mask[:, word + 1, None], onward, self.last)
            backward.append(later)
        return forward + torch.stack(backward[::-1], 1)

    def _total(self, emissions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (sequences,): the logarithm of the sum over all paths."""
        scores = self._forward(emissions, mask, torch.logsumexp, self.transitions, self.first)
        ends = scores[torch.arange(len(scores), device=scores.device), mask.sum(1) - 1]
        return torch.logsumexp(ends + self.last, 1)

    def _forward(
        self, emissions: torch.Tensor, mask: torch.Tensor, joined: Joined, transitions: torch.Tensor,
        first: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Return (sequences, words, tags): the scores of all paths to each tag, joined."""
        found = [first + emissions[:, 0]]
        for word in range(1, emissions.shape[1]):
            step = joined(found[-1].unsqueeze(2) + transitions, 1) + emissions[:, word]
            found.append(torch.where(mask[:, word, None], step, found[-1]))
        return torch.stack(found, 1)

    def _legal(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return transitions and first tags without those where an I- continues nothing."""
        steps, at_first = (each.to(device) for each in self._illegal)
        return self.transitions.masked_fill(steps, _NEVER), self.first.masked_fill(at_first, _NEVER)

    @cached_property
    def _illegal(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which tags may not follow each tag, and which may not be the first."""
        codes = torch.from_numpy(TagClasses(self._tags).codes)
        inside, before = (codes > 0) & (codes % 2 == 0), codes[:, None]
        return inside & (before != codes) & (before != codes - 1), inside


def _highest(scores: torch.Tensor, dim: int) -> torch.Tensor:
    return scores.amax(dim)
