"""Files of open types in pre-training: a table of their concepts, and windows whose words have rows of it."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import nsmallest
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval

from nerbert.artifacts import publish, sha256_of, write_json
from nerbert.cache import load_cached
from nerbert.config import Settings, refuse
from nerbert.data.open_types import open_type_line, read_open_types, types_asked
from nerbert.encoder.concept_table import Concept, ConceptTable
from nerbert.errors import InputError, at, refused
from nerbert.labels import fold_type
from nerbert.records import Example, OpenText, Reason, Span
from nerbert.rng import uniform
from nerbert.schema import read_json, to_plain
from nerbert.sentences import SEVERAL_LANGUAGES
from nerbert.tables import read_columns
from nerbert.terminal import progress
from nerbert.training.settings import Section
from nerbert.words import SPLITTER, check_splitter, split_words

VERSION = 5
"""Of what is cached here, and of how texts become examples."""
_HELD_OUT = 0.1
"""Share of texts that are held out, as of NER-BERT's sentences (§3.1)."""
_TABLE, _TEXTS = "concepts.json", "held_out.jsonl"
_LARGEST = 1 << 30
"""Bytes of a table of concepts that is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTypesSettings(Section):
    """Files of texts with open types."""

    section: ClassVar[str] = "open_types"
    reads: ClassVar[tuple[str, ...]] = ("files", "dev")
    commands: ClassVar[tuple[str, ...]] = ("pretrain",)
    files: tuple[Path, ...] = ()
    """Files of texts with open types (JSON lines), instead of a corpus or in addition. Source: NuNER (Bogdanov et al.
    2024) takes a million sentences that a language model annotated."""
    dev: tuple[Path, ...] = ()
    """Files of open types to hold out and score, instead of one text in ten of `files`: other domains show best when a
    model is trained too long. Their texts are never trained on. Source: ours."""
    copies: Annotated[float, Interval(gt=0, lt=1e6)] = 1.0
    """Copies of each text of `files` in an epoch, as of sentences of the corpus: 0.5 takes a random half, 3 takes each
    three times. Source: ours."""
    asked: Literal["file", "all"] = "file"
    """Which unmarked types count as absent from a text of `files`: those that the `file` lists as asked, or `all`.
    Source: NuNER's and GLiNER's trainings use all."""
    sample: Annotated[int, Interval(ge=0)] = 0
    """Number of texts of `files` to train on, drawn by the training's seed; a larger sample contains a smaller one. 0:
    all. Source: NuNER's study of size."""
    most_types: Annotated[int, Interval(ge=0)] = 0
    """Maximum number of types: the most frequent in the texts trained on are kept, others are no entities. 0: all.
    Source: NuNER's study of diversity."""

    language: str = ""
    """Language of the texts of `files`, where there is no corpus: the code of a Wikipedia or its language, or
    `multilingual`. A tagger splits texts into sentences by its rules; with `multilingual`, by those of the language
    that each text seems to have. Source: ours."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        refuse(
            bool(self.dev) and not self.files,
            "open_types.dev",
            [path.name for path in self.dev],
            "left out without open_types.files, which they are held out for",
        )
        if self.language:
            codes = {SEVERAL_LANGUAGES, *chain.from_iterable(read_columns("wikipedias.tsv", "code", "language"))}
            must = f"{SEVERAL_LANGUAGES!r}, or the code of a Wikipedia's language, such as de"
            refuse(self.language not in codes, "open_types.language", self.language, must)


class OpenExample(Example):
    """A text of open types: its spans have texts of concepts for types, and may overlap; `asked` are names."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class OpenTypes:
    """What files of open types hold: concepts, texts to be held out, and how much of them was dropped, by reason.

    `files` are `file` (its name) and `sha256` of each one, `dev_files` the same of those held out; `texts` are those
    that are trained on, `mentions` the entities there. `untold` of these texts have no entity and no type that was
    asked for: nothing is learnt from them.
    """

    table: ConceptTable
    held_out: list[OpenExample]
    files: list[dict[str, str]]
    dropped: dict[str, int]
    dev_files: list[dict[str, str]] = field(default_factory=list)
    untold: int = 0

    @property
    def digests(self) -> list[str]:
        """Return the digests of all files, in order; those held out come after an empty one."""
        dev = ["", *(file["sha256"] for file in self.dev_files)] if self.dev_files else []
        return [*(file["sha256"] for file in self.files), *dev]

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the encoder's card says of them."""
        counts = {"texts": self.table.sentences, "mentions": sum(self.table.counts), "concepts": len(self.table.counts)}
        dev = {"dev_files": self.dev_files} if self.dev_files else {}
        untold = {"texts_without_types": self.untold} if self.untold else {}
        return {"files": self.files, **dev, **counts, **untold, "dropped": self.dropped}


@dataclass(frozen=True, slots=True)
class _Table:
    """The content of `concepts.json`: a row's second number is an index of `asked`; `ancestors` are broader names, and
    `wordings` other ones."""

    concepts: list[tuple[str, str]]
    counts: list[int]
    asked: list[tuple[str, ...] | None]
    rows: list[tuple[tuple[int, ...], int]]
    sentences: int
    dropped: dict[str, int]
    ancestors: dict[str, tuple[str, ...]]
    untold: int
    wordings: dict[str, tuple[str, ...]]


def _plain_table(
    table: ConceptTable, dropped: Counter[Reason], ancestors: dict[str, tuple[str, ...]], untold: int
) -> _Table:
    names = [(concept.name, concept.description) for concept in table.concepts]
    reasons = {str(reason): count for reason, count in sorted(dropped.items()) if count}
    indices = {asked: index for index, asked in enumerate(dict.fromkeys(asked for _, asked in table.rows))}
    rows = [(concepts, indices[asked]) for concepts, asked in table.rows]
    wordings = {name: tuple(sorted(others)) for name, others in sorted(table.wordings.items())}
    return _Table(names, table.counts, list(indices), rows, table.sentences, reasons, ancestors, untold, wordings)


@dataclass(frozen=True)
class OpenTexts:
    """Files of open types as a source of texts, in words of `splitter`; `most` (0: all) held-out ones, by `seed`."""

    settings: OpenTypesSettings
    splitter: str = SPLITTER
    descriptions: bool = False
    seed: int = 1
    most: int = 0
    cache: str = ""

    @cached_property
    def content(self) -> OpenTypes:
        """Return what the files hold; raise InputError where there is no entity."""
        files, dev_files = (_hash_files(getattr(self.settings, name), name) for name in ("files", "dev"))
        origin = {
            "version": VERSION,
            "words": check_splitter(self.splitter),
            "files": [file["sha256"] for file in files],
            "seed": self.seed,
            "descriptions": self.descriptions,
            "asked": self.settings.asked,
            "at_most": self.most,
            "sample": self.settings.sample,
            "most_types": self.settings.most_types,
        } | ({"dev": [file["sha256"] for file in dev_files]} if dev_files else {})

        def read(folder: Path) -> OpenTypes:
            stored = read_json(folder / _TABLE, _Table, limit=_LARGEST)
            table = ConceptTable(sentences=stored.sentences)
            for (name, description), count in zip(stored.concepts, stored.counts, strict=True):
                table.add(Concept(name, description), count)
            for name, above in stored.ancestors.items():
                table.put_below(name, above)
            table.add_wordings(stored.wordings)
            table.add_rows((numbers, stored.asked[index]) for numbers, index in stored.rows)
            texts = read_open_types(folder / _TEXTS)
            return OpenTypes(table, list(map(self._example, texts)), files, stored.dropped, dev_files, stored.untold)

        return load_cached(self.cache, "open_types", origin, self._write, read)

    def examples(self) -> Iterator[OpenExample]:
        """Yield the texts that are trained on, in the order of the files."""
        yield from (self._example(text) for text, trained in self._split_texts() if trained)

    def _write(self, folder: Path) -> None:
        """Read the files once, and write the table and the held-out texts."""
        table = ConceptTable()
        dropped = Counter[Reason]()
        broader = BroaderTypes()
        untold = 0
        held_out = []
        with progress("reading open types") as bar:
            for text, trained in self._split_texts(dropped):
                example = self._example(text)
                for type_ in text.asked or ():
                    # A type that was asked for and not found is a concept, too: it is known to be absent.
                    table.add(self._concept(type_))
                by_text = {
                    (concept := self._concept(entity.type, entity.description)).text: concept
                    for entity in text.entities
                }
                for span in example.spans:
                    table.add(by_text[span.type], int(trained))
                # An entity without a whole word can't be found.
                dropped[Reason.NOT_IN_TEXT] += len(text.entities) - len(example.spans)
                table.add_rows(table.word_rows(example))
                table.sentences += trained
                if trained:
                    # Other names in held-out texts must not be learnt.
                    table.add_wordings(text.other_names)
                    spans = ((span.start, span.end, by_text[span.type].name) for span in example.spans)
                    broader.add(spans, example.asked)
                    untold += example.asked == ()
                else:
                    held_out.append(text)
                bar.advance()
        self._check_texts(table, held_out)
        # Drawn by the text's own coin, so another order of files gives the same texts.
        drawn = nsmallest(
            self.most or len(held_out), held_out, key=lambda text: uniform(self.seed, "validation part", text.text)
        )
        with publish(folder / _TEXTS) as draft, draft.open("wb") as stream:
            stream.writelines(map(open_type_line, drawn))
        write_json(folder / _TABLE, to_plain(_plain_table(table, dropped, broader.ancestors(), untold)))

    def _check_texts(self, table: ConceptTable, held_out: list[OpenText]) -> None:
        """Raise InputError if there is nothing to train on, or nothing to validate with."""
        names = ", ".join(path.name for path in self.settings.files)
        if not any(table.counts):
            others = f", {len(held_out)} others are held out" if held_out else ""
            raise InputError(
                f"{names}: no entity to train on in {table.sentences} texts{others}; give texts with entities"
            )
        if not held_out:
            raise InputError(
                f"{names}: {table.sentences} texts are too few: none is held out (a random one in ten is); add some"
            )

    def _split_texts(self, dropped: Counter[Reason] | None = None) -> Iterator[tuple[OpenText, bool]]:
        """Yield the held-out texts and those that are drawn, with the kept types, and whether each is trained on."""
        kept = self._types
        dropped = Counter[Reason]() if dropped is None else dropped
        for text, trained in self._drawn_texts(dropped):
            yield text if kept is None else _keep_types(text, kept, dropped), trained

    @cached_property
    def _types(self) -> frozenset[str] | None:
        """Return the most frequent types, of equally frequent ones the first by name; None for all."""
        if not self.settings.most_types:
            return None
        texts = (text for text, trained in self._drawn_texts() if trained)
        counts = Counter(fold_type(entity.type) for text in texts for entity in text.entities)
        return frozenset(nsmallest(self.settings.most_types, counts, key=lambda type_: (-counts[type_], type_)))

    def _drawn_texts(self, dropped: Counter[Reason] | None = None) -> Iterator[tuple[OpenText, bool]]:
        for number, (text, trained) in enumerate(self._all_texts(dropped)):
            # Held-out texts stay, whatever the sample, so that scores of sizes compare.
            if not trained or self._drawn is None or number in self._drawn:
                yield text, trained

    @cached_property
    def _drawn(self) -> frozenset[int] | None:
        """Return the numbers of the texts that are drawn to train on; None for all."""
        if not self.settings.sample:
            return None
        texts = enumerate(text.text if trained else None for text, trained in self._all_texts())
        coins = ((uniform(self.seed, "open types sample", text), number) for number, text in texts if text is not None)
        return frozenset(number for _, number in nsmallest(self.settings.sample, coins))

    def _all_texts(self, dropped: Counter[Reason] | None = None) -> Iterator[tuple[OpenText, bool]]:
        """Yield the texts of all files, and whether each is trained on; equal ones of files held out are left out."""
        files, dev = self.settings.files, self.settings.dev
        if not dev:
            yield from ((text, not is_held_out(text.text)) for text in self._texts(files, dropped))
            return
        held_out = set[str]()
        for text in self._texts(dev, dropped):
            held_out.add(text.text)
            yield text, False
        yield from ((text, True) for text in self._texts(files, dropped) if text.text not in held_out)

    def _texts(self, paths: Iterable[Path], dropped: Counter[Reason] | None) -> Iterator[OpenText]:
        """Yield the texts of some files, with the types that count as asked for."""
        for text in chain.from_iterable(read_open_types(path, dropped) for path in paths):
            yield text if self.settings.asked == "file" else replace(text, asked=None)

    def _example(self, text: OpenText) -> OpenExample:
        """Return a text with its words; an entity has whole words, as the model will find them, or is left out."""
        words = split_words(text.text, self.splitter)
        spans = []
        # A space at an entity's edge is in no word; an entity that cuts a word gets the whole word.
        for entity in text.entities:
            first = bisect_right(words, entity.start, key=lambda word: word[1])
            last = bisect_left(words, entity.end, key=lambda word: word[0])
            if first < last:
                concept = self._concept(entity.type, entity.description)
                spans.append(Span(words[first][0], words[last - 1][1], concept.text))
        return OpenExample(text.text, words, tuple(spans), types_asked(text))

    def _concept(self, type_: str, description: str = "") -> Concept:
        return Concept(fold_type(type_), description if self.descriptions else "")


def _hash_files(paths: Iterable[Path], name: str) -> list[dict[str, str]]:
    files = []
    with at(setting=f"setting open_types.{name}"):
        for path in paths:
            with refused(f"{path}: can't be read", of=OSError, remedy="name a file"):
                files.append({"file": path.name, "sha256": sha256_of(path)})
    return files


def _keep_types(text: OpenText, kept: frozenset[str], dropped: Counter[Reason]) -> OpenText:
    """Return a text with some types, which alone count as asked for."""
    entities = tuple(entity for entity in text.entities if fold_type(entity.type) in kept)
    dropped[Reason.RARE_CATEGORY] += len(text.entities) - len(entities)
    asked = text.asked and tuple(type_ for type_ in text.asked if fold_type(type_) in kept)
    return replace(text, entities=entities, asked=asked)


def is_held_out(text: str) -> bool:
    """Return whether a text is held out."""
    return uniform(0, "open types held out", text) < _HELD_OUT


_SHARE, _LEAST = 0.8, 2


class BroaderTypes:
    """Counts which names are on the same spans, text by text: NuNER's texts often have a narrow and a broad one.

    B is an ancestor of A where B is on the same span for at least 80 % of A's mentions, of at least two, in texts where
    B was asked for; and B has more mentions than A. Of two types that always occur together neither is broader.
    """

    def __init__(self) -> None:
        self._both = Counter[tuple[str, str]]()
        self._mentions: dict[str, Counter[tuple[str, ...] | None]] = {}

    def add(self, spans: Iterable[tuple[int, int, str]], asked: tuple[str, ...] | None) -> None:
        """Add a text's spans, each with a name; `asked` are the names that were asked for in it (None: all)."""
        names_of: dict[tuple[int, int], set[str]] = {}
        for start, end, name in spans:
            names_of.setdefault((start, end), set()).add(name)
        for names in names_of.values():
            for name in names:
                self._mentions.setdefault(name, Counter())[asked] += 1
                self._both.update((name, other) for other in names if other != name)

    def ancestors(self) -> dict[str, tuple[str, ...]]:
        """Return the sorted broader names of each name that has any."""
        totals = {name: counts.total() for name, counts in self._mentions.items()}
        ancestors: dict[str, set[str]] = {}
        for (name, other), both in self._both.items():
            # Of two names that always come together neither is broader.
            if totals[other] > totals[name] and self._is_usual(name, other, both):
                ancestors.setdefault(name, set()).add(other)
        return {name: tuple(sorted(ancestors[name])) for name in sorted(ancestors)}

    def _is_usual(self, name: str, other: str, both: int) -> bool:
        """Return whether most mentions of a name have the other one too, where that was asked for."""
        asked_for = 0
        for asked, count in self._mentions[name].items():
            if asked is None or other in asked:
                asked_for += count
                # The counts only grow, so the share can't be reached any more.
                if both < _SHARE * asked_for:
                    return False
        return asked_for >= _LEAST
