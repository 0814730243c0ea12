"""Words → pieces, by the tokenizer's own offsets; long sentences → overlapping windows.

A SentencePiece tokenizer has pieces such as `▁7.` and `03.20`, which hide where a name ends. A training cuts text at
the borders of words first (`cut_at_words`), and the tokenizer's file says so. Cost: more pieces, one a character in
Chinese.
In other tokenizers a piece is given to the word it begins in; further words that begin in it follow its first word.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from nerbert.config import check
from nerbert.errors import InputError, SettingsError, refused
from nerbert.labels import example_tags, unknown_words
from nerbert.model.windows import IGNORED, Label, Window
from nerbert.records import Example
from nerbert.terminal import percent, tell
from nerbert.words import AM, SCRIPTS_ALONE

OnTooLong = Literal["window", "truncate", "error"]
"""Ways to handle a sentence that is longer than a window."""
_OVERLAP = 4
"""A window shares this fraction (one over) of its length with the next one."""
_WHOLE = 1.5
"""A text of up to this many times `window` stays whole: two windows would overlap too much."""
_CHUNK = 1000
_POSITIONS = 512
"""For models whose configuration sets no limit."""
_PADDED_POSITIONS = "roberta camembert mpnet longformer data2vec xmod ibert luke lilt layoutlmv3".split()
"""Parts of the names of model types that number positions from the padding piece's id on."""
_MOST = 2000
"""Examples whose entities are looked at."""
_MANY = 0.05
"""From this share of hidden entities on there is a warning."""
_MOST_OF_A_TYPE, _FEW = 0.5, 3
"""From this share of a type's entities on, and this number, there is one, too."""
_SPACE = "▁"
"""A piece of SentencePiece that follows white space begins with it."""
_WORD_BORDERS = re.sub(
    r"\\u(\w{4})",
    r"\\x{\1}",
    rf"{_SPACE}?(?:[{SCRIPTS_ALONE}](?:\p{{M}}|[{AM}])*|[^\p{{L}}\p{{M}}\p{{N}}\p{{C}}_{_SPACE}\s]\p{{M}}*)",
)
"""A word that is one character with its marks, as in `nerbert.words`, for the tokenizers' own regular expressions."""
_tell_once = cache(tell)
Read = tuple[int, int, Label]
"""A word, the place of the piece that it is read off, and the label there."""


class WordLabels(Protocol):
    """Labels of an example's words; it goes to worker processes, so it must be picklable."""

    ignored: Label = IGNORED
    """The label that gives no loss: `IGNORED` for each number of a label."""

    def of(self, example: Example) -> Sequence[Label]:
        """Return a label for each word: a number, or as many for each word."""

    def label_words(self, example: Example) -> list[Label]:
        """Return the label of each word; words of which nothing is known have none."""
        labels = list(self.of(example))
        # Words of which nothing is known (an annotator's gap) must not be learnt as outside.
        for word in unknown_words(example):
            labels[word] = self.ignored
        return labels

    def key(self) -> Any:
        """Return all that decides the labels, as JSON: windows are cached under it and the name of the class."""


class BioLabels(WordLabels):
    """The numbers of BIO tags among a head's `tags`; a tag that is not among them gives no loss."""

    def __init__(self, tags: Sequence[str]) -> None:
        self._number_of = {tag: number for number, tag in enumerate(tags)}

    def of(self, example: Example) -> list[Label]:
        """Return the number of each word's tag."""
        return [self._number_of.get(tag, IGNORED) for tag in example_tags(example)]

    def key(self) -> list[str]:
        """Return the tags in order."""
        return list(self._number_of)


class SubwordTokenizer:
    """Turns examples into windows for one tokenizer and one model.

    A sentence of more than `max_length` pieces is cut into overlapping windows; with `on_too_long` = `truncate` it has
    its first window alone (words beyond it are neither trained on nor tagged), with `error` it is refused.
    """

    window: int = 0
    """Pieces of a tagger's windows, if fewer: with `on_too_long` = `window` texts of over 1.5 times as many are cut."""

    word_by_word: ClassVar[bool] = False
    """Whether each word is cut separately, so that no subword has letters of two."""

    def __init__(
        self, tokenizer: Any, config: Any, max_length: int, *, on_too_long: str = "window", window: int = 0
    ) -> None:
        self.tokenizer = tokenizer
        self.window = window
        self._on_too_long = check("on_too_long", on_too_long, OnTooLong)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self.vocabulary = int(getattr(config, "vocab_size", 0) or 0)
        self._before, self._after = special_pieces(tokenizer)
        check_pieces([*self._before, *self._after, self.pad_id], self.vocabulary)
        # Checked at once: a piece beyond the embeddings would fail only in the first text that has it.
        check_vocabulary(tokenizer, self.vocabulary)
        self.room = room_for(tokenizer, config)
        room = self.room
        special = len(self._before) + len(self._after)
        self.body = min(max_length, room) - special
        if room - special < 2:
            name = getattr(config, "name_or_path", "") or config.model_type
            few = f"{special} of them special: too few"
            raise InputError(f"{name}: has room for {room} pieces, {few} for text; use a model with more positions")
        if self.body < 2:
            raise SettingsError(f"max_length = {max_length}: leaves {self.body} pieces beside the special ones")

    def windows(self, examples: Sequence[Example], labels: WordLabels | None = None) -> Iterator[Window]:
        """Yield the windows of all examples, in order; with `labels`, labelled by them."""
        for start in range(0, len(examples), _CHUNK):
            chunk = examples[start : start + _CHUNK]
            cut = self._encode([example.text for example in chunk])
            for index, example in enumerate(chunk):
                ids = cut["input_ids"][index]
                offsets = cut["offset_mapping"][index]
                check_pieces(ids, self.vocabulary)
                read: list[Read] = [(word, at, IGNORED) for word, at in _first_pieces(example, offsets)]
                if labels is not None:
                    read = _label_words(read, labels.label_words(example), labels.ignored)
                yield from self._cut(start + index, ids, read, labelled=labels is not None)

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Return the pieces of a text with the special ones; raise InputError for none, or more than a window holds."""
        ids = self._encode([text])["input_ids"][0]
        check_pieces(ids, self.vocabulary)
        if not 0 < len(ids) <= self.body:
            raise InputError(f"has {len(ids)} pieces; the model reads 1 to {self.body}")
        return (*self._before, *ids, *self._after)

    def characters_read(self, examples: Sequence[Example]) -> list[int]:
        """Return how many characters of each example are in a window: all, unless long ones are truncated."""
        if self._on_too_long != "truncate":
            return [len(example.text) for example in examples]
        offsets = self._encode([example.text for example in examples])["offset_mapping"]
        return [
            spans[self.body - 1][1] if len(spans) > self.body else len(example.text)
            for example, spans in zip(examples, offsets, strict=True)
        ]

    def counts(self, texts: list[str]) -> list[int]:
        """Return how many pieces each text has, without special ones."""
        return [len(ids) for ids in self._encode(texts)["input_ids"]] if texts else []

    def _encode(self, texts: list[str]) -> Any:
        """Return pieces and offsets of texts; all calls have the same options, a state that threads share."""
        return encode(self.tokenizer, texts, return_offsets_mapping=True)

    def use_windows(self) -> "SubwordTokenizer":
        """Return the same with `on_too_long` = `window`."""
        pieces = copy(self)
        pieces._on_too_long = "window"
        return pieces

    def key(self) -> dict[str, Any]:
        """Return all that decides how texts are cut except the tokenizer itself, as JSON."""
        return {name: value for name, value in sorted(vars(self).items()) if name != "tokenizer"}

    def facts(self) -> dict[str, Any]:
        """Return numbers about tokenizer and model that are enough to cut the same way without torch."""
        return {
            "before": list(self._before),
            "after": list(self._after),
            "pad_id": self.pad_id,
            "room": self.room,
            "vocabulary": self.vocabulary,
        }

    def _cut(self, sentence: int, ids: Sequence[int], read: Sequence[Read], *, labelled: bool) -> Iterator[Window]:
        """Yield the windows of one sentence, each with what is read there."""
        if self._on_too_long == "error" and len(ids) > self.body:
            remedy = "use on_too_long = 'window' to have it cut into windows that overlap"
            raise InputError(f"a sentence of {len(ids)} pieces is longer than a window of {self.body}; {remedy}")
        if self._on_too_long == "truncate":
            ids = ids[: self.body]
            read = [row for row in read if row[1] < self.body]
        # A text a little longer than the window stays whole: two windows would share most of it.
        shorter = self._on_too_long == "window" and 0 < self.window < min(self.body, len(ids) / _WHOLE)
        for start, end, share in cut_into_windows(read, len(ids), self.window if shorter else self.body):
            words, places, labels = zip(*share, strict=True)
            positions = tuple(position - start + len(self._before) for position in places)
            pieces = (*self._before, *ids[start:end], *self._after)
            yield Window(sentence, pieces, words, positions, labels if labelled else ())


def _label_words(read: Sequence[Read], labels: Sequence[Label], ignored: Label) -> list[Read]:
    """Return first pieces with their words' labels; words that share an earlier word's piece give no loss."""
    pairs = zip(read, [-1, *(position for _, position, _ in read)], strict=False)
    return [(word, place, labels[word] if place != before else ignored) for (word, place, _), before in pairs]


def _first_pieces(example: Example, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (word, place of its first piece), in order; words that share a piece have the same place."""
    firsts: list[tuple[int, int]] = []
    words, word = example.words, 0
    for position, (start, end) in enumerate(offsets):
        # Words that end before this piece have none of their own ("\u200d" in many tokenizers).
        while word < len(words) and words[word][1] <= start:
            word += 1
        alone = True
        # All words that begin in this piece, as the two of "北京" where it is one piece.
        while start < end and word < len(words) and words[word][0] < end:
            # The full stop of the piece "学。" doesn't follow its word: it would go into the word's entity.
            if alone or example.text[words[word][0]].isalnum():
                firsts.append((word, position))
            word += 1
            alone = False
    return firsts


def cut_at_words(tokenizer: Any) -> Any:
    """Return a SentencePiece tokenizer none of whose pieces has letters of two words; return any other as it is.

    A new one is of no class of `transformers`: those build their own rules again when a folder is loaded.
    """
    from tokenizers import Regex, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = tokenizer.backend_tokenizer
    rule = pre_tokenizers.Split(Regex(_WORD_BORDERS), "isolated")
    own = [pieces.pre_tokenizer] if pieces.pre_tokenizer else []
    # A tokenizer that was cut and saved before must not get the rule twice.
    is_cut = any(rule.__getstate__() in each.__getstate__() for each in own)
    # WordPiece and byte-level tokenizers have no pieces of two words to cut.
    if is_cut or not any(piece.startswith(_SPACE) for piece in tokenizer.tokenize("a a")):
        return tokenizer
    pieces.pre_tokenizer = pre_tokenizers.Sequence([*own, rule])
    kept = {name: getattr(tokenizer, name) for name in ("model_max_length", "padding_side", "model_input_names")}
    return PreTrainedTokenizerFast(tokenizer_object=pieces, **kept, **tokenizer.special_tokens_map)


def cut_into_windows(read: Sequence[Read], length: int, body: int) -> Iterator[tuple[int, int, Sequence[Read]]]:
    """Yield where each window of a sequence of that length begins and ends, and what is read there."""
    windows = window_places(length, body)
    if len(windows) == 1:
        if read:
            yield 0, length, read
        return
    shares: defaultdict[int, list[Read]] = defaultdict(list)
    for row in read:
        # Each word is read off exactly one window, that with the most context around it.
        shares[best_window(windows, row[1], row[1], length)].append(row)
    for number, share in shares.items():
        yield *windows[number], share


def window_places(length: int, body: int) -> list[tuple[int, int]]:
    """Return where windows begin and end: one if all fits, else with an overlap, the last one flush with the end."""
    if length <= body:
        return [(0, length)]
    stride = max(1, body - body // _OVERLAP)
    # The last window ends with the text instead of being short: its first words have context, too.
    return [(start, start + body) for start in (*range(0, length - body, stride), length - body)]


def best_window(windows: Sequence[tuple[int, int]], first: int, last: int, length: int) -> int:
    """Return the window, of a text of that length, in which a span has the most context on its poorer side."""

    def context(number: int) -> int:
        start, end = windows[number]
        # At the text's own beginning or end nothing is missing, so that side counts as long.
        return min(first - start if start else length, end - 1 - first if end < length else length)

    # Windows are in order, so those that hold the span are in a row: they end after it and begin before it.
    holding = range(
        bisect_right(windows, last, key=lambda window: window[1]),
        bisect_right(windows, first, key=lambda window: window[0]),
    )
    return max(holding, key=lambda number: (context(number), -number))


def encode(tokenizer: Any, texts: list[str], **how: Any) -> Any:
    """Return the pieces of texts, without special ones; what looks like a special piece is plain text."""
    usual = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
    with refused("the tokenizer can't cut a text"):
        return tokenizer(texts, **{**usual, "verbose": False, "split_special_tokens": True, **how})


def check_pieces(ids: Sequence[int], vocabulary: int) -> None:
    """Raise InputError for a piece that a model with so many doesn't know (0: not known)."""
    if ids and vocabulary and max(ids) >= vocabulary:
        raise InputError(
            f"the tokenizer gives piece {max(ids)}, the model knows {vocabulary}: they don't belong together"
        )


def check_vocabulary(tokenizer: Any, size: int) -> None:
    """Raise InputError if texts could have a piece that a model of this `size` (0: not known) doesn't know."""
    pieces = tokenizer.backend_tokenizer
    # Special pieces beyond the model's embeddings do no harm: no text gives them.
    if 0 < size < pieces.get_vocab_size():
        special = {number for number, piece in pieces.get_added_tokens_decoder().items() if piece.special}
        check_pieces([*(set(pieces.get_vocab().values()) - special)], size)


def special_pieces(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the special pieces that the tokenizer puts before and after a text."""
    with refused("the tokenizer can't cut a text"):
        cut = tokenizer("a", return_special_tokens_mask=True, verbose=False)
    ids = cut["input_ids"]
    added = cut["special_tokens_mask"]
    before = added.index(0) if 0 in added else len(ids)
    after = added[::-1].index(0) if 0 in added else 0
    return tuple(ids[:before]), tuple(ids[len(ids) - after :])


def first_position(config: Any) -> int:
    """Return the number of a window's first position: RoBERTa's kin keep those up to the padding piece's id."""
    kept = any(name in str(config.model_type) for name in _PADDED_POSITIONS)
    return int(config.pad_token_id or 0) + 1 if kept else 0


def room_for(tokenizer: Any, config: Any) -> int:
    """Return how many pieces the model has positions for."""
    room = int(getattr(config, "max_position_embeddings", 0) or 0)
    room = room if room > 0 else _POSITIONS
    room -= first_position(config)
    limit = tokenizer.model_max_length
    # A tokenizer without a limit of its own has 10³⁰ here.
    return min(room, int(limit)) if 1 <= limit < 1_000_000 else room


class EntityBorders(NamedTuple):
    """Counts of entities: all that are read; hidden ones; those whose words all are read off the unknown subword.

    One is hidden if it begins or ends inside a subword, or has a word that no subword is read off for.
    """

    entities: int = 0
    hidden: int = 0
    unknown: int = 0


def entity_borders(examples: Sequence[Example], pieces: SubwordTokenizer) -> dict[str, EntityBorders]:
    """Count the entities of each type, and those that the tokenizer hides; entities that cut a word are skipped."""
    annotated = [example for example in examples if example.spans]
    counts: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    positions, unknown = _read_positions(annotated, pieces)
    for example, of_words in zip(annotated, positions, strict=True):
        starts, ends = _word_borders(example)
        for span in example.spans:
            # An entity that cuts a word isn't the tokenizer's fault.
            if span.start in starts and span.end in ends:
                words = range(starts[span.start], ends[span.end] + 1)
                inside = {of_words[word] for word in words if word in of_words}
                outside = {position for word, position in of_words.items() if word not in words}
                # Hidden: a word of the entity has no piece, or a word outside shares one with it.
                whole = of_words.keys() >= set(words) and inside.isdisjoint(outside)
                # None where it lies in no window, as behind the end of a truncated text.
                if inside:
                    counts[span.type].append((1, not whole, inside <= unknown))
    return {type_: EntityBorders(*map(sum, zip(*rows, strict=True))) for type_, rows in counts.items()}


def _word_borders(example: Example) -> tuple[dict[int, int], dict[int, int]]:
    """Return the number of the word that starts, and of the one that ends, at each offset."""
    return (
        {start: number for number, (start, _) in enumerate(example.words)},
        {end: number for number, (_, end) in enumerate(example.words)},
    )


def _read_positions(
    examples: Sequence[Example], pieces: SubwordTokenizer
) -> tuple[list[dict[int, tuple[int, int]]], set[tuple[int, int]]]:
    """Return the window and the position of each sentence's words, and those of unknown pieces."""
    positions = [dict[int, tuple[int, int]]() for _ in examples]
    unknown = set[tuple[int, int]]()
    for number, window in enumerate(pieces.windows(examples)):
        for word, position in zip(window.words, window.positions, strict=True):
            positions[window.sentence][word] = number, position
            # Entities of unknown words alone look the same to the model, whatever their type.
            if window.ids[position] == pieces.tokenizer.unk_token_id:
                unknown.add((number, position))
    return positions, unknown


def tell_hidden_entities(examples: Sequence[Example], pieces: SubwordTokenizer, name: str) -> None:
    """Warn, once, where the tokenizer hides one in twenty entities of the data `name` or more, or half of a type's."""
    if pieces.word_by_word:
        return
    by_type = entity_borders(examples[:_MOST], pieces)
    total = EntityBorders(*map(sum, zip(*by_type.values(), strict=True)))
    for part, why in (
        ("hidden", "share a subword with the text around or lose a word, so the model can't find them whole"),
        ("unknown", "have only words that the tokenizer doesn't know, so they look the same to the model"),
    ):
        rows = [("entities", _MANY, 1, total)]
        rows += [(f"entities of type {type_!r:.80}", _MOST_OF_A_TYPE, _FEW, each) for type_, each in by_type.items()]
        for noun, many, few, borders in rows:
            count = getattr(borders, part)
            if count >= max(few, many * borders.entities):
                share = percent(count / borders.entities)
                remedy = "use an encoder whose subwords fit the language"
                _tell_once(f"warning: {name}: {share} % of {noun} {why}; {remedy}")
                break
