"""Texts without labels in pre-training (DAPT, Gururangan et al. 2020): documents in blocks, for masked words alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import nsmallest
from itertools import chain, islice
from pathlib import Path

from nerbert.artifacts import sha256_of, sha256_once
from nerbert.cache import load_cached
from nerbert.corpus.shards import corpus_parts, is_corpus, shard_paths
from nerbert.encoder.preprocess import cut, tokenizer_hash
from nerbert.errors import InputError
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import WINDOWS_FORMAT, Windows, open_windows, write_windows
from nerbert.records import Example
from nerbert.rng import uniform
from nerbert.terminal import Progress, progress
from nerbert.texts.inputs import InputFile, find_sources
from nerbert.texts.kinds import TEXT
from nerbert.training.batches import TrainingData
from nerbert.words import split_words

_VERSION = 2
"""Of how texts become blocks."""
_HELD_OUT = 0.05
_CHUNK = 256
"""Documents that are cut at once."""
_UNKNOWN = 0.2
"""The largest share of unknown subwords: more say that the tokenizer is of another language."""

Lines = list[str]
"""A document's sentences or paragraphs."""


@dataclass(frozen=True)
class PlainTexts:
    """Files of texts, folders of them, and corpora; `seed` and `most` (0: all) draw the held-out documents.

    In a text file a line is a sentence or a paragraph; an empty line, and the end of the file, end a document. In other
    formats a text is a document, and texts of one group that follow each other are one. In a corpus a page is one.
    """

    paths: Sequence[Path]
    seed: int = 1
    most: int = 0

    @property
    def name(self) -> str:
        """Return what messages call it."""
        return ", ".join(map(str, self.paths))

    @cached_property
    def digests(self) -> list[list[str]]:
        """Return the name and the SHA-256 of each file; of a corpus the name and those of its manifest and pages."""
        digests = []
        for path in self.paths:
            if is_corpus(path):
                digests.append([path.name, *map(sha256_once, [path / "manifest.json", *shard_paths(path / "pages")])])
            digests += [[str(file.name), sha256_of(Path(file.place))] for file in _find_files(path)]
        return digests

    def documents(self, *, held_out: bool) -> Iterator[Lines]:
        """Yield the documents that are trained on, or those that are held out."""
        for path in self.paths:
            parts = corpus_parts(path) if is_corpus(path) else ()
            pages = (page.lines for read in parts for page in read())
            for lines in chain(pages, chain.from_iterable(map(_documents, _find_files(path)))):
                # A document's coin is its text: repeated documents are all held out, or
                # none, and no seed moves them.
                if (uniform(0, "documents held out", "\n".join(lines)) < _HELD_OUT) == held_out:
                    yield lines

    def held_out(self) -> list[Example]:
        """Return the lines of held-out documents, drawn by the seed; raise InputError if there are none."""
        lines = [line for document in self.documents(held_out=True) for line in document]
        if not lines:
            raise InputError(
                f"{self.name}: too few documents: none of them is held out (one in twenty is); give more "
                "files, or put empty lines between documents"
            )
        drawn = nsmallest(self.most or len(lines), lines, key=lambda line: uniform(self.seed, "validation part", line))
        return [Example(line, split_words(line)) for line in drawn]

    def blocks(self, pieces: SubwordTokenizer) -> Iterator[Example]:
        """Yield the blocks of the documents that are trained on."""
        documents = self.documents(held_out=False)
        while chunk := list(islice(documents, _CHUNK)):
            counts = iter(pieces.counts([line for lines in chunk for line in lines]))
            for lines in chunk:
                yield from (Example(text, split_words(text)) for text in pack_lines(lines, counts, pieces.body))


def pack_lines(lines: Iterable[str], counts: Iterable[int], most: int) -> Iterator[str]:
    """Yield texts of whole lines that together have at most `most` subwords, or of one line that has more."""
    block = Lines()
    size = 0
    for line, count in zip(lines, counts, strict=False):
        # A line that is longer than a block stands alone, and is cut into windows later.
        if block and size + count > most:
            yield " ".join(block)
            block = []
            size = 0
        block.append(line)
        size += count
    if block:
        yield " ".join(block)


def open_blocks(texts: PlainTexts, pieces: SubwordTokenizer, cache: str) -> TrainingData:
    """Open the windows of the blocks in the cache, made there if they are missing.

    Raise InputError where there is nothing to read, or the tokenizer knows too little of it.
    """
    origin = {
        "version": _VERSION,
        "windows": WINDOWS_FORMAT,
        "texts": texts.digests,
        "pieces": pieces.key(),
        "tokenizer": tokenizer_hash(pieces.tokenizer),
    }

    def make(folder: Path) -> None:
        with progress("cutting texts into blocks") as bar:
            write_windows(folder, number_windows(bar))

    def number_windows(bar: Progress) -> Iterator[Windows]:
        count = 0
        for chunk, windows in cut(texts.blocks(pieces), pieces):
            yield replace(windows, sentences=windows.sentences + count)
            count += len(chunk)
            bar.advance(len(chunk))

    windows = load_cached(cache, "blocks", origin, make, open_windows)
    if not len(windows):
        raise InputError(f"{texts.name}: nothing to train on: no text has a word that the tokenizer knows")
    unknown = pieces.tokenizer.unk_token_id
    # Byte-level tokenizers have no unknown piece.
    share = float((windows.ids == unknown).mean()) if unknown is not None else 0.0
    if share > _UNKNOWN:
        raise InputError(
            f"{texts.name}: the tokenizer doesn't know {100 * share:.0f} % of the subwords: are the texts "
            "of another language? take an encoder of theirs"
        )
    return TrainingData.each_once(windows, pieces.pad_id)


def _find_files(path: Path) -> Sequence[InputFile]:
    """Return the files at a path that is no corpus, in order; raise InputError if there are none."""
    return () if is_corpus(path) else find_sources([str(path)], "").sources


def _documents(file: InputFile) -> Iterator[Lines]:
    """Yield the documents of a file without empty lines."""
    lines = Lines()
    group = ""
    for row in file.documents():
        row_lines = [line for raw in row.text.splitlines() if (line := " ".join(raw.split()))]
        # In other formats a text ends where its group does; texts without a group are
        # documents of their own.
        ends = not row_lines if file.kind == TEXT else not (row.group and row.group == group)
        if ends and lines:
            yield lines
            lines = []
        lines += row_lines
        group = row.group
    if lines:
        yield lines
