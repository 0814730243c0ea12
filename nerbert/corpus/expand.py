"""Templates out of wikitext: those whose text belongs to the sentence become it, all others go.

Infoboxes are told from citations by their place: a template that begins a line is kept with its parameters.

Templates aren't expanded as MediaWiki does, which would need the whole wiki; the price is that text which only another
template would produce is missing.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from nerbert.corpus.nested import TEMPLATE, arguments, remove_deep_templates
from nerbert.corpus.opaque import DYNAMIC, as_prose, is_protected, show_protected
from nerbert.corpus.templates import is_text_template, template_text
from nerbert.corpus.titles import normalise_title
from nerbert.records import Infobox

_TEMPLATE = re.compile(TEMPLATE)
_PARAMETER = re.compile(rf"\{{\{{\{{(?:[^{{}}]++|{TEMPLATE})*+\}}\}}\}}")
_NO_TARGET = re.compile(r"[|\]\n]")
_TITLES = frozenset({"pagename", "fullpagename", "subjectpagename", "articlepagename"})
_NAMESPACES = ("template:", "vorlage:", "modèle:")
_MAX_DEPTH = 20
_MAX_PARAMETERS, _MAX_VALUE, _MAX_NAME = 120, 120, 200


def expand_templates(source: str, title: str, language: str) -> tuple[str, list[Infobox]]:
    """The text without templates, and those that stood in no other, with their filled parameters."""
    boxes: list[Infobox] = []
    if "{{" not in source:
        return source, boxes

    def expanded(match: "re.Match[str]") -> str:
        inside, start, text = match.group()[2:-2], match.start(), match.string
        name = inside.partition("|")[0].strip()
        known = _known_text(name, inside, title, language)
        if known is None:
            if name and len(name) < _MAX_NAME and name[0] not in "#{:" and _begins_line(text, start):
                boxes.append(_infobox(name, arguments(inside)[1:], show_protected if is_protected(inside) else str))
            known = ""
        return known if not known and not _in_target(text, start) else _placed(known, text, start)

    if "{{{" in source:
        source = _PARAMETER.sub("", source)
    return remove_deep_templates(_TEMPLATE.sub(expanded, source)), boxes


def _known_text(name: str, inside: str, title: str, language: str, depth: int = 0) -> str | None:
    """What a template of the table puts into the sentence; None for others."""
    key = _text_key(name, language) if len(name) < _MAX_NAME else None
    if key is None:
        return None
    if key in _TITLES:
        return title
    text = template_text(key, arguments(inside)[1:], language)
    if text is None or "{{" not in text or depth >= _MAX_DEPTH:
        return text

    def inner(match: "re.Match[str]") -> str:
        inside = match.group()[2:-2]
        return _known_text(inside.partition("|")[0].strip(), inside, title, language, depth + 1) or ""

    return _TEMPLATE.sub(inner, text)


@lru_cache(maxsize=20_000)
def _text_key(name: str, language: str) -> str | None:
    """A template's name as the table writes it; None if it isn't there."""
    key = " ".join(name.replace("_", " ").lower().split())
    key = key.partition(":")[2].lstrip() if key.startswith(_NAMESPACES) else key
    return key if key in _TITLES or is_text_template(key, language) else None


def _begins_line(text: str, start: int) -> bool:
    """Whether nothing but other markup stands before a template on its line; references in lists and prose do not."""
    before = text[max(start - 40, 0) : start].rstrip(" ")
    return not before or before[-1] in "\n}|"


def _in_target(text: str, start: int) -> bool:
    """Whether a template stands in the target of a link."""
    opening = text.rfind("[[", max(start - 300, 0), start)
    return opening >= 0 and _NO_TARGET.search(text, opening, start) is None


def _placed(text: str, source: str, start: int) -> str:
    """The template's text: at a line's beginning it makes no list, in a link's target it leaves a mark."""
    if not text or _in_target(source, start):
        return text or DYNAMIC
    at_line = start == 0 or source[start - 1] == "\n"
    return as_prose(text) if at_line else text


def _infobox(name: str, values: Sequence[str], show: Callable[[str], str]) -> Infobox:
    """The template with its filled parameters, numbered where they have no name; `show` uncovers protected text."""
    parameters: list[tuple[str, str]] = []
    number = 0
    for each in values[:_MAX_PARAMETERS]:
        key, equals, value = each.partition("=")
        if not equals or "[[" in key or "{{" in key:
            number += 1
            key, value = str(number), each
        value = " ".join(value[: 4 * _MAX_VALUE].split())[:_MAX_VALUE]
        if value and (key := key.strip()[:_MAX_VALUE]):
            parameters.append((show(key), show(value)))
    return Infobox(normalise_title(show_protected(name)), tuple(parameters))
