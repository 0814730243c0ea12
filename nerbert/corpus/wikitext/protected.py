"""Remove or protect the parts of wikitext that are not parsed as markup: comments, references, formulas, code.

One pass finds all tags, in linear time. Control characters replace protected markup.
"""

import re
from collections.abc import Sequence

_FORMULAS = ("math", "chem", "ce")
DROPPED = (
    "references ref math chem ce gallery timeline pre source syntaxhighlight score hiero imagemap templatestyles graph "
    "mapframe maplink inputbox includeonly table categorytree section indicator dynamicpagelist templatedata rss quiz "
    "charinsert pages"
).split()
"""Tags whose content isn't prose."""
_NAMES = "|".join(DROPPED)
_TAG = re.compile(
    r"<(?:(ref(?=[\s>])[^<>/]*+>[^<]*+</ref\s*+>)"
    rf"|(!--)|/({_NAMES}|nowiki)\s*+>|({_NAMES}|nowiki)(?=[\s/>])([^<>]*+)>)",
    re.IGNORECASE,
)
"""A whole reference of plain text, as most are; else the start of a comment, a closing tag or an opening tag."""
_READING = re.compile(r"<(r[tp])(?=[\s>])[^<>]*+>(?:[^<\n]++|<(?!/?r[tpbu]))*+(?:</\1\s*+>)?", re.IGNORECASE)
"""The reading above a word, or the bracket that replaces it in old browsers; its closing tag is optional."""
_UNSEEN = re.compile(r"<(span|div|p|small)\s(?=[^<>]*+(?<!/)>)[^<>]*?\bdisplay\s*+:\s*+none\b[^<>]*+>", re.IGNORECASE)
"""The opening tag of an element that browsers don't show."""
REMOVED = "<ref/>"
"""Replacement for an element or template removed between a link and a letter, or a line's start and a blank."""
_EDGES = frozenset("]}>\n'")
_PLAIN_FORMULA = re.compile(r"\s*+[^\W_][^\\{}^_\[\]\n]{0,30}")
_FORMULA = "formula"
_MARKUP = "[]{}|'<>&=*#:;!_」』》"
GAPS = ("「」", "『』", "《》")
"""Empty quotes: those of a page itself are shown, others lack the text of a removed template."""
_LINE_MARKS = frozenset("*#:;|!=")
_HIDDEN = "".join(map(chr, [*range(1, 9), *range(14, 22), 0, 26, 27]))
_PROTECT = str.maketrans(_MARKUP, _HIDDEN)
_SHOWN = tuple(zip(_HIDDEN, _MARKUP, strict=True))
OPEN, NUMBERED, CLOSE, DYNAMIC = "\x16", "\x17", "\x18", "\x19"
"""A marked link is OPEN, its number, NUMBERED, its anchor, CLOSE. DYNAMIC marks a template in a link's target."""
APOSTROPHE = "'".translate(_PROTECT)
"""A protected apostrophe, which doesn't belong to a bold or italic mark."""
_OURS = re.compile(f"[{_HIDDEN}{OPEN}-{DYNAMIC}]")


def remove_opaque(wikitext: str) -> str:
    """Remove the opaque parts of the text; protect the content of `<nowiki>` until `unprotect`."""
    tags = list(_TAG.finditer(wikitext))
    pieces: list[str] = []
    position = 0
    number = 0
    line_start = True
    unclosed = set[str]()
    while number < len(tags):
        tag = tags[number]
        number += 1
        if (start := tag.start()) < position:
            continue
        if tag[1]:
            pieces.append(wikitext[position:start])
            position = tag.end()
            line_start = False
            # Only next to these characters can removal join what it separated
            if not start or wikitext[start - 1] in _EDGES:
                _keep_apart(pieces, wikitext[position : position + 1], REMOVED)
            continue
        if start > position:
            pieces.append(wikitext[position:start])
            line_start = wikitext[start - 1] == "\n"
        # A comment hides the tags inside it
        if tag[2]:
            position = _end_of_comment(wikitext, tag.end(), line_start=line_start)
            continue
        name = (tag[3] or tag[4]).lower()
        line_start = False
        if closing := _find_closing(tags, number, unclosed):
            shown = _replace_content(name, tag[5], wikitext[tag.end() : tags[closing].start()])
            position = tags[closing].end()
            number = closing + 1
        else:
            # An unclosed `<nowiki>` protects nothing; a later pass removes the tag
            shown = tag.group() if name == "nowiki" else ""
            position = _end_of_unclosed(tag, name, unclosed)
        if not start or wikitext[start - 1] in _EDGES:
            _keep_apart(
                pieces, shown or wikitext[position : position + 1], "<nowiki/>" if name == "nowiki" else REMOVED
            )
        pieces.append(shown)
    pieces.append(wikitext[position:])
    return _remove_unseen("".join(pieces))


def _end_of_comment(wikitext: str, position: int, *, line_start: bool) -> int:
    """Return the end of a comment; one that fills whole lines leaves no empty line, as in MediaWiki."""
    end = wikitext.find("-->", position)
    # An unclosed comment hides the rest of the page
    if end < 0:
        return len(wikitext)
    # Else the line would become an empty one, and end the paragraph
    return end + 3 + (line_start and wikitext.startswith("\n", end + 3))


def _end_of_unclosed(tag: "re.Match[str]", name: str, unclosed: set[str]) -> int:
    # It hides the rest of the page, as in MediaWiki
    return len(tag.string) if name == "includeonly" and name in unclosed and not tag[3] else tag.end()


def _remove_unseen(text: str) -> str:
    """Remove readings, and hidden elements up to the first that is not closed, with their content."""
    if "<" not in text:
        return text
    text = _READING.sub("", text)
    pieces = list[str]()
    position = 0
    for opened in _UNSEEN.finditer(text):
        if opened.start() < position:
            continue
        end = _find_end(text, opened)
        # From an unclosed element on, nothing is known to be hidden
        if not end:
            break
        pieces += (text[position : opened.start()], REMOVED)
        position = end
    return "".join([*pieces, text[position:]])


def _find_end(text: str, opened: "re.Match[str]") -> int:
    """Return the end of the element that a tag opens, 0 if it isn't closed; elements of its name may be inside."""
    depth = 1
    for tag in re.compile(rf"<(/?){opened[1]}(?=[\s/>])[^<>]*+(?<!/)>", re.IGNORECASE).finditer(text, opened.end()):
        depth += -1 if tag[1] else 1
        if not depth:
            return tag.end()
    return 0


def _keep_apart(pieces: list[str], following: str, mark: str) -> None:
    """Add the mark if, after a removed element, text must not extend a link or a mark of italics, or begin a line."""
    ends = ("]]", "}}") if following[:1].isalpha() else {" ": "\n", "'": "'"}.get(following[:1], ())
    if ends and next(filter(None, reversed(pieces)), "\n").endswith(ends):
        pieces.append(mark)


def _find_closing(tags: Sequence["re.Match[str]"], number: int, unclosed: set[str]) -> int:
    """Return the index of the tag that closes tag `number - 1`, 0 if none does; `unclosed` caches failed searches."""
    opened = tags[number - 1]
    name = "" if opened[3] or opened[5].endswith("/") else opened[4].lower()
    if not name or name in unclosed:
        return 0
    depth = 1
    for index in range(number, len(tags)):
        tag = tags[index]
        if tag[3] and tag[3].lower() == name:
            depth -= 1
        # A plain reference inside ends with a closing tag that also closes the outer one
        elif tag[1] and name == "ref":
            depth = 0
        # Of all these elements, only tables may contain themselves
        elif name == "table" and tag[4] and tag[4].lower() == name:
            depth += 1
        if not depth:
            return index
    unclosed.add(name)
    return 0


def _replace_content(name: str, attributes: str, content: str) -> str:
    # Code within a line belongs to the sentence
    if name == "nowiki" or (name in ("source", "syntaxhighlight") and "inline" in attributes):
        return protect(content)
    if name == "gallery":
        return "\n".join(map(_convert_picture, content.split("\n")))
    if name not in _FORMULAS or not content.strip():
        return ""
    return protect(content.strip()) if _PLAIN_FORMULA.fullmatch(content) else _FORMULA


def _convert_picture(line: str) -> str:
    """Convert a gallery line to a file link, so that it is treated as one."""
    name, bar, caption = line.strip().partition("|")
    # A caption that is cut would open a link that swallows the text after it
    balanced = caption.count("[[") == caption.count("]]") and not set("[]{}") & set(name)
    return f"[[File:{name.partition(':')[2] or name}|{caption}]]" if bar and balanced else ""


def protect(text: str) -> str:
    """Hide characters that could be read as markup, until `unprotect`; the length stays the same."""
    return text.translate(_PROTECT)


def protect_gaps(wikitext: str) -> str:
    """Protect the empty quotes that a page itself has."""
    for gap in GAPS:
        wikitext = wikitext.replace(gap, gap[0] + protect(gap[1]))
    return wikitext


def as_prose(text: str) -> str:
    """Protect the text from becoming a list, heading or table at a line's start."""
    return protect(text[0]) + text[1:] if text and text[0] in _LINE_MARKS else text


def unprotect(text: str) -> str:
    """Restore protected characters; the length stays the same."""
    for hidden, shown in () if text.isprintable() else _SHOWN:  # a protected character is not printable
        if hidden in text:
            text = text.replace(hidden, shown)
    return text


def is_protected(text: str) -> bool:
    """Return whether a text contains protected characters."""
    return any(char in text for char in _HIDDEN)


def without_ours(text: str) -> str:
    """Remove the control characters that this module uses; text of an XML dump has none."""
    return _OURS.sub("", text)
