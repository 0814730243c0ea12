"""A GLiNER model as a head: examples and labels → entities, the most probable first, unless one before overlaps it.

What depends only on labels is computed once for all texts. Cost: a text is read once for each group of labels.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from itertools import accumulate, chain, groupby, islice
from typing import Any, NamedTuple, Protocol

import numpy as np

from nerbert.data.open_types import fold_labels
from nerbert.errors import InputError, SettingsError
from nerbert.labels import WordSpan
from nerbert.model.gliner.config import GlinerConfig
from nerbert.model.gliner.prompt import LabelPrompt, PromptTokenizer, WordWindow
from nerbert.model.heads import NEEDS_LABELS, Candidate, Entities, Head, Odds, chosen_candidates, is_one_entity
from nerbert.model.tokenizer import best_window
from nerbert.model.windows import cheapest_cuts
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array
from nerbert.terminal import tell

DECODINGS = ("flat", "nested", "touching")
MAX_TOKENS = 384
"""Padded pieces of a batch on a CPU, labels included: long texts go alone, which was fastest on each shape tried."""
NORMALISED = "normalised"
"""The value of `labels` in a folder's card if the model was trained on labels written as open types are."""
_START_COST = 32
"""What a further batch costs, in pieces."""


class _Asked(NamedTuple):
    """What a head was asked for; `vectors` are the labels', where they don't depend on the text."""

    labels: tuple[EntityLabel, ...]
    thresholds: Array
    prompt: LabelPrompt
    vectors: Any


class GlinerScorer(Protocol):
    """Computes a GLiNER model; threads may share it."""

    name: str
    """What it computes on."""

    def label_vectors(self, labels: Sequence[EntityLabel]) -> Any:
        """Return what `scores` takes for labels that have their own encoder."""

    def scores(
        self, windows: Sequence[WordWindow], prompts: Sequence[LabelPrompt], vectors: Sequence[Any]
    ) -> Iterator[Array]:
        """Yield the log-odds of each window in fp32; all windows go through the text's encoder together.

        They are (words, widths, labels) of spans, or (words, labels, 3) of words as first, last and inner ones. The
        labels of a window are in its prompt, or in `vectors` unless that is None.
        """


class GlinerHead(Head):
    """A GLiNER model; `for_labels` gives it labels.

    With `normalises` it reads labels as open types are written: without case and underscores. With `quiet` it prints no
    note on groups of labels.
    """

    usual_threshold = 0.5

    def __init__(
        self,
        scorer: GlinerScorer,
        config: GlinerConfig,
        pieces: PromptTokenizer,
        *,
        decoding: str = "flat",
        max_tokens: int = MAX_TOKENS,
        normalises: bool = False,
        quiet: bool = False,
    ) -> None:
        self.scorer, self.config, self._max_tokens = scorer, config, max_tokens
        self.pieces, self.normalises = pieces, normalises
        self._single = config.joins_words
        self.longest_text = config.max_len
        self._asked: _Asked | None = None
        self._groups: tuple[GlinerHead, ...] = ()
        self._noted = [quiet]
        """Whether the note on groups of labels was printed; one list for all heads over the same weights."""
        self.decoding = self._check_decoding(decoding)

    @property
    def name(self) -> str:
        """Return what it computes on."""
        return self.scorer.name

    @property
    def types(self) -> list[str]:
        """Return its labels, sorted; none before."""
        return sorted({label.name for label in self._asked.labels}) if self._asked else []

    @property
    def labels(self) -> list[EntityLabel]:
        """Return its labels, in the order they were asked for."""
        return list(self._asked.labels) if self._asked else []

    def _check_decoding(self, decoding: str) -> str:
        fit = DECODINGS if self._single else DECODINGS[:2]
        if decoding not in fit:
            raise SettingsError(
                f"setting decoding = {decoding!r:.40}: for this model it must be one of {', '.join(fit)}",
                setting="decoding",
            )
        return decoding

    def decode_by(self, decoding: str) -> "GlinerHead":
        """Return it with another way of decoding."""
        head = copy(self)
        head.decoding = self._check_decoding(decoding)
        return head

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "GlinerHead":
        """Return a head over the same weights that finds these labels; raise InputError if one leaves no room."""
        if self._asked and self._asked.labels == tuple(labels):
            return self._at(thresholds)
        # Models trained on labels as open types write them read them so again
        # ("Sports_team" as "sports team").
        read = fold_labels(labels) if self.normalises else labels
        groups = [] if self.config.two_encoders else self.pieces.groups(read)
        head = copy(self)
        vectors = None
        head._groups = ()
        if len(groups) > 1:
            # The note is printed once, however often labels are asked for.
            if not any(self._noted):
                count = f"{len(groups):,}"
                note = f"{len(labels):,} labels need {count} prompts, so each text is read {count} times"
                tell(f"{note}: this model is confused by more, or longer ones, at once than it had in training")
                self._noted.append(True)
            head._groups = tuple(self.for_labels(labels[group], thresholds[group]) for group in groups)
            prompt = LabelPrompt()
        elif self.config.two_encoders:
            prompt = self.pieces.plain()
            vectors = self.scorer.label_vectors(read)
        else:
            prompt = self.pieces.prompt(read)
        head._asked = _Asked(tuple(labels), np.array(thresholds, np.float32), prompt, vectors)
        return head

    def _at(self, thresholds: Sequence[float]) -> "GlinerHead":
        """Return a head for the same labels at other thresholds."""
        head = copy(self)
        remaining = iter(thresholds)
        head._asked = self._request._replace(thresholds=np.array(thresholds, np.float32))
        head._groups = tuple(group._at(list(islice(remaining, len(group._request.labels)))) for group in self._groups)
        return head

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Return the entities of some examples; raise InputError without labels."""
        return self.predict_each([(self, examples)])[0]

    def predict_each(self, groups: "Sequence[tuple[GlinerHead, Sequence[Example]]]") -> list[Entities]:  # type: ignore[override]
        """Return the entities of several groups, their windows sorted by length together."""
        answers = list[Entities]()
        parts = [[(part._request, examples) for part in head._groups or (head,)] for head, examples in groups]
        candidates = self._candidates([*chain(*parts)])
        for head, examples in groups:
            of_labels = [next(candidates) for _ in head._groups or (head,)]
            entities = [head._entities(*pair) for pair in zip(examples, head._join_groups(of_labels), strict=True)]
            answers.append(Entities.of(entities, nested=head.decoding == "nested"))
        return answers

    def _join_groups(self, of_labels: Sequence[Sequence[Sequence[Candidate]]]) -> list[list[Candidate]]:
        """Return the candidates of each example, of those of each group of labels, by the numbers of all labels."""
        if not self._groups:
            return list(map(list, of_labels[0]))
        firsts = accumulate((len(group._request.labels) for group in self._groups), initial=0)
        shifted = [
            [[span._replace(label=span.label + first) for span in candidates] for candidates in of_group]
            for first, of_group in zip(firsts, of_labels, strict=False)
        ]
        return [list(chain(*of_example)) for of_example in zip(*shifted, strict=True)]

    def _candidates(self, parts: Sequence[tuple[_Asked, Sequence[Example]]]) -> Iterator[list[list[Candidate]]]:
        """Yield, for labels and the examples that are asked for them, what may be an entity of each example."""
        cut = [self.pieces.windows(examples, asked.prompt) for asked, examples in parts]
        windows = [*chain(*cut)]
        owners = [asked for (asked, _), share in zip(parts, cut, strict=True) for _ in share]
        candidates: list[list[Candidate]] = [[] for _ in windows]
        find = word_candidates if self.config.token_level else span_candidates
        for number, scores in self.scores(windows, owners):
            candidates[number] = find(scores, sigmoid(scores), owners[number].thresholds)
        remaining = iter(candidates)
        for (_, examples), share in zip(parts, cut, strict=True):
            by_example: list[list[Candidate]] = [[] for _ in examples]
            for number, of_one in groupby(share, key=lambda window: window.example):
                group = list(of_one)
                by_example[number] = _of_example(group, list(islice(remaining, len(group))))
            yield by_example

    def cost(self, examples: Sequence[Example], labels: Sequence[EntityLabel] = ()) -> int:
        """Return how many subwords the model reads, prompts included; raise InputError without labels."""
        read = labels or self._request.labels
        pieces = self.pieces
        read = fold_labels(read) if self.normalises else read
        both = self.config.two_encoders
        prompts = [pieces.plain()] if both else [pieces.prompt(read[group]) for group in pieces.groups(read)]
        return sum(len(window.ids) for prompt in prompts for window in pieces.windows(examples, prompt))

    def scores(self, windows: Sequence[WordWindow], asked: Sequence[_Asked] = ()) -> Iterator[tuple[int, Array]]:
        """Yield each window's number and log-odds, by length; `asked`: each window's request (default: the head's)."""
        owners = asked or [self._request] * len(windows)
        for group in cheapest_cuts([len(window.ids) for window in windows], self._max_tokens, _START_COST):
            batch = [windows[number] for number in group]
            asks = [owners[number] for number in group]
            outputs = self.scorer.scores(batch, [ask.prompt for ask in asks], [ask.vectors for ask in asks])
            for number, every in zip(group, outputs, strict=True):
                scores = _inside(every, len(windows[number].read))
                # No comparison with NaN is true, so a damaged model would find nothing in silence.
                if np.isnan(scores).any():
                    raise InputError(
                        "the model's scores are no numbers: its weights are damaged, or its precision is too low"
                    )
                yield number, scores

    def prompt_windows(self, examples: Sequence[Example]) -> Iterator[tuple["GlinerHead", list[WordWindow]]]:
        """Yield the head of each group of labels that share a prompt, and the examples' windows with it."""
        for head in self._groups or (self,):
            yield head, self.pieces.windows(examples, head._request.prompt)

    @property
    def _request(self) -> _Asked:
        if self._asked is None:
            raise InputError(NEEDS_LABELS)
        return self._asked

    def _entities(self, example: Example, candidates: Sequence[Candidate]) -> list[tuple[WordSpan, Odds]]:
        names = [label.name for label in self._request.labels]
        kept = chosen_candidates(candidates, len(example.words), nested=self.decoding == "nested")
        if self._single:
            # A model of single words finds "New" and "York" apart; neighbours of one label are joined.
            return joined_words(example, kept, names, touching=self.decoding == "touching")
        return [((span.start, span.end, names[span.label]), span.odds) for span in kept]


def _inside(scores: Array, words: int) -> Array:
    """Return the log-odds of what lies within so many words, where what closes the window is one more."""
    # GLiNER2 scores the full stop that closes a window as a word.
    if len(scores) > words:
        scores = scores[:words, :words]
        scores[np.add.outer(np.arange(words), np.arange(scores.shape[1])) >= words] = -np.inf
    return scores


def _of_example(windows: Sequence[WordWindow], candidates: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """Return the candidates of one example, each from the window that it counts in."""
    kept = list[Candidate]()
    spans = [(window.before, window.before + len(window.read)) for window in windows]
    for number, (window, of_window) in enumerate(zip(windows, candidates, strict=True)):
        for span in of_window:
            first = span.start
            last = span.end - 1
            places = window.before + first, window.before + last
            if len(windows) == 1 or best_window(spans, *places, window.total) == number:
                kept.append(span._replace(start=int(window.read[first]), end=int(window.read[last]) + 1))
    return kept


def sigmoid(odds: Array) -> Array:
    """Return probabilities, (…) as the log-odds."""
    small = np.exp(-np.abs(odds))
    return np.asarray(np.where(odds >= 0, 1, small) / (1 + small))


def span_candidates(odds: Array, probabilities: Array, thresholds: Array) -> list[Candidate]:
    """Return what is above the labels' thresholds in (words, widths, labels): each span's likeliest label."""
    # A likelier label below its own threshold must not hide another one that reaches its own.
    likely = np.where(probabilities > thresholds, probabilities, -1)
    best = likely.argmax(-1)
    # `initial` covers a request without labels.
    starts, widths = np.nonzero(likely.max(-1, initial=-1) >= 0)
    labels = best[starts, widths]
    rows = (starts, starts + widths + 1, labels, odds[starts, widths, labels], probabilities[starts, widths, labels])
    return list(map(Candidate._make, zip(*(row.tolist() for row in rows), strict=True)))


def word_candidates(odds: Array, probabilities: Array, thresholds: Array) -> list[Candidate]:
    """Return the same of (words, labels, 3): log-odds of a word as first, last and inner one."""
    above = probabilities[..., :2] > thresholds[:, None]
    inner = probabilities[..., 2] >= thresholds
    candidates = list[Candidate]()
    # From each first word on, up to the first word that isn't inner, each last word makes a candidate.
    for start, label in np.argwhere(above[..., 0] & inner).tolist():
        out = np.flatnonzero(~inner[start:, label])
        stop = start + int(out[0]) if out.size else len(inner)
        ends = start + np.flatnonzero(above[start:stop, label, 1])
        if not ends.size:
            continue
        # A span is as likely as its least likely part: first, last or any inner word.
        least = np.minimum.accumulate(odds[start : int(ends[-1]) + 1, label, 2])[ends - start]
        least = np.minimum(np.minimum(least, odds[start, label, 0]), odds[ends, label, 1])
        chances = np.minimum(
            np.minimum.accumulate(probabilities[start : int(ends[-1]) + 1, label, 2])[ends - start],
            np.minimum(probabilities[start, label, 0], probabilities[ends, label, 1]),
        )
        rows = zip(ends.tolist(), least.tolist(), chances.tolist(), strict=True)
        candidates += [Candidate(start, end + 1, label, *numbers) for end, *numbers in rows]
    return candidates


def joined_words(
    example: Example, candidates: Sequence[Candidate], names: Sequence[str], *, touching: bool
) -> list[tuple[WordSpan, Odds]]:
    """Return entities of single words, each with those after it that are one entity with it."""
    groups = list[list[Candidate]]()
    for word in candidates:
        last = groups[-1][-1] if groups else None
        if last and last.label == word.label and is_one_entity(example, last.start, word.start, touching=touching):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [
        ((group[0].start, group[-1].end, names[group[0].label]), tuple(word.odds for word in group)) for group in groups
    ]
