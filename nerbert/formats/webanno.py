"""WebAnno TSV 3 of INCEpTION and WebAnno: a file per document, a row per token, a column per feature.

Offsets count UTF-16 units of the whole text. Each sentence becomes a document, and an entity across two becomes two.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import ClassVar, NamedTuple

from nerbert.artifacts import publish
from nerbert.errors import InputError, refused
from nerbert.formats.documents import sentences_of
from nerbert.formats.format import LEAST, Abilities
from nerbert.formats.rows import Line, file_lines
from nerbert.records import Document, Example, Repair, Repairs, Span
from nerbert.sources.files import BOM, FoundFile, find_files
from nerbert.words import split_words, whole_words

_FORMAT = "#FORMAT=WebAnno TSV 3"
_HEADER = re.compile(r"#FORMAT=WebAnno TSV 3\.[2-9]\s*")
"""Accepted versions; 3.0 and 3.1 escape texts differently."""
_ENTITIES = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
_BUILT_IN = "de.tudarmstadt.ukp.dkpro.core.api."
_INITIAL, _CURATED = "INITIAL_CAS.tsv", "CURATION_USER.tsv"
_SPAN_LAYER, _LAYERS = "#T_SP", ("#T_SP", "#T_CH", "#T_RL")
_TEXT, _ID = "#Text=", "#Sentence.id="
_ROW = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)?\t([0-9]{1,15})-([0-9]{1,15})\t")
_STACKED = re.compile(r"(?:\\.|[^|])+", re.DOTALL)
_NUMBERED = re.compile(r"(.*)\[([0-9]+)\]", re.DOTALL)
_VALUE_ESCAPE, _VALUE_SPECIAL = re.compile(r"\\(->|[\\\[\]|_;*tn])"), re.compile(r"->|[\\\[\]|_;*\t\n]")
_TEXT_ESCAPE, _TEXT_SPECIAL = re.compile(r"\\([tnfrb\\\x00-\x07\x0e-\x1f])"), re.compile(r"[\\\x00-\x0a\x0c-\x1f]")
_SHORT = {"t": "\t", "n": "\n", "f": "\f", "r": "\r", "b": "\b"}
_LONG = {char: letter for letter, char in _SHORT.items()}
_BREAKS = re.compile(r"[\t\r\n]")


class _Layer(NamedTuple):
    kind: str
    name: str
    features: list[str]
    column: int
    """The index of its first feature among all columns after the token."""


class _TokenRow(NamedTuple):
    line: Line
    token: str
    whole: bool
    """True for a whole token, False for a part of one."""
    start: int
    end: int
    values: list[str]


@dataclass(slots=True)
class _Sentence:
    first: Line
    id: str = ""
    texts: list[str] = field(default_factory=list)
    rows: list[_TokenRow] = field(default_factory=list)


class WebAnno:
    """The format `webanno`."""

    suffixes: ClassVar[tuple[str, ...]] = (".tsv",)
    options: ClassVar[tuple[str, ...]] = ("layer", "feature")
    layer = feature = ""
    holds: ClassVar[Abilities] = replace(
        LEAST, text="sentences", words=True,
        fields=lambda text: {"id": name} if isinstance(name := text.fields.get("id"), str) and name.strip() else {},
    )  # fmt: skip

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a file, or the first `.tsv` file of a folder, has the header of WebAnno TSV 3."""
        if path.is_dir():
            first = next((file.path for file in find_files(path) if file.name.endswith(".tsv")), None)
            if first is None or not first.is_file():
                return False
            with first.open("rb") as stream:
                return self.recognise(first, stream.read(len(BOM) + len(_FORMAT)))
        return head.removeprefix(BOM).startswith(_FORMAT.encode())

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the sentences of a file, or of all `.tsv` files of a folder; raise InputError with file and line. In an
        INCEpTION project, read the curated file of a document, else that of its first annotator.
        """
        files = [file for file in find_files(path) if file.direct or file.name.endswith(".tsv")]
        documents = [*_files_of_documents([file for file in files if file.path.is_file()], repairs)]
        in_use = bool(self.layer) or _entities_in_use([file.path for file, *_ in documents])
        chosen: list[str] = []
        for first, *others in documents:
            for file, counts in ((first, repairs), *((other, Repairs()) for other in others)):
                with refused(f"{file.path}: can't be read", of=OSError):
                    layers, lines = _header(file.path, file_lines(file.path))
                    names, columns = self._columns(file.path, layers, in_use=in_use)
                    if names and not self.layer and chosen not in ([], names):
                        listed = f"{', '.join(names)}, earlier files {', '.join(chosen)}"
                        raise InputError(f"{file.path}: has the layer {listed}; choose one with --layer")
                    chosen = names or chosen
                    group = "" if file.direct else file.name
                    held: _Sentence | None = None
                    for sentence in chain(_sentences(lines, layers), (None,)):
                        if held:
                            document = _document(held, sentence is None, layers, columns, group, counts)
                            if counts is repairs:
                                yield document
                            else:
                                repairs[Repair.ANNOTATOR] += len(document.spans)
                        held = sentence
        if (self.layer or self.feature) and documents and not chosen:
            raise InputError(f"{path}: has no layer {self.layer or 'with a feature'} {self.feature}; see its header")

    def _columns(self, path: Path, layers: Iterable[_Layer], *, in_use: bool) -> tuple[list[str], dict[int, str]]:
        """Return the features that hold the entities' types, and their columns. A column maps to "", or to the type
        that its layer denotes if the layer has no features. If NamedEntity is `in_use`, only that layer counts.
        """
        pairs = [(layer, feature) for layer in layers for feature in self._features(layer)]
        named = [layer.name == _ENTITIES for layer, _ in pairs]
        if not self.layer and any(named) and not all(named):
            pairs = [pair for pair, is_named in zip(pairs, named, strict=True) if is_named == in_use]
        names = [f"{layer.name}|{feature}".removesuffix("|") for layer, feature in pairs]
        is_one_each = len(pairs) == len({layer.name for layer, _ in pairs})
        if len(pairs) > 1 and not (is_one_each and (self.layer or not any(feature for _, feature in pairs))):
            listed = f"{', '.join(names):.300}; name them with --layer and --feature"
            raise InputError(f"{path}: several features could hold the entities' types: {listed}")
        types = ["" if feature else layer.name.rpartition(".")[2] for layer, feature in pairs]
        columns = [layer.column + layer.features.index(feature) for layer, feature in pairs]
        return names, dict(zip(columns, types, strict=True))

    def _features(self, layer: _Layer) -> list[str]:
        """Return the features of a layer that may hold types; "" for a layer without features."""
        named = layer.name == _ENTITIES
        fits = named or not layer.name.startswith(_BUILT_IN)
        if self.layer:
            fits = not {layer.name, layer.name.rpartition(".")[2]}.isdisjoint(self.layer.split(","))
        plain = [name for name in layer.features if "." not in name and not name.startswith("ROLE_")]
        if self.feature or "value" in plain or named:
            plain = [name for name in plain if name == (self.feature or "value")]
        return plain if fits and layer.kind == _SPAN_LAYER else []

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write all sentences as one file of WebAnno TSV 3.3, atomically."""
        number = offset = annotations = 0
        with publish(path) as draft, draft.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
            stream.write(f"{_FORMAT}.3\n{_SPAN_LAYER}={_ENTITIES}|identifier|value\n\n")
            for document in documents:
                name = self.holds.fields(document).get("id")
                for example in sentences_of(document):
                    if not example.words:
                        continue
                    number += 1
                    if name is not None:
                        stream.write(f"\n{_ID}{_escape(name)}")
                    name = None
                    first, last = example.words[0][0], example.words[-1][1]  # text before and after is split, too
                    words = [*whole_words(Example(example.text[:first], ())).words, *example.words]
                    words += ((last + start, last + end) for start, end in split_words(example.text[last:]))
                    text = example.text[words[0][0] :]
                    stream.write("".join(f"\n{_TEXT}{_escape(line)}" for line in text.split("\n")) + "\n")
                    stream.writelines(_token_rows(example, words, f"{number}-", offset, annotations))
                    annotations += len(example.spans)
                    offset += _utf16_units(text) + 1


def _header(path: Path, lines: Iterator[Line]) -> tuple[list[_Layer], Iterator[Line]]:
    """Return the layers, and the lines after the header; other header lines are comments."""
    first = next(lines, Line(str(path), 1, ""))
    if not _HEADER.fullmatch(first.text):
        raise first.error(f"{first.text!r:.60}: expected {_FORMAT}.3; export as WebAnno TSV v3.3")
    layers: list[_Layer] = []
    column = 0
    for line in lines:
        if not line.text.strip() or line.text.startswith((_TEXT, _ID)):
            lines = chain([line], lines)
            break
        kind, _, value = line.text.partition("=")
        name, *features = value.strip().split("|")
        if line.text.startswith("#") and not kind.startswith("#T_"):
            continue
        if kind not in _LAYERS or not name:
            raise line.error(f"{line.text!r:.60}: expected a layer ({', '.join(_LAYERS)}), or a blank line")
        features = [feature for feature in features if feature] or [""]
        layers.append(_Layer(kind, name, features, column))
        column += len(features)
    return layers, lines


def _files_of_documents(files: Iterable[FoundFile], repairs: Repairs) -> Iterator[list[FoundFile]]:
    """Yield the files of each document, beginning with the one to read. In an INCEpTION project, a document has a
    folder with the files of its annotators, and `INITIAL_CAS`, which isn't an annotator's.
    """
    documents = dict[tuple[Path, str], list[FoundFile]]()
    for file in files:
        folder = file.path.absolute().parent
        root = folder.parent.parent if folder.parent.name in ("annotation", "curation") else folder.parent
        is_part = not file.direct and any((folder / name).is_file() for name in (_INITIAL, _CURATED))
        annotated = documents.setdefault((root, folder.name) if is_part else (folder, file.name), [])
        if not (is_part and file.path.name == _INITIAL):
            annotated.insert(0 if file.path.name == _CURATED else len(annotated), file)
    repairs.update(Repair.UNANNOTATED for annotated in documents.values() if not annotated)
    return filter(None, documents.values())


def _entities_in_use(files: Iterable[Path]) -> bool:
    """Return whether a file has an annotation in the layer NamedEntity."""
    for file in files:
        layers, lines = _header(file, file_lines(file))
        columns = [layer.column for layer in layers if layer.name == _ENTITIES]
        rows = (row for sentence in (_sentences(lines, layers) if columns else ()) for row in sentence.rows)
        if any(row.values[column] != "_" for row in rows for column in columns):
            return True
    return False


def _sentences(lines: Iterator[Line], layers: list[_Layer]) -> Iterator[_Sentence]:
    columns = sum(len(layer.features) for layer in layers)
    held: _Sentence | None = None
    for line in lines:
        name, _, value = line.text.partition("=")
        heads = f"{name}=" in (_TEXT, _ID)
        if held and (not line.text.strip() or (heads and held.rows)):
            yield held
            held = None
        if heads:
            held = held or _Sentence(line)
            text = _TEXT_ESCAPE.sub(lambda match: _SHORT.get(match[1], match[1]), value)
            if f"{name}=" == _ID:
                held.id = text
            else:
                held.texts.append(text)
        elif line.text.strip() and not line.text.startswith("#"):
            with line.locate_errors():
                if held is None or not held.texts:
                    raise InputError(f"{line.text!r:.60}: a token, but a sentence must begin with {_TEXT}")
                held.rows.append(_row(line, columns))
    if held:
        yield held


def _row(line: Line, columns: int) -> _TokenRow:
    match = _ROW.match(line.text)
    token, *values = line.text[match.end() :].split("\t") if match else [""]
    if match is None or len(values) < columns or any(values[columns:]):
        raise InputError(
            f"broken row {line.text!r:.60}: expected sentence-token, start-end, the token and {columns} columns, "
            "between tabs; the file is cut off, or export it again"
        )
    return _TokenRow(line, token, match[1] is None, int(match[2]), int(match[3]), values[:columns])


def _document(
    sentence: _Sentence, last: bool, layers: list[_Layer], columns: Mapping[int, str], group: str,
    repairs: Repairs,
) -> Document:  # fmt: skip
    rows = sentence.rows
    if not rows or not rows[0].whole:
        raise sentence.first.error(
            "a sentence without a token at its beginning; the file is cut off, or export it again"
        )
    text = "\n".join(sentence.texts)
    bounds = list(_locate_rows(text, rows))
    words = [word for row, word in zip(rows, bounds, strict=True) if row.whole]
    if last and split_words(text[words[-1][1] :]):
        raise rows[-1].line.error(
            f"the sentence continues after its last token: {text[words[-1][1] :]!r:.60}; the file is cut off, or "
            "export it again"
        )
    marked: dict[object, tuple[int, int, str]] = {}
    for row, (start, end) in zip(rows, bounds, strict=True):
        for column, type_ in columns.items():
            for item in [] if row.values[column] == "_" else _STACKED.findall(row.values[column]):
                # still escaped; numbered if the entity has several tokens
                value, number = (match[1], match[2]) if (match := _NUMBERED.fullmatch(item)) else (item, "")
                key: object = (column, value, number) if number else len(marked)
                begin = marked[key][0] if key in marked else start
                marked[key] = begin, end, type_ or value
    spans = []
    for start, end, value in marked.values():
        if value == "*":
            repairs[Repair.UNTYPED] += 1
        elif start >= end:
            repairs[Repair.EMPTY] += 1
        else:
            spans.append(Span(start, end, _plain_value(value), text[start:end]))
    others = [
        layer for layer in layers if columns.keys().isdisjoint(range(layer.column, layer.column + len(layer.features)))
    ]
    repairs[Repair.PASSED_OVER] += sum(row.values[layer.column] != "_" for row in rows for layer in others)
    fields = {"id": sentence.id} if sentence.id else {}
    return Document(text, tuple(spans), tuple(words), group, fields, sentence.first.number)


def _locate_rows(text: str, rows: list[_TokenRow]) -> Iterator[tuple[int, int]]:
    """Yield each row's start and end in its sentence's text; raise InputError if a token isn't there."""
    # the index of the character at each offset, -1 inside a character of two units
    table = [entry for index, char in enumerate(text) for entry in ((index, -1) if char > "\uffff" else (index,))]
    table.append(len(text))
    origin, reached = rows[0].start - (0 if text.startswith(rows[0].token) else len(text) - len(text.lstrip())), 0
    for row in rows:
        start, end = (
            table[offset] if 0 <= offset < len(table) else -1 for offset in (row.start - origin, row.end - origin)
        )
        with row.line.locate_errors():
            if start < 0 or end < start or text[start:end] not in (row.token, _plain_value(row.token)):
                surface = text[max(start, 0) : max(end, 0)]
                raise InputError(f"token {row.token!r:.60}: the sentence has {surface!r:.60} at {row.start}-{row.end}")
            if row.whole and not reached <= start < end:
                raise InputError(f"token {row.token!r:.60}: is empty, or overlaps the previous token")
        reached = end if row.whole else reached
        yield start, end


def _token_rows(
    example: Example, words: list[tuple[int, int]], prefix: str, offset: int, annotations: int
) -> Iterator[str]:
    """Yield the rows of a sentence whose first word begins at `offset`, after `annotations` earlier annotations."""
    reached = words[0][0]
    spans = deque(enumerate(sorted(example.spans, key=lambda span: span.start), annotations + 1))
    for count, (start, end) in enumerate(words, 1):
        token = example.text[start:end]
        if _BREAKS.search(token):
            raise InputError(f"word {token!r:.60} contains a tab or line break, which TSV can't hold; choose jsonl")
        begin = offset + _utf16_units(example.text[reached:start])
        offset, reached = begin + _utf16_units(token), end
        while spans and spans[0][1].end <= start:
            spans.popleft()
        columns = "_\t_"
        if spans and spans[0][1].start < end:
            key, span = spans[0]
            mark = "" if (span.start, span.end) == (start, end) else f"[{key}]"
            type_ = _VALUE_SPECIAL.sub(lambda char: "\\" + {"\t": "t", "\n": "n"}.get(char[0], char[0]), span.type)
            columns = f"*{mark}\t{type_}{mark}"
        yield f"{prefix}{count}\t{begin}-{offset}\t{token}\t{columns}\t\n"


def _utf16_units(text: str) -> int:
    """Return the number of UTF-16 units in a text."""
    return len(text) + sum(char > "\uffff" for char in text)


def _plain_value(value: str) -> str:
    """Return a feature's value, unescaped."""
    return _VALUE_ESCAPE.sub(lambda match: {"t": "\t", "n": "\n"}.get(match[1]) or match[1], value)


def _escape(text: str) -> str:
    """Return a line of text with control characters and backslashes escaped."""
    return _TEXT_SPECIAL.sub(lambda match: "\\" + _LONG.get(match[0], match[0]), text)
