"""Parts of wikitext that hold no markup of ours: comments, references, formulas, code go; `<nowiki>` stays as text.

What never closes is handled as MediaWiki does: an open comment runs to the end, an open tag is only a tag. One pass
finds all tags, so hostile input costs linear time. A formula that is a plain symbol or number stays, any other becomes
the word `formula`, since a hole would break its sentence. Protected characters travel as private-use ones; the price is
that a page's own private-use characters that look like them are lost.
"""

import re
from collections.abc import Sequence

_FORMULAS = ("math", "chem", "ce")
_DROPPED = (
    "references ref math chem ce gallery timeline pre source syntaxhighlight score hiero imagemap templatestyles graph "
    "mapframe maplink inputbox includeonly table categorytree section indicator"
).replace(" ", "|")
_TAG = re.compile(
    rf"<(?:(!--)|/({_DROPPED}|nowiki)\s*+>|({_DROPPED}|nowiki)\b([^<>]*+)>)",
    re.IGNORECASE,
)
_PLAIN_FORMULA = re.compile(r"\s*+[^\W_][^\\{}^_\[\]\n]{0,30}")
_FORMULA = "formula"
_MARKUP = "[]{}|'<>&=*#:;!_"
_LINE_MARKS = frozenset("*#:;|!=")
_PROTECT = {ord(char): 0xE000 + number for number, char in enumerate(_MARKUP)}
_SHOW = {code: char for char, code in _PROTECT.items()}
OPEN, NUMBERED, CLOSE, DYNAMIC = "\ue010", "\ue011", "\ue012", "\ue013"
"""How a link travels: OPEN, its number, NUMBERED, its anchor, CLOSE. DYNAMIC: a template stood in a link's target."""
_PRIVATE = re.compile(f"[\ue000-{DYNAMIC}]")
_LEAD = b"\xee\x80"
"""How private-use characters up to U+E03F begin in UTF-8."""


def remove_opaque(wikitext: str) -> str:
    """The text without its opaque parts; what stood in `<nowiki>` is protected until `show_protected`."""
    text = wikitext
    if _has_private(text):
        text = _PRIVATE.sub("", text)
    tags = list(_TAG.finditer(text))
    pieces: list[str] = []
    place, number, line_start, unclosed = 0, 0, True, set[str]()
    while number < len(tags):
        tag = tags[number]
        number += 1
        if (start := tag.start()) < place:
            continue
        if start > place:
            pieces.append(text[place:start])
            line_start = text[start - 1] == "\n"
        if tag[1]:  # a comment that has lines for itself leaves no empty line, as in MediaWiki
            end = text.find("-->", tag.end())
            place = end + 3 if end >= 0 else len(text)
            place += line_start and text.startswith("\n", place)
            continue
        closing = _closing(tags, number, unclosed)
        place, line_start = tags[closing].end() if closing else tag.end(), False
        if (tag[2] or tag[3]).lower() == "nowiki" and (not closing or text.endswith("]]", 0, start)):
            pieces.append(tag.group() if not closing else "<nowiki/>")  # it keeps a link apart from what follows
        if closing:
            pieces.append(_stand_in(tag[3].lower(), text[tag.end() : tags[closing].start()]))
            number = closing + 1
    pieces.append(text[place:])
    return "".join(pieces)


def _closing(tags: Sequence["re.Match[str]"], number: int, unclosed: set[str]) -> int:
    """Number of the tag that closes the one before `number`, 0 if none does; a kind is looked for in vain only once."""
    opened = tags[number - 1]
    name = "" if opened[2] or opened[4].endswith("/") else opened[3].lower()
    if not name or name in unclosed:
        return 0
    for place in range(number, len(tags)):
        closed = tags[place][2]
        if closed and closed.lower() == name:
            return place
    unclosed.add(name)
    return 0


def _stand_in(name: str, content: str) -> str:
    """What stays of an element."""
    if name == "nowiki":
        return protect(content)
    if name == "gallery":
        return "\n".join(_picture(line) for line in content.split("\n"))
    if name not in _FORMULAS or not content.strip():
        return ""
    return protect(content.strip()) if _PLAIN_FORMULA.fullmatch(content) else _FORMULA


def _picture(line: str) -> str:
    """A line of a gallery as a link that shows a file, so that it is treated as one."""
    name, bar, caption = line.strip().partition("|")
    whole = caption.count("[[") == caption.count("]]") and not set("[]{}") & set(name)
    return f"[[File:{name.partition(':')[2] or name}|{caption}]]" if bar and whole else ""


def protect(text: str) -> str:
    """Hide characters that could be read as markup, until `show_protected`; lengths stay the same."""
    return text.translate(_PROTECT)


def as_prose(text: str) -> str:
    """The text so that it makes no list, heading or table at a line's beginning."""
    return protect(text[0]) + text[1:] if text and text[0] in _LINE_MARKS else text


def show_protected(text: str) -> str:
    """Give protected characters back their looks; lengths stay the same."""
    return text.translate(_SHOW) if _has_private(text) else text


def _has_private(text: str) -> bool:
    """Whether a text may hold one of our private characters; bytes are searched several times as fast as characters."""
    return not text.isascii() and _LEAD in text.encode("utf-8", "surrogatepass")
