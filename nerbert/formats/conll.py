"""CoNLL: one `token … tag` per line, a blank line between sentences, tags in the last column.

The text of a sentence is its tokens joined by spaces, since a file doesn't contain the original spacing. The tag scheme
is detected from the whole file. Cost: the file is read twice.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from pathlib import Path
from typing import NamedTuple

from nerbert.artifacts import publish
from nerbert.errors import InputError, visible
from nerbert.formats.documents import sentences_of
from nerbert.formats.format import LEAST, TextWriter, WritingRows
from nerbert.formats.lines import TEXT, TOKENS, Line, Stream, file_lines
from nerbert.formats.schemes import Scheme, find_scheme, is_tag
from nerbert.labels import OUTSIDE, example_tags, spans_from_bio
from nerbert.records import Document, Example, Repairs, Span
from nerbert.words import is_joined, whole_words

_LONGEST_SENTENCE = 1_000_000
_COMMENT = re.compile(r"#\s*(?:(?P<key>[\w.:-]+)\s*=\s*|(?P<name>id|newdoc|newpar)\b\s*)(?P<value>.*)")
_FIELD = r"(?:^|\|)(?:{})=([^|]*)"
_ENTITY = re.compile(_FIELD.format("name|NER?|Tag"))
"""A tag as a field of CoNLL-U's last column."""
_UNWRITTEN = re.compile(r"\d+[-.]\d+")
"""Numbers of rows in CoNLL-U that aren't words: ranges of words (1-2), and empty words (1.1)."""
_CONLL_U = 10
"""Number of columns in CoNLL-U."""
_WORD_2012, _ENTITY_2012, _LEAST_2012 = 3, 10, 12
"""In CoNLL-2012: the index of the word's column, that of the bracketed entity's, and the minimum number of columns."""
_BRACKETS = re.compile(r"(?:\(([^()*\s]+))?(?:\*?(\))|\*)|-")
"""An entity cell in CoNLL-2012: `(ORG*` begins an entity, `*)` ends it, `(ORG)` is one, `*` and `-` change nothing."""
_UNIFIED = re.compile(r"\([^()-]*-([^()-]+)[^()]*|^[^()]+(?=\))")
"""The same in a field of CorefUD: `(e1-person-1-` begins an entity, `e1)` ends it, `(e1-person-1-)` is one."""
_Rows = Sequence[list[str]]
DOCUMENT_START = "-DOCSTART-"
"""Beginning of a line that starts a document and isn't a token."""
_STARTS = (DOCUMENT_START, "#begin document ")
_ENDS = "#end document"
"""Beginnings of lines that start or end a document, including those of CoNLL-2012."""
_FIRST_LINES = 200
_MARK = re.compile(rf"^(?:{'|'.join(map(re.escape, _STARTS))}).*", re.MULTILINE)
_BREAKS = re.compile(r"[\t\r\n]")
_COLUMN = re.compile(r"[^\t\n]+")
_HEADER = re.compile(r"(?:.*\t)?(?:tokens?|words?|form)\t(?:.*\t)?(?:tags?|labels?|ner|ner[-_ ]?tags?)", re.IGNORECASE)
"""A header line; if the tags are types without prefix, it would be read as an entity."""


class TokenRows(NamedTuple):
    """The lines of a sentence and their columns, the number of its document, and its comments."""

    lines: list[Line]
    columns: list[list[str]]
    document: int = 0
    comments: Sequence[str] = ()

    def tokens(self) -> list[str]:
        """Return the first column, or in CoNLL-U the second, in CoNLL-2012 the word's."""
        if _has_numbers(self.columns) and all(len(row) == _CONLL_U for row in self.columns):
            return [row[1] for row in self.columns if not _UNWRITTEN.fullmatch(row[0])]
        if _is_2012(self.columns):
            return [row[_WORD_2012] for row in self.columns]
        return [row[0] for row in self.columns]


class ColumnLayout(NamedTuple):
    """The columns of the token and the tag; `numbered`: the first column numbers the words."""

    token: int = 0
    tag: int = -1
    numbered: bool = False
    inside: re.Pattern[str] | None = None
    """Pattern of the field with the tag inside the tag column."""
    brackets: bool = False
    """True if entities are in brackets (CoNLL-2012, CorefUD)."""
    width: int = 0
    """The number of columns separated by spaces; 0: it varies."""
    spaced_types: bool = False
    """True if types may contain spaces."""

    def words(self, rows: TokenRows) -> list[tuple[int, str, str]]:
        """Return (line, token, tag) of each word; raise InputError for a line without a token or tag."""
        token_at, tag_at, numbered, inside, brackets, width, _ = self
        words = []
        needed = max(token_at, tag_at, 1)
        open_type = ""
        for line, columns in zip(rows.lines, rows.columns, strict=True):
            # CoNLL-U's rows of `1-2` and `1.1` aren't words
            if numbered and _UNWRITTEN.fullmatch(columns[0]):
                continue
            if width and len(columns) != width and "\t" not in line.text:
                columns = self._fit(line, columns)  # noqa: PLW2901
            # In a short row, the last column would be the token
            tag = columns[tag_at].strip() if len(columns) > needed else ""
            if inside:
                tag = _read_field(inside, tag, brackets=brackets)
            if brackets:
                tag, open_type = _read_bracket(tag, open_type, line)
            token = columns[token_at] if len(columns) > token_at else ""
            if not tag or not token:
                raise _line_error(line)
            words.append((line.number, token, tag))
        if open_type:
            raise rows.lines[-1].error(
                f"the sentence ends inside an entity of type {open_type!r:.60}: its bracket is open"
            )
        return words

    def _fit(self, line: Line, columns: list[str]) -> list[str]:
        """Return a row of another width with its word (or type) as one column; raise InputError if that can't be."""
        first = self.token
        tag_at = self.tag % self.width
        extra = len(columns) - self.width
        # More columns than the others: the word has spaces, or else the type
        if extra < 0 or not is_tag(columns[tag_at + extra * (first < tag_at)]):
            first = tag_at
            if extra < 0 or not self.spaced_types or not is_tag(columns[tag_at]):
                raise line.error(
                    f"the row has {len(columns)} columns, the others {self.width}: {line.text!r:.60}; put a tab "
                    "between columns, or write words and types without spaces"
                )
        return [*columns[:first], " ".join(columns[first : first + extra + 1]), *columns[first + extra + 1 :]]


def scheme_of(path: Path, tag_column: str = "") -> Scheme:
    """Return the scheme of a file's tags; raise InputError for a broken line or an invalid tag."""
    return find_scheme(_tags(path, _layout_of(path, tag_column), set()), path)


def _tags(path: Path, layout: "ColumnLayout", documents: set[int]) -> Iterator[list[tuple[int, str]]]:
    """Yield the tags of each sentence with their lines; add the numbers of the first two documents to `documents`."""
    for rows in _read_rows(path):
        # Only whether there are several documents matters
        if len(documents) < 2:
            documents.add(rows.document)
        yield [(line, tag) for line, _, tag in layout.words(rows)]


def _read_rows(path: Path) -> Iterator[TokenRows]:
    return token_rows(file_lines(path), tagged=True)


def _read_comments(comments: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the values of comments such as `# sent_id = 1` by their names."""
    named = filter(None, map(_COMMENT.fullmatch, comments))
    return {match["key"] or match["name"]: match["value"].strip() for match in named}


def _first_sentences(path: Path) -> list[TokenRows]:
    sentences = list[TokenRows]()
    for rows in _read_rows(path):
        first = rows.lines[0]
        # A header would become the first word of the first sentence
        if not sentences and _HEADER.fullmatch("\t".join(rows.columns[0])):
            raise first.error(f"{first.text!r:.60} is a header, and would be read as a word; delete the line")
        sentences.append(rows)
        if sum(len(rows.lines) for rows in sentences) >= _FIRST_LINES:
            break
    return sentences


def _layout_of(path: Path, tag_column: str) -> ColumnLayout:
    """Return the layout of a file, from its first sentences; `tag_column` is a number, a field's name, or ""."""
    sentences = _first_sentences(path)
    layout = find_layout(sentences)
    if not tag_column:
        return layout
    if not re.fullmatch(r"-?[1-9]\d{0,4}", tag_column):
        brackets = any(f"{tag_column}=(" in row[-1] for rows in sentences for row in rows.columns)
        return layout._replace(tag=-1, brackets=brackets, inside=re.compile(_FIELD.format(re.escape(tag_column))))
    # Columns count from 1, or from the end: -1
    column = int(tag_column) - (tag_column[0] != "-")
    return layout._replace(token=max(layout.token, int(column == 0)), tag=column, brackets=False, inside=None)


def write_conll(path: Path, examples: Iterable[Example]) -> None:
    """Write sentences as `token<TAB>tag`, atomically."""
    with publish(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(map(conll_block, examples))


def check_types(types: Iterable[str]) -> None:
    """Raise InputError for a type with white space, which would split CoNLL's columns."""
    if broken := next((type_ for type_ in types if type_.split() != [type_]), ""):
        raise InputError(f"type {broken!r} holds white space, which splits CoNLL's columns; choose jsonl")


def conll_block(example: Example) -> str:
    """Return one sentence as lines of `token<TAB>tag`, then a blank line; raise InputError if CoNLL can't hold it."""
    check_types(span.type for span in example.spans)
    if broken := next((word for word in example.tokens if _BREAKS.search(word)), ""):
        raise InputError(f"word {broken!r:.60} contains a tab or line break, which CoNLL can't hold; choose jsonl")
    lines = "".join(f"{token}\t{tag}\n" for token, tag in zip(example.tokens, example_tags(example), strict=True))
    # A word such as `-DOCSTART-` would be read back as the start of a document
    if marks := _MARK.search(lines):
        word = marks[0].partition("\t")[0]
        raise InputError(f"word {word!r:.60} begins as CoNLL's mark of a document does; remove it, or choose jsonl")
    return lines + "\n"


@dataclass(frozen=True)
class Conll:
    """The format `conll`; `tag_column` is a number, a field's name, or "" to find it."""

    suffixes = by_name = (".conll", ".bio", ".iob", ".iob2", ".bioes", ".bmes", ".conllu")
    streams = True
    holds = replace(LEAST, text="words", words=True, groups="adjacent")
    tag_column: str = ""

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether most of the first lines end in a tag, unlike prose, or all rows have one."""
        lines = head.decode("utf-8-sig", "replace").split("\n")[:_FIRST_LINES]
        kept = [line.strip() for line in lines if line.strip() and not line.startswith((DOCUMENT_START, "# "))]
        ended = sum(len(columns := split_columns(line)) > 1 and is_tag(columns[-1]) for line in kept)
        # A row that begins with a tab has an empty token, which CoNLL never has
        return not any(line.startswith("\t") for line in lines) and (ended > len(kept) / 2 or _all_tagged(lines))

    def read(self, source: Path | Stream, repairs: Repairs) -> Iterator[Document]:
        """Yield the sentences of a file, or the words of a stream: the first column (in CoNLL-U the second)."""
        if isinstance(source, Stream):
            for rows in token_rows(source.lines(), tagged=False):
                words = rows.tokens()
                size = sum(line.size for line in rows.lines)
                example = example_of(words, ())
                fields = {TEXT: example.text, TOKENS: words}
                yield Document(example.text, (), example.words, "", fields, rows.lines[0].number, size=size)
            return
        layout = _layout_of(source, self.tag_column)
        numbers = set[int]()
        scheme = find_scheme(_tags(source, layout, numbers), source)
        scheme.count_repairs(repairs)
        for rows in _read_rows(source):
            tagged = layout.words(rows)
            example = example_of((token for _, token, _ in tagged), scheme.bio(tag for _, _, tag in tagged))
            # A file without marks of documents isn't one document, which no cut could divide
            group = f"{rows.document}" if len(numbers) > 1 else ""
            fields = _read_comments(rows.comments)
            yield Document(example.text, example.spans, example.words, group, fields, rows.lines[0].number)

    def writer(self, writing: WritingRows) -> TextWriter:
        """Return a writer of `word<TAB>tag`, for a text's words or sentences; raise InputError for invalid types."""
        check_types(writing.types)

        def lines(row: Document) -> bytes:
            # Texts with words keep them; others are split into sentences first
            if row.words is not None:
                examples: Iterable[Example] = [Example(row.text, row.words, row.spans)]
            else:
                examples = _annotate(writing.sentences(row.text), row.spans)
            text = "".join(conll_block(whole_words(example)) for example in examples if example.words)
            # On a terminal, control characters are shown, but not the tabs between columns
            shown = _COLUMN.sub(lambda part: visible(part[0]), text) if writing.terminal else text
            return shown.encode("utf-8", "replace")

        return lines

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents as sentences of words, with `-DOCSTART-` before each group of sentences."""
        with publish(path) as draft, draft.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
            last = ""
            for number, document in enumerate(documents):
                sentences = sentences_of(document)
                # Several sentences of one text stay together, even if it has no group
                group = document.group or (f"\0{number}" if len(sentences) > 1 else "")
                if group != last:
                    stream.write(f"{DOCUMENT_START}\t{OUTSIDE}\n\n")
                    last = group
                stream.writelines(conll_block(whole_words(example)) for example in sentences if example.words)


def _all_tagged(lines: Iterable[str]) -> bool:
    """Return whether all rows have a token and a tag, and one tag is `O`, since prose has no `O`."""
    named = (Line("", number, line.rstrip("\r")) for number, line in enumerate(lines, 1))
    try:
        sentences = list(token_rows(named, tagged=True))
        # The last sentence may be cut where the first bytes end
        sentences = sentences[:-1] or sentences
        layout = find_layout(sentences)
        tags = [[(line, tag) for line, _, tag in layout.words(rows)] for rows in sentences]
        find_scheme(tags)
    except InputError:
        return False
    return any(tag == OUTSIDE for rows in tags for _, tag in rows)


def example_of(tokens: Iterable[str], tags: Iterable[str]) -> Example:
    """Return tokens and BIO tags as an Example; its text is the tokens joined by spaces, where their script has any."""
    tokens = list(tokens)
    words = list[tuple[int, int]]()
    parts = list[str]()
    offset = 0
    for token in tokens:
        if words and not is_joined(parts[-1], token):
            parts.append(" ")
            offset += 1
        words.append((offset, offset + len(token)))
        parts.append(token)
        offset += len(token)
    text = "".join(parts)
    spans = tuple(
        Span(words[first][0], words[last - 1][1], type_, text[words[first][0] : words[last - 1][1]])
        for first, last, type_ in spans_from_bio(list(tags))
    )
    return Example(text, tuple(words), spans)


def _annotate(sentences: Iterable[tuple[int, Example]], spans: Sequence[Span]) -> Iterator[Example]:
    """Yield the sentences of a text, each with its entities, which get the boundaries of words."""
    index = 0
    for offset, sentence in sentences:
        inside = []
        ends = [offset + end for _, end in sentence.words]
        while index < len(spans):
            span = spans[index]
            first = bisect_right(ends, span.start)
            last = bisect_right(ends, span.end)
            if first == last:
                break
            inside.append(replace(span, start=sentence.words[first][0], end=sentence.words[last - 1][1]))
            index += 1
        yield replace(sentence, spans=tuple(inside))
    if index < len(spans):
        raise InputError(
            f"entity {spans[index].text!r:.60} is in no sentence, so CoNLL can't hold it; choose --to jsonl"
        )


def find_layout(sentences: Sequence[TokenRows]) -> ColumnLayout:
    """Return the columns of tokens and tags, usually the first and the last."""
    tables = [sentence.columns for sentence in sentences]
    if tables and all(map(_is_2012, tables)):
        return ColumnLayout(_WORD_2012, _ENTITY_2012, brackets=True)
    rows = list(chain.from_iterable(tables))
    # If each sentence has one row, a first column of ones proves nothing
    numbered = len(rows) > len(tables) and all(map(_has_numbers, tables))
    if numbered:
        rows = [columns for columns in rows if not _UNWRITTEN.fullmatch(columns[0])]
    layout = ColumnLayout(int(numbered), -1, numbered)
    if not _have_tabs(sentences):
        layout = _spaced_layout(layout, rows)
        rows = [row for row in rows if len(row) == layout.width]
    if _all_tags(rows, -1) or len(set(map(len, rows))) != 1:
        return layout
    return next(filter(None, (recognise(layout, rows) for recognise in _RECOGNISERS)), layout)


def _have_tabs(sentences: Sequence[TokenRows]) -> bool:
    return any("\t" in line.text for sentence in sentences for line in sentence.lines)


def _spaced_layout(layout: ColumnLayout, rows: _Rows) -> ColumnLayout:
    """Return the layout of columns separated by spaces, whose number is the most frequent one."""
    widths = Counter(map(len, rows))
    # Of equally frequent widths, the smaller: words with spaces make rows longer
    width = max(widths, key=lambda width: (widths[width], -width), default=0)
    is_export = any(row[1 : width - 1] == ["-X-", "_"] for row in rows)  # Label Studio's
    # A tag before the end of a longer row is the beginning of a type of several words.
    spaced = [row for row in rows if len(row) > width and is_tag(row[width - 1]) and row[-1].isalpha()]
    return layout._replace(width=width, spaced_types=is_export or len(spaced) > 1)


def _tag_first(layout: ColumnLayout, rows: _Rows) -> ColumnLayout | None:
    """Recognise two columns, the tag before the token."""
    if len(rows[0]) == 2 and not layout.numbered and _all_tags(rows, 0):
        return layout._replace(token=1, tag=0)
    return None


def _tag_in_field(layout: ColumnLayout, rows: _Rows) -> ColumnLayout | None:
    """Recognise CoNLL-U with the tag as a field of the last column."""
    if layout.numbered and len(rows[0]) == _CONLL_U and any(_ENTITY.search(row[-1]) for row in rows):
        return layout._replace(inside=_ENTITY)
    return None


def _tag_in_scheme(layout: ColumnLayout, rows: _Rows) -> ColumnLayout | None:
    """Recognise a last column of tags in another spelling, or of types without prefix."""
    with suppress(InputError):
        if not layout.numbered and find_scheme([[(1, row[-1].strip()) for row in rows]]):
            return layout
    return None


def _tag_inside(layout: ColumnLayout, rows: _Rows) -> ColumnLayout | None:
    """Recognise a column of tags between the token and other columns; of several, the last one."""
    for column in range(len(rows[0]) - 2, layout.token, -1):
        tags = {row[column] for row in rows}
        # O alone marks no entities, and B-NP is the tag of a chunk.
        is_other = not layout.numbered and (tags == {OUTSIDE} or "B-NP" in tags)
        if not is_other and _all_tags(rows, column):
            return layout._replace(tag=column)
    return None


_RECOGNISERS = (_tag_first, _tag_in_field, _tag_in_scheme, _tag_inside)
"""Recognisers of the layouts whose last column doesn't consist of tags; the first that recognises the rows counts."""


def _has_numbers(columns: _Rows) -> bool:
    """Return whether the first of three or more columns numbers the rows, starting with 0 or 1."""
    numbers = [row[0] if len(row) > 2 else "" for row in columns if not _UNWRITTEN.fullmatch(row[0])]
    return numbers != [] and numbers in ([f"{n + first}" for n in range(len(numbers))] for first in (0, 1))


def _is_2012(rows: _Rows) -> bool:
    """Return whether a sentence has CoNLL-2012's columns: document, part, word number, word …, entities."""
    return rows != [] and all(
        len(row) >= _LEAST_2012
        and row[:3] == [*rows[0][:2], f"{number}"]
        and row[1].isdecimal()
        and _BRACKETS.fullmatch(row[_ENTITY_2012])
        for number, row in enumerate(rows)
    )


def _read_field(field: re.Pattern[str], cell: str, *, brackets: bool) -> str:
    """Return the tag in a field of a cell, its brackets as in CoNLL-2012."""
    match = field.search(cell)
    if not brackets:
        return match[1] if match else OUTSIDE
    return _UNIFIED.sub(lambda part: f"({part[1]}*" if part[1] else "*", match[1] if match else "-")


def _read_bracket(cell: str, open_type: str, line: Line) -> tuple[str, str]:
    """Return the BIO tag of a CoNLL-2012 cell, and the type of the entity that is open after it."""
    match = _BRACKETS.fullmatch(cell)
    begun, ended = (match[1], match[2]) if match else (None, None)
    if not match or (begun and open_type) or (ended and not begun and not open_type):
        raise line.error(f"entity {cell!r:.60}: expected (TYPE*, *, *) or (TYPE), and no entity inside another")
    type_ = begun or open_type
    return f"{'B' if begun else 'I'}-{type_}" if type_ else OUTSIDE, "" if ended else type_


def _all_tags(rows: Iterable[list[str]], index: int) -> bool:
    return all(is_tag(columns[index].strip()) for columns in rows)


def token_rows(lines: Iterable[Line], *, tagged: bool) -> Iterator[TokenRows]:
    """Yield the rows of each sentence."""
    held = list[Line]()
    document = 0
    for line in lines:
        text = line.text
        begins = text.startswith(_STARTS)
        if text.strip(" \t") and not begins and text.rstrip() != _ENDS:
            held.append(line)
            if len(held) > _LONGEST_SENTENCE:
                raise line.error(f"a sentence of more than {_LONGEST_SENTENCE} words; a blank line ends a sentence")
            continue
        rows = _sentence(held, document, tagged=tagged)
        held = []
        # `begins` counts a new document only after the sentence before it
        document = rows.document + begins
        if rows.lines:
            yield rows
    if held and (rows := _sentence(held, document, tagged=tagged)).lines:
        yield rows


def _sentence(lines: list[Line], document: int, *, tagged: bool) -> TokenRows:
    """Return the rows of a sentence, without the comments before them."""
    width = len(split_columns(next((line.text for line in lines if not line.text.startswith("#")), "")))
    comments = [line.text for line in takewhile(lambda line: _is_comment(line.text, width, tagged=tagged), lines)]
    kept = lines[len(comments) :]
    columns = [split_columns(line.text) for line in kept]
    for line, row in zip(kept, columns, strict=True):
        if not row[0] or (tagged and len(row) < 2):
            raise _line_error(line)
    begins = any((comment := _COMMENT.match(text)) and comment["name"] == "newdoc" for text in comments)
    return TokenRows(kept, columns, document + begins, comments)


def _is_comment(line: str, width: int, *, tagged: bool) -> bool:
    """Return whether a line before rows of `width` columns (0: no rows) is a comment."""
    # A hashtag, `#Berlin`, is a token
    if line[:2] not in ("#", "# ", "#\t"):
        return False
    columns = split_columns(line)
    if "\t" not in line and _COMMENT.fullmatch(line):
        return True
    # In untagged words, only known forms are comments; else a row of another width is one
    return tagged and (len(columns) != width if width else not is_tag(columns[-1]))


def split_columns(line: str) -> list[str]:
    """Return the columns of a line, separated by tabs if it has any, else by one or more spaces."""
    return line.split("\t") if "\t" in line else [column for column in line.split(" ") if column]


def _line_error(line: Line) -> InputError:
    return line.error(f"broken line {line.text!r:.60}: expected a token, a tab (or space) and a tag")
