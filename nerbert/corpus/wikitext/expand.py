"""Expand the templates whose text belongs to the sentence, and remove all others.

The position of a template distinguishes infoboxes from citations. A template is kept with its parameters if only other
markup precedes it on its line. A template without parameters is kept if it ends its line (`* [[A]] {{disambig}}`). A
list item that begins with a template is most often a reference, so a bullet does not count as markup here. Some
citations and maintenance templates are kept as well. At most 120 filled parameters of a template are kept, and 120
characters of a value. Of parameters with the same name the last counts, as in MediaWiki.

Full expansion as in MediaWiki would need the whole wiki. Text that only some other template produces is therefore
missing.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from nerbert.corpus.dump.sites import CATEGORY, FILE, Site
from nerbert.corpus.dump.sites import TEMPLATE as TEMPLATES
from nerbert.corpus.wikitext.brackets import IN_LINK, TEMPLATE, arguments, remove_deep_templates
from nerbert.corpus.wikitext.protected import DYNAMIC, as_prose, is_protected, show_protected
from nerbert.corpus.wikitext.templates import is_text_template, template_text
from nerbert.corpus.wikitext.titles import normalise_title
from nerbert.records import Infobox

_TEMPLATE = re.compile(TEMPLATE)
_PARAMETER = re.compile(rf"\{{\{{\{{(?:[^{{}}]++|{TEMPLATE})*+\}}\}}\}}")
_NO_TARGET = re.compile(r"[|\]\n]")
_TITLES = frozenset({"pagename", "fullpagename", "subjectpagename", "articlepagename"})
_MARKUP = re.compile(rf"[ \t:;]++|&nbsp;|__\w{{1,40}}?__|<[^<>\n]*+>|\[\[([^\[\]|\n]*+){IN_LINK}\]\]")
"""What may precede an infobox on its line; a link only to a picture or a category."""
_MARKUP_ENDS = frozenset("_]>:;")
_MAX_DEPTH = 20
_MAX_PARAMETERS, _MAX_VALUE, _MAX_NAME, _MAX_MARKUP = 120, 120, 200, 1000


def expand_templates(source: str, title: str, site: Site) -> tuple[str, list[Infobox]]:
    """Return the text without templates, and the outermost kept templates with their filled parameters."""
    boxes: list[Infobox] = []
    if "{{" not in source:
        return source, boxes

    def expanded(match: "re.Match[str]") -> str:
        inside, start, text = match.group()[2:-2], match.start(), match.string
        name = inside.partition("|")[0].strip()
        if ":" in name:
            name = _bare_name(name, site)
        known = _known_text(name, inside, title, site)
        if known is None:
            if name and len(name) < _MAX_NAME and name[0] not in "#{:" and (
                _begins_line(text, start, site) or ("|" not in inside and _ends_line(text, match.end()))
            ):  # fmt: skip
                boxes.append(_infobox(name, arguments(inside)[1:], protected=is_protected(inside)))
            known = ""
        return known if not known and not _in_target(text, start) else _placed(known, text, start)

    if "{{{" in source:
        source = _PARAMETER.sub("", source)
    return remove_deep_templates(_TEMPLATE.sub(expanded, source)), boxes


def _bare_name(name: str, site: Site) -> str:
    """Return a template's name without its namespace."""
    whole = name.removeprefix(":").lstrip()
    return whole.partition(":")[2].strip() if site.namespace(whole) == TEMPLATES else name


def _known_text(name: str, inside: str, title: str, site: Site, depth: int = 0) -> str | None:
    """Return the text that a template of the table puts into the sentence; None for others."""
    key = _text_key(name, site.language) if len(name) < _MAX_NAME else None
    if key is None:
        return None
    if key in _TITLES:
        return title
    text = template_text(key, arguments(inside)[1:], site.language)
    if text is None or "{{" not in text or depth >= _MAX_DEPTH:
        return text

    def inner(match: "re.Match[str]") -> str:
        inside = match.group()[2:-2]
        return _known_text(_bare_name(inside.partition("|")[0].strip(), site), inside, title, site, depth + 1) or ""

    return _TEMPLATE.sub(inner, text)


@lru_cache(maxsize=20_000)
def _text_key(name: str, language: str) -> str | None:
    """Return a template's name as the table writes it; None if the table lacks it."""
    key = " ".join(name.replace("_", " ").lower().split())
    return key if key in _TITLES or is_text_template(key, language) else None


def _begins_line(text: str, start: int, site: Site) -> bool:
    """Return whether only other markup, no list bullet or prose, precedes a template on its line."""
    before = text[max(start - 40, 0) : start].rstrip(" ")
    if not before or before[-1] in "\n}|":
        return True
    if before[-1] not in _MARKUP_ENDS:
        return False
    nearest = max(start - _MAX_MARKUP, 0)
    line, braces = text.rfind("\n", nearest, start), text.rfind("}}", nearest, start)
    if max(line, braces) < 0 < nearest:
        return False
    place = max(line + 1, braces + 2 if braces >= 0 else 0)
    while place < start:
        piece = _MARKUP.match(text, place, start)
        if piece is None or (piece[1] is not None and site.namespace(piece[1]) not in (FILE, CATEGORY)):
            return False
        place = piece.end()
    return True


def _ends_line(text: str, end: int) -> bool:
    """Return whether only blanks follow a template on its line."""
    return text[end : end + 40].lstrip(" ")[:1] in ("", "\n")


def _in_target(text: str, start: int) -> bool:
    """Return whether a template is in the target of a link."""
    opening = text.rfind("[[", max(start - 300, 0), start)
    return opening >= 0 and _NO_TARGET.search(text, opening, start) is None


def _placed(text: str, source: str, start: int) -> str:
    """Return the template's text, protected from becoming a list at a line's start; DYNAMIC if it is empty."""
    if not text or _in_target(source, start):
        return text or DYNAMIC
    at_line = start == 0 or source[start - 1] == "\n"
    return as_prose(text) if at_line else text


def _infobox(name: str, values: Sequence[str], *, protected: bool) -> Infobox:
    """Return the template with its filled parameters; unnamed ones get numbers, the last of equal names counts."""
    parameters: dict[str, str] = {}
    number = 0
    for each in values:
        key, equals, value = each.partition("=")
        if not equals or "[[" in key or "{{" in key:
            number += 1
            key, value = str(number), each
        value = " ".join(value[: 4 * _MAX_VALUE].split())[:_MAX_VALUE]
        if value:
            key = key.strip()[:_MAX_VALUE]
            if key and (len(parameters) < _MAX_PARAMETERS or key in parameters):
                parameters[key] = value
        elif parameters:
            parameters.pop(key.strip()[:_MAX_VALUE], None)
    filled = tuple(parameters.items())
    if protected:
        filled = tuple((show_protected(key), show_protected(value)) for key, value in filled)
    return Infobox(normalise_title(show_protected(name)), filled)
