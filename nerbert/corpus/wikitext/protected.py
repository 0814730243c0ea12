"""Parts of wikitext that hold no markup of ours: comments, references, formulas, code go; `<nowiki>` stays as text.

What never closes is handled as MediaWiki does: an open comment runs to the end, an open tag is only a tag. One pass
finds all tags, so hostile input costs linear time. A formula that is a plain symbol or number stays, any other becomes
the word `formula`, since a hole would break its sentence. Characters that would be read as markup travel as control
characters, which XML can't hold, and so do the marks of links; the price is that text from elsewhere must lose its own.
"""

import re
from collections.abc import Sequence

_FORMULAS = ("math", "chem", "ce")
_DROPPED = (
    "references ref math chem ce gallery timeline pre source syntaxhighlight score hiero imagemap templatestyles graph "
    "mapframe maplink inputbox includeonly table categorytree section indicator"
).replace(" ", "|")
_TAG = re.compile(
    r"<(?:(ref(?=[\s>])[^<>/]*+>[^<]*+</ref\s*+>)"
    rf"|(!--)|/({_DROPPED}|nowiki)\s*+>|({_DROPPED}|nowiki)(?=[\s/>])([^<>]*+)>)",
    re.IGNORECASE,
)
"""A whole reference of plain text, which most are; else a comment's beginning, a closing tag, an opening one."""
_PLAIN_FORMULA = re.compile(r"\s*+[^\W_][^\\{}^_\[\]\n]{0,30}")
_FORMULA = "formula"
_MARKUP = "[]{}|'<>&=*#:;!_"
_LINE_MARKS = frozenset("*#:;|!=")
_HIDDEN = "".join(map(chr, [*range(1, 9), *range(14, 22)]))
_PROTECT = str.maketrans(_MARKUP, _HIDDEN)
_SHOW = str.maketrans(_HIDDEN, _MARKUP)
OPEN, NUMBERED, CLOSE, DYNAMIC = "\x16", "\x17", "\x18", "\x19"
"""How a link travels: OPEN, its number, NUMBERED, its anchor, CLOSE. DYNAMIC: a template stood in a link's target."""
_OURS = re.compile(f"[{_HIDDEN}{OPEN}-{DYNAMIC}]")


def remove_opaque(wikitext: str) -> str:
    """The text without its opaque parts; what stood in `<nowiki>` is protected until `show_protected`."""
    tags = list(_TAG.finditer(wikitext))
    pieces: list[str] = []
    place, number, line_start, unclosed = 0, 0, True, set[str]()
    while number < len(tags):
        tag = tags[number]
        number += 1
        if (start := tag.start()) < place:
            continue
        if start > place:
            pieces.append(wikitext[place:start])
            line_start = wikitext[start - 1] == "\n"
        if tag[2]:  # a comment that has lines for itself leaves no empty line, as in MediaWiki
            end = wikitext.find("-->", tag.end())
            place = end + 3 if end >= 0 else len(wikitext)
            place += line_start and wikitext.startswith("\n", place)
            continue
        closing = 0 if tag[1] else _closing(tags, number, unclosed)
        place, line_start = tags[closing].end() if closing else tag.end(), False
        if not tag[1] and (tag[3] or tag[4]).lower() == "nowiki" and (not closing or wikitext.endswith("]]", 0, start)):
            pieces.append(tag.group() if not closing else "<nowiki/>")  # it keeps a link apart from what follows
        if closing:
            pieces.append(_stand_in(tag[4].lower(), tag[5], wikitext[tag.end() : tags[closing].start()]))
            number = closing + 1
    pieces.append(wikitext[place:])
    return "".join(pieces)


def _closing(tags: Sequence["re.Match[str]"], number: int, unclosed: set[str]) -> int:
    """Number of the tag that closes the one before `number`, 0 if none does; a kind is looked for in vain only once."""
    opened = tags[number - 1]
    name = "" if opened[3] or opened[5].endswith("/") else opened[4].lower()
    if not name or name in unclosed:
        return 0
    depth = 1
    for place in range(number, len(tags)):
        tag = tags[place]
        if tag[3] and tag[3].lower() == name:
            depth -= 1
        elif tag[1] and name == "ref":
            depth = 0
        elif name == "table" and tag[4] and tag[4].lower() == name:
            depth += 1
        if not depth:
            return place
    unclosed.add(name)
    return 0


def _stand_in(name: str, attributes: str, content: str) -> str:
    """What stays of an element."""
    if name == "nowiki":
        return protect(content)
    if name == "gallery":
        return "\n".join(_picture(line) for line in content.split("\n"))
    if name in ("source", "syntaxhighlight") and "inline" in attributes:
        return protect(content)
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
    return text.translate(_SHOW) if is_protected(text) else text


def is_protected(text: str) -> bool:
    """Whether a text holds protected characters."""
    return any(char in text for char in _HIDDEN)


def without_ours(text: str) -> str:
    """Without the control characters that we use; text of an XML dump has none."""
    return _OURS.sub("", text)
