"""GLiNER 2.5's layers for entities, which the package calls "boundary": a text's best starts and ends are paired.

A text of n words has n + 1 boundaries; boundary i stands before word i. All labels of a prompt share the pairs that are
scored, so what a label finds depends on those it is asked with. Choices are by rank, so all is computed in fp32.
"""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from nerbert.model.gliner.layers import GlinerModel, Parts
from nerbert.model.gliner2.config import BoundaryHead, Gliner2Config

_RESERVED = 5000.0
"""The priority of pairs that a label has a right to; sums of log-odds are far below."""
_INNER = 64
"""The width in which a pair and a label are compared."""


class _Ends(NamedTuple):
    """Boundaries' vectors, (boundaries, dim), and log-odds of them as starts and ends, (boundaries, labels)."""

    states: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor


class _Pairs(NamedTuple):
    """The boundaries of the pairs that are scored, and how well they fit each other; (pairs,) each."""

    starts: torch.Tensor
    ends: torch.Tensor
    fit: torch.Tensor

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        """Return sums over the pairs' words, (pairs, …), taken from the mean, which keeps them exact."""
        mean = values.mean(0)
        sums = functional.pad((values - mean).cumsum(0), (0, 0, 1, 0))
        return sums[self.ends] - sums[self.starts] + mean * self.lengths

    @property
    def lengths(self) -> torch.Tensor:
        """Return how many words each has, (pairs, 1)."""
        return (self.ends - self.starts)[:, None].float()


class NearAttention(nn.Module):
    """Attention of boundaries to those near them."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window, self.norm = heads, window, nn.LayerNorm(dim)
        self.qkv_projection, self.output_projection = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return what is added to (boundaries, dim)."""
        places = torch.arange(states.shape[0], device=states.device)
        near = (places[:, None] - places).abs() <= self.window if self.window else None
        parts = self.qkv_projection(self.norm(states)).reshape(1, states.shape[0], 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value, near)[0]
        return self.output_projection(found.transpose(0, 1).flatten(1))  # type: ignore[no-any-return]


class Gated(nn.Module):
    """Two layers with a gate between them."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.norm, self.input_projection = nn.LayerNorm(dim), nn.Linear(dim, 2 * inner)
        self.output_projection = nn.Linear(inner, dim)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return what is added to (boundaries, dim)."""
        value, gate = self.input_projection(self.norm(states)).chunk(2, -1)
        return self.output_projection(value * functional.silu(gate))  # type: ignore[no-any-return]


class BoundaryStates(nn.Module):
    """Words' vectors → boundaries' vectors."""

    def __init__(self, width: int, own: BoundaryHead) -> None:
        super().__init__()
        dim = own.boundary_dim
        self.left_projection, self.right_projection = nn.Linear(width, dim), nn.Linear(width, dim)
        self.output_projection, self.layer_norm = nn.Linear(2 * dim, dim), nn.LayerNorm(dim)
        self.bos_state, self.eos_state = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        sizes = dim, own.boundary_attention_heads, own.boundary_attention_window
        self.attention_blocks = nn.ModuleList(NearAttention(*sizes) for _ in range(own.boundary_attention_layers))
        inner = max(1, int(dim * own.boundary_ffn_multiplier))
        self.refinement_blocks = nn.ModuleList(Gated(dim, inner) for _ in range(own.boundary_refinement_layers))

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Return (words + 1, dim) from (words, width) of one text."""
        left = self.left_projection(torch.cat((self.bos_state[None], words)))
        right = self.right_projection(torch.cat((words, self.eos_state[None])))
        states: torch.Tensor = self.layer_norm(self.output_projection(torch.cat((left, right), 1)))
        for block in (*self.attention_blocks, *self.refinement_blocks):
            states = states + block(states)
        return states


class EndOdds(nn.Module):
    """Log-odds of boundaries as starts and ends, and of words as inner ones."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.start_boundary_projection, self.end_boundary_projection = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.start_query_projection, self.end_query_projection = nn.Linear(width, dim), nn.Linear(width, dim)
        self.inside_text_projection, self.inside_query_projection = nn.Linear(width, dim), nn.Linear(width, dim)

    def forward(self, words: torch.Tensor, states: torch.Tensor, labels: torch.Tensor) -> tuple[_Ends, torch.Tensor]:
        """Return the log-odds of boundaries, and those of words, (words, labels)."""
        scale = states.shape[1] ** -0.5
        first = self.start_boundary_projection(states) @ self.start_query_projection(labels).T
        last = self.end_boundary_projection(states) @ self.end_query_projection(labels).T
        inner = self.inside_text_projection(words) @ self.inside_query_projection(labels).T
        return _Ends(states, first * scale, last * scale), inner * scale


class PairPool(nn.Module):
    """The choice of the pairs that are scored: some for each label, then those that are best for any."""

    def __init__(self, own: BoundaryHead) -> None:
        super().__init__()
        self.most, self.size, self.least = own.pool_boundary_top_k, own.pool_size, own.min_pool_per_query
        dim = own.boundary_dim
        self.start_projection, self.end_projection = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, ends: _Ends) -> _Pairs:
        """Return the pairs of one text."""
        tops = ends.first.amax(1), ends.last.amax(1)
        one, two = (_ranked(top)[: self.most].sort()[0] for top in tops)
        fit = self.start_projection(ends.states)[one] @ self.end_projection(ends.states)[two].T
        rows, columns = (two > one[:, None]).nonzero(as_tuple=True)
        fit, one, two = fit[rows, columns] * ends.states.shape[1] ** -0.5, one[rows], two[columns]
        order = _ranked(fit[:, None] + ends.first[one] + ends.last[two])
        places = torch.arange(order.shape[0], device=order.device)[:, None].expand_as(order)
        best = torch.empty_like(order).scatter(0, order, places).amin(1)  # the best place of a pair for any label
        priority = (fit + tops[0][one] + tops[1][two]).where(best >= self.least, _RESERVED - best)
        kept = _ranked(priority)[: self.size]
        return _Pairs(one[kept], two[kept], fit[kept])


def _ranked(odds: torch.Tensor) -> torch.Tensor:
    """Return numbers by odds, the best first, the lower one of two equal ones."""
    if torch.onnx.is_in_onnx_export():  # where this keeps the order of equal ones
        return odds.topk(odds.shape[0], 0)[1]
    return odds.sort(dim=0, descending=True, stable=True)[1]


class PairScores(nn.Module):
    """Log-odds of pairs for labels."""

    def __init__(self, width: int, own: BoundaryHead) -> None:
        super().__init__()
        dim, pair, self.content_pooler = own.boundary_dim, own.pair_dim, nn.ModuleDict()
        self.start_projection, self.end_projection = nn.Linear(dim, pair), nn.Linear(dim, pair)
        self.length_projection, self.prior_projection = nn.Linear(3, pair), nn.Linear(1, pair)
        if own.enable_span_content:
            size = own.content_dim
            self.content_pooler.update({"value_projection": nn.Linear(width, size), "layer_norm": nn.LayerNorm(size)})
            self.content_projection = nn.Linear(size, pair)
        self.candidate_norm, self.query_projection = nn.LayerNorm(pair), nn.Linear(width, pair)
        self.film = nn.Linear(pair, 2 * pair)
        layers = nn.Linear(pair, _INNER), nn.GELU(), nn.Identity(), nn.Linear(_INNER, 1)
        self.film_output = nn.Sequential(*layers)

    def forward(self, words: torch.Tensor, ends: _Ends, labels: torch.Tensor, pairs: _Pairs) -> torch.Tensor:
        """Return (pairs, labels)."""
        one, two, length = pairs.starts, pairs.ends, pairs.lengths
        states = self.start_projection(ends.states)[one] + self.end_projection(ends.states)[two]
        states += self.length_projection(torch.cat((length.log1p(), length / words.shape[0], length.rsqrt()), 1))
        states += self.prior_projection(pairs.fit[:, None])
        if self.content_pooler:
            mean = pairs.sums(self.content_pooler["value_projection"](words)) / length
            states += self.content_projection(self.content_pooler["layer_norm"](mean))
        states, queries = self.candidate_norm(states), self.query_projection(labels)
        scale, shift = self.film(queries).chunk(2, 1)
        scores = states @ queries.T * queries.shape[1] ** -0.5 + ends.first[one] + ends.last[two]
        return torch.add(scores, self.film_output(states[:, None] * (1 + scale) + shift)[..., 0])


class BoundarySpans(GlinerModel):
    """The architecture `boundary`; the first of the states that it takes for labels, the prompt's mark, is not used."""

    def __init__(self, config: Gliner2Config, body: Any, labels_body: Any = None) -> None:
        super().__init__(config, body, labels_body)
        self.own, width = config.boundary, config.hidden_size
        self.boundary_head = nn.ModuleDict({
            "boundary_encoder": BoundaryStates(width, self.own),
            "boundary_query_head": EndOdds(width, self.own.boundary_dim),
            "shared_pool_builder": PairPool(self.own), "shared_pool_scorer": PairScores(width, self.own),
        })  # fmt: skip
        if self.own.enable_abstention:
            self.boundary_head["null_projection"] = nn.Linear(width, 1)

    def prepared(self, labels: torch.Tensor) -> Parts:
        """Return labels' states, of (1 + labels, width)."""
        return (labels[1:],)

    def chosen(self, parts: Parts, labels: Parts) -> Parts:
        """Return the pairs that are scored, as spans."""
        head, words, asked = self.boundary_head, parts[0].float(), labels[0].float()
        with torch.autocast(words.device.type, enabled=False):
            ends, inner = head["boundary_query_head"](words, head["boundary_encoder"](words), asked)
            pairs = head["shared_pool_builder"](ends)
            odds = head["shared_pool_scorer"](words, ends, asked, pairs)
            if self.own.use_inside_evidence:
                odds = odds + pairs.sums(inner) * pairs.lengths.rsqrt()
            odds = odds / self.own.pair_temperature
            if self.own.enable_abstention:
                absent = head["null_projection"](asked)[:, 0].sigmoid() > self.own.abstention_threshold
                odds = odds.masked_fill(absent, -torch.inf)
        return pairs.starts, pairs.ends - 1, odds
