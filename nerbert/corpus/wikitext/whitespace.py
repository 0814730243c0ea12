"""Extract paragraphs from scanned text: remove headings, lists and table remains, tidy white space and brackets.

Invisible characters (soft hyphens, zero-width spaces, direction marks) are removed too, because they would split words.
Each paragraph becomes one line. Removing headings and lists loses some links; `lists` keeps the items as separate
paragraphs. Each edit runs over the whole page, and only if the page contains its pattern.
"""

import re

from nerbert.corpus.wikitext.protected import protect

_BLOCK = re.compile(
    r"<(/?(?:li|p|div|tr|td|hr|blockquote|center|h[1-6]|ul|ol|dl|dt|dd|poem))(?=[\s/>])[^<>]*+>([ \t]*[*#:;|!=])?",
    re.IGNORECASE,
)
_RULE = re.compile(r"\n-{4,}+")
_ITEM = re.compile(r"\n[^\S\n]*+[*#:;][*#:;\s]*+(?:(?<!\n)([^\n]*+))?")
_NO_PROSE = re.compile(r"\n[^\S\n]*+(?:(?:[*#:;|]|!(?!\w)|\{\|)[^\n]*+|=(?:[^\n]*=)?[^\S\n]*+(?=\n|\Z))")
_BREAK = re.compile(r"\n(?:[^\S\n]*+\n)++")
_ODD_SPACE = re.compile(r"[\n\t\r\v\f\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_INVISIBLE = "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_INVISIBLES = re.compile(f"[{_INVISIBLE}]++")
_EMPTY_PARENTHESES = (re.compile(r" \( ?(?:[;,:–] ?)*+\)"), re.compile(r"\((?<!\w\() ?(?:[;,:–] ?)*+\)"))
_AFTER_PARENTHESIS = re.compile(r"\((?=[ ;,]) ?(?:[;,] ?)*+")
_OPENED = re.compile(r"\([ ;,:–)]")
_BEFORE_CLOSE = frozenset(" ;,")


def keep_prose(source: str, *, lists: bool) -> str:
    """Return the prose lines, with an empty line wherever a paragraph ends."""
    text = "\n" + source
    if "\n----" in text:
        text = _RULE.sub("\n\n", text)
    if "<" in text:
        text = _BLOCK.sub(_broken, text)
    if lists:
        text = _ITEM.sub(r"\n\n\1\n", text)
    return _NO_PROSE.sub("\n", text)


def join_paragraphs(text: str) -> str:
    """Return each paragraph on one line, with single spaces and without empty brackets."""
    if not text.isascii() and any(char in text for char in _INVISIBLE):
        text = _INVISIBLES.sub("", text)
    paragraphs: list[str] = []
    for each in _BREAK.split(text):
        odd = "  " in each or _ODD_SPACE.search(each) or each[:1] == " " or each[-1:] == " "
        paragraphs.append(" ".join(each.split()) if odd else each)
    return tidy_lines("\n".join(filter(None, paragraphs)))


def tidy_lines(text: str) -> str:
    """Remove what deleted templates leave in brackets and before commas; squeeze the text if it changed."""
    edited = text
    if "[" in edited:
        edited = _replaced(edited, (" []", ""), (" [ ]", ""), ("([]", "("), ("([ ]", "("))
    if any(piece[-1:] in _BEFORE_CLOSE for piece in edited.split(")")):
        edited = _replaced(edited, (" )", ")"), (";)", ")"), (",)", ")"), (" )", ")"))
    if _OPENED.search(edited):
        for pattern in _EMPTY_PARENTHESES:
            edited = pattern.sub("", edited)
        edited = _AFTER_PARENTHESIS.sub("(", edited)
    if " ," in edited:
        edited = _replaced(edited, (" , ", ", "), (" ,\n", ",\n"))
    return text if edited == text else squeeze(edited)


def _replaced(text: str, *edits: tuple[str, str]) -> str:
    for old, new in edits:
        text = text.replace(old, new)
    return text


def squeeze(text: str) -> str:
    """Remove repeated spaces, spaces at line edges and empty lines.

    White space must already be spaces and newlines.
    """
    for old, new in (("  ", " "), (" \n", "\n"), ("\n ", "\n"), ("\n\n", "\n")):
        while old in text:
            text = text.replace(old, new)
    return text.strip()


def _broken(tag: "re.Match[str]") -> str:
    """Return a paragraph's end or a list item for a block tag.

    A line mark after the tag is protected, because it does not start a line of the source.
    """
    return ("\n* " if tag[1].lower() == "li" else "\n\n") + protect(tag[2] or "")
