"""Parts of wikitext that hold no markup of ours: comments, references, formulas, code go; `<nowiki>` stays as text.

What never closes is handled as MediaWiki does: an open comment runs to the end, an open tag is only a tag. Each kind of
tag is searched for its end at most once in vain, so hostile input costs no more than linear time.
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
_PRIVATE = re.compile(f"[\ue000-{chr(0xE000 + len(_MARKUP))}]")


def remove_opaque(wikitext: str) -> str:
    """The text without its opaque parts; what stood in `<nowiki>` is protected until `show_protected`."""
    text = _PRIVATE.sub("", wikitext)
    pieces, place = [], 0
    unclosed: set[str] = set()
    while (tag := _OPEN.search(text, place)) is not None:
        pieces.append(text[place : tag.start()])
        name = (tag.group(2) or "!--").lower()
        end = None if name in unclosed or (tag.group(3) or "").endswith("/") else _end(name, text, tag.end())
        if end is not None and name == "nowiki":
            pieces.append(text[tag.end() : end.start()].translate(_PROTECT))
        if end is None and not (tag.group(3) or "").endswith("/"):
            unclosed.add(name)
        place = end.end() if end is not None else tag.end()
        if end is None and name == "!--":
            return "".join(pieces)
    pieces.append(text[place:])
    return "".join(pieces)


def show_protected(text: str) -> str:
    """Give protected characters back their looks; lengths stay the same."""
    return text.translate(_SHOW) if _PRIVATE.search(text) else text


def _end(name: str, text: str, place: int) -> "re.Match[str] | None":
    return _ENDS[name].search(text, place)


_ENDS = {name: re.compile(rf"</{name}\s*+>", re.IGNORECASE) for name in [*_DROPPED.split("|"), "nowiki"]}
_ENDS["!--"] = re.compile("-->")
