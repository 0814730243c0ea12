"""The splits of data sets of any size, read document by document, where `nerbert.formats.data` holds all sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nerbert.formats.data import cut_documents, data_sum, document_key, find_splits, no_split
from nerbert.formats.documents import Reading
from nerbert.formats.examples import annotated, read_documents
from nerbert.records import Document, Repairs


@dataclass(frozen=True, slots=True)
class SplitStream:
    """The splits of a data set, whose documents are read anew, one by one, by each that asks for them."""

    data: Path
    files: Mapping[str, Path]
    reading: Reading
    tagged: bool = False
    """Whether texts that only a model tagged are there too; else they are counted and left out, as in training."""
    cut: Sequence[str] = ()
    """The split of each document, where one file is cut into splits."""

    def documents(self, repairs: Repairs) -> Iterator[tuple[str, Path, Document]]:
        """Yield each document with its split and file, split by split, or as they lie in the file that is cut."""
        if self.cut:
            found = self._read(self.data, repairs)
            yield from ((split, self.data, document) for split, document in zip(self.cut, found, strict=True))
            return
        for split, path in self.files.items():
            yield from ((split, path, document) for document in self._read(path, repairs))

    def split(self, name: str, repairs: Repairs) -> Iterator[tuple[Path, Document]]:
        """Yield the documents of one split, each with its file; `repairs` counts those of all that is read for it."""
        part = self if self.cut else replace(self, files={name: self.files[name]})
        yield from ((path, document) for split, path, document in part.documents(repairs) if split == name)

    def keys(self) -> Iterator[str]:
        """Yield of each document of one file what it shares with those from which it must not be cut apart."""
        return map(document_key, self._read(self.data, Repairs()))

    def sums(self) -> dict[str, str]:
        """Return the SHA-256 of each file, by name; none of what lies elsewhere, on a hub say."""
        return {path.name: data_sum(path) for path in dict.fromkeys(self.files.values()) if path.exists()}

    def _read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        documents = read_documents(path, self.reading, repairs)
        return documents if self.tagged else annotated(documents, repairs)


def known_splits(data: Path, reading: Reading) -> dict[str, Path]:
    """Return where the splits of a data set are, as `find_splits`; raise InputError if there are none."""
    files = find_splits(data, reading)
    if not files:
        raise no_split(data, "train", reading.from_)
    return files


def stream_splits(data: Path, reading: Reading, *, tagged: bool = False) -> SplitStream:
    """Return the splits of a data set to be read in constant memory; a file that is cut is read once before."""
    stream = SplitStream(data, known_splits(data, reading), reading, tagged)
    if not reading.split:
        return stream
    return replace(stream, cut=cut_documents(stream.keys(), reading.split, reading.split_seed, data))
