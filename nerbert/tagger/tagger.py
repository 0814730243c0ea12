"""A tagger: text in, entities with exact character offsets and confidences out.

Raw text is cut into lines and sentences first, as in training, then into words by the splitter that the tagger's folder
names; a sentence of any length goes through windows, so nothing is cut in silence. Tags are chosen greedily and decoded
by the CoNLL script's rules. An entity's confidence is the mean probability of its words' tags.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from nerbert.corpus.rules import RuleSplitter
from nerbert.encoder.folder import check_model_folder, load_tagging_model, load_tokenizer, read_card, tags_of
from nerbert.encoder.pieces import Pieces
from nerbert.encoder.predict import WordTags, predict
from nerbert.errors import InputError
from nerbert.labels import spans_from_bio, types_of
from nerbert.records import Example, Span
from nerbert.training.settings import check_precision
from nerbert.words import check_splitter, split_words

_LONGEST = 256
_CHUNK = 256
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Halves of characters, which broken JSON brings and no tokenizer takes."""


class Tagger:
    """A fine-tuned model with its tokenizer and word splitter; make one with `Tagger.load`."""

    def __init__(
        self, model: Any, pieces: Pieces, tags: list[str], splitter: str, language: str, precision: str = "auto"
    ) -> None:
        self._model, self._pieces, self._tags, self._precision = model, pieces, tags, precision
        self.splitter, self.language = splitter, language

    @classmethod
    def load(cls, source: str | Path, *, device: str = "", precision: str = "auto") -> "Tagger":
        """Load a tagger from a folder or a hub name, on `device` (default: the GPU if there is one).

        `precision` is `bf16`, `fp32`, or `auto`: bf16 where the device computes in it.
        """
        import torch

        name = str(source)
        _check_single(name)
        check_model_folder(name)
        card = read_card(name)
        model = load_tagging_model(name)
        tags = tags_of(model, name)
        longest, truncate = int(card.get("max_length") or _LONGEST), card.get("on_too_long") == "truncate"
        pieces = Pieces(load_tokenizer(name), model.config, longest, truncate=truncate)
        model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        splitter, language = check_splitter(card["word_splitter"]), str(card.get("language") or "en")
        return cls(model, pieces, tags, splitter, language, check_precision(precision))

    @property
    def types(self) -> list[str]:
        """The entity types that this tagger knows, sorted."""
        return types_of(self._tags)

    def tag(self, text: str) -> list[Span]:
        """The entities of `text`, in order: `text[span.start:span.end] == span.text`."""
        return next(self.tag_many([text]))

    def tag_many(self, texts: Iterable[str]) -> Iterator[list[Span]]:
        """The entities of each text, in order; reads and holds a few hundred texts at a time."""
        source = iter(texts)
        while some := list(islice(source, _CHUNK)):
            parts = [(number, offset, part) for number, text in enumerate(some) for offset, part in self._parts(text)]
            found: list[list[Span]] = [[] for _ in some]
            tagged = self.tag_examples([part for _, _, part in parts])
            for (number, offset, part), tags in zip(parts, tagged, strict=True):
                found[number] += _spans(some[number], offset, part, tags)
            yield from found

    def tag_examples(self, examples: Sequence[Example]) -> list[WordTags]:
        """A tag and its probability for each word of each example; the examples keep their own words."""
        return predict(self._model, self._pieces, examples, self._tags, precision=self._precision)

    def _parts(self, text: str) -> Iterator[tuple[int, Example]]:
        """(offset, sentence) for each sentence of a text."""
        if not isinstance(text, str):
            raise InputError(f"can't tag {type(text).__name__}: give a str")
        offset, sentences = 0, RuleSplitter(self.language)
        for line in text.splitlines(keepends=True):
            whole = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", line)
            for start, end in sentences.spans(whole):
                words = split_words(whole[start:end], self.splitter)
                if words:
                    yield offset + start, Example(whole[start:end], words)
            offset += len(line)


def seed_folders(source: str) -> list[Path]:
    """The taggers' folders below `source`, in the order of their seeds; none if it is a tagger itself."""
    path = Path(source)
    if not path.is_dir() or (path / "config.json").exists():
        return []
    return sorted(path.glob("seed-*"), key=lambda each: (len(each.name), each.name))


def _check_single(source: str) -> None:
    """A folder of several seeds' taggers is an error that names them."""
    if seeds := seed_folders(source):
        raise InputError(f"{source}: holds {len(seeds)} taggers; name one of them, say {seeds[0]}")


def _spans(text: str, offset: int, part: Example, tags: WordTags) -> Iterator[Span]:
    for first, last, type_ in spans_from_bio(tags.tags):
        start, end = offset + part.words[first][0], offset + part.words[last - 1][1]
        confidence = sum(tags.confidences[first:last]) / (last - first)
        yield Span(start, end, type_, text[start:end], confidence)
