"""Rules of text templates: one small pure function for each kind of template; the table is in `templates`.

A rule takes the template's arguments and returns wikitext. It returns an argument that contains markup at most once, so
nested templates never make a text grow. The cost: a title that is not plain text becomes no link.
"""

import re
from collections.abc import Callable, Sequence

_NAMED = re.compile(r"\s*+([\w-]{1,30}+)\s*+=")
_NO_TITLE = re.compile(r"[\[\]{}<>|\n]")
_SHIP_FORMATS = {"2": "{kind} ''{name}''", "3": "''{name}'' ({number})", "6": "''{name}''"}


class Arguments:
    """The arguments of one template, by name and number; the last of equal names counts, as in MediaWiki."""

    __slots__ = ("count", "values")

    def __init__(self, raw: Sequence[str]) -> None:
        self.values: dict[str, str] = {}
        self.count = 0
        for each in raw:
            named = _NAMED.match(each)
            self.count += named is None
            self.values[named[1] if named else str(self.count)] = each[named.end() :].strip() if named else each

    def text(self, *names: str) -> str:
        """Return the first of these arguments that is not blank, stripped; else ""."""
        return next((value for name in names if (value := self.values.get(name, "").strip())), "")

    def numbered(self) -> list[str]:
        """Return the stripped values of 1, 2, 3 … up to the last unnamed one."""
        last = max(self.count, next((n for n in (3, 2, 1) if str(n) in self.values), 0))
        return [self.text(str(number)) for number in range(1, last + 1)]


Rule = Callable[[Arguments], str]


def fixed(text: str) -> Rule:
    """Return a rule that always gives `text`."""
    return lambda _: text


def around(before: str, after: str = "", *names: str) -> Rule:
    """Return a rule that puts one argument between two texts, and gives nothing if it is blank.

    `names` are the argument's names in order of preference, `1` by default.
    """
    return lambda given: f"{before}{text}{after}" if (text := given.text(*(names or ("1",)))) else ""


def argument(*names: str) -> Rule:
    """Return a rule that gives one argument unchanged, including outer blanks."""
    return lambda given: next((given.values[name] for name in names if name in given.values), "")


def last(given: Arguments) -> str:
    """Return the last numbered argument: `{{transl|ar|ALA|alif}}`."""
    return (given.numbered() or [""])[-1]


def joined(mark: str) -> Rule:
    """Return a rule that joins all numbered arguments."""
    return lambda given: mark.join(filter(None, given.numbered()))


def link(title: str, label: str = "") -> str:
    """Return a link, or only the label if the title is not plain text."""
    if not title or _NO_TITLE.search(title):
        return label or title
    return f"[[{title}|{label}]]" if label and label != title else f"[[{title}]]"


def linked(*labels: str) -> Rule:
    """Return a rule for a link to argument 1, with the first given argument of `labels` as its label."""
    return lambda given: link(given.text("1"), given.text(*labels))


def station(given: Arguments) -> str:
    """Expand `{{stnlnk|Edinburgh Waverley}}`."""
    name = given.text("1")
    return link(f"{name} railway station" if name else "", name)


def spoken(title: str, name: str, between: str, told: tuple[str, str, str], before: str = "") -> Rule:
    """Return a rule for text in a named language, `[[German language|German]]: …`.

    `told` are the strings before the transliteration, before the meaning and after it.
    """

    def rule(given: Arguments) -> str:
        label = name if given.text("link", "links") == "no" else link(title, name)
        text = _foreign(given, told)
        return f"{before}{label}{between}{text}" if text else ""

    return rule


def foreign(told: tuple[str, str, str]) -> Rule:
    """Return the same rule as `spoken` without the language's name."""
    return lambda given: _foreign(given, told)


def _foreign(given: Arguments, told: tuple[str, str, str]) -> str:
    """Return a foreign word with its transliteration and meaning, if given."""
    latin, scholarly = given.text("w", "translit", "r", "2"), given.text("d")
    meaning = given.text("b", "de", "lit", "3")
    pieces = (given.text("1", "text"), latin and told[0] + latin, scholarly and f"DMG {scholarly}")
    text = ", ".join(filter(None, pieces))
    return f"{text}{told[1]}{meaning}{told[2]}" if meaning and text else text


def japanese(given: Arguments) -> str:
    """Expand `{{nihongo|English|漢字|rōmaji|extra}}` to `English (漢字, rōmaji, extra)`."""
    rest = (given.text("2").rstrip(", "), given.text("3"), given.text("4", "extra"))
    inside = ", ".join(filter(None, rest))
    return f"{given.text('1')} ({inside})".strip() if inside else given.text("1")


def cited(before: str, after: str) -> Rule:
    """Return a rule for citations in prose: `{{harvtxt|Witten|Frank|2005|p=7}}` → `Witten & Frank (2005, p. 7)`."""

    def rule(given: Arguments) -> str:
        *authors, year = list(filter(None, given.numbered()))[:5] or [""]
        names = " & ".join(filter(None, (", ".join(authors[:-1]), *authors[-1:])))
        pages = [f"{mark} {given.text(key)}" for key, mark in (("p", "p."), ("pp", "pp.")) if given.text(key)]
        return f"{names} {before}{', '.join(filter(None, (year, *pages)))}{after}".strip()

    return rule


def chinese(*labels: str) -> Rule:
    """Return a rule for `{{zh|c=…|p=…}}`; `labels`: of characters, of pinyin, then the separator of the parts."""
    han, pinyin, mark = labels

    def rule(given: Arguments) -> str:
        bare = given.text("labels") == "no"
        signs, latin = given.text("c", "t", "s"), given.text("p", "hp")
        parts = (signs and ("" if bare else han) + signs, latin and ("" if bare else pinyin) + latin)
        return mark.join(filter(None, parts))

    return rule


def ship(kind: str) -> Rule:
    """Return a rule for `{{HMS|Hood|51}}` → `[[HMS Hood (51)|HMS ''Hood'' (51)]]`; argument 3 selects the label."""

    def rule(given: Arguments) -> str:
        prefix, (name, number, form) = kind, (given.numbered() + [""] * 4)[:3]
        if not kind:
            prefix, name, number, form = (given.numbered() + [""] * 4)[:4]
        title = f"{prefix} {name}" + (f" ({number})" if number else "")
        if not name or _NO_TITLE.search(title):
            return name
        shown = _SHIP_FORMATS.get(form, "{kind} ''{name}''" + (" ({number})" if number else ""))
        return link(title, shown.format(kind=prefix, name=name, number=number))

    return rule


def ship_class(given: Arguments) -> str:
    """Expand `{{sclass|Nimitz|aircraft carrier}}`."""
    name, kind = given.text("1"), given.text("2")
    if not name or _NO_TITLE.search(name + kind):
        return f"{name} {kind}".strip()
    return link(f"{name}-class {kind}".strip(), f"''{name}''-class {kind}".strip())


def sort_name(given: Arguments) -> str:
    """Expand `{{sortname|First|Last|Link}}`."""
    name = f"{given.text('1')} {given.text('2')}".strip()
    if given.text("nolink") or _NO_TITLE.search(name):
        return name
    dab = given.text("dab")
    return link(given.text("3") or (f"{name} ({dab})" if dab else name), name)


def section(given: Arguments) -> str:
    """Expand `{{section link|Page|Section}}` to `[[Page#Section|Page § Section]]`."""
    page, place = given.text("1"), given.text("2")
    label = " § ".join(filter(None, (page, place)))
    return link(f"{page}#{place}", label) if page and place and not _NO_TITLE.search(label) else label


def sic(given: Arguments) -> str:
    """Expand `{{sic|word}}` to `word [sic]`, or to `word` if the mark is hidden."""
    word = "".join(given.numbered())
    return word if given.text("hide", "nolink") and word else f"{word} [sic]".lstrip()


def french_link(given: Arguments) -> str:
    """Expand `{{lien|Titre|lang=en|trad=Title|texte=label}}`."""
    return link(given.text("fr", "1"), given.text("texte", "2"))
