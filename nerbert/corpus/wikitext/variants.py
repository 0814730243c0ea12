"""Show one variant of words that a wiki writes in several scripts or spellings: `-{zh-hans:软件; zh-hant:軟體}-`.

The cost: text outside the braces is not converted, so a page keeps the mixture of variants its authors typed.
"""

import re
from functools import cache

_ORDER = {
    "ban": "ban ban-bali ban-x-dharma ban-x-palmleaf ban-x-pku",
    "crh": "crh crh-latn crh-cyrl",
    "gan": "gan gan-hans gan-hant",
    "iu": "iu ike-cans ike-latn",
    "kk": "kk kk-cyrl kk-latn kk-arab kk-kz kk-tr kk-cn",
    "ku": "ku ku-latn ku-arab",
    "mni": "mni mni-beng",
    "sh": "sh sh-latn sh-cyrl",
    "shi": "shi shi-latn shi-tfng",
    "sr": "sr sr-ec sr-el",
    "tg": "tg tg-latn",
    "tly": "tly tly-cyrl",
    "uz": "uz uz-latn uz-cyrl",
    "wuu": "wuu wuu-hans wuu-hant",
    "zgh": "zgh zgh-latn",
    "zh": "zh zh-hans zh-hant zh-cn zh-tw zh-hk zh-sg zh-mo zh-my",
}
"""Codes of the languages with variants → their variants; the first that a text has is shown."""
_OTHER_NAMES = {
    "sr-cyrl": "sr-ec", "sr-latn": "sr-el", "zh-hans-cn": "zh-cn", "zh-hans-sg": "zh-sg", "zh-hans-my": "zh-my",
    "zh-hant-tw": "zh-tw", "zh-hant-hk": "zh-hk", "zh-hant-mo": "zh-mo",
}  # fmt: skip
"""Newer codes of variants → MediaWiki's own. Case doesn't count."""
_INNERMOST = re.compile(r"-\{(?!\{)((?:[^-{}]++|\{\{[^{}]*+\}\}|-(?!\{(?!\{))|\}(?!-)|\{)*+)\}-")
_FLAGS = re.compile(r"([\w;+\s-]*+)\|")
_HIDING = frozenset("HNT+-")
_DEEPEST = 10
"""Variants within variants that are shown."""


def show_variant(source: str, code: str) -> str:
    """Return the wikitext with one variant of each `-{…}-`; `code` is that of the wiki's language, such as `zh`."""
    order = _ORDER.get(code, "").split()
    if not order or "-{" not in source:
        return source
    between = _between(code)
    for _ in range(_DEEPEST):
        source, changed = _INNERMOST.subn(lambda match: _shown(match[1], order, between), source)
        if not changed:
            break
    return source


@cache
def _between(code: str) -> re.Pattern[str]:
    """Return the expression of the semicolon between two variants; other semicolons are text."""
    names = "|".join([*_ORDER[code].split(), *_OTHER_NAMES])
    return re.compile(rf";(?=\s*+(?:[^;=]*+=>\s*+)?(?:{names})\s*+:|\s*+\Z)", re.IGNORECASE)


def _shown(inside: str, order: list[str], between: re.Pattern[str]) -> str:
    """Return the text of one `-{…}-`."""
    flags = _FLAGS.match(inside)
    if flags and not _HIDING.isdisjoint(each.strip() for each in flags[1].split(";")):
        return ""
    text = inside[flags.end() :] if flags else inside
    variants: dict[str, str] = {}
    for each in between.split(text):
        name, colon, shown = each.partition(":")
        name = name.rpartition("=>")[2].strip().lower()
        name = _OTHER_NAMES.get(name, name)
        if colon and name not in order:
            return text  # it is text with a colon
        if colon:
            variants.setdefault(name, shown.strip())
    return next((variants[name] for name in order if variants.get(name)), "") if variants else text
