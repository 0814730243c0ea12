"""Convert annotated data from any format into any other, one document at a time, completely or not at all.

Losses are reported, based on the abilities of the new format.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from nerbert.artifacts import check_apart, check_free, publish_folder, publish_job, write_json
from nerbert.data.splits import SplitStream, stream_splits
from nerbert.errors import InputError, NerbertError, SettingsError, at
from nerbert.formats.documents import Reading, as_documents, repairs_line, sentences_of
from nerbert.formats.format import FORMATS, Abilities, Format, abilities, check_needs, formats_of_suffix, name_format
from nerbert.records import Document, Example, Repairs
from nerbert.words import whole_words

_SHOWN = 10
_ABSENT = object()


@dataclass(slots=True)
class Conversion:
    """The result of a conversion."""

    output: Path
    format: str
    documents: Counter[str] = field(default_factory=Counter)
    """Number of documents by split; `all` for one file."""
    entities: Counter[str] = field(default_factory=Counter)
    repairs: Repairs = field(default_factory=Repairs)
    losses: list[str] = field(default_factory=list)
    """Descriptions of the information that the new format can't hold."""

    @property
    def repaired(self) -> str:
        """A description of the repairs and omissions."""
        return repairs_line(self.repairs)


def convert_data(
    source: Path, output: Path, *, to: str = "", reading: Reading | None = None, overwrite: bool = False
) -> Conversion:
    """Convert a file or folder of annotated data to the format `to`; by default the output's name decides.

    Splits become a folder with a file (or folder) each. If something can't be read or written, raise InputError that
    names file and line, and write nothing.
    """
    # Checked first, since an output inside the source would be read as data
    check_apart(output, [source])
    reading = reading or Reading()
    stream = stream_splits(source, reading, tagged=not reading.split)
    files = stream.files
    is_single = set(files.values()) == {source} and not reading.split
    name = _target(output, to, next(iter(files.values())), reading.from_)
    format_ = check_needs(FORMATS.find(name)())
    if not is_single and output.name.lower().endswith(format_.suffixes):
        raise InputError(f"{output}: {source} becomes several files, so the output must be a folder; name one")
    as_file = is_single and format_.suffixes != ()
    check_free(output, overwrite=overwrite, file=as_file)
    result = Conversion(output, name)
    work = _Work(stream, format_, result)
    if as_file:
        with publish_job(output, None, overwrite=overwrite, file=True) as draft:
            path = draft.work / output.name  # a writer may use the suffix
            work.write(next(iter(files)), "all", path)
            path.replace(draft.path)
    else:
        with publish_folder(output, overwrite=overwrite) as folder:
            for split in files:
                path = folder / f"{split}{''.join(format_.suffixes[:1])}"
                work.write(split, *(("all", folder) if is_single else (split, path)))
            manifest = {
                "kind": "converted",
                "format": name,
                "source": source.name,
                "source_sha256": stream.sums(),
                "split": reading.split,
                "split_seed": reading.split_seed,
                "documents": dict(result.documents),
                "entities": dict(result.entities),
                "repairs": dict(+result.repairs),
            }
            write_json(folder / "manifest.json", manifest)
    result.losses = list(work.losses.lines())
    return result


def _target(output: Path, to: str, first: Path, from_: str) -> str:
    """Return the format to write: `to`, else that of the output's suffix, or without a suffix that of the source."""
    if to:
        return to
    suffix = output.suffix.lower()
    formats = formats_of_suffix(suffix)
    # A suffix that several formats share may be the name of one of them
    if suffix[1:] in formats or len(formats) == 1:
        return suffix[1:] if suffix[1:] in formats else formats[0]
    if formats:
        raise SettingsError(f"{output.name}: {suffix} may be {', '.join(formats)}; choose one with --to")
    if suffix:
        raise SettingsError(f"{output.name}: no format has the suffix {suffix}; name the format with --to: {FORMATS}")
    return from_ or name_format(first)


class _Work:
    """A running conversion: counts written documents, and the losses in the new format."""

    def __init__(self, stream: SplitStream, format_: Format, result: Conversion) -> None:
        self.losses = Losses(abilities(format_))
        self._stream, self._format, self._result, self._repairs = stream, format_, result, result.repairs
        self._written: tuple[Path, int | None] | None = None
        """File and line of the text that is being written; None during reading, whose errors already have a place."""

    def write(self, split: str, name: str, path: Path) -> None:
        """Write a split to a file or folder, and count it as `name`; errors name the text of the source."""
        self.losses.begin_file()
        try:
            self._format.write(path, self._documents(split, name))
        except NerbertError as error:
            # The user knows the output, not the temporary file
            message = str(error).replace(str(path), str(self._result.output))
            again = type(error)(message, path=error.path, line=error.line)
            # An error of writing gets the place of the text that is being written
            with at(*self._written) if self._written and isinstance(error, InputError) else nullcontext():
                raise again from error
        if not self._result.documents[name]:
            raise InputError(f"{self._stream.files[split]}: holds no text")
        # A cut file is read again for each split; its repairs count only once
        self._repairs = Repairs() if self._stream.cut else self._result.repairs

    def _documents(self, split: str, name: str) -> Iterator[Document]:
        result = self._result
        self._written = None
        for path, document in self._stream.split(split, self._repairs):
            result.documents[name] += 1
            with at(path, document.line or None):
                fitted = self._fit(path, document, result.documents[name])
            self._written = path, document.line or None
            for part in fitted:
                result.entities[name] += len(part.spans)
                yield part
            self._written = None
        self._written = self._stream.files[split], None

    def _fit(self, path: Path, document: Document, number: int) -> Sequence[Document]:
        """Return a document in a form that the format can hold: unchanged, or as sentences with words."""
        form, reading, sentences = self.losses.holds.text, self._stream.reading, None
        # One line without blanks at its edges, which is read back unchanged
        is_line = document.text.splitlines() == [document.text.strip().removeprefix("\ufeff")]
        is_kept = form == "whole" or (form == "line" and is_line)
        # Even if the text is kept, words that entities cut must be refused
        if not is_kept or reading.cut_words == "error":
            sentences = sentences_of(document, reading, self._result.repairs)
        self.losses.note(document, None if is_kept else sentences)
        if is_kept or sentences is None:
            return (document,)
        return as_documents(document, sentences, f"{path.name} {number}")


class Losses:
    """Counts the losses of each document in a format with the abilities `holds`."""

    def __init__(self, holds: Abilities) -> None:
        self.holds = holds
        self._lost = Counter[str]()
        self._fields = dict[str, None]()
        self.begin_file()

    def begin_file(self) -> None:
        """Begin a new file; groups of earlier files don't continue in it, even under the same name."""
        self._groups = set[int]()
        self._group = ""

    def note(self, document: Document, sentences: Sequence[Example] | None) -> None:
        """Count the losses of a document, or of its sentences if these are written in its place."""
        holds, lost = self.holds, self._lost
        lost["texts"] += not self._has_words(sentences)
        lost["spaces"] += self._loses_spaces(document, sentences)
        lost["groups"] += not self._keep_group(document.group, len(sentences or ()))
        lost["words"] += document.words is not None and not holds.words
        lost["partial"] += document.partial
        lost["tagged"] += not holds.tagged and document.tagged
        if holds.confidences == "none" or (holds.confidences == "tagged" and not document.tagged):
            lost["confidences"] += sum(span.confidence != 1 for span in document.spans)
        # After enough names have been found, the rest of the comparison is saved
        if len(self._fields) <= _SHOWN:
            self._note_fields(document)

    def _has_words(self, sentences: Sequence[Example] | None) -> bool:
        """Return whether a text has words; as sentences without any it would be left out without a trace."""
        return sentences is None or any(
            part.words and (self.holds.text != "line" or part.text.strip()) for part in sentences
        )

    def _note_fields(self, document: Document) -> None:
        if document.fields:
            kept = self.holds.fields(document)
            lacking = (name for name, value in document.fields.items() if kept.get(name, _ABSENT) != value)
            self._fields.update(dict.fromkeys(lacking))

    def _loses_spaces(self, document: Document, sentences: Sequence[Example] | None) -> bool:
        """Return whether a text is written with other spaces, lines or invisible characters."""
        form = self.holds.text
        if sentences is None:
            return form == "line" and document.text != document.text.strip()
        if form == "words":
            written = [" ".join(whole_words(sentence).tokens) for sentence in sentences]
        else:
            written = [sentence.text.strip().removeprefix("\ufeff") for sentence in sentences]
        # Line ends become blanks when the text is written
        if form == "line":
            written = [text.translate({ord("\n"): " ", ord("\r"): " "}) for text in written]
        return sentences != [] and written != [document.text]

    def lines(self) -> Iterator[str]:
        """Yield a description of each loss, as the end of a sentence: the format doesn't keep …"""
        lost = self._lost
        of_words = "of words" if self.holds.text == "words" else "as texts of their own"
        annotated = " of annotated texts" if self.holds.confidences == "tagged" else ""
        fields = ", ".join([*self._fields][:_SHOWN]) + (" …" if len(self._fields) > _SHOWN else "")
        words = {
            f"the texts' own spaces, lines and invisible characters: it holds sentences {of_words}": lost["spaces"],
            f"texts without a word: {lost['texts']:,} left out": lost["texts"],
            "where words begin and end: they are found again when it is read": lost["words"],
            f"that a model alone tagged {lost['tagged']:,} texts: they look like annotated ones now": lost["tagged"],
            f"that {lost['partial']:,} texts were annotated in part: their other words look like no entity": lost[
                "partial"
            ],
            f"the fields {fields} as they are": self._fields,
            f"confidences{annotated}: {lost['confidences']:,}": lost["confidences"],
            "which texts belong together": lost["groups"],
        }
        return (loss for loss, amount in words.items() if amount)

    def _keep_group(self, group: str, sentences: int) -> bool:
        """Return whether a text, written as `sentences` sentences, stays together with its group."""
        again = group != "" and hash(group) in self._groups
        adjacent = group == self._group
        self._groups.add(hash(group))
        self._group = group
        if self.holds.groups == "adjacent":
            return adjacent or not again
        return self.holds.groups or not (again or sentences > 1)
