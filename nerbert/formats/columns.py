"""Rows of columns, as CoNLL's files have them: sentences, comments, borders of documents, where token and tag are.

Columns are cut at tabs if a line has one, else at spaces. `#` may begin a comment, or be a token.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nerbert.errors import InputError
from nerbert.formats.rows import Line, Lines
from nerbert.formats.schemes import is_tag
from nerbert.labels import OUTSIDE

_LONGEST_SENTENCE = 1_000_000
_COMMENT = re.compile(r"#\s*(?:(?P<key>[\w.:-]+)\s*=\s*|(?P<name>id|newdoc|newpar)\b\s*)(?P<value>.*)")
_ENTITY = re.compile(r"(?:^|\|)(?:name|NER?)=([^|]*)")
"""A tag as a field of CoNLL-U's last column."""
_UNWRITTEN = re.compile(r"\d+[-.]\d+")
"""Numbers of CoNLL-U's rows that are no words: ranges of words (1-2), and words that aren't written (1.1)."""
_CONLL_U = 10
"""Columns of CoNLL-U."""
DOCUMENT_START = "-DOCSTART-"
"""What a line begins with that begins a document, and holds no token."""


class TokenRows(NamedTuple):
    """The lines of a sentence, with the columns of each; the number of its document, and its comments."""

    lines: list[Line]
    columns: list[list[str]]
    document: int = 0
    comments: tuple[str, ...] = ()

    def tokens(self) -> list[str]:
        """Return the first column; of CoNLL-U, whose first column numbers the words, the second."""
        if _numbered(self.columns) and all(len(each) == _CONLL_U for each in self.columns):
            return [each[1] for each in self.columns if not _UNWRITTEN.fullmatch(each[0])]
        return [each[0] for each in self.columns]


class ColumnLayout(NamedTuple):
    """In which columns token and tag are; `numbered` says whether the first column numbers the words."""

    token: int = 0
    tag: int = -1
    numbered: bool = False
    inside: bool = False
    """Whether tags are fields of that column."""

    def words(self, rows: TokenRows) -> list[tuple[int, str, str]]:
        """Return (line, token, tag) of each word; raise InputError for a line that lacks one of them."""
        token_at, tag_at, numbered, inside = self
        found, needed = [], max(token_at, tag_at, 1)
        for line, columns in zip(rows.lines, rows.columns, strict=True):
            if numbered and _UNWRITTEN.fullmatch(columns[0]):
                continue
            tag = columns[tag_at].strip() if len(columns) > needed else ""
            if inside:
                tag = field[1] if (field := _ENTITY.search(tag)) else OUTSIDE
            token = columns[token_at]
            if not tag or not token:
                with line.place():
                    raise _broken(line.text, tagged=True)
            found.append((line.number, token, tag))
        return found


def find_layout(sentences: Sequence[list[list[str]]]) -> ColumnLayout:
    """Return where tokens and tags are; as a rule in the first and the last column."""
    rows = [columns for sentence in sentences for columns in sentence]
    numbered = len(rows) > len(sentences) and all(_numbered(each) for each in sentences)
    if numbered:
        rows = [columns for columns in rows if not _UNWRITTEN.fullmatch(columns[0])]
    usual = ColumnLayout(int(numbered), -1, numbered)
    widths = {len(columns) for columns in rows}
    if len(widths) != 1 or _all_tags(rows, -1):
        return usual
    (width,) = widths
    if width == 2 and not numbered and _all_tags(rows, 0):
        return ColumnLayout(1, 0)
    if numbered and width == _CONLL_U and any(_ENTITY.search(columns[-1]) for columns in rows):
        return usual._replace(inside=True)
    others = range(width - 2, 1, -1) if numbered else ()
    return next((usual._replace(tag=place) for place in others if _all_tags(rows, place)), usual)


def _numbered(columns: Sequence[list[str]]) -> bool:
    """Return whether the first of three or more columns numbers the rows, from 0 or 1 on."""
    numbers = [each[0] if len(each) > 2 else "" for each in columns if not _UNWRITTEN.fullmatch(each[0])]
    return numbers != [] and numbers in ([f"{n + first}" for n in range(len(numbers))] for first in (0, 1))


def _all_tags(rows: Iterable[list[str]], place: int) -> bool:
    return all(is_tag(columns[place].strip()) for columns in rows)


def token_rows(lines: Lines, *, tagged: bool) -> Iterator[TokenRows | None]:
    """Yield the rows of each sentence; None where `lines` has it."""
    held, document = list[Line](), 0
    for line in lines:
        if line is None:
            yield None
            continue
        text = line.text
        begins = text.startswith(DOCUMENT_START)
        if text.strip(" \t") and not begins:
            held.append(line)
            if len(held) > _LONGEST_SENTENCE:
                with line.place():
                    raise InputError(f"a sentence of more than {_LONGEST_SENTENCE} words; a blank line ends a sentence")
            continue
        rows = _sentence(held, document, tagged=tagged)
        held, document = [], rows.document + begins
        if rows.lines:
            yield rows
    if held and (rows := _sentence(held, document, tagged=tagged)).lines:
        yield rows


def _sentence(lines: list[Line], document: int, *, tagged: bool) -> TokenRows:
    """Return the rows of a sentence, without the comments before them."""
    first = next((line.text for line in lines if not line.text.startswith("#")), "")
    width, comments = len(split_columns(first)), list[str]()
    for line in lines:
        if not _is_comment(line.text, width, tagged=tagged):
            break
        comments.append(line.text)
    kept = lines[len(comments) :]
    columns = [split_columns(line.text) for line in kept]
    for line, found in zip(kept, columns, strict=True):
        if not found[0] or (tagged and len(found) < 2):
            with line.place():
                raise _broken(line.text, tagged=tagged)
    begins = any((comment := _COMMENT.match(each)) and comment["name"] == "newdoc" for each in comments)
    return TokenRows(kept, columns, document + begins, tuple(comments))


def _is_comment(line: str, width: int, *, tagged: bool) -> bool:
    """Return whether a line before the rows, which have so many columns (0: there are none), is no row itself."""
    if line[:2] not in ("#", "# ", "#\t"):
        return False
    columns = split_columns(line)
    if "\t" not in line and _COMMENT.fullmatch(line):
        return True
    return tagged and (len(columns) != width if width else not is_tag(columns[-1]))


def named_comments(comments: Iterable[str]) -> dict[str, str]:
    """Return what comments say by name (`# sent_id = 7`, `# id 7`)."""
    named = (found for each in comments if (found := _COMMENT.fullmatch(each)))
    return {found["key"] or found["name"]: found["value"].strip() for found in named}


def split_columns(line: str) -> list[str]:
    """Return the columns of a line, cut at tabs if it has one, else at spaces, however many."""
    return line.split("\t") if "\t" in line else [column for column in line.split(" ") if column]


def _broken(line: str, *, tagged: bool) -> InputError:
    wanted = "a token, a tab (or space) and a tag" if tagged else "a token, and behind a tab or space anything"
    return InputError(f"broken line {line!r:.60}: expected {wanted}")
