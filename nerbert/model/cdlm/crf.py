"""A linear-chain CRF (Lafferty et al. 2001) in torch's own operations, for padded sequences.

Emissions are (sequences, words, tags) in fp32, masks (sequences, words), true for words, which come first.
"""

from collections.abc import Callable

import torch

Joined = Callable[[torch.Tensor, int], torch.Tensor]
"""How the scores of several paths become one: their sum, or the best."""


class Crf(torch.nn.Module):
    """Scores of neighbouring tags: `transitions[before, after]`, and those of the first and the last tag."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.transitions = torch.nn.Parameter(torch.zeros(tags, tags))
        self.first = torch.nn.Parameter(torch.zeros(tags))
        self.last = torch.nn.Parameter(torch.zeros(tags))

    def loss(self, emissions: torch.Tensor, tags: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (sequences,): −log P(tags)."""
        forward = self._forward(emissions, mask, _log_sum)
        at_end = _at_end(forward, mask) + self.last
        return torch.logsumexp(at_end, 1) - self.score(emissions, tags, mask)

    def score(self, emissions: torch.Tensor, tags: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (sequences,): the score of each sequence's tags, not normalised."""
        chosen = emissions.gather(2, tags.unsqueeze(2)).squeeze(2) * mask
        steps = self.transitions[tags[:, :-1], tags[:, 1:]] * mask[:, 1:]
        ends = self.last[_at_end(tags.unsqueeze(2), mask).squeeze(1)]
        return chosen.sum(1) + steps.sum(1) + self.first[tags[:, 0]] + ends

    def best_through(self, emissions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (sequences, words, tags): the score of the best path through each tag of each word, −log Z added.

        The likeliest tags of a row's words are Viterbi's path, and the softmax over tags says how far it is ahead.
        """
        forward = self._forward(emissions, mask, _highest)
        backward = torch.empty_like(emissions)
        later = self.last.expand(emissions[:, 0].shape)
        backward[:, -1] = later
        for word in range(emissions.shape[1] - 2, -1, -1):
            onward = _highest((later + emissions[:, word + 1]).unsqueeze(1) + self.transitions, 2)
            later = torch.where(mask[:, word + 1, None], onward, self.last)
            backward[:, word] = later
        total = torch.logsumexp(_at_end(self._forward(emissions, mask, _log_sum), mask) + self.last, 1)
        return forward + backward - total[:, None, None]

    def _forward(self, emissions: torch.Tensor, mask: torch.Tensor, joined: Joined) -> torch.Tensor:
        """Return (sequences, words, tags): the scores of all paths to each tag, joined."""
        found = [self.first + emissions[:, 0]]
        for word in range(1, emissions.shape[1]):
            step = joined(found[-1].unsqueeze(2) + self.transitions, 1) + emissions[:, word]
            found.append(torch.where(mask[:, word, None], step, found[-1]))
        return torch.stack(found, 1)


def _log_sum(scores: torch.Tensor, dim: int) -> torch.Tensor:
    return torch.logsumexp(scores, dim)


def _highest(scores: torch.Tensor, dim: int) -> torch.Tensor:
    return scores.amax(dim)


def _at_end(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return (sequences, width): what is there for each sequence's last word."""
    last = mask.sum(1) - 1
    return values[torch.arange(len(values), device=values.device), last]
