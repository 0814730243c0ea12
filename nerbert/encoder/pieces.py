"""Words → pieces, by the tokenizer's own offsets; long sentences → overlapping windows.

The sentence's text is tokenised as it stands, and each piece is given to the word it begins in; so byte-level and
sentence-piece tokenizers see the text they were trained on, and what looks like a special piece in it is plain text.
Where one piece holds several words (Han characters, say), the first is labelled and the others follow it, if they are
letters or digits; punctuation there stays outside. A word that gets no piece (a lone control character, say) is in no
window and shifts nothing. Of two windows that hold a word, the one with more context on both sides reads it off.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from nerbert.errors import InputError, SettingsError
from nerbert.records import Example
from nerbert.training.batches import IGNORED, Window

_OVERLAP = 4
"""A window shares this fraction (one over) of its length with the next one."""
_CHUNK = 1000
_POSITIONS = 512
"""For models whose configuration sets no limit."""
_PADDED_POSITIONS = (
    "roberta", "camembert", "mpnet", "longformer", "data2vec", "xmod", "ibert", "luke", "lilt", "layoutlmv3",
)  # fmt: skip
"""Parts of the names of model types that number positions from the padding piece's id on."""


class Pieces:
    """Turns examples into windows for one tokenizer and one model.

    With `truncate` a sentence has its first window alone: words beyond it are neither trained on nor tagged.
    """

    def __init__(self, tokenizer: Any, config: Any, max_length: int, *, truncate: bool = False) -> None:
        self.tokenizer, self._truncate = tokenizer, truncate
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self._vocabulary = int(getattr(config, "vocab_size", 0) or 0)
        self._before, self._after = _specials(tokenizer)
        self.body = min(max_length, _positions(tokenizer, config)) - len(self._before) - len(self._after)
        if self.body < 2:
            raise SettingsError(f"max_length = {max_length}: leaves {self.body} pieces beside the special ones")

    def windows(
        self, examples: Sequence[Example], tags: Sequence[Sequence[str]] | None = None, names: Sequence[str] = ()
    ) -> Iterator[Window]:
        """The windows of all examples, in order; with `tags` (one list a sentence), labelled by place in `names`.

        A tag that is not in `names` gives no loss.
        """
        number_of = {name: number for number, name in enumerate(names)}
        for start in range(0, len(examples), _CHUNK):
            some = examples[start : start + _CHUNK]
            encoded = self.tokenizer(
                [example.text for example in some],
                add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False,
                return_token_type_ids=False, verbose=False, split_special_tokens=True,
            )  # fmt: skip
            for place, example in enumerate(some):
                labels = [number_of.get(tag, IGNORED) for tag in tags[start + place]] if tags is not None else None
                ids, first = encoded["input_ids"][place], _first_pieces(example, encoded["offset_mapping"][place])
                self._check_ids(ids)
                yield from self._cut(start + place, ids, first, labels)

    def _check_ids(self, ids: Sequence[int]) -> None:
        if ids and self._vocabulary and max(ids) >= self._vocabulary:
            raise InputError(
                f"the tokenizer gives piece {max(ids)}, the model knows {self._vocabulary}: they don't belong together"
            )

    def _cut(
        self, sentence: int, ids: Sequence[int], first: Sequence[tuple[int, int]], labels: Sequence[int] | None
    ) -> Iterator[Window]:
        """Windows of one sentence; `first` lists (word, place of its first piece)."""
        if self._truncate:
            ids, first = ids[: self.body], [(word, at) for word, at in first if at < self.body]
        starts = _window_starts(len(ids), self.body)
        words: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for word, at in first:
            words[_window_of(at, starts, self.body, len(ids))].append((word, at))
        for number, own in words.items():
            start = starts[number]
            positions = [at - start + len(self._before) for _, at in own]
            yield Window(
                sentence=sentence,
                ids=(*self._before, *ids[start : start + self.body], *self._after),
                words=tuple(word for word, _ in own),
                positions=tuple(positions),
                labels=_labels(own, labels) if labels is not None else (),
            )


def _labels(own: Sequence[tuple[int, int]], labels: Sequence[int]) -> tuple[int, ...]:
    """The label of each word of a window; words that share an earlier word's piece give no loss."""
    befores = [-1, *(at for _, at in own)]
    return tuple(labels[word] if at != before else IGNORED for (word, at), before in zip(own, befores, strict=False))


def _first_pieces(example: Example, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(word, place of its first piece), in order; words that share a piece have the same place."""
    found: list[tuple[int, int]] = []
    words, word = example.words, 0
    for place, (start, end) in enumerate(offsets):
        while word < len(words) and words[word][1] <= start:
            word += 1
        alone = True
        while start < end and word < len(words) and words[word][0] < end:
            if alone or example.text[words[word][0]].isalnum():
                found.append((word, place))
            word, alone = word + 1, False
    return found


def _window_starts(length: int, body: int) -> list[int]:
    """Where windows begin: one if all fits, else with an overlap, the last one flush with the end."""
    if length <= body:
        return [0]
    stride = max(1, body - body // _OVERLAP)
    return [*range(0, length - body, stride), length - body]


def _window_of(place: int, starts: Sequence[int], body: int, length: int) -> int:
    """The window in which the piece at `place` has the most context on its poorer side."""

    def context(number: int) -> int:
        start, end = starts[number], min(starts[number] + body, length)
        before = place - start if start > 0 else length
        return min(before, end - 1 - place if end < length else length)

    holding = range(bisect_right(starts, place - body), bisect_right(starts, place))
    return max(holding, key=lambda number: (context(number), -number))


def _specials(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special pieces that the tokenizer puts before and after a text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, added = encoded["input_ids"], encoded["special_tokens_mask"]
    before = added.index(0) if 0 in added else len(ids)
    after = added[::-1].index(0) if 0 in added else 0
    return tuple(ids[:before]), tuple(ids[len(ids) - after :])


def _positions(tokenizer: Any, config: Any) -> int:
    """How many pieces the model has positions for; RoBERTa's kin keep the first ones for padding."""
    room = int(getattr(config, "max_position_embeddings", 0) or 0)
    room = room if room > 0 else _POSITIONS
    if any(name in str(config.model_type) for name in _PADDED_POSITIONS):
        room -= int(config.pad_token_id or 0) + 1
    limit = int(tokenizer.model_max_length)
    return min(room, limit) if 0 < limit < 1_000_000 else room
