"""Convert annotated data: any format into any other, one document at a time, whole or not at all.

What the other format can't hold is found out by writing small texts in it and reading them again, so formats need
not say so. One that holds words alone, without the spaces between them, gets sentences of words, as a model gets them;
so does one whose texts are lines, for a text of several lines.
The price: what is found of these texts is taken to hold of all.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nerbert.artifacts import check_free, check_free_file, publish_folder, publish_job, write_json
from nerbert.errors import InputError, NerbertError, SettingsError, at
from nerbert.formats.documents import Reading, prepared, repairs_line, sentences_of
from nerbert.formats.examples import find_format
from nerbert.formats.format import Format, format_name, formats_of_suffix
from nerbert.formats.split_streams import SplitStream, known_splits, stream_splits
from nerbert.records import Document, Repairs, Span
from nerbert.registry import FORMATS

_TEXT = "Ann  Lee's ship,\nthe Margarethe, is here."
_LINE = _TEXT.replace("\n", " ")
_NOTE = {"note": "kept"}
_PROBES = (
    Document(_TEXT, (Span(0, 7, "person", "Ann  Le"),), None, "one", _NOTE),
    Document(_TEXT, (Span(0, 8, "person", "Ann  Lee", 0.5),), None, "one", _NOTE, tagged=True),
    Document(_LINE, (Span(0, 8, "person", "Ann  Lee"),), None, "two", _NOTE),
    Document("Ann-Lee came.", (Span(0, 7, "person", "Ann-Lee"),), ((0, 7), (8, 13)), "two", _NOTE),
)
_SHOWN = 10


@dataclass(slots=True)
class Conversion:
    """What was converted."""

    output: Path
    format: str
    documents: Counter[str] = field(default_factory=Counter)
    """By split; of one file as `all`."""
    entities: Counter[str] = field(default_factory=Counter)
    repairs: Repairs = field(default_factory=Repairs)
    losses: list[str] = field(default_factory=list)
    """What the new format can't hold, in words."""

    @property
    def repaired(self) -> str:
        """What was put right or left out, in words."""
        return repairs_line(self.repairs)


@dataclass(frozen=True, slots=True)
class _Holds:
    """What a format keeps of a document."""

    text: bool = True
    line: bool = True
    """A text of one line, with its spaces."""
    words: bool = True
    fields: bool = True
    confidences: bool = True
    groups: bool = True
    tagged: bool = True


def convert_data(
    source: Path, output: Path, *, to: str = "", reading: Reading | None = None, overwrite: bool = False
) -> Conversion:  # fmt: skip
    """Convert a file or folder of annotated data to the format `to`, or else to that of the output's name.

    Splits become a folder with a file (or folder) each. Raise InputError that names file and line for what can't be
    read or written; nothing is there then.
    """
    check_apart(output, source)
    reading = reading or Reading()
    files = known_splits(source, reading)
    whole = set(files.values()) == {source} and not reading.split
    name = _target(output, to, next(iter(files.values())), reading.from_)
    kind = FORMATS.find(name)()
    if not whole and output.name.lower().endswith(kind.suffixes):
        raise InputError(f"{output}: {source} becomes several files, so the output is a folder; name one")
    as_file = whole and kind.suffixes != ()
    (check_free_file if as_file else check_free)(output, overwrite=overwrite)
    work = _Work(stream_splits(source, reading, tagged=not reading.split), kind, name, Conversion(output, name))
    if as_file:
        with publish_job(output, None, overwrite=overwrite, file=True) as draft:
            made = draft.work / output.name  # a writer may go by the suffix
            work.write(next(iter(files)), "all", made)
            made.replace(draft.path)
    else:
        with publish_folder(output, overwrite=overwrite) as folder:
            for split in files:
                suffix = kind.suffixes[0] if kind.suffixes else ""
                work.write(split, "all" if whole else split, folder if whole else folder / f"{split}{suffix}")
            write_json(folder / "manifest.json", work.manifest(source))
    return work.done()


def check_apart(output: Path, source: Path) -> None:
    """Raise InputError if an output is its source, lies in it or holds it."""
    target, resolved = output.resolve(), source.resolve()
    if target.is_relative_to(resolved) or resolved.is_relative_to(target):
        raise InputError(f"{output}: is the data set itself, lies in it or holds it; name a place outside it")


def _target(output: Path, to: str, first: Path, from_: str) -> str:
    """Return the format to write: `to`, that of the output's suffix, or for a name without one that of the source."""
    if to:
        FORMATS.find(to)
        return to
    suffix = output.suffix.lower()
    found = formats_of_suffix(suffix)
    if suffix[1:] in found or len(found) == 1:
        return suffix[1:] if suffix[1:] in found else found[0]
    if found:
        raise SettingsError(f"{output.name}: {suffix} may be {', '.join(found)}; say which with --to")
    if suffix:
        raise SettingsError(f"{output.name}: no format has the suffix {suffix}; name the format with --to: {FORMATS}")
    return from_ or format_name(find_format(first))


class _Work:
    """A conversion under way: counts what is written, and what of it the format can't hold."""

    def __init__(self, stream: SplitStream, kind: Format, name: str, conversion: Conversion) -> None:
        self._stream, self._kind, self._name, self._made = stream, kind, name, conversion
        self._holds = _probe(kind)
        self._fields: dict[str, None] = {}
        self._lost = _Lost()
        self._group = ""
        self._repairs: Repairs = conversion.repairs
        self._place: tuple[Path, int | None] = (stream.data, None)
        self._reading = False

    def write(self, split: str, name: str, path: Path) -> None:
        """Write a split to a file or folder, and count it as `name`; errors say which text of the source it was."""
        try:
            self._kind.write(path, self._documents(split, name))
        except NerbertError as error:
            told = str(error).replace(str(path), str(self._made.output))
            again = type(error)(told, path=error.path, line=error.line)
            if isinstance(error, InputError) and not self._reading:  # the writer's, which knows no place
                with at(*self._place):
                    raise again from error
            raise again from error
        if not self._made.documents[name]:
            raise InputError(f"{self._stream.files[split]}: holds no text")
        self._repairs = Repairs() if self._stream.cut else self._made.repairs  # the file is read again for each split

    def done(self) -> Conversion:
        """Return what was converted, with what the format can't hold."""
        self._made.losses = list(self._losses())
        return self._made

    def manifest(self, source: Path) -> dict[str, Any]:
        """Return what says how a folder was made."""
        stream, made = self._stream, self._made
        return {
            "kind": "converted", "format": self._name, "source": source.name,
            "source_sha256": stream.sums(),
            "split": stream.reading.split, "split_seed": stream.reading.split_seed,
            "documents": dict(made.documents), "entities": dict(made.entities), "repairs": dict(+made.repairs),
        }  # fmt: skip

    def _documents(self, split: str, name: str) -> Iterator[Document]:
        made, self._reading = self._made, True
        for path, document in self._stream.split(split, self._repairs):
            self._place = (path, document.line or None)
            self._note(document)
            made.documents[name] += 1
            for each in self._fitted(path, document, made.documents[name]):
                made.entities[name] += len(each.spans)
                self._reading = False
                yield each
                self._reading = True
        self._place, self._reading = (self._stream.files[split], None), False

    def _fitted(self, path: Path, document: Document, number: int) -> Sequence[Document]:
        """Return a document as the format can hold it: as it is, or as sentences of words."""
        reading = self._stream.reading
        whole = self._is_kept(document.text)
        if whole and reading.cut_words != "error":
            return (document,)
        with at(path, document.line or None):
            sentences = sentences_of(document, reading, self._made.repairs)
        if whole:
            return (document,)
        self._lost.texts += not sentences
        group = document.group or (f"{path.name} {number}" if len(sentences) > 1 else "")
        return [
            replace(document, text=each.text, words=each.words, spans=each.spans, group=group) for each in sentences
        ]

    def _is_kept(self, text: str) -> bool:
        """Return whether the format holds a text as it is; one of lines can't hold several, or spaces at its edges."""
        return self._holds.text or (self._holds.line and text.splitlines() == [text.strip()])

    def _note(self, document: Document) -> None:
        """Note what there is that a format may lack."""
        lost, text = self._lost, document.text
        lost.tagged += document.tagged
        if len(self._fields) < _SHOWN:
            self._fields.update(dict.fromkeys(document.fields))
        lost.confidence = lost.confidence or any(span.confidence != 1 for span in document.spans)
        lost.group = lost.group or (document.group != "" and document.group == self._group)
        self._group = document.group
        lost.words = lost.words or document.words is not None
        if not lost.spaces and not self._is_kept(text):
            words = document.words
            lost.spaces = words is None or text != " ".join(text[start:end] for start, end in words)

    def _losses(self) -> Iterator[str]:
        lost, holds = self._lost, self._holds
        if lost.spaces:
            yield "the texts' own spaces and lines: it holds sentences of words"
        if lost.texts:
            yield f"texts without a word: {lost.texts:,} left out"
        if lost.words and not holds.words:
            yield "where words begin and end: they are found anew when it is read"
        if lost.tagged and not holds.tagged:
            yield f"that a model alone tagged {lost.tagged:,} texts: they look like annotated ones now"
        if self._fields and not holds.fields:
            yield f"the fields {', '.join(list(self._fields)[:_SHOWN])}"
        if lost.confidence and not holds.confidences:
            yield "confidences"
        if lost.group and not holds.groups:
            yield "which texts belong together"


@dataclass(slots=True)
class _Lost:
    """What the data has, and is lost if the format can't hold it."""

    spaces: bool = False
    words: bool = False
    confidence: bool = False
    group: bool = False
    texts: int = 0
    tagged: int = 0


def _probe(kind: Format) -> _Holds:
    """Return what a format keeps; all, if it can't write the texts that show it."""
    with tempfile.TemporaryDirectory() as folder, suppress(InputError):
        path = Path(folder) / f"probe{kind.suffixes[0] if kind.suffixes else ''}"
        kind.write(path, _PROBES)
        reading = Reading(units="characters", overlaps="longest")
        found = list(prepared(path, lambda repairs: kind.read(path, repairs), reading, Repairs()))
        groups = [each.group for each in found]
        return _Holds(
            text=sum(each.text == _TEXT for each in found) == 2,
            line=any(each.text == _LINE and not each.words for each in found),
            words=any(each.words == _PROBES[-1].words for each in found),
            fields=any(each.fields.items() >= _NOTE.items() for each in found),
            confidences=any(span.confidence == 0.5 for each in found for span in each.spans),
            tagged=any(each.tagged for each in found),
            groups=all(groups) and len(set(groups)) == 2,
        )
    return _Holds()
