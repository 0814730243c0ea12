"""Words → pieces, by the tokenizer's own offsets; long sentences → overlapping windows.

The sentence's text is tokenised as it stands, and each piece is given to the word it begins in; so byte-level and
sentence-piece tokenizers see the text they were trained on. A word that gets no piece (a lone control character, say)
is in no window and shifts nothing. Of two windows that hold a word, the one with more context on both sides reads it
off.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from nerbert.errors import SettingsError
from nerbert.records import Example
from nerbert.training.batches import IGNORED, Window

_OVERLAP = 4
"""A window shares this fraction (one over) of its length with the next one."""
_CHUNK = 1000


class Pieces:
    """Turns examples into windows for one tokenizer and one model."""

    def __init__(self, tokenizer: Any, config: Any, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.pad_id = int(tokenizer.pad_token_id or 0)
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
                return_token_type_ids=False, verbose=False,
            )  # fmt: skip
            for place, example in enumerate(some):
                labels = [number_of.get(tag, IGNORED) for tag in tags[start + place]] if tags is not None else None
                first = _first_pieces(example.words, encoded["offset_mapping"][place])
                yield from self._cut(start + place, encoded["input_ids"][place], first, labels)

    def _cut(
        self, sentence: int, ids: Sequence[int], first: Sequence[tuple[int, int]], labels: Sequence[int] | None
    ) -> Iterator[Window]:
        """Windows of one sentence; `first` lists (word, place of its first piece)."""
        starts = _window_starts(len(ids), self.body)
        for number, start in enumerate(starts):
            end = min(start + self.body, len(ids))
            own = [(word, at) for word, at in first if _window_of(at, starts, self.body, len(ids)) == number]
            if own:
                yield Window(
                    sentence=sentence,
                    ids=(*self._before, *ids[start:end], *self._after),
                    words=tuple(word for word, _ in own),
                    positions=tuple(at - start + len(self._before) for _, at in own),
                    labels=tuple(labels[word] for word, _ in own) if labels is not None else (),
                )


def _first_pieces(words: Sequence[tuple[int, int]], offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(word, place of its first piece) for each word that has a piece of its own."""
    found: list[tuple[int, int]] = []
    word, seen = 0, -1
    for place, (start, end) in enumerate(offsets):
        while word < len(words) and words[word][1] <= start:
            word += 1
        if word < len(words) and start < end and words[word][0] < end and word != seen:
            found.append((word, place))
            seen = word
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
        if not start <= place < end:
            return -1
        before = place - start if start > 0 else length
        return min(before, end - 1 - place if end < length else length)

    return max(range(len(starts)), key=lambda number: (context(number), -number)) if len(starts) > 1 else 0


def _specials(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special pieces that the tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    at = next((i for i in range(len(full) - len(bare) + 1) if full[i : i + len(bare)] == bare), 0)
    return tuple(full[:at]), tuple(full[at + len(bare) :])


def _positions(tokenizer: Any, config: Any) -> int:
    """How many pieces the model has positions for; RoBERTa's kin keep the first ones for padding."""
    room = int(getattr(config, "max_position_embeddings", 0) or 512)
    if any(name in str(config.model_type) for name in ("roberta", "camembert", "mpnet", "longformer", "data2vec")):
        room -= int(config.pad_token_id or 0) + 1
    limit = int(tokenizer.model_max_length)
    return min(room, limit) if 0 < limit < 1_000_000 else room
