"""GLiNER2's layers for entities: of the architecture `span`, and of GLiNER 2.5's, which the package calls `boundary`.

`span`: GLiNER's spans, and labels' vectors for the first of a text's instances. A text has as many instances as the
state of its prompt's mark predicts; without any it has no entities. The first one's vectors don't depend on how many
follow, so one step of the recurrent layer suffices.

`boundary`: a text's best starts and ends are paired. A text of n words has n + 1 boundaries; boundary i stands before
word i. All labels of a prompt share the pairs that are scored, so what a label finds depends on those it is asked with.
Choices are by rank, so all is computed in fp32.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from nerbert.model.gliner.config import COUNTING, Gliner2Config
from nerbert.model.gliner.layers import GlinerModel, Parts, SpanModel

_COUNTS = 20
"""Instances that can be told apart, none included."""
_INNER, _HEADS = 128, 4
"""The width in which `count_lstm_v2` compares labels, and in how many parts."""
_RESERVED = 5000.0
"""The priority of pairs that a label has a right to; sums of log-odds are far below."""
_COMPARED = 64
"""The width in which a pair and a label are compared."""


def _stack_layers(*widths: int) -> nn.Sequential:
    """Return linear layers with ReLU between them."""
    layers = list[nn.Module]()
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class CountedLabels(nn.Module):
    """Labels' vectors for the first instance; a subclass has the layers above the recurrent one, `_above`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Embedding(_COUNTS, width)
        self.gru = nn.GRU(width, width)

    def forward(self, labels: torch.Tensor) -> Any:
        """Return (labels, width) vectors from (labels, width) states."""
        first = self.pos_embedding.weight[:1].expand(1, *labels.shape)
        return self._above(self.gru(first.contiguous(), labels[None].contiguous())[0][0], labels)

    def _above(self, states: torch.Tensor, labels: torch.Tensor) -> Any:
        raise NotImplementedError


class ProjectedLabels(CountedLabels):
    """`count_lstm`: each label by itself."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.projector = _stack_layers(2 * width, 4 * width, width)

    def _above(self, states: torch.Tensor, labels: torch.Tensor) -> Any:
        return self.projector(torch.cat([states, labels], 1))


class ComparedLabels(CountedLabels):
    """`count_lstm_v2`: labels attend to each other, so a label's vector depends on those it is asked with."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        layer = nn.TransformerEncoderLayer(_INNER, _HEADS, 2 * _INNER, batch_first=True)
        self.transformer = nn.ModuleDict(
            {
                "in_projector": nn.Linear(width, _INNER),
                "transformer": nn.TransformerEncoder(layer, 2),
                "out_projector": _stack_layers(_INNER + width, width, width, width),
            }
        )

    def _above(self, states: torch.Tensor, labels: torch.Tensor) -> Any:
        parts: Any = self.transformer
        inputs = states + labels
        compared = parts["in_projector"](inputs)
        for layer in parts["transformer"].layers:
            compared = _attend(layer, compared)
        return parts["out_projector"](torch.cat([compared, inputs], 1))


def _attend(layer: Any, labels: torch.Tensor) -> Any:
    """Return (labels, width) after a transformer layer, by operations that can be in a graph for any number of them."""
    attention = layer.self_attn
    mixed = functional.linear(labels, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = (part.view(-1, _HEADS, _INNER // _HEADS).transpose(0, 1) for part in mixed.chunk(3, 1))
    context = functional.scaled_dot_product_attention(query, key, value).transpose(0, 1).reshape(-1, _INNER)
    labels = layer.norm1(labels + attention.out_proj(context))
    return layer.norm2(labels + layer.linear2(layer.linear1(labels).relu()))


class MixedLabels(CountedLabels):
    """`count_lstm_moe`: each label by four experts, mixed by a router."""

    def __init__(self, width: int, experts: int = 4) -> None:
        super().__init__(width)
        shapes = (experts, width, 2 * width), (experts, 2 * width), (experts, 2 * width, width), (experts, width)
        self.w1, self.b1, self.w2, self.b2 = (nn.Parameter(torch.zeros(shape)) for shape in shapes)
        self.router = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, experts), nn.Softmax(-1))

    def _above(self, states: torch.Tensor, labels: torch.Tensor) -> Any:
        inner = functional.gelu(states @ self.w1 + self.b1[:, None])
        outputs = inner @ self.w2 + self.b2[:, None]
        return torch.einsum("le,elw->lw", self.router(states), outputs)


_COUNTED = dict(zip(COUNTING, (ProjectedLabels, ComparedLabels, MixedLabels), strict=True))


class CountedSpans(SpanModel):
    """The architecture `span`; the first of the states that it takes for labels is that of the prompt's mark."""

    def __init__(self, config: Gliner2Config, body: Any, labels_body: Any = None) -> None:
        super().__init__(config, body, labels_body)
        width = config.hidden_size
        self.prompt_rep_layer = _COUNTED[config.counting_layer](width)
        self.count_pred = _stack_layers(width, 2 * width, _COUNTS)

    def prepare_labels(self, labels: torch.Tensor) -> Parts:
        """Return labels' vectors, from (1 + labels, width), as `scores` takes them: no span is any where none is."""
        vectors, added = super().prepare_labels(labels[1:])
        # The mark's state predicts how many instances a text has. With none, −inf keeps all
        # spans out, whatever their odds.
        none = self.count_pred(labels[0]).argmax() == 0
        return vectors, added.masked_fill(none, -torch.inf)


def _name_layers(**sizes: int | tuple[int, int]) -> nn.ModuleDict:
    """Return layers by name: a linear one from a width to another, a norm of one width."""
    return nn.ModuleDict(
        {name: nn.LayerNorm(size) if isinstance(size, int) else nn.Linear(*size) for name, size in sizes.items()}
    )


def _head(width: int, settings: Any) -> nn.ModuleDict:
    """Return the layers, by the names that they have in the package's folders."""
    dim, pair, size = settings.boundary_dim, settings.pair_dim, settings.content_dim
    inner = max(1, int(dim * settings.boundary_ffn_multiplier))
    same = (dim, dim)
    of_word = (width, dim)
    of_pair = (dim, pair)
    encoder = _name_layers(
        left_projection=of_word, right_projection=of_word, output_projection=(2 * dim, dim), layer_norm=dim
    )
    encoder.bos_state, encoder.eos_state = (nn.Parameter(torch.zeros(width)) for _ in range(2))
    encoder["attention_blocks"] = nn.ModuleList(
        _name_layers(norm=dim, qkv_projection=(dim, 3 * dim), output_projection=same)
        for _ in range(settings.boundary_attention_layers)
    )
    encoder["refinement_blocks"] = nn.ModuleList(
        _name_layers(norm=dim, input_projection=(dim, 2 * inner), output_projection=(inner, dim))
        for _ in range(settings.boundary_refinement_layers)
    )
    scorer = _name_layers(
        start_projection=of_pair,
        end_projection=of_pair,
        length_projection=(3, pair),
        prior_projection=(1, pair),
        content_projection=(size, pair),
        candidate_norm=pair,
        query_projection=(width, pair),
        film=(pair, 2 * pair),
    )
    scorer["content_pooler"] = _name_layers(value_projection=(width, size), layer_norm=size)
    scorer["film_output"] = nn.Sequential(nn.Linear(pair, _COMPARED), nn.GELU(), nn.Identity(), nn.Linear(_COMPARED, 1))
    ends = _name_layers(
        start_boundary_projection=same,
        end_boundary_projection=same,
        start_query_projection=of_word,
        end_query_projection=of_word,
        inside_text_projection=of_word,
        inside_query_projection=of_word,
    )
    pool = _name_layers(start_projection=same, end_projection=same)
    parts = {
        "boundary_encoder": encoder,
        "boundary_query_head": ends,
        "shared_pool_builder": pool,
        "shared_pool_scorer": scorer,
        "null_projection": nn.Linear(width, 1),
    }
    return nn.ModuleDict(parts)


class BoundarySpans(GlinerModel):
    """The architecture `boundary`; the first of the states that it takes for labels, the prompt's mark, is not used."""

    def __init__(self, config: Gliner2Config, body: Any, labels_body: Any = None) -> None:
        super().__init__(config, body, labels_body)
        self.settings: Any = config.boundary
        self.boundary_head: Any = _head(config.hidden_size, self.settings)

    def prepare_labels(self, labels: torch.Tensor) -> Parts:
        """Return labels' states, of (1 + labels, width)."""
        return (labels[1:],)

    def choose_spans(self, parts: Parts, labels: Parts) -> Parts:
        """Return the spans that are scored: numbers of first and of last words, and log-odds (spans, labels) in fp32.

        A label that is held to be absent has none above -inf.
        """
        words = parts[0].float()
        asked = labels[0].float()
        with torch.autocast(words.device.type, enabled=False):
            # Choices are by rank, which bf16's rounding would change.
            states = self._boundaries(words)
            head = self.boundary_head.boundary_query_head
            scale = states.shape[1] ** -0.5
            first = head.start_boundary_projection(states) @ head.start_query_projection(asked).T * scale
            last = head.end_boundary_projection(states) @ head.end_query_projection(asked).T * scale
            inner = head.inside_text_projection(words) @ head.inside_query_projection(asked).T * scale
            starts, ends, fit = self._pairs(states, first, last)
            odds = first[starts] + last[ends] + self._score_fit(words, states, asked, (starts, ends, fit))
            odds += _sums(inner, starts, ends) * (ends - starts)[:, None].float().rsqrt()
            absence = self.boundary_head.null_projection(asked)[:, 0].sigmoid()
            # Zero times the absence keeps a NaN of damaged weights, which the comparison
            # below would pass over.
            odds = odds / self.settings.pair_temperature + 0 * absence
            odds = odds.masked_fill(absence > self.settings.abstention_threshold, -torch.inf)
        return starts, ends - 1, odds

    def scores(self, parts: Parts, labels: Parts) -> torch.Tensor:
        """Return (words, widths, labels), with widths up to the longest pair's; what is not scored is -inf."""
        starts, ends, odds = self.choose_spans(parts, labels)
        widths = int((ends - starts).max()) + 1 if len(starts) else 0
        dense = odds.new_full((len(parts[0]), widths, odds.shape[1]), -torch.inf)
        dense[starts, ends - starts] = odds
        return dense

    def _boundaries(self, words: torch.Tensor) -> torch.Tensor:
        """Return (words + 1, dim) from (words, width)."""
        head, settings = self.boundary_head.boundary_encoder, self.settings
        heads, window = settings.boundary_attention_heads, settings.boundary_attention_window
        left = head.left_projection(torch.cat((head.bos_state[None], words)))
        right = head.right_projection(torch.cat((words, head.eos_state[None])))
        states: torch.Tensor = head.layer_norm(head.output_projection(torch.cat((left, right), 1)))
        numbers = torch.arange(states.shape[0], device=states.device)
        near = (numbers[:, None] - numbers).abs() <= window if window else None
        for block in head.attention_blocks:
            parts = block.qkv_projection(block.norm(states)).reshape(1, states.shape[0], 3, heads, -1)
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(query, key, value, near)[0]
            states = states + block.output_projection(mixed.transpose(0, 1).flatten(1))
        for block in head.refinement_blocks:
            inner, gate = block.input_projection(block.norm(states)).chunk(2, -1)
            states = states + block.output_projection(inner * functional.silu(gate))
        return states

    def _pairs(self, states: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> Parts:
        """Return starts and ends of the pairs that are scored, and how well they fit; each label has its share."""
        settings = self.settings
        head = self.boundary_head.shared_pool_builder
        tops = (first.amax(1), last.amax(1))
        starts, ends = (_rank(top)[: settings.pool_boundary_top_k].sort()[0] for top in tops)
        fit = head.start_projection(states)[starts] @ head.end_projection(states)[ends].T
        # A pair needs at least one word between its boundaries.
        rows, columns = (ends > starts[:, None]).nonzero(as_tuple=True)
        fit = fit[rows, columns] * states.shape[1] ** -0.5
        starts = starts[rows]
        ends = ends[columns]
        order = _rank(fit[:, None] + first[starts] + last[ends])
        ranks = torch.arange(order.shape[0], device=order.device)[:, None].expand_as(order)
        # The best place of a pair for any label.
        best = torch.empty_like(order).scatter(0, order, ranks).amin(1)
        # Each label's best pairs come first, in rounds: all labels' best, then all second-best ones.
        priority = (fit + tops[0][starts] + tops[1][ends]).where(best >= settings.min_pool_per_query, _RESERVED - best)
        kept = _rank(priority)[: settings.pool_size]
        return starts[kept], ends[kept], fit[kept]

    def _score_fit(self, words: torch.Tensor, states: torch.Tensor, labels: torch.Tensor, pairs: Parts) -> torch.Tensor:
        """Return (pairs, labels): how well they fit, but for a label's odds of their ends and of what is inside."""
        (starts, ends, fit), head = pairs, self.boundary_head.shared_pool_scorer
        length = (ends - starts)[:, None].float()
        vectors = head.start_projection(states)[starts] + head.end_projection(states)[ends]
        vectors += head.length_projection(torch.cat((length.log1p(), length / words.shape[0], length.rsqrt()), 1))
        content = _sums(head.content_pooler.value_projection(words), starts, ends) / length
        vectors += head.content_projection(head.content_pooler.layer_norm(content))
        vectors = head.candidate_norm(vectors + head.prior_projection(fit[:, None]))
        queries = head.query_projection(labels)
        scale, shift = head.film(queries).chunk(2, 1)
        conditioned = head.film_output(vectors[:, None] * (1 + scale) + shift)[..., 0]
        return torch.add(conditioned, vectors @ queries.T, alpha=queries.shape[1] ** -0.5)


def _rank(odds: torch.Tensor) -> torch.Tensor:
    """Return numbers by odds, the best first, the lower one of two equal ones."""
    # The exported operation keeps the order of equal ones.
    if torch.onnx.is_in_onnx_export():
        return odds.topk(odds.shape[0], 0)[1]
    return odds.sort(dim=0, descending=True, stable=True)[1]


def _sums(values: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Return sums over pairs' words, (pairs, …), taken from the mean, which keeps them exact."""
    # Differences of running sums lose digits as the sums grow; around the mean they stay small.
    mean = values.mean(0)
    sums = functional.pad((values - mean).cumsum(0), (0, 0, 1, 0))
    return sums[ends] - sums[starts] + mean * (ends - starts)[:, None]
