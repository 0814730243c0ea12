"""Words and labels → pieces, as GLiNER reads them; long texts → windows that overlap."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np

from nerbert.errors import InputError
from nerbert.model.gliner.config import GlinerConfig
from nerbert.model.tokenizer import check_pieces, check_vocabulary, encode, room_for, special_pieces
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array

_CACHED = 1 << 17
"""Words whose pieces are kept."""
_UNBOUNDED = 2048
"""Pieces that a model without positions of its own (DeBERTa's are relative) is given at most, its labels included."""
LEAST = 32
"""Pieces that labels must leave for a text."""
_OVERLAP = 4
"""A window shares at least this fraction (one over) of its words with the next one."""


@dataclass(frozen=True, slots=True)
class LabelPrompt:
    """The pieces before and after a text, and the places that its labels are read off.

    The first `own` places are the prompt's, not labels'.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    own: int = 0


@dataclass(frozen=True, slots=True)
class WordWindow:
    """Words of an example that go through the model together, by number; `read` are those with pieces.

    `ids` are all pieces, `places` those that words are read off, and `counts` how many of these each word has. What
    closes the window may be a word more there (`reads_closing`).
    """

    example: int
    read: Array
    ids: tuple[int, ...]
    places: Array
    counts: Array
    before: int
    """Words of the example that come before and have pieces."""
    total: int
    """Words of the example that have pieces."""


class PromptTokenizer:
    """Cuts examples and labels for one encoder, which may be that of labels alone (`for_labels`).

    `marks` are the pieces of the marks, if they are known.
    """

    reads_closing = False
    """Whether the pieces after a window are scored as a word, which is never part of an entity."""

    def __init__(
        self,
        tokenizer: Any,
        config: GlinerConfig,
        body: Any,
        *,
        for_labels: bool = False,
        marks: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.tokenizer, self.config = tokenizer, config
        if not for_labels:
            _add_specials(tokenizer)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self._before, self._after = special_pieces(tokenizer)
        self._vocabulary = int(body.config.vocab_size)
        self._known: dict[str, tuple[int, ...]] = {}
        names = () if for_labels else self.mark_names(config)
        self._marks = {mark: tuple(marks[mark]) if marks else self._mark(mark) for mark in names}
        check_pieces([*chain.from_iterable(self._marks.values())], self._vocabulary)
        check_vocabulary(tokenizer, self._vocabulary)
        self._in_mark = _compile_cuts(config)
        # DeBERTa has no positions of its own to run out of.
        relative = getattr(body.config, "relative_attention", False) and not body.config.position_biased_input
        self.room = _UNBOUNDED if relative else room_for(tokenizer, body.config)

    def plain(self) -> LabelPrompt:
        """Return what stands around a text whose labels are read elsewhere; raise InputError if no text has room."""
        if self.room - len(self._before) - len(self._after) < LEAST:
            raise InputError(
                f"the model has room for {self.room:,} pieces, too few for a text; take one of more positions"
            )
        return LabelPrompt(self._before, self._after)

    def prompt(self, labels: Sequence[EntityLabel]) -> LabelPrompt:
        """Return labels' pieces as they stand before a text; raise InputError if they leave no room for one."""
        ent, sep = (self._marks[mark] for mark in (self.config.ent_token, self.config.sep_token))
        if self.config.class_token_index not in ent:
            raise InputError(
                f"the tokenizer gives {ent} for {self.config.ent_token!r}, and the model knows a label "
                f"by {self.config.class_token_index}: they don't belong together"
            )
        ids = list(self._before)
        places = []
        # A label is read off its mark, or off the piece after it (`embed_ent_token` = false).
        shift = ent.index(self.config.class_token_index) + (not self.config.embed_ent_token)
        for pieces in self.pieces([label.text for label in labels]):
            places.append(len(ids) + shift)
            ids += [*ent, *pieces]
        ids += sep
        self._check_room(labels, len(ids))
        return LabelPrompt(tuple(ids), self._after, tuple(places))

    def _check_room(self, labels: Sequence[EntityLabel], size: int) -> None:
        """Raise InputError if a prompt of so many pieces leaves no room for a text."""
        if (left := self.room - size - len(self._after)) < LEAST:
            longest = max(labels, key=lambda label: len(label.text))
            raise InputError(
                f"{len(labels):,} labels take {size:,} pieces of the {self.room:,} that the model has "
                f"room for: {max(0, left)} are left for a text; give fewer or shorter ones (the longest: "
                f"{longest.text!r:.80}), or take a bi-encoder, which reads thousands"
            )

    def groups(self, labels: Sequence[EntityLabel]) -> list[slice]:
        """Return which labels to ask for together, in order: as many as prompts had in training, no longer ones."""
        most = self.config.max_types
        # A folder that doesn't say how long prompts were in training gets half of the room.
        room = self.config.max_prompt_len or self.room // 2
        cuts = [0]
        size = 0
        for number, pieces in enumerate(self.sizes([label.text for label in labels])):
            size += pieces
            # A label that is longer than the room alone still gets a group of its own.
            if number - cuts[-1] == most or (size > room and number > cuts[-1]):
                cuts.append(number)
                size = pieces
        return [slice(*pair) for pair in pairwise([*cuts, len(labels)])]

    def pieces(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the pieces of each word (or label), cut by itself."""
        if len(self._known) > _CACHED:
            self._known = {}
        # Another thread may put a new dict in its place; this one stays whole.
        known = self._known
        if unknown := [word for word in dict.fromkeys(words) if word not in known]:
            known.update(zip(unknown, self._cut(unknown), strict=True))
        return [known[word] for word in words]

    def sizes(self, labels: Sequence[str]) -> list[int]:
        """Return how many pieces each label takes in a prompt, its mark included."""
        mark = len(self._marks[self.config.ent_token])
        return [mark + len(pieces) for pieces in self.pieces(labels)]

    def key(self) -> list[Any]:
        """Return what beside the tokenizer decides how texts are cut, as JSON."""
        return [self.room, self.config.max_len, self.config.max_width, self.config.subtoken_pooling]

    @classmethod
    def mark_names(cls, config: GlinerConfig) -> Sequence[str]:
        """Return the marks of prompts."""
        return config.ent_token, config.sep_token

    def facts(self) -> dict[str, Any]:
        """Return what is enough, beside the tokenizer, to cut the same way without torch, as JSON."""
        return {
            "before": list(self._before),
            "after": list(self._after),
            "pad_id": self.pad_id,
            "room": self.room,
            "vocabulary": self._vocabulary,
        }

    @property
    def marks(self) -> dict[str, list[int]]:
        """Return the pieces of the marks."""
        return {mark: list(ids) for mark, ids in self._marks.items()}

    @property
    def around(self) -> int:
        """Return how many pieces stand around labels and text: special ones, and the mark between them."""
        return len(self._before) + len(self._marks[self.config.sep_token]) + len(self._after)

    def alone(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the pieces of labels that stand alone, marks included; raise InputError for one that is too long."""
        rows = [(*self._before, *ids, *self._after) for ids in encode(self.tokenizer, list(texts))["input_ids"]]
        for text, row in zip(texts, rows, strict=True):
            if len(row) > self.room:
                raise InputError(
                    f"label {text!r:.60}: takes {len(row):,} pieces of the {self.room:,} that the model "
                    "has room for; give a shorter one"
                )
        return rows

    def windows(self, examples: Iterable[Example], prompt: LabelPrompt, most: int = 0) -> list[WordWindow]:
        """Return the windows of examples, in order, of at most `most` pieces (0: as many as there is room for)."""
        body = min(most or self.room, self.room) - len(prompt.before) - len(prompt.after)
        windows = list[WordWindow]()
        for number, example in enumerate(examples):
            # A "word" of thousands of pieces (a long URL) must not fill a window alone: it is cut.
            words = [pieces[: body // 2] for pieces in self.pieces(self._words(example))]
            read = np.flatnonzero([*map(bool, words)])
            kept = list(filter(None, words))
            ends = np.cumsum([*map(len, kept)], dtype=np.int64)
            for start, end in _cuts(ends, body, self.config.max_len, self.config.max_width):
                # In the last window a full stop after the last word counts, too.
                last = len(example.text) if end == len(kept) else example.words[read[end - 1]][1]
                closing = self._find_closing(prompt, example.text, last)
                parts = [*kept[start:end], *([closing] if closing and self.reads_closing else [])]
                firsts = np.cumsum([len(prompt.before), *map(len, parts)])
                places, counts = _read_off(firsts, self.config.subtoken_pooling)
                ids = [*prompt.before, *chain.from_iterable(kept[start:end]), *closing]
                windows.append(WordWindow(number, read[start:end], tuple(ids), places, counts, start, len(kept)))
        return windows

    def _words(self, example: Example) -> list[str]:
        """Return the words of an example as the tokenizer gets them."""
        return [example.text[start:end] for start, end in example.words]

    def _find_closing(self, prompt: LabelPrompt, text: str, end: int) -> tuple[int, ...]:
        """Return the pieces after a window whose words end there in the text."""
        return prompt.after

    def _mark(self, mark: str) -> tuple[int, ...]:
        """Return a mark's pieces; to be called before threads share the tokenizer, whose state it changes."""
        return tuple(encode(self.tokenizer, [mark], is_split_into_words=True, split_special_tokens=False)["input_ids"])

    def _cut(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        parts = [self._in_mark.split(word) for word in words]
        owners = [number for number, texts in enumerate(parts) for _ in texts]
        cut = encode(self.tokenizer, [part for texts in parts for part in texts], is_split_into_words=True)
        ids = cut["input_ids"]
        places = cut.word_ids()
        check_pieces(ids, self._vocabulary)
        pieces: list[list[int]] = [[] for _ in words]
        for id_, number in zip(ids, places, strict=True):
            # Parts without pieces (white space to the tokenizer) leave no trace in
            # `places`, so they are matched by number.
            pieces[owners[number]].append(id_)
        return list(map(tuple, pieces))


def _add_specials(tokenizer: Any) -> None:
    # As the package does; some kinds of tokenizer lost them in transformers 5.
    for mark in ("bos", "eos"):
        if hasattr(tokenizer, f"add_{mark}_token") and getattr(tokenizer, f"{mark}_token_id") is not None:
            setattr(tokenizer, f"add_{mark}_token", True)


def _compile_cuts(config: GlinerConfig) -> re.Pattern[str]:
    texts = [mark for mark in (config.ent_token, config.sep_token) if len(mark) > 1]
    cuts = "|".join(f"(?<={re.escape(text[0])})(?={re.escape(text[1:])})" for text in texts)
    # The package's tokenizers don't know their marks as special pieces. A text that
    # holds "<<ENT>>" is cut inside it, so that it can't be read as one.
    return re.compile(cuts or "(?!)")


def _read_off(firsts: Array, pooling: str) -> tuple[Array, Array]:
    """Return the places of the pieces that words are read off, and how many each has; `firsts` has one place more."""
    if pooling in ("mean", "max"):
        return np.arange(firsts[0], firsts[-1]), np.diff(firsts)
    return (firsts[:-1] if pooling == "first" else firsts[1:] - 1), np.ones(len(firsts) - 1, np.int64)


def _cuts(ends: Array, body: int, most: int, overlap: int) -> list[tuple[int, int]]:
    """Return the first word and the word after the last of each window; `ends` says where words' pieces end."""
    count = len(ends)
    start = 0
    cuts = list[tuple[int, int]]()
    while count:
        before = ends[start - 1] if start else 0
        end = min(int(np.searchsorted(ends, before + body, side="right")), start + most)
        # The last window begins as early as it may, so that its first words have context.
        if end >= count:
            start = max(int(np.searchsorted(ends, ends[-1] - body)) + 1 if ends[-1] > body else 0, count - most)
            return [*cuts, (start, count)]
        cuts.append((start, end))
        # Windows share at least the widest span, so each span lies whole in one of them;
        # they always move on.
        start = max(start + 1, end - max(overlap, (end - start) // _OVERLAP))
    return cuts
