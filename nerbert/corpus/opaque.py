"""Parts of wikitext that hold no markup of ours: comments, references, formulas, code go; `<nowiki>` stays as text.

What never closes is handled as MediaWiki does: an open comment runs to the end, an open tag is only a tag. Each kind of
tag is searched for its end at most once in vain, so hostile input costs no more than linear time. Protected characters
travel as private-use ones; the price is that private-use characters of the page that look like them are lost.
"""

import re

_DROPPED = (
    "ref references math chem ce gallery timeline pre source syntaxhighlight score hiero imagemap templatestyles graph "
    "mapframe maplink inputbox includeonly table categorytree section indicator"
).replace(" ", "|")
_OPEN = re.compile(rf"<(?:(!--)|({_DROPPED}|nowiki)\b([^<>]*+)>)", re.IGNORECASE)
_MARKUP = "[]{}|'<>&=*#:;!_"
_PROTECT = {ord(char): 0xE000 + number for number, char in enumerate(_MARKUP)}
_SHOW = {code: char for char, code in _PROTECT.items()}
_PRIVATE = re.compile(f"[\ue000-{chr(0xE000 + len(_MARKUP) - 1)}]")


def remove_opaque(wikitext: str) -> str:
    """The text without its opaque parts; what stood in `<nowiki>` is protected until `show_protected`."""
    text = _PRIVATE.sub("", wikitext)
    pieces: list[str] = []
    place, line_start, unclosed = 0, True, set[str]()
    while (tag := _OPEN.search(text, place)) is not None:
        before = text[place : tag.start()]
        pieces.append(before)
        line_start = before.endswith("\n") if before else line_start
        name = (tag.group(2) or "!--").lower()
        single = (tag.group(3) or "").endswith("/")
        end = None if single or name in unclosed else _ENDS[name].search(text, tag.end())
        if end is None and name == "!--":
            return "".join(pieces)
        if single and name == "nowiki":
            pieces.append(tag.group())  # it keeps apart what stands beside it; the scanner drops it like any tag
        elif end is not None and name == "nowiki":
            pieces.append(protect(text[tag.end() : end.start()]))
        elif end is None and not single:
            unclosed.add(name)
        place = end.end() if end is not None else tag.end()
        if name == "!--":  # a comment that has lines for itself leaves no empty line, as in MediaWiki
            place += line_start and text.startswith("\n", place)
        else:
            line_start = False
    pieces.append(text[place:])
    return "".join(pieces)


def protect(text: str) -> str:
    """Hide characters that could be read as markup, until `show_protected`; lengths stay the same."""
    return text.translate(_PROTECT)


def show_protected(text: str) -> str:
    """Give protected characters back their looks; lengths stay the same."""
    return text if text.isascii() or not _PRIVATE.search(text) else text.translate(_SHOW)


_ENDS = {name: re.compile(rf"</{name}\s*+>", re.IGNORECASE) for name in [*_DROPPED.split("|"), "nowiki"]}
_ENDS["!--"] = re.compile("-->")
