"""A GLiNER model as a head: examples and labels → entities.

What depends only on labels is computed once for all texts. Cost: a text is read once for each group of labels.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import accumulate, chain, groupby, islice
from typing import NamedTuple

import numpy as np
import torch

from nerbert.errors import InputError, SettingsError
from nerbert.formats.open_types import normalised
from nerbert.labels import WordSpan
from nerbert.model.forward import autocast
from nerbert.model.gliner.decode import (
    DECODINGS,
    Candidate,
    chosen_candidates,
    joined_words,
    renumbered,
    span_candidates,
    word_candidates,
)
from nerbert.model.gliner.layers import Folded, GlinerModel, remember_positions
from nerbert.model.gliner.prompt import LabelPrompt, PromptTokenizer, WordWindow, best_window
from nerbert.model.heads import NEEDS_LABELS, Entities, Head, Odds
from nerbert.model.windows import cheapest_cuts, micro_batches
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array
from nerbert.terminal import tell

MAX_TOKENS = 384
"""Padded pieces of a batch on a CPU, labels included: long texts go alone, which was fastest on each shape tried."""
NORMALISED = "normalised"
"""The value of `labels` in a folder's card if the model was trained on labels written as open types are."""
_START_COST = 32
"""What a further batch costs, in pieces."""
_LABELS = 64
"""Labels that go through their own encoder together."""


class _Asked(NamedTuple):
    """What a head was asked for; `vectors` are the labels', where they don't depend on the text."""

    labels: tuple[EntityLabel, ...]
    thresholds: Array
    prompt: LabelPrompt
    vectors: torch.Tensor | Folded | None


class GlinerHead(Head):
    """A GLiNER model; `for_labels` gives it labels.

    `labels_pieces` cuts labels that have an encoder of their own. With `normalises` it reads labels as open types are
    written: without case and underscores. Nothing is cached of a model that is trained later (`trains`).
    """

    usual_threshold = 0.5

    def __init__(
        self, model: GlinerModel, pieces: PromptTokenizer, labels_pieces: PromptTokenizer | None = None, *,
        decoding: str = "flat", precision: str = "fp32", max_tokens: int = MAX_TOKENS, name: str = "gliner",
        normalises: bool = False, trains: bool = False,
    ) -> None:  # fmt: skip
        self._name, self._max_tokens, self._precision = name, max_tokens, precision
        self.model, self.pieces, self.labels_pieces = model.eval(), pieces, labels_pieces
        self._normalises = normalises
        if not trains:
            remember_positions(model.body)
        self._single = model.config.max_width == 1 and not model.config.token_level
        self.longest_text = model.config.max_len
        self.decoding = decoding
        self._asked: _Asked | None = None
        self._groups: tuple[GlinerHead, ...] = ()
        self._told = [trains]
        """Whether the note on groups of labels was printed; one list for all heads over the same weights."""
        if decoding not in DECODINGS or (decoding == "touching" and not self._single):
            fit = DECODINGS if self._single else DECODINGS[:2]
            raise SettingsError(f"setting decoding = {decoding!r:.40}: for this model it must be one of "
                                f"{', '.join(fit)}", setting="decoding")  # fmt: skip

    @property
    def name(self) -> str:
        """Return what it computes on."""
        return self._name

    @property
    def types(self) -> list[str]:
        """Return its labels, sorted; none before."""
        return sorted(each.name for each in self._asked.labels) if self._asked else []

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "GlinerHead":
        """Return a head over the same weights that finds these labels; raise InputError if one leaves no room."""
        if self._asked and self._asked.labels == tuple(labels):
            return self._at(thresholds)
        read = self._as_read(labels)
        groups = self._groups_of(read)
        found, vectors = copy(self), None
        found._groups = ()
        if len(groups) > 1:
            self._tell_groups(len(labels), len(groups))
            found._groups = tuple(self.for_labels(labels[each], thresholds[each]) for each in groups)
            prompt = LabelPrompt()
        else:
            prompt = self._prompt(read)
        if self.labels_pieces is not None:
            with torch.inference_mode(), autocast(self._device.type, self._precision):
                vectors = self.model.prepared(self._encoded(read, self.labels_pieces))
        found._asked = _Asked(tuple(labels), np.array(thresholds, np.float32), prompt, vectors)
        return found

    def _at(self, thresholds: Sequence[float]) -> "GlinerHead":
        """Return a head for the same labels at other thresholds."""
        found, rest = copy(self), iter(thresholds)
        found._asked = self._request._replace(thresholds=np.array(thresholds, np.float32))
        found._groups = tuple(each._at(list(islice(rest, len(each._request.labels)))) for each in self._groups)
        return found

    def _as_read(self, labels: Sequence[EntityLabel]) -> Sequence[EntityLabel]:
        """Return labels as the model was trained to read them."""
        return [replace(each, name=normalised(each.name)) for each in labels] if self._normalises else labels

    def _groups_of(self, labels: Sequence[EntityLabel]) -> list[slice]:
        """Return which labels share a prompt."""
        return [slice(None)] if self.labels_pieces else self.pieces.groups(labels)

    def _prompt(self, labels: Sequence[EntityLabel]) -> LabelPrompt:
        return self.pieces.plain() if self.labels_pieces else self.pieces.prompt(labels)

    def _tell_groups(self, labels: int, groups: int) -> None:
        """Print once that labels are in several prompts."""
        if not any(self._told):
            tell(f"{labels:,} labels need {groups:,} prompts, so each text is read {groups:,} times: this "
                 "model is confused by more, or longer ones, at once than it had in training")  # fmt: skip
            self._told.append(True)

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Return the entities of some examples; raise InputError without labels."""
        return self.predict_each([(self, examples)])[0]

    def predict_each(self, groups: "Sequence[tuple[GlinerHead, Sequence[Example]]]") -> list[Entities]:  # type: ignore[override]
        """Return the entities of several groups, their windows sorted by length together."""
        found = list[Entities]()
        parts = [[(part._request, examples) for part in head._groups or (head,)] for head, examples in groups]
        candidates = self._candidates([part for some in parts for part in some])
        for head, examples in groups:
            of_labels = [next(candidates) for _ in head._groups or (head,)]
            entities = [head._entities(*each) for each in zip(examples, head._joined(of_labels), strict=True)]
            found.append(Entities.of(entities, nested=self.decoding == "nested"))
        return found

    def _joined(self, of_labels: Sequence[Sequence[Sequence[Candidate]]]) -> list[list[Candidate]]:
        """Return the candidates of each example, of those of each group of labels, by the numbers of all labels."""
        if not self._groups:
            return list(map(list, of_labels[0]))
        firsts = accumulate((len(each._request.labels) for each in self._groups), initial=0)
        shifted = [[[each._replace(label=each.label + first) for each in some] for some in found]
                   for first, found in zip(firsts, of_labels, strict=False)]  # fmt: skip
        return [list(chain(*some)) for some in zip(*shifted, strict=True)]

    def _candidates(self, parts: Sequence[tuple[_Asked, Sequence[Example]]]) -> Iterator[list[list[Candidate]]]:
        """Yield, for labels and the examples that are asked for them, what may be an entity of each example."""
        cut = [self.pieces.windows(examples, asked.prompt) for asked, examples in parts]
        windows = [window for some in cut for window in some]
        owners = [asked for (asked, _), some in zip(parts, cut, strict=True) for _ in some]
        candidates: list[list[Candidate]] = [[] for _ in windows]
        find = word_candidates if self.model.config.token_level else span_candidates
        for number, scores in self.scores(windows, owners):
            candidates[number] = find(scores.numpy(), torch.sigmoid(scores).numpy(), owners[number].thresholds)
        rest = iter(candidates)
        for (_, examples), some in zip(parts, cut, strict=True):
            found: list[list[Candidate]] = [[] for _ in examples]
            for number, of_one in groupby(some, key=lambda each: each.example):
                own = list(of_one)
                found[number] = _of_example(own, list(islice(rest, len(own))))
            yield found

    def cost(self, examples: Sequence[Example], labels: Sequence[EntityLabel] = ()) -> int:
        """Return how many subwords the model reads, prompts included; raise InputError without labels."""
        read = self._as_read(labels or self._request.labels)
        windows = (self.pieces.windows(examples, self._prompt(read[each])) for each in self._groups_of(read))
        return sum(len(window.ids) for some in windows for window in some)

    def scores(self, windows: Sequence[WordWindow], asked: Sequence[_Asked] = ()) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield each window's number and log-odds, by length; `asked`: each window's request (default: the head's)."""
        pairs = list(zip(windows, asked or [self._request] * len(windows), strict=True))
        for group in cheapest_cuts([len(each.ids) for each in windows], self._max_tokens, _START_COST):
            with torch.inference_mode(), autocast(self._device.type, self._precision):
                for number, scores in zip(group, self._scored([pairs[each] for each in group]), strict=True):
                    if torch.isnan(scores).any():
                        raise InputError("the model's scores are no numbers: its weights are damaged, or its precision "
                                         "is too low")  # fmt: skip
                    yield number, scores.cpu()

    @property
    def _request(self) -> _Asked:
        if self._asked is None:
            raise InputError(NEEDS_LABELS)
        return self._asked

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _scored(self, pairs: Sequence[tuple[WordWindow, _Asked]]) -> Iterator[torch.Tensor]:
        """Yield the log-odds of windows that go through the encoder together."""
        model, config, windows = self.model, self.model.config, [window for window, _ in pairs]
        states = self._states([each.ids for each in windows])
        rows = np.repeat(np.arange(len(windows)), [len(each.places) for each in windows])
        words = model.projected(states[rows, np.concatenate([each.places for each in windows])])
        if config.subtoken_pooling in ("mean", "max"):
            lengths = torch.from_numpy(np.concatenate([each.counts for each in windows])).to(self._device)
            words = torch.segment_reduce(words.float(), config.subtoken_pooling, lengths=lengths)
        counts = torch.tensor([len(each.read) for each in windows])
        labels = [
            model.prepared(model.projected(own[list(asked.prompt.places)])) if asked.vectors is None else asked.vectors
            for own, (_, asked) in zip(states, pairs, strict=True)
        ]
        yield from model.scores_of_texts(words, counts, labels)

    def _states(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return (rows, pieces, width): the text encoder's states."""
        ids, mask = padded_rows(rows, self.pieces.pad_id, self._device)
        states: torch.Tensor = self.model.body(input_ids=ids, attention_mask=mask)[0]
        return states

    def _encoded(self, labels: Sequence[EntityLabel], pieces: PromptTokenizer) -> torch.Tensor:
        """Return (labels, width): the vectors of labels by their own encoder, which reads each alone."""
        rows = pieces.alone([each.text for each in labels])
        found = torch.zeros((len(rows), self.model.config.hidden_size), device=self._device)
        for group in micro_batches([len(each) for each in rows], _LABELS * 8):
            found[group] = self.model.label_vectors(
                *padded_rows([rows[each] for each in group], pieces.pad_id, self._device)
            ).float()
        return found

    def _entities(self, example: Example, candidates: Sequence[Candidate]) -> list[tuple[WordSpan, Odds]]:
        names = [each.name for each in self._request.labels]
        kept = chosen_candidates(candidates, len(example.words), nested=self.decoding == "nested")
        if self._single:
            return joined_words(example, kept, names, touching=self.decoding == "touching")
        return [((each.start, each.end, names[each.label]), each.odds) for each in kept]


def _of_example(windows: Sequence[WordWindow], candidates: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """Return the candidates of one example, each from the window that it counts in."""
    found = list[Candidate]()
    for number, (window, some) in enumerate(zip(windows, candidates, strict=True)):
        before = window.before
        mine = [each for each in some if len(windows) == 1
                or best_window(windows, each.start + before, each.end - 1 + before) == number]  # fmt: skip
        found += renumbered(mine, window.read)
    return found


def padded_rows(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids and the mask of some rows, (rows, pieces) each."""
    mask = np.arange(max(map(len, rows))) < np.array([len(each) for each in rows])[:, None]
    ids = np.full(mask.shape, pad_id, np.int64)
    ids[mask] = np.concatenate([np.array(each, np.int64) for each in rows])
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask.astype(np.int64)).to(device)
