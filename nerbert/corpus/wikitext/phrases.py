"""What text templates put into a sentence: one small pure function a kind of template; the table is in `templates`.

A rule takes the template's arguments and gives wikitext. The choice: an argument that holds markup is given back once
at most, so templates nested in each other never make a text grow; a title that isn't plain text becomes no
link, which is the price.
"""

import re
from collections.abc import Callable, Sequence

_NAMED = re.compile(r"\s*+([\w-]{1,30}+)\s*+=")
_NO_TITLE = re.compile(r"[\[\]{}<>|\n]")
_SHIP_FORMATS = {"2": "{kind} ''{name}''", "3": "''{name}'' ({number})", "6": "''{name}''"}


class Arguments:
    """The arguments of one template, by name and by number, as MediaWiki sees them: the last of a name wins."""

    __slots__ = ("count", "values")

    def __init__(self, raw: Sequence[str]) -> None:
        self.values: dict[str, str] = {}
        self.count = 0
        for each in raw:
            named = _NAMED.match(each)
            self.count += named is None
            self.values[named[1] if named else str(self.count)] = each[named.end() :].strip() if named else each

    def text(self, *names: str) -> str:
        """The first of these arguments that isn't blank, stripped; else ""."""
        return next((value for name in names if (value := self.values.get(name, "").strip())), "")

    def numbered(self) -> list[str]:
        """Values of 1, 2, 3 … to the last unnamed one, stripped."""
        last = max(self.count, next((n for n in (3, 2, 1) if str(n) in self.values), 0))
        return [self.text(str(number)) for number in range(1, last + 1)]


Rule = Callable[[Arguments], str]


def fixed(text: str) -> Rule:
    """Always the same."""
    return lambda _: text


def around(before: str, after: str = "", *names: str) -> Rule:
    """One argument between two texts, nothing if it is blank; `names` in order of preference, `1` by default."""
    return lambda given: f"{before}{text}{after}" if (text := given.text(*(names or ("1",)))) else ""


def argument(*names: str) -> Rule:
    """One argument as it stands, blanks at its ends too."""
    return lambda given: next((given.values[name] for name in names if name in given.values), "")


def last(given: Arguments) -> str:
    """The last of the numbered arguments: `{{transl|ar|ALA|alif}}`."""
    return (given.numbered() or [""])[-1]


def joined(mark: str) -> Rule:
    """All numbered arguments."""
    return lambda given: mark.join(filter(None, given.numbered()))


def link(title: str, label: str = "") -> str:
    """A link, or the label alone where the title is not plain text."""
    if not title or _NO_TITLE.search(title):
        return label or title
    return f"[[{title}|{label}]]" if label and label != title else f"[[{title}]]"


def linked(*labels: str) -> Rule:
    """A link to argument 1, under the first of these arguments that is given."""
    return lambda given: link(given.text("1"), given.text(*labels))


def station(given: Arguments) -> str:
    """`{{stnlnk|Edinburgh Waverley}}`."""
    name = given.text("1")
    return link(f"{name} railway station" if name else "", name)


def spoken(title: str, name: str, between: str, told: tuple[str, str, str], before: str = "") -> Rule:
    """Text of a named language, `[[German language|German]]: …`; `told` stands around transliteration and meaning."""

    def rule(given: Arguments) -> str:
        label = name if given.text("link", "links") == "no" else link(title, name)
        text = _foreign(given, told)
        return f"{before}{label}{between}{text}" if text else ""

    return rule


def foreign(told: tuple[str, str, str]) -> Rule:
    """The same without the language's name."""
    return lambda given: _foreign(given, told)


def _foreign(given: Arguments, told: tuple[str, str, str]) -> str:
    """A foreign word with transliteration and meaning, as far as they are given."""
    latin, scholarly = given.text("w", "translit", "r", "2"), given.text("d")
    meaning = given.text("b", "de", "lit", "3")
    pieces = (given.text("1", "text"), latin and told[0] + latin, scholarly and f"DMG {scholarly}")
    text = ", ".join(filter(None, pieces))
    return f"{text}{told[1]}{meaning}{told[2]}" if meaning and text else text


def japanese(given: Arguments) -> str:
    """`{{nihongo|English|漢字|rōmaji|extra}}` → `English (漢字, rōmaji, extra)`."""
    rest = (given.text("2").rstrip(", "), given.text("3"), given.text("4", "extra"))
    inside = ", ".join(filter(None, rest))
    return f"{given.text('1')} ({inside})".strip() if inside else given.text("1")


def cited(before: str, after: str) -> Rule:
    """`{{harvtxt|Witten|Frank|2005|p=7}}` → `Witten & Frank (2005, p. 7)`: citations that are read as words."""

    def rule(given: Arguments) -> str:
        *authors, year = list(filter(None, given.numbered()))[:5] or [""]
        names = " & ".join(filter(None, (", ".join(authors[:-1]), *authors[-1:])))
        pages = [f"{mark} {given.text(key)}" for key, mark in (("p", "p."), ("pp", "pp.")) if given.text(key)]
        return f"{names} {before}{', '.join(filter(None, (year, *pages)))}{after}".strip()

    return rule


def chinese(*labels: str) -> Rule:
    """`{{zh|c=…|p=…}}`; labels for characters and pinyin, then the mark between the parts."""
    han, pinyin, mark = labels

    def rule(given: Arguments) -> str:
        bare = given.text("labels") == "no"
        signs, latin = given.text("c", "t", "s"), given.text("p", "hp")
        parts = (signs and ("" if bare else han) + signs, latin and ("" if bare else pinyin) + latin)
        return mark.join(filter(None, parts))

    return rule


def ship(kind: str) -> Rule:
    """`{{HMS|Hood|51}}` → `[[HMS Hood (51)|HMS ''Hood'' (51)]]`; the third argument chooses what is shown."""

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
    """`{{sclass|Nimitz|aircraft carrier}}`."""
    name, kind = given.text("1"), given.text("2")
    if not name or _NO_TITLE.search(name + kind):
        return f"{name} {kind}".strip()
    return link(f"{name}-class {kind}".strip(), f"''{name}''-class {kind}".strip())


def sort_name(given: Arguments) -> str:
    """`{{sortname|First|Last|Link}}`."""
    name = f"{given.text('1')} {given.text('2')}".strip()
    if given.text("nolink") or _NO_TITLE.search(name):
        return name
    dab = given.text("dab")
    return link(given.text("3") or (f"{name} ({dab})" if dab else name), name)


def section(given: Arguments) -> str:
    """`{{section link|Page|Section}}` → `[[Page#Section|Page § Section]]`."""
    page, place = given.text("1"), given.text("2")
    label = " § ".join(filter(None, (page, place)))
    return link(f"{page}#{place}", label) if page and place and not _NO_TITLE.search(label) else label


def sic(given: Arguments) -> str:
    """`{{sic|word}}` → `word [sic]`, unless it is to be hidden."""
    word = "".join(given.numbered())
    return word if given.text("hide", "nolink") and word else f"{word} [sic]".lstrip()


def french_link(given: Arguments) -> str:
    """`{{lien|Titre|lang=en|trad=Title|texte=label}}`."""
    return link(given.text("fr", "1"), given.text("texte", "2"))
