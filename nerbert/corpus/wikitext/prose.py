"""Extract paragraphs from scanned text: remove headings, lists, table remains and apostrophes, and tidy white space.

Each edit runs over the whole page, and only if the page contains its pattern: ten times as fast as regexes alone.
"""

import re
from collections.abc import Sequence

from nerbert.corpus.wikitext.protected import GAPS, protect

_BLOCK = re.compile(
    r"<(?:h([1-6])(?=[\s>])[^<>]*+>(?:[^<]++|<(?!/?h[1-6]))*+</h\1\s*+>|(?:(li)|"
    r"/?(?:li|p|div|tr|td|hr|blockquote|center|h[1-6]|ul|ol|dl|dt|dd|poem))(?=[\s/>])[^<>]*+>([ \t]*[*#:;|!=])?)",
    re.IGNORECASE,
)
"""A heading, or the tag of a block and the line mark after it."""
_INDENTED = re.compile(r"\n (?=[^\n]*\S)[^\n]*+")
_NO_CODE = re.compile(r"<(/?)(?:blockquote|poem|p|ul|ol|dl|li)(?=[\s/>])", re.IGNORECASE)
_CELLS = re.compile(r"\n(?:[^\n|]++|\|(?!\|))*+\|\|[^\n]*+")
_RULE = re.compile(r"\n-{4,}+")
_RARE = re.compile(r"\n(?: |----)")
_ITEM = re.compile(r"\n[^\S\n]*+[*#:;][*#:;\s]*+(?:(?<!\n)([^\n]*+))?")
_NO_PROSE = re.compile(r"\n[^\S\n]*+(?:(?:[*#:;|]|!(?!\w)|\{\|)[^\n]*+|=(?:[^\n]*=)?[^\S\n]*+(?=\n|\Z))")
_BLANK_LINES = re.compile(r"\n(?: *+\n)++")
_ORDINARY = bytes([*b"\n", *range(0x20, 0x7F)])
"""Characters that need no check: printable ASCII and the line's end."""
_ODD_SPACES = (
    "\t\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
    "\u202f\u205f\u3000"
)
_INVISIBLE = "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_REPLACED = tuple([(char, " ") for char in _ODD_SPACES] + [(char, "") for char in _INVISIBLE])
_COMMAS = ";,،؛、，；"
_BEFORE_BRACKET = f" {_COMMAS}"
_EMPTY_PARENTHESES = (
    re.compile(rf" \( ?(?:[{_COMMAS}:：–] ?)*+\)"),
    re.compile(rf"\((?<![A-Za-z0-9_]\() ?(?:[{_COMMAS}:：–] ?)*+\)"),
)
"""Brackets without words; those of code follow a Latin letter."""
_AFTER_PARENTHESIS = re.compile(rf"\((?=[ {_COMMAS}]) ?(?:[{_COMMAS}] ?)*+")
_OPENED = re.compile(rf"\([ {_COMMAS}:–)]")
_BEFORE_MARK = re.compile(r" (?<![.,،。、，] )(?:(?=[.,،](?:[\s)»”」\"]|\Z))|(?<![a-z/] )(?=[。、，]))")
"""The blank between a word and the mark that belongs to it; one that ends a web address stays."""
_BEFORE_COMMON = {
    ",": re.compile(r" ,(?<![.,،。、，] ,)(?=[\s)»”」\"]|\Z)"),
    ".": re.compile(r" \.(?<![.,،。、，] \.)(?=[\s)»”」\"]|\Z)"),
}
"""The same, with the mark, for the two most common: most blanks need no look."""
_WIDE = frozenset("（）「」『』《》。、，،")
_WIDE_EDITS = (
    (re.compile(rf" ?（ ?(?:[{_COMMAS}:：–] ?)*+）"), ""),
    (re.compile(rf"（ ?(?:[{_COMMAS}] ?)++"), "（"),
    (_BEFORE_MARK, ""),
)
_SENTENCE = re.compile(r"(?<=[。！？])|(?<=[.!?] )|(\n)")
_RUN = re.compile("''+")


def keep_prose(source: str, *, lists: bool) -> str:
    """Return the prose lines, with an empty line wherever a paragraph ends."""
    text = "\n" + source
    if _RARE.search(text):  # faster than `in`
        text = _RULE.sub("\n\n", _remove_preformatted(text))
    # Cells of a table that a template opened
    if "|" in text and "||" in text and "\n|" in text:
        text = _CELLS.sub("\n", text)
    if "<" in text:
        # a paragraph ends, or a list item begins; a line mark after the tag is protected, since it starts no line
        text = _BLOCK.sub(lambda tag: ("\n* " if tag[2] else "\n\n") + protect(tag[3] or ""), text)
    if lists:
        text = _ITEM.sub(r"\n\n\1\n", text)
    return _NO_PROSE.sub("\n", text)


def _remove_preformatted(text: str) -> str:
    """Remove the lines that begin with a space, which MediaWiki shows as `<pre>`, except in HTML blocks."""
    pieces = list[str]()
    position = 0
    searched = 0
    in_block = False
    for line in _INDENTED.finditer(text):
        # Only the tags since the last such line: the state before is known
        if tags := _NO_CODE.findall(text, searched, line.start()):
            in_block = not tags[-1]
        searched = line.start()
        # A line that has a block's tag itself is no code
        if not in_block and not _BLOCK.search(line.group()):
            pieces += (text[position : line.start()], "\n")
            position = line.end()
    return "".join([*pieces, text[position:]])


def join_paragraphs(text: str) -> str:
    """Return each paragraph on one line, with single spaces and without empty brackets."""
    # A page has few characters outside ASCII: search these instead of the whole page many times
    rare = text.encode("utf-8", "surrogatepass").translate(None, _ORDINARY).decode("utf-8", "surrogatepass")
    for char, instead in _REPLACED:
        if char in rare:
            text = text.replace(char, instead)
    if " \n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    lines = [part.strip().replace("\n", " ") if "\n" in part else part.strip() for part in text.split("\n\n")]
    joined = "\n".join([_squeeze_spaces(line) if "  " in line else line for line in lines if line])
    return tidy_lines(joined, wide=not _WIDE.isdisjoint(rare))


def tidy_lines(text: str, *, wide: bool = True) -> str:
    """Remove remains of deleted templates in brackets and before marks; squeeze the text if it changed.

    `wide` is False for a text without the marks in _WIDE.
    """
    edited = text
    # Each edit comes after a cheap search, since most pages don't need it
    if "[" in edited:
        edited = _replace_all(edited, (" []", ""), (" [ ]", ""), ("([]", "("), ("([ ]", "("))
    edited = _end_brackets(edited, ")")
    if _OPENED.search(edited):
        for pattern in _EMPTY_PARENTHESES:
            edited = pattern.sub("", edited)
        edited = _AFTER_PARENTHESIS.sub("(", edited)
    for mark, pattern in _BEFORE_COMMON.items():
        if f" {mark}" in edited:
            edited = pattern.sub(mark, edited)
    if wide:
        edited = _tidy_wide(edited)
    return text if edited == text else squeeze(edited)


def _end_brackets(text: str, bracket: str) -> str:
    *closed, last = text.split(bracket)
    return bracket.join([*(piece.rstrip(_BEFORE_BRACKET) for piece in closed), last])


def _tidy_wide(text: str) -> str:
    """Tidy wide brackets and marks; remove sentences with empty wide quotes, since they lack a name or a title."""
    text = _end_brackets(text, "）")
    for pattern, shown in _WIDE_EDITS:
        text = pattern.sub(shown, text)
    # A sentence with an empty quote lacks what it is about
    if any(gap in text for gap in GAPS):
        pieces = filter(None, _SENTENCE.split(text))
        text = "".join([piece for piece in pieces if not any(gap in piece for gap in GAPS)])
    return text


def _replace_all(text: str, *edits: tuple[str, str]) -> str:
    for old, new in edits:
        text = text.replace(old, new)
    return text


def squeeze(text: str) -> str:
    """Remove repeated spaces, spaces at line edges and empty lines; white space must be spaces and newlines already."""
    return "\n".join(filter(None, map(str.strip, _squeeze_spaces(text).split("\n"))))


def _squeeze_spaces(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def remove_marks(source: str) -> str:
    """Remove the bold and italic marks from the text; only lines with a bold mark need a closer look."""
    pieces: list[str] = []
    done = 0
    bold = source.find("'''")
    while bold >= 0:
        # No line's end since the last bold mark: the piece begins there
        start = source.rfind("\n", done, bold) + 1 or done
        end = source.find("\n", bold)
        end = len(source) if end < 0 else end
        pieces += (source[done:start].replace("''", ""), _strip_marks(source[start:end]))
        done = end
        bold = source.find("'''", end)
    return "".join([*pieces, source[done:].replace("''", "")])


def _strip_marks(line: str) -> str:
    """Return the line without its marks; some runs also contain apostrophes."""
    widths = list(map(len, _RUN.findall(line)))
    # Most lines: all marks are closed, so none has an apostrophe
    if set(widths) <= {2, 3, 5} and not _are_unclosed(widths):
        return _RUN.sub("", line)
    runs = [match.span() for match in _RUN.finditer(line)]
    # Of four apostrophes the first is text; of more than five all but the last five
    marks = [end - {4: 3}.get(end - start, min(end - start, 5)) for start, end in runs]
    widths = [end - mark for mark, (_, end) in zip(marks, runs, strict=True)]
    # As in MediaWiki: if both kinds are unclosed, one bold mark is an apostrophe and an italic mark
    if 3 in widths and _are_unclosed(widths):
        marks[_find_apostrophe(line, marks, widths)] += 1
    pieces = []
    position = 0
    for mark, (_, end) in zip(marks, runs, strict=True):
        pieces.append(line[position:mark])
        position = end
    return "".join([*pieces, line[position:]])


def _are_unclosed(widths: Sequence[int]) -> bool:
    """Return whether the bold and the italic marks of a line are both odd in number."""
    return all(sum(width in (mark, 5) for width in widths) % 2 for mark in (3, 2))


def _find_apostrophe(line: str, marks: Sequence[int], widths: Sequence[int]) -> int:
    """Return the index of the bold mark with an apostrophe: after a one-letter word, else a longer one, or a space."""

    def rank(number: int) -> int:
        before = line[max(marks[number] - 2, 0) : marks[number]]
        return 2 if before[-1:] == " " else before[:1] != " "

    return min((number for number, width in enumerate(widths) if width == 3), key=rank)
