"""A tagger: text in, entities with exact offsets and confidences out.

Raw text is cut into lines and sentences first, as in training, then into words by the splitter that the tagger's folder
names; a sentence of any length goes through windows, so nothing is cut in silence. Sentences of many texts go through
the model together, sorted by length, which is where speed on a CPU comes from; the price is that some thousand words
are read before the first entity is given. Tags are the best legal BIO path; an entity's confidence is calibrated where
the tagger's card has a temperature.

A span grows to whole graphemes, since words can be parts of one. A grapheme is what a reader takes for one character: a
letter with its accents, a flag, a family of joined emojis. Python counts characters (code points); JavaScript, Java and
C# count UTF-16 units, where an emoji is two. Spans are found in characters and converted at the end, so
`text[start:end] == span.text` holds for characters only.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import regex

from nerbert.config import Bounds, check
from nerbert.errors import InputError, SettingsError, nearest
from nerbert.model.backbone import check_model_folder, read_card
from nerbert.model.heads import Head, WordTags
from nerbert.records import Example, Span
from nerbert.registry import HEADS
from nerbert.sentences import RuleSplitter
from nerbert.tagger.backends import LONGEST, OpenHead, Wanted
from nerbert.tagger.fingerprint import fingerprint_of
from nerbert.words import check_splitter, split_words

OFFSETS = ("characters", "utf-16")
_LAST_OF_ONE_UNIT = "\uffff"


def check_offsets(name: str) -> str:
    """Return `name` if it is a unit to count in; else raise SettingsError."""
    return str(check("offsets", name, Literal[OFFSETS]))


def utf16_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return the spans of `text` with their places in UTF-16 units."""
    if text.isascii() or not spans:
        return list(spans)
    wide = [place for place, char in enumerate(text) if char > _LAST_OF_ONE_UNIT]
    if not wide:
        return list(spans)
    return [
        replace(span, start=span.start + bisect_left(wide, span.start), end=span.end + bisect_left(wide, span.end))
        for span in spans
    ]


class Graphemes:
    """The borders of a text's graphemes; white space always has one on either side.

    They are looked for only where a span's end could be inside one, and then in all of the text.
    """

    def __init__(self, text: str) -> None:
        self._text, self._ascii = text, text.isascii()

    def grow(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest span of whole graphemes that holds `[start, end)`."""
        if not self._is_border(start):
            start = self._borders[bisect_right(self._borders, start) - 1]
        if not self._is_border(end):
            end = self._borders[bisect_left(self._borders, end)]
        return start, end

    def _is_border(self, place: int) -> bool:
        """Return whether a place is a border for sure."""
        text = self._text
        if self._ascii or place in (0, len(text)) or text[place - 1].isspace() or text[place].isspace():
            return True
        return text[place] < _FIRST_WIDE and text[place - 1] < _FIRST_PREPENDED

    @cached_property
    def _borders(self) -> "array[int]":
        """Return the borders in all words, whose ends are among them."""
        found = array("q", [0])
        for word in _WORD.finditer(self._text):
            found.append(word.start())
            found.extend(each.end() for each in _GRAPHEME.finditer(self._text, word.start(), word.end()))
        return found


_GRAPHEME, _WORD = regex.compile(r"\X"), regex.compile(r"\S++")
_FIRST_WIDE, _FIRST_PREPENDED = "\x80", "\u0600"
"""Characters below the first continue no grapheme; those below the second take none that follows."""


def thresholds_of(
    wanted: float | Mapping[str, float] | None, own: Mapping[str, float] | None, types: Sequence[str]
) -> dict[str, float]:
    """Return the lowest confidence (0–1) of each type's entities: the user's, else the tagger's `own`, else 0.

    A number is for all types. Raise SettingsError for a bound outside 0–1, or of a type that the tagger doesn't know.
    """
    if wanted is not None and not isinstance(wanted, Mapping):
        return dict.fromkeys(types, _bound("thresholds", wanted))
    bounds = dict.fromkeys(types, 0.0) | dict(own or {})
    for type_, bound in (wanted or {}).items():
        if type_ not in types:
            raise SettingsError(
                f"thresholds: no type {type_!r}{nearest(str(type_), types)} (known: {', '.join(types)})"
            )
        bounds[type_] = _bound(f"thresholds[{type_}]", bound)
    return bounds


def _bound(name: str, value: object) -> float:
    return float(check(name, value, Annotated[float, Bounds(at_least=0, at_most=1)]))


_BLOCK_WORDS, _BLOCK_TEXTS = 8192, 512
"""Words, or texts, that are read before they go through the model."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Halves of characters, which broken JSON brings and no tokenizer takes."""


class _Open:
    """A text whose entities are being found."""

    def __init__(self, text: str) -> None:
        self.text, self.graphemes = text, Graphemes(text)
        self.spans: list[Span] = []

    def add(self, start: int, end: int, type_: str, confidence: float) -> None:
        """Add an entity, grown to whole graphemes; of one that two entities share, the first has it."""
        start, end = self.graphemes.grow(start, end)
        start = max(start, self.spans[-1].end if self.spans else 0)
        if start < end:
            self.spans.append(Span(start, end, type_, self.text[start:end], confidence))


_Block: TypeAlias = list[tuple[_Open, int, Example]]
"""Sentences that go through the model together: of which text, from which character on."""


class Tagger:
    """A fine-tuned model with its tokenizer and word splitter; make one with `Tagger.load`."""

    def __init__(
        self, head: Head, splitter: str, language: str, *, temperature: float = 1.0,
        thresholds: Mapping[str, float] | None = None, offsets: str = "characters",
    ) -> None:  # fmt: skip
        self.head, self.splitter, self.language = head, splitter, language
        self.offsets = check_offsets(offsets)
        self.temperature, self.thresholds, self.source = temperature, thresholds or {}, ""

    @classmethod
    def load(
        cls, source: str | Path, *, backend: str = "auto", precision: str = "auto", device: str = "", threads: int = 0,
        decoding: str = "", on_too_long: str = "", thresholds: float | Mapping[str, float] | None = None,
        offsets: str = "characters", head: str = "",
    ) -> "Tagger":  # fmt: skip
        """Load a tagger from a folder or a hub name.

        `backend` is `torch`, `onnx` (after `nerbert export`) or `auto`: torch on a GPU if there is one, else the
        exported model (int8 before fp32), else torch. `precision` is `bf16`, `fp32`, `int8` or `auto`: the best that
        the back end has. `device` is torch's (default: the GPU if there is one), `threads` those of a CPU (0: the back
        end's own choice; torch has one number for the whole process).

        `decoding` is `legal` (the best path of BIO tags; default for taggers of nerbert's) or `greedy` (the most
        probable tag of each word; default for others). `on_too_long` says what becomes of a sentence that is longer
        than the model's window: `window` (overlapping windows), `error` or `truncate`; default: as in training.
        Entities less sure than `thresholds` (0–1; one for all types, or by type, the rest as the tagger's card has
        them) are left out. `offsets` counts `start` and `end` in `characters` (code points) or `utf-16` units.

        `head` is for a tagger with a head of your own: `module:function`, which is imported. A folder's own word is not
        enough for that, since the folder may be somebody else's.
        """
        from nerbert.tagger.self_check import check_loaded  # which loads taggers itself

        name = str(source)
        if seeds := seed_folders(name):
            raise InputError(f"{name}: holds a tagger for each seed; name one of them, say {seeds[0]}")
        check_model_folder(name)
        card = read_card(name)
        usual = "greedy" if card.get("kind") == "foreign" else "legal"
        how = Wanted(backend, precision, device, threads, int(card.get("max_length") or LONGEST),
                     on_too_long or str(card.get("on_too_long") or "window"), decoding or usual)  # fmt: skip
        opened = _open_head(name, card, head)(name, how)
        found = cls(
            opened, check_splitter(card["word_splitter"]), str(card.get("language") or "en"),
            temperature=float((card.get("calibration") or {}).get("temperature", 1.0)),
            thresholds=thresholds_of(thresholds, card.get("thresholds"), opened.types), offsets=offsets,
        )  # fmt: skip
        found.source = name
        check_loaded(found, name)
        return found

    @cached_property
    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits of the SHA-256 of what was loaded; "" for a tagger that wasn't."""
        return fingerprint_of(self.source) if self.source else ""

    @property
    def types(self) -> list[str]:
        """Return the entity types that this tagger knows, sorted."""
        return self.head.types

    @property
    def decoding(self) -> str:
        """Say how its head chooses tags."""
        return self.head.decoding

    def tag(self, text: str) -> list[Span]:
        """Return the entities of `text`, in order: `text[span.start:span.end] == span.text`."""
        return next(self.tag_many([text]))

    def tag_many(self, texts: Iterable[str | Example]) -> Iterator[list[Span]]:
        """Yield the entities of each text, in order; read and hold some thousand words (or one text) at a time.

        An example is one sentence, and keeps its own words.
        """
        if isinstance(texts, str):
            raise InputError("can't tag a str letter by letter: give a list of texts, or take `tag`")
        opened, block, words = list[_Open](), _Block(), 0
        for text in texts:
            sentences = [(0, text)] if isinstance(text, Example) else self.sentences(_checked(text))
            opened.append(_Open(text.text if isinstance(text, Example) else text))
            for offset, example in sentences:
                block.append((opened[-1], offset, example))
                words += len(example.words)
                if words >= _BLOCK_WORDS:
                    self._find(block)
                    block, words = [], 0
            if len(opened) >= _BLOCK_TEXTS or not block:
                self._find(block)
                yield from self._finished(opened)
                opened, block, words = [], [], 0
        self._find(block)
        yield from self._finished(opened)

    def tag_words(self, examples: Iterable[Example]) -> Iterator[list[Span]]:
        """Yield the entities of each sentence, in order; the sentences keep their own words."""
        return self.tag_many(examples)

    def tag_examples(self, examples: Sequence[Example]) -> list[WordTags]:
        """Return a tag and its probability for each word of each example; the examples keep their own words.

        Thresholds are not applied: what is scored is what the model says.
        """
        return self.head.tag(examples, self.temperature)

    def sentences(self, text: str) -> Iterator[tuple[int, Example]]:
        """Yield (first character's place, sentence) for each sentence of a text, cut into words; without entities."""
        offset = 0
        for line in _checked(text).splitlines(keepends=True):
            whole = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", line)
            for start, end in self._splitter.spans(whole):
                if words := split_words(whole[start:end], self.splitter):
                    yield offset + start, Example(whole[start:end], words)
            offset += len(line)

    @cached_property
    def _splitter(self) -> RuleSplitter:
        return RuleSplitter(self.language)

    def _finished(self, opened: Iterable[_Open]) -> Iterator[list[Span]]:
        return (utf16_spans(each.text, each.spans) if self.offsets == OFFSETS[1] else each.spans for each in opened)

    def _find(self, block: _Block) -> None:
        """Find the entities of a block's sentences and put them into their texts."""
        if not block:
            return
        found = self.head.predict([example for _, _, example in block])
        for number, first, last, type_, confidence in found.spans(self.temperature):
            if confidence >= self.thresholds.get(type_, 0.0):
                text, offset, example = block[number]
                text.add(offset + example.words[first][0], offset + example.words[last - 1][1], type_, confidence)


def seed_folders(source: str) -> list[Path]:
    """Return the taggers' folders below `source`, in the order of their seeds; none if it is a tagger itself."""
    path = Path(source)
    if not path.is_dir() or (path / "config.json").exists():
        return []
    return sorted(path.glob("seed-*"), key=lambda each: (len(each.name), each.name))


def _open_head(source: str, card: Mapping[str, object], own: str) -> OpenHead:
    """Return what opens the head that a tagger's card names; `own` is the user's own word for it."""
    name = str(card.get("head") or "linear")
    if own or name in HEADS:
        return HEADS.find(own or name)
    hint = f": if you trust it, name it (head, --head {name})" if HEADS.contains(name) else ", no head's name"
    raise SettingsError(f"{source}: its head is {name!r:.80}, code outside of nerbert{hint}")


def _checked(text: str) -> str:
    if not isinstance(text, str):
        raise InputError(f"can't tag {type(text).__name__}: give a str")
    return text
