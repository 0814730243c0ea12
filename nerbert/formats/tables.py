"""Tables (CSV, TSV) with a header, read row by row: of texts in one column, or of annotated data in one of three forms.

The delimiter is whichever of comma, semicolon, tab and bar gives the required columns. Annotated tables are written
with one row per span. Cost: a text is repeated in each of its rows, and a number is read back as text.
"""

import ast
import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

from nerbert.artifacts import publish
from nerbert.errors import InputError, at, nearest
from nerbert.formats.conll import example_of
from nerbert.formats.format import Abilities
from nerbert.formats.json_files import json_spans
from nerbert.formats.jsonl import text_of
from nerbert.formats.lines import LONGEST_LINE, Line, Stream, file_lines, spool
from nerbert.formats.schemes import find_scheme, is_tag
from nerbert.records import SPAN_COLUMNS, Document, Repairs, Span, span_json
from nerbert.sources.files import BOM

_ID, _TEXT, _START, _END, _LABEL, _CONFIDENCE = "id", "text", "start", "end", "label", "confidence"
_DOCUMENT, _MENTION, _SPANS, _SENTENCE, _WORD, _TAG = "document_id", "mention", "spans", "sentence", "word", "tag"
_NAMES = {
    _ID: "id textid sentenceid sentid exampleid",
    _DOCUMENT: "documentid docid document doc filename file",
    _TEXT: "text sentence content",
    _START: "start startoffset startchar begin beginoffset charstart offsetstart startindex",
    _END: "end endoffset endchar stop stopoffset charend offsetend endindex",
    _LABEL: "label type entitytype entitylabel labelname tag category class entity",
    _CONFIDENCE: "confidence",
    _MENTION: "mention surface spantext entitytext entity span",
    _SPANS: "spans entities labels label annotations ner",
    _SENTENCE: "sentence sentenceid sentid sentenceidx sentencenumber sentenceno",
    _WORD: "word token form words tokens text sentence",
    _TAG: "tag nertag biotag label ner entity labels nerlabel tags nertags",
}
"""Usual names of columns, the most common first; in lower case, only letters and digits."""
_FORMS = {
    (_TEXT, _START, _END, _LABEL): (_ID, _DOCUMENT, _CONFIDENCE, _MENTION),
    (_TEXT, _SPANS): (_DOCUMENT,),
    (_SENTENCE, _WORD, _TAG): (_DOCUMENT,),
    (_WORD, _TAG): (_DOCUMENT,),
}
"""The required and the optional columns of each form; the second form has lists of spans, the last lists of tags."""
_SPAN_LIST = re.compile(r"\s*(?:\{|\[\s*[\[{(])")
_TAG_LIST = re.compile(r"\s*\[\s*['\"]")
_EXCEL = re.compile(r'\s*"?sep=.?"?\s*')
"""Excel's line before the header, which sets the delimiter."""
_UNCOMMAED = re.compile(r"(['\"])\s+(?=['\"])")
"""The space between the items of a list as NumPy prints it."""
_KNOWN = frozenset(name for names in _NAMES.values() for name in names.split())
_LONGEST_HEADER = 1 << 16
"""Maximum length of a header, in characters."""
_FIELD = "field."
"""Prefix of a field's column that would otherwise be read as one of the columns above."""
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"\s*-?\d+(?:[.,]\d+)?\s*")


class TableForm(NamedTuple):
    """A table's delimiter, the names of its columns, and their roles: role → index."""

    delimiter: str
    names: list[str]
    roles: dict[str, int]


class TableRow(NamedTuple):
    """The cells of a row, and their lines."""

    form: TableForm
    cells: list[str]
    lines: list[Line]

    @property
    def line(self) -> int:
        """The number of the first line."""
        return self.lines[0].number

    def get(self, meaning: str) -> str:
        """Return the cell in a role, "" if the table has no such column."""
        index = self.form.roles.get(meaning)
        return "" if index is None else self.cells[index]


def _fields(row: TableRow) -> dict[str, str]:
    """Return the nonempty cells of columns without a role, and the text's id and document."""
    indices, names = row.form.roles, row.form.names
    others = set(range(len(names))) - (set(indices.values()) - {indices.get(_ID), indices.get(_DOCUMENT)})
    return {names[n].removeprefix(_FIELD): row.cells[n] for n in sorted(others) if row.cells[n]}


class Tables:
    """The format `csv`."""

    suffixes = (".csv", ".tsv", ".tab")
    streams = True
    holds = Abilities(
        nested=True,
        words=False,
        tagged=False,
        fields=lambda document: {name: cell for name, value in _with_group(document).items() if (cell := _cell(value))},
    )

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether the first row names the columns of a form, and lists are in the column that requires them."""
        text = head.removeprefix(BOM).decode("utf-8", "ignore")
        lines = [Line("", number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1)]
        with suppress(InputError):
            return _find_form(path, lambda: iter(lines))[1]
        return False

    def read(self, source: Path | Stream, repairs: Repairs) -> Iterator[Document]:
        """Yield the texts of a table; raise InputError that names file and line."""
        if isinstance(source, Stream):
            yield from table_texts(source)
            return
        form, _ = _find_form(source, lambda: file_lines(source, strip=""))
        if _SPANS not in form.roles:
            yield from (
                _token_documents(source, form, repairs) if _WORD in form.roles else _span_documents(source, form)
            )
            return
        for row in table_rows(file_lines(source, strip=""), lambda _: form):
            with at(source, row.line):
                spans = tuple(_read_spans(row.get(_SPANS), repairs))
            yield Document(row.get(_TEXT), spans, None, row.get(_DOCUMENT), _fields(row), row.line)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write one row per span, with commas (in `.csv`) or tabs; a text without entities has one row."""
        with spool(documents) as again, publish(path) as draft:
            names, numbered = _columns_of(again())
            with draft.open("w", encoding="utf-8", errors="replace", newline="") as stream:
                table = csv.writer(stream, delimiter="," if path.suffix.lower() == ".csv" else "\t")
                columns = [_LABEL if name == "type" else name for name in SPAN_COLUMNS]
                table.writerow([_ID, _TEXT, *columns, *map(_header_name, names)])
                for number, document in enumerate(again(), 1):
                    fields = _with_group(document)
                    first = [f"{number}" if numbered else _cell(fields[_ID]), document.text]
                    last = [_cell(fields.get(name)) for name in names]
                    for span in document.spans:
                        table.writerow([*first, *map(span_json(span).get, SPAN_COLUMNS), *last])
                    if not document.spans:
                        table.writerow([*first, *[""] * len(columns), *last])


_RESERVED = frozenset(" ".join(words for role, words in _NAMES.items() if role != _DOCUMENT).split())


def _header_name(field: str) -> str:
    return _FIELD + field if field.startswith(_FIELD) or _fold(field) in _RESERVED else field


def _find_form(path: Path, lines: Callable[[], Iterator[Line]]) -> tuple[TableForm, bool]:
    """Return the form of a table, and whether its cells contain the lists that the form requires."""
    header = _header_of(lines())
    if header is None:
        raise InputError(f"{path}: has no header; name the columns in the first row: text, start, end, label")
    with header.locate_errors():
        forms = _forms(header.text.strip("\r"))
    for form in forms:
        role, pattern = (_SPANS, _SPAN_LIST) if _SPANS in form.roles else (_TAG, _TAG_LIST)
        # `sentence` may be a number or the text, and only the cells tell which
        is_text = _WORD in form.roles and _fold(form.names[form.roles[_WORD]]) in _NAMES[_TEXT].split()
        if role == _TAG and (_START in form.roles or (_SENTENCE in form.roles and not is_text)):
            return form, True
        cells = (row.get(role).strip() for row in table_rows(lines(), lambda _, form=form: form))  # type: ignore[misc]
        first = next((cell for cell in cells if cell not in ("", "[]")), "")
        if pattern.match(first) or (_SENTENCE in form.roles and is_tag(first)):
            return form, True
    return forms[0], False


def _forms(header: str) -> list[TableForm]:
    """Return the forms that a header fits, with the first delimiter that gives one."""
    any_known = False
    for names in cuts_of(header) if len(header) <= _LONGEST_HEADER else ():
        folded = [*map(_fold, names.names)]
        forms = list[TableForm]()
        any_known = any_known or not _KNOWN.isdisjoint(folded)
        for needed, others in _FORMS.items():
            roles = dict[str, int]()
            for meaning in (*needed, *others):
                usual = _NAMES[meaning].split()
                free = [n for n, name in enumerate(folded) if name in usual and n not in roles.values()]
                if free:
                    roles[meaning] = min(free, key=lambda index: usual.index(folded[index]))
            if all(meaning in roles for meaning in needed):
                forms.append(names._replace(roles=roles))
        if forms:
            return forms
    remedy = "" if any_known else "; if it is no header, write one above: text,start,end,label"
    raise InputError(
        f"header {header!r:.80}: must name text, start, end and label (one row per span), text and spans (as JSON), or "
        f"sentence, word and tag (one row per token), with commas, tabs, semicolons or bars between{remedy}"
    )


def _fold(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold()) if not name.startswith(_FIELD) else name


def _span_documents(path: Path, form: TableForm) -> Iterator[Document]:
    """Yield the texts of a table with one row per span; rows of one text must follow each other."""
    seen = set[int]()
    rows = table_rows(file_lines(path, strip=""), lambda _: form)
    for (id_, _, text), group in groupby(rows, lambda row: tuple(map(row.get, (_ID, _DOCUMENT, _TEXT)))):
        first = next(group)
        if _ID in form.roles:
            with at(path, first.line):
                # A second text with this id would get the entities of the first
                if hash(id_) in seen:
                    raise InputError(
                        f"{form.names[form.roles[_ID]]} {id_!r:.60} has another text above, or rows between; sort the "
                        "table by it, and give each text its own"
                    )
            seen.add(hash(id_))
        spans = list[Span]()
        for row in chain([first], group):
            with at(path, row.line):
                spans.extend(_span(row))
        yield Document(text, tuple(spans), None, first.get(_DOCUMENT), _fields(first), first.line)


def _span(row: TableRow) -> Iterator[Span]:
    """Yield the span of a row, if it has one."""
    start, end, label, sure = (row.get(name).strip() for name in (_START, _END, _LABEL, _CONFIDENCE))
    if not start and not end:
        if label not in ("", "O"):
            raise InputError(f"label {label!r:.60} has neither start nor end; leave all three empty for no entity")
        return
    try:
        numbers = [int(text) if text.isdecimal() else float(text) for text in (start, end)]
        confidence = float(sure or 1)
        if not all(isinstance(number, int) or number.is_integer() for number in numbers) or not 0 <= confidence <= 1:
            raise ValueError
    except ValueError:
        raise InputError(
            f"start {start!r:.20}, end {end!r:.20}, confidence {sure!r:.20}: start and end must be whole numbers, and "
            "the confidence one from 0 to 1"
        ) from None
    yield Span(int(numbers[0]), int(numbers[1]), row.get(_LABEL), row.get(_MENTION), confidence)


def _read_spans(cell: str, repairs: Repairs) -> Iterator[Span]:
    """Yield the spans of a cell: a list in JSON, or as Python prints it; Label Studio's spans have several `labels`."""
    value = _value(cell)
    if isinstance(value, dict):
        value = next((item for item in value.values() if isinstance(item, list)), None)
    if not isinstance(value, list):
        raise InputError(f"spans {cell!r:.60}: must be a JSON list of [start, end, label], or of objects with these")
    yield from json_spans(value, repairs)


def _value(cell: str) -> Any:
    """Return the value in a cell, in JSON or as Python prints it; None for neither."""
    # NumPy prints lists without commas
    for read in (json.loads, lambda text: ast.literal_eval(_UNCOMMAED.sub(r"\1, ", text))):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return read(cell.strip() or "[]")
    return None


def _token_rows(row: TableRow) -> list[TableRow]:
    """Split a row with lists of words (or a text of words separated by spaces) and tags into one row per word."""
    cells = [_value(cell) if _TAG_LIST.match(cell) else cell for cell in row.cells]
    word = row.form.roles[_WORD]
    tags = cells[row.form.roles[_TAG]]
    if isinstance(cells[word], str):
        cells[word] = cells[word].split()
    if not isinstance(tags, list) or not isinstance(cells[word], list) or len(tags) != len(cells[word]):
        raise row.lines[0].error(f"tags {row.get(_TAG)!r:.60}: must be a list with one for each of the words")
    # Cells that aren't lists of words hold for the whole sentence
    lists = [cell if isinstance(cell, list) and len(cell) == len(tags) else [cell] * len(tags) for cell in cells]
    return [TableRow(row.form, [f"{value}" for value in values], row.lines) for values in zip(*lists, strict=True)]


def _token_documents(path: Path, form: TableForm, repairs: Repairs) -> Iterator[Document]:
    """Yield the sentences of a table with one row per token; a sentence's number may be only in its first row."""
    tags = ([(row.line, row.get(_TAG).strip()) for row in rows] for rows in _sentences(path, form))
    scheme = find_scheme(tags, path)
    scheme.count_repairs(repairs)
    indices = set(form.roles.values())
    others = {name: index for index, name in enumerate(form.names) if index not in indices}
    for rows in _sentences(path, form):
        words = [row.get(_WORD) for row in rows]
        example = example_of(words, scheme.bio(row.get(_TAG).strip() for row in rows))
        fields = {name: [row.cells[index] for row in rows] for name, index in others.items()}
        group = rows[0].get(_DOCUMENT)
        yield Document(example.text, example.spans, example.words, group, fields, rows[0].line)


def _sentences(path: Path, form: TableForm) -> Iterator[list[TableRow]]:
    held = list[TableRow]()
    key = ""
    for row in table_rows(file_lines(path, strip=""), lambda _: form):
        if _TAG_LIST.match(row.get(_TAG)):
            yield _token_rows(row)
            continue
        if not row.get(_WORD).strip(" \t"):
            raise row.lines[0].error("a row without a word; delete it, or write the word")
        # The number may be given only in a sentence's first row
        number = row.get(_SENTENCE).strip()
        if held and number and number != key:
            yield held
            held = []
        held.append(row)
        key = number or key
    if held:
        yield held


def _columns_of(documents: Iterable[Document]) -> tuple[list[str], bool]:
    """Return the names of all fields except the id, and whether texts must be numbered because ids are missing."""
    names = dict[str, None]()
    ids = set[int]()
    count = 0
    for count, document in enumerate(documents, 1):  # noqa: B007
        fields = _with_group(document)
        names.update(dict.fromkeys(fields))
        if _cell(fields.get(_ID)):
            ids.add(hash(_cell(fields[_ID])))
    # Without an id for each text, texts are numbered, and the ids become a field
    numbered = len(ids) < count
    return [name for name in names if name != _ID or numbered], numbered


def _with_group(document: Document) -> Mapping[str, Any]:
    """Return a document's fields, with its group in the column that the reader uses for it."""
    # A field that reads as a document's name would be taken for the group
    taken = any(_fold(name) in _NAMES[_DOCUMENT].split() for name in document.fields)
    return {**document.fields, _DOCUMENT: document.group} if document.group or taken else document.fields


def _cell(value: Any) -> str:
    """Return a field as a cell: strings unchanged, other values as JSON, null as ""."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def table_texts(source: Stream) -> Iterator[Document]:
    """Yield the text in a column of each row, with all cells as fields; raise InputError for a row of another width."""
    for row in table_rows(source.lines(), lambda header: _text_form(header, source.field)):
        with row.lines[0].locate_errors():
            fields = dict(zip(row.form.names, row.cells, strict=True))
            document = text_of(fields, source.field, row.line, sum(line.size for line in row.lines))
        yield document


def _text_form(header: str, field: str) -> TableForm:
    """Return the form of a table of texts whose header has the column `field`."""
    cuts = list(cuts_of(header))
    if not cuts:
        # Without any delimiter that fits, say what is wrong with the first
        _cells(header, _DELIMITERS[0])  # raises
    form = next((form for form in cuts if field in form.names), None)
    names = (form or max(cuts, key=lambda form: len(form.names))).names
    if form is None:
        listed = ", ".join(map(repr, names))
        numbers = [name for name in names if _NUMBER.fullmatch(name)]
        remedy = "write a first row that names the columns" if numbers else "name the text's with --field"
        raise InputError(
            f"no column {field!r}{nearest(field, names)} (the header has {listed:.200}); {remedy}, "
            "or pass --from text for one text per line"
        )
    if repeated := next((name for index, name in enumerate(names) if name in names[:index]), None):
        raise InputError(f"several columns {repeated!r}; rename all but one")
    return form


def cuts_of(header: str) -> Iterator[TableForm]:
    """Yield the columns of a header for each delimiter in it."""
    for delimiter in _DELIMITERS:
        # The wrong delimiter may end a quoted cell
        with suppress(InputError):
            yield TableForm(delimiter, _cells(header, delimiter), {})


def _cells(header: str, delimiter: str) -> list[str]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))  # the limit is global
    try:
        return next(csv.reader([header], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise _unreadable(error) from None


def _header_of(lines: Iterator[Line]) -> Line | None:
    return next((line for line in lines if line.text.strip() and not _EXCEL.fullmatch(line.text)), None)


def table_rows(lines: Iterable[Line], form_of: Callable[[str], TableForm]) -> Iterator[TableRow]:
    """Yield the rows after the header, split by the form that `form_of` returns for the header's text."""
    lines = iter(lines)
    held = list[Line]()
    header = _header_of(lines)
    if header is None:
        return
    with header.locate_errors():
        form = form_of(header.text.strip("\r"))

    def texts() -> Iterator[str]:
        for line in lines:
            held.append(line)
            yield f"{line.text}\n"

    try:
        for cells in csv.reader(texts(), delimiter=form.delimiter, strict=True):
            row = held
            held = []
            if cells and len(cells) != len(form.names):
                raise row[0].error(f"the row has {len(cells)} columns, and the header {len(form.names)}; fix it")
            if cells:
                yield TableRow(form, cells, row)
    except csv.Error as error:
        with held[0].locate_errors():
            raise _unreadable(error) from None


def _unreadable(error: csv.Error) -> InputError:
    return InputError(f"a row that can't be read: {error}; write a quote in a quoted cell twice")
