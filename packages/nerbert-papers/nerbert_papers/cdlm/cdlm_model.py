"""CDLM's network (Jia, Liang and Zhang, ACL 2019, and their public code): words and characters → a BiLSTM → tags.

θ = Σᵢⱼ tᵢ dⱼ Wᵢⱼ gives all weights of the LSTM, where t is the vector of a task (tags, language model) and d that of a
domain (source, target). Each domain has a linear layer and a CRF over its own tags; the words before and after are
predicted over one vocabulary. Without generation it is a plain BiLSTM-CRF.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from nerbert.artifacts import write_json
from nerbert.errors import InputError, at, refused
from nerbert.labels import check_tags
from nerbert.model.folder import WEIGHTS, ModelFolder
from nerbert.model.forward import Batch
from nerbert.model.linear import TagClasses
from nerbert.rng import Array
from nerbert.schema import read_json
from nerbert_papers.cdlm.folder import MARKER
from nerbert_papers.cdlm.word_pieces import LONGEST_WORD, count_words

TAGS, LANGUAGE = 0, 1
"""The tasks."""
SOURCE, TARGET = 0, 1
"""The domains."""
_UNKNOWN_WORD = 1
_Joined = Callable[[torch.Tensor, int], torch.Tensor]
"""How the scores of several paths become one: their sum, or the best."""
_NEVER = -1e4
_LARGEST = 1 << 24
_Size = Annotated[int, Field(ge=1, le=_LARGEST)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CdlmShape:
    """The content of `cdlm.json`: sizes, and the tags of each domain; sizes of the public code by default."""

    words: _Size
    """Words of the vocabulary, special ones included."""
    pieces: _Size
    """Words and characters."""
    fixed_words: Annotated[int, Field(ge=0, le=_LARGEST)] = 0
    """How many words, the last ones, no training text has: their vectors aren't learnt, and they aren't predicted."""
    tags: list[str]
    """Those of the target, which it tags."""
    source_tags: list[str]
    """Empty without a source domain."""
    generated: bool = True
    word_width: _Size
    character_width: _Size = 30
    filters: _Size = 50
    states: _Size = 100
    """Of the LSTM, in each direction."""
    task_width: _Size = 8
    domain_width: _Size = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    format: Literal[1] = 1


class Generator(torch.nn.Module):
    """Weights of an LSTM for a task and a domain; `shapes` has the name and shape of each, in the order of θ."""

    def __init__(self, shape: CdlmShape, lstm: torch.nn.LSTM) -> None:
        super().__init__()
        self.shapes = {name: weight.shape for name, weight in lstm.named_parameters()}
        size = sum(dims.numel() for dims in self.shapes.values())
        bound = 1 / sqrt(shape.states)
        self.weight = torch.nn.Parameter(_uniform(shape.task_width, shape.domain_width, size, bound=bound))
        self.tasks = torch.nn.Parameter(_uniform(2, shape.task_width, bound=sqrt(3 / shape.task_width)))
        self.domains = torch.nn.Parameter(_uniform(2, shape.domain_width, bound=sqrt(3 / shape.domain_width)))

    def forward(self) -> torch.Tensor:
        """Return (tasks, domains, weights): θ of each task and domain."""
        pairs = torch.einsum("ti,dj->tdij", self.tasks, self.domains)
        return (pairs.flatten(0, 1).flatten(1) @ self.weight.flatten(0, 1)).view(2, 2, -1)

    def name_weights(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the weights of one θ by name."""
        parts = torch.split(theta, [dims.numel() for dims in self.shapes.values()])
        return {name: part.view(dims) for (name, dims), part in zip(self.shapes.items(), parts, strict=True)}


@dataclass(frozen=True, slots=True)
class BatchWords:
    """The words of a batch's windows, (windows, words) each, `characters` (windows, words, characters); −1: none.

    `at` (windows, pieces) is the number of the word that a piece belongs to.
    """

    ids: torch.Tensor
    characters: torch.Tensor
    at: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        """Return (windows, words): whether there is one."""
        return self.ids >= 0


class CdlmModel(torch.nn.Module):
    """The network; `vectors` (words, width) begin its word embedding where they aren't NaN."""

    def __init__(self, shape: CdlmShape, vectors: Array | None = None) -> None:
        super().__init__()
        self.shape = self.config = shape
        words = _uniform(shape.words, shape.word_width, bound=sqrt(3 / shape.word_width))
        if vectors is not None:
            known = torch.from_numpy(vectors.astype(np.float32))
            words = torch.where(known.isnan(), words, known)
        learnt = shape.words - shape.fixed_words
        self.words = torch.nn.Parameter(words[:learnt])
        # Fixed vectors are saved with the model, so they are a parameter, without gradients.
        self.fixed = torch.nn.Parameter(words[learnt:].clone(), requires_grad=False) if shape.fixed_words else None
        bound = sqrt(3 / shape.character_width)
        characters = shape.pieces - shape.words + 1
        self.characters = torch.nn.Parameter(_uniform(characters, shape.character_width, bound=bound))
        self.convolution = torch.nn.Conv1d(shape.character_width, shape.filters, 3, padding=1)
        lstm = torch.nn.LSTM(shape.word_width + shape.filters, shape.states, batch_first=True, bidirectional=True)
        self.generator: Any = Generator(shape, lstm) if shape.generated else None
        self.lstm: Any = None if shape.generated else lstm
        self.tags = _TagLayer(2 * shape.states, shape.tags)
        self.source_tags = _TagLayer(2 * shape.states, shape.source_tags) if shape.source_tags else None
        self.next_words = torch.nn.Parameter(torch.randn(learnt, shape.states) / sqrt(shape.states))
        self.next_bias = torch.nn.Parameter(torch.zeros(learnt))
        self.dropout = torch.nn.Dropout(shape.dropout)
        self.given: torch.Tensor | None
        self.register_buffer("given", None, persistent=False)
        """θ of all tasks and domains where they are computed once for several batches."""

    @property
    def device(self) -> torch.device:
        """Return where the model lies."""
        return self.words.device

    def read(self, ids: torch.Tensor, mask: torch.Tensor) -> BatchWords:
        """Return the words of padded pieces."""
        # Pieces are a word's number and then its characters', so a number below `words` begins a word.
        begins = (ids < self.shape.words) & (mask > 0)
        at = begins.cumsum(1) - 1
        column = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        start = torch.where(begins, column, 0).cummax(1).values
        words = torch.full((len(ids), int(begins.sum(1).max())), -1, device=ids.device)
        words[begins.nonzero()[:, 0], at[begins]] = ids[begins]
        inside = (mask > 0) & ~begins & (at >= 0) & (column - start <= LONGEST_WORD)
        characters = torch.full((*words.shape, LONGEST_WORD), -1, device=ids.device)
        rows = inside.nonzero()[:, 0]
        characters[rows, at[inside], (column - start - 1)[inside]] = ids[inside] - self.shape.words
        return BatchWords(words, characters, at)

    def states(self, words: BatchWords, task: int, domain: int) -> torch.Tensor:
        """Return (windows, words, 2 · states): the forward direction, then the backward one."""
        inputs = self.dropout(torch.cat([self._of_words(words.ids), self._of_characters(words)], 2))
        packed = pack_padded_sequence(inputs, words.mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        if self.lstm:
            # `torch.lstm` is called below with weights from either source, so that
            # generated ones keep their gradients.
            weights = [*self.lstm.parameters()]
        else:
            theta = (self.generator() if self.given is None else self.given)[task, domain]
            weights = [*self.generator.name_weights(theta).values()]
        start = inputs.new_zeros(2, len(inputs), self.shape.states)
        data, _, _ = torch.lstm(packed.data, packed.batch_sizes, (start, start), weights, True, 1, 0.0, False, True)
        states = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        padded, _ = pad_packed_sequence(states, batch_first=True, total_length=words.ids.shape[1])
        dropped: torch.Tensor = self.dropout(padded)
        return dropped

    def _of_words(self, ids: torch.Tensor) -> torch.Tensor:
        """Return (windows, words, width): the words' vectors."""
        learnt = self.words[ids.clamp(0, len(self.words) - 1)]
        if self.fixed is None:
            return learnt
        return torch.where((ids < len(self.words))[..., None], learnt, self.fixed[(ids - len(self.words)).clamp(min=0)])

    def _of_characters(self, words: BatchWords) -> torch.Tensor:
        """Return (windows, words, filters): the largest output of each filter over a word's characters."""
        characters = words.characters[words.mask]
        # −1, no character, is the last row.
        embedded = self.dropout(self.characters[characters])
        outputs = self.convolution(embedded.transpose(1, 2))
        outputs = outputs.masked_fill((characters < 0).unsqueeze(1), -torch.inf).amax(2)
        # A word of unknown characters alone has none: its maximum would be −inf.
        filled = torch.where((characters >= 0).any(1, keepdim=True), outputs, 0.0)
        empty = torch.zeros(*words.ids.shape, self.shape.filters, device=outputs.device)
        return empty.masked_scatter(words.mask.unsqueeze(2), filled)

    def layer(self, domain: int) -> "_TagLayer":
        """Return the tags of a domain."""
        return self.source_tags if domain == SOURCE and self.source_tags is not None else self.tags

    def scores(self, batch: Batch, domain: int = TARGET) -> torch.Tensor:
        """Return (terms, tags): how good the best path through each tag of a domain is, at the batch's places."""
        with torch.autocast(batch.ids.device.type, enabled=False):
            # Scores of whole paths add up over words: bf16 would lose the differences between tags.
            words = self.read(batch.ids, batch.mask)
            layer = self.layer(domain)
            scores = layer.crf.best_through(layer(self.states(words, TAGS, domain)), words.mask)
            return scores[batch.rows, words.at[batch.rows, batch.columns]]

    def save_pretrained(self, folder: Path) -> None:
        """Write the weights and the sizes into a folder."""
        from safetensors.torch import save_file

        weights = {name: weight.detach().cpu().contiguous() for name, weight in self.named_parameters()}
        save_file(weights, Path(folder) / WEIGHTS, metadata={"format": "pt"})
        write_json(Path(folder) / MARKER, asdict(self.shape))


class Crf(torch.nn.Module):
    """A linear-chain CRF (Lafferty et al. 2001) over BIO tags, for padded sequences.

    `transitions[before, after]` are the scores of neighbours, `first` and `last` those of the first and the last tag.
    Emissions are (sequences, words, tags) in fp32, masks (sequences, words), true for words, which come first.
    """

    def __init__(self, tags: Sequence[str]) -> None:
        super().__init__()
        self.transitions = torch.nn.Parameter(torch.zeros(len(tags), len(tags)))
        self.first = torch.nn.Parameter(torch.zeros(len(tags)))
        self.last = torch.nn.Parameter(torch.zeros(len(tags)))
        codes = torch.from_numpy(TagClasses(tags).codes)
        inside = (codes > 0) & (codes % 2 == 0)
        before = codes[:, None]
        self._illegal = inside & (before != codes) & (before != codes - 1), inside
        """Which tags may not follow each tag, and which may not be the first: where an I- continues nothing."""

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
        steps, at_first = (illegal.to(emissions.device) for illegal in self._illegal)
        # Illegal paths are barred in decoding only; training learns from all paths.
        transitions = self.transitions.masked_fill(steps, _NEVER)
        first = self.first.masked_fill(at_first, _NEVER)
        forward = self._forward(emissions, mask, torch.amax, transitions, first)
        later = self.last.expand(emissions[:, 0].shape)
        backward = [later]
        for word in range(emissions.shape[1] - 2, -1, -1):
            onward = ((later + emissions[:, word + 1]).unsqueeze(1) + transitions).amax(2)
            later = torch.where(mask[:, word + 1, None], onward, self.last)
            backward.append(later)
        return forward + torch.stack(backward[::-1], 1)

    def _total(self, emissions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (sequences,): the logarithm of the sum over all paths."""
        scores = self._forward(emissions, mask, torch.logsumexp, self.transitions, self.first)
        ends = scores[torch.arange(len(scores), device=scores.device), mask.sum(1) - 1]
        return torch.logsumexp(ends + self.last, 1)

    def _forward(
        self,
        emissions: torch.Tensor,
        mask: torch.Tensor,
        joined: _Joined,
        transitions: torch.Tensor,
        first: torch.Tensor,
    ) -> torch.Tensor:
        """Return (sequences, words, tags): the scores of all paths to each tag, joined."""
        scores = [first + emissions[:, 0]]
        for word in range(1, emissions.shape[1]):
            step = joined(scores[-1].unsqueeze(2) + transitions, 1) + emissions[:, word]
            scores.append(torch.where(mask[:, word, None], step, scores[-1]))
        return torch.stack(scores, 1)


class _TagLayer(torch.nn.Module):
    """A linear layer over a domain's tags, and their CRF."""

    def __init__(self, width: int, tags: Sequence[str]) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, len(tags))
        self.crf = Crf(tags)

    def forward(self, states: torch.Tensor) -> Any:
        """Return (windows, words, tags): the emissions."""
        return self.linear(states)


def language_loss(model: CdlmModel, words: BatchWords, domain: int, negatives: int) -> torch.Tensor:
    """Return (windows,): half of the losses of the words after and before each word, by a sampled softmax.

    Jean et al. 2015: so many words (`negatives`) are drawn for the whole batch, without repeats, log-uniformly by rank.
    A word's score is less the logarithm of how often it is expected among them. A sentence's edge is the unknown word.
    """
    forward, backward = torch.split(model.states(words, LANGUAGE, domain), model.shape.states, 2)
    known = words.ids.clamp(min=0)
    edge = torch.full_like(known[:, :1], _UNKNOWN_WORD)
    # The word after the last one is the unknown word, also where padding follows.
    after = torch.where(words.ids >= 0, known, _UNKNOWN_WORD)
    after = torch.cat([after[:, 1:], edge], 1)
    before = torch.cat([edge, known[:, :-1]], 1)
    vocabulary = len(model.next_bias)
    drawn, tries = draw_words(vocabulary, negatives, words.ids.device)
    logs = log_expected(torch.arange(vocabulary, device=drawn.device), vocabulary, tries)
    losses = torch.zeros(len(known), device=known.device)
    rows = words.mask.nonzero()[:, 0]
    for states, targets in ((forward, after), (backward, before)):
        vectors = states[words.mask]
        numbers = targets[words.mask]
        score = (vectors * model.next_words[numbers]).sum(1) + model.next_bias[numbers] - logs[numbers]
        others = vectors @ model.next_words[drawn].T + model.next_bias[drawn] - logs[drawn]
        # A word drawn by chance that is the right one must not count against it.
        others = others.masked_fill(numbers[:, None] == drawn, -1e4)
        loss = torch.logsumexp(torch.cat([score[:, None], others], 1), 1) - score
        losses = losses.index_add(0, rows, 0.5 * loss)
    return losses


def draw_words(words: int, count: int, device: torch.device) -> tuple[torch.Tensor, int]:
    """Return so many different words, all if there are fewer, and how many draws it took."""
    if count >= words:
        # All words: each is surely among them, as after endlessly many draws.
        return torch.arange(words, device=device), 1 << 40
    shares = torch.diff(torch.log(torch.arange(1, words + 2, dtype=torch.float64)))
    drawn = dict[int, None]()
    tries = 0
    while len(drawn) < count:
        # Draws with replacement are counted until enough different words are there: the
        # count gives their expectation.
        for word in torch.multinomial(shares, 2 * count, replacement=True).tolist():
            drawn[word] = None
            tries += 1
            if len(drawn) == count:
                break
    return torch.tensor(list(drawn), device=device), tries


def log_expected(words: torch.Tensor, vocabulary: int, tries: int) -> torch.Tensor:
    """Return the logarithm of how often each word is expected among words that took so many draws to find."""
    shares = torch.log1p(1 / (words.double() + 1)) / np.log(vocabulary + 1)
    return torch.log(-torch.expm1(tries * torch.log1p(-shares))).float()


def open_cdlm(source: str, tokenizer: Any) -> CdlmModel:
    """Return the model of a folder; raise InputError for one whose files don't belong together."""
    from safetensors.torch import load_file

    folder = ModelFolder.open(source)
    shape = read_json(folder.path / MARKER, CdlmShape)
    with at(source):
        same = (count_words(tokenizer), len(tokenizer)) == (shape.words, shape.pieces)
        if not same or shape.fixed_words > shape.words - 2:
            raise InputError(f"its vocabulary isn't the one that {MARKER} tells of")
    with refused(f"{source}: can't be loaded as a CDLM model"):
        weights = load_file(folder.path / WEIGHTS)
        with torch.device("meta"):
            model = CdlmModel(shape)
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    floats = all(weight.is_floating_point() for weight in weights.values())
    if not floats or shapes != {name: weight.shape for name, weight in weights.items()}:
        raise InputError(f"{source}: {WEIGHTS} doesn't have the tensors that {MARKER} tells of")
    with at(source):
        check_tags(shape.tags)
        # Other heads merge types by giving two columns one name; a CRF's transitions can't be added up.
        if len(set(shape.tags)) < len(shape.tags):
            raise InputError("a label is listed twice, and a CRF has no merged types")
    model.load_state_dict({name: weight.float() for name, weight in weights.items()}, strict=False, assign=True)
    if model.generator:
        model.given = model.generator().detach()
    return model.eval()


def _uniform(*shape: int, bound: float) -> torch.Tensor:
    return torch.empty(shape).uniform_(-bound, bound)
