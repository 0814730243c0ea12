"""What the links of a page's prose are, told without our scanner: from the parse tree of mwparserfromhell.

The choice: no line of nerbert's cleaning runs here. Of nerbert only a `Site`'s data (language, names of namespaces),
the reader of dumps and the records are used; titles, trails, prefixes of other wikis and paragraphs are written a
second time, on a tree instead of a scan. Both sides come down to `(target, anchor, place)`.

**Place** is what stands around an anchor in its paragraph: the `NEAR` letters and digits before it, and those after it.
White space, punctuation and quotes don't count, so what two readers may tidy in two ways changes nothing; a word that
only one of them has costs the links beside it, not the rest of the paragraph as a running count would. Equal links in
two sentences have different places, but where 20 letters on both sides are equal too; then both readers must still have
as many of them.

A small table of templates whose text belongs to the sentence, and the word for a formula, are conventions of the
corpus: they are here a second time, shorter, so that the rarer templates count as disagreement. The price of a tree is
the parser's own faults. Mended here: comments are cut out before (one on a line of its own goes with its line), HTML
tags without a partner, which the parser takes for text, go from the text, and bold and italic marks stay in it
(`skip_style_tags`), since unbalanced ones would move what is parsed around them.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mwparserfromhell

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.sites import Site
from nerbert.records import Link, RawPage

NEAR = 20
"""Letters and digits of the paragraph, on each side of an anchor, that make its place."""

Place = tuple[str, str]
Span = tuple[int, int, str]
Triple = tuple[str, str, Place]

_GONE = frozenset(
    """ref references gallery timeline score hiero imagemap pre source syntaxhighlight table graph mapframe
    maplink inputbox templatestyles includeonly section indicator categorytree""".split()
)
_BLOCKS = frozenset("p div tr td th hr blockquote center dl dd dt ul ol li poem h1 h2 h3 h4 h5 h6".split())
_FIRST = frozenset(
    """nowrap nobr small smaller big em abbr keepwrap w sup sub nihongo mvar math mono vanchor linktext angbr unicode sc
    polytonisch graphem phon lexem chiarire cn ta zitat nowraplinks overline strong code tt""".split()
) | {"senza fonte", "citazione necessaria", "tutto attaccato", "nihongo foot", "avoid wrap"}
_SECOND = frozenset("lang langue rtl-lang lang-rtl".split())
_LAST = frozenset("transl transliteration translit tlit".split())
_LINKED = frozenset(("w", "flag", "ill", "interlanguage link"))
_SIGNS = {"'": "'", "'s": "'s", "!": "|", "=": "=", "nbsp": " ", "snd": " – ", "spaced ndash": " – ", "·": " · "}
_LABELS = {
    "en": """ar=Arabic az=Azerbaijani ca=Catalan de=German el=Greek es=Spanish fa=Persian fr=French grc=Ancient_Greek
        he=Hebrew hy=Armenian it=Italian ja=Japanese ka=Georgian la=Latin nl=Dutch pl=Polish pt=Portuguese ru=Russian
        sq=Albanian sv=Swedish tr=Turkish uk=Ukrainian zh=Chinese""",
    "de": """ars=arabisch bgs=bulgarisch els=griechisch elsalt=altgriechisch elsneu=neugriechisch ens=englisch
        ess=spanisch fas=persisch frs=französisch grcs=altgriechisch grs=griechisch hes=hebräisch its=italienisch
        jas=japanisch las=lateinisch pls=polnisch rus=russisch trs=türkisch zhs=chinesisch""",
}
_TRAILS = {"de": "[a-zäöüß]+", "it": "[a-zàéèíîìóòúù]+"}
_WIKIS = frozenset(
    """b c commons d doi foundation m meta metawikipedia mw n q s species v voy w wikibooks wikidata wikinews wikipedia
    wikiquote wikisource wikispecies wikiversity wikivoyage wikt wiktionary imdbname imdbtitle""".split()
)
_LANGUAGE = re.compile(r"[a-z]{2,3}|[a-z]{2,3}-[a-z-]{2,12}|be-x-old|simple|zh-min-nan")
_OWN_LINE = re.compile(r"(?:(?<=\n)|\A)[ \t]*(?:<!--(?:(?!-->).)*-->[ \t]*)+\n", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_SWITCH = re.compile(r"__[A-Z]+__")
_HTML = """abbr b bdi bdo big blockquote br caption center cite code data dd del dfn div dl dt em font h1 h2 h3 h4 h5 h6
    hr i ins kbd li mark ol p poem q rb rp rt ruby s samp small span strike strong sub sup table td th time tr tt u ul
    var wbr nowiki onlyinclude noinclude ref""".split()
_LOOSE = re.compile(rf"</?(?:{'|'.join(_HTML)})\b[^<>]*>", re.IGNORECASE)
_ILLEGAL = re.compile(r"[\[\]{}<>|\n]")
_LIST, _BREAK = "\ue100", "\n\n"


def article_pages(folder: Path, language: str) -> Iterator[tuple[Site, RawPage]]:
    """Articles of a language's sample, redirects apart."""
    dump = Dump(folder / f"{language}wiki-sample-pages-articles-multistream.xml.bz2")
    for page in dump.pages():
        if not page.redirect and not (page.ns or dump.site.namespace(page.title)):
            yield dump.site, page


def scanner_links(text: str, links: Iterable[Link]) -> Iterator[Triple]:
    """The links of a cleaned page, in order, with their places; paragraphs are its lines."""
    begin, waiting = 0, iter(links)
    link = next(waiting, None)
    for line in text.split("\n"):
        while link is not None and link.start < begin + len(line):
            yield _triple(line, link.start - begin, link.end - begin, link.target)
            link = next(waiting, None)
        begin += len(line) + 1


def oracle_links(title: str, wikitext: str, site: Site) -> Iterator[Triple]:
    """The links in the prose of a page, as its parse tree has them."""
    for text, links in oracle_paragraphs(title, wikitext, site):
        for start, end, target in links:
            if text[start:end].strip(" '\n\t\xa0"):
                yield _triple(text, start, end, target)


def oracle_paragraphs(title: str, wikitext: str, site: Site) -> Iterator[tuple[str, list[Span]]]:
    """The prose of a page, paragraph by paragraph, with the spans of the links in each."""
    reader = _Reader(site, _title(title))
    source = _COMMENT.sub("", _OWN_LINE.sub("", wikitext))
    reader.read(mwparserfromhell.parse(source, skip_style_tags=True))
    return reader.paragraphs()


def _triple(text: str, start: int, end: int, target: str) -> Triple:
    before = "".join(filter(str.isalnum, text[max(0, start - 40 * NEAR) : start]))
    after = "".join(filter(str.isalnum, text[end : end + 40 * NEAR]))
    return target, _anchor(text[start:end]), (before[-NEAR:], after[:NEAR])


def _anchor(text: str) -> str:
    """An anchor without bold and italic marks, invisible characters, or runs of white space."""
    visible = "".join(char for char in text if char.isprintable() or char.isspace())
    return " ".join(re.sub("'{2,}", "", visible).split())


class _Reader:
    """Walks the tree; gathers text and the spans of links. `_LIST` marks list items, `_BREAK` ends of paragraphs."""

    def __init__(self, site: Site, title: str) -> None:
        self.site, self.title = site, title
        self.trail = re.compile(_TRAILS.get(site.language, "[a-z]+"))
        self.text = ""
        self.links: list[Span] = []

    def read(self, code: Any) -> None:
        """Add the text and links of a node list."""
        eaten = 0
        for node, follow in zip_longest(code.nodes, code.nodes[1:]):
            kind, trail = type(node).__name__, ""
            if kind == "Text":
                self.text += _LOOSE.sub("", _SWITCH.sub("", str(node.value)[eaten:]))
            elif kind == "Wikilink" and self._visible(node):
                trail = self._trail(follow)
                self._link(node, trail)
            elif kind != "Wikilink":
                self._node(kind, node)
            eaten = len(trail)

    def _trail(self, follow: Any) -> str:
        found = self.trail.match(str(follow.value)) if type(follow).__name__ == "Text" else None
        return found.group() if found else ""

    def _node(self, kind: str, node: Any) -> None:
        if kind == "HTMLEntity":
            self.text += _entity(node).replace("\n", " ")
        elif kind == "Heading":
            self.text += _BREAK
        elif kind == "ExternalLink":
            self._external(node)
        elif kind == "Template":
            self._template(node)
        elif kind == "Tag":
            self._tag(node)

    def _external(self, node: Any) -> None:
        if node.title is not None:
            self.read(node.title)
        elif not node.brackets:
            self.text += str(node.url)

    def _template(self, node: Any) -> None:
        """Write what a template shows inside a sentence, of the few that do and are frequent."""
        name = str(node.name).strip().lower()
        numbered = [each.value for each in node.params if str(each.name).strip().isdigit()]
        label = _label(name, numbered, self.site.language)
        if label:
            self._labelled(label, node)
        elif name in _LINKED and numbered:
            self._to(str(numbered[0]).strip(), len(self.text), str(numbered[-1 if name == "w" else 0]).strip())
        elif name in ("convert", "cvt", "as of"):
            self.text += "As of " * (name == "as of") + " ".join(str(each) for each in numbered[:2])
        else:
            place = 0 if name in _FIRST else 1 if name in _SECOND else len(numbered) - 1 if name in _LAST else -1
            if 0 <= place < len(numbered):
                self.read(numbered[place])
            self.text += _SIGNS.get(name, "")

    def _to(self, target: str, start: int, text: str) -> None:
        self.text += text
        self.links.append((start, len(self.text), _title(target)))

    def _labelled(self, label: str, node: Any) -> None:
        """`{{lang-fr|oui}}`: the language's name, which is a link, and the text."""
        english = self.site.language == "en"
        if any(node.has(name) and str(node.get(name).value).strip() == "no" for name in ("link", "links")):
            self.text += label
        else:
            self._to(f"{label} language" if english else f"{label}e Sprache", len(self.text), label)
        self.text += ": " if english else " "
        number = "2" if str(node.name).strip().lower() == "langx" else "1"
        if node.has(number):
            self.read(node.get(number).value)

    def _tag(self, node: Any) -> None:
        name, markup = str(node.tag).strip().lower(), node.wiki_markup or ""
        if markup and markup[0] in "*#:;":
            begins = self.text.endswith("\n") or not self.text or self.text.endswith(_LIST)
            self.text += _LIST if begins else str(markup)
        elif name in ("math", "chem", "ce"):
            self.text += _formula(str(node.contents or ""))
        elif name in _GONE or markup.startswith(("{|", "|", "!")):
            self.text += _BREAK if name == "table" else ""
        else:
            edge = "\n" + _LIST if name == "li" else _BREAK if name in _BLOCKS else ""
            self.text += " " if name == "br" else ""
            self.text += edge
            if node.contents is not None:
                self.read(node.contents)
            self.text += edge.replace(_LIST, "\n")

    def _visible(self, node: Any) -> bool:
        """Whether a link shows a text (files, categories, languages don't)."""
        target = _plain(node.title)
        space, language = self._space(target), _language(target, self.site)
        return target.startswith(":") or not (space in (6, 14) or language)

    def _space(self, target: str) -> int:
        prefix, colon, _ = target.lstrip(": ").partition(":")
        return self.site.namespaces.get(" ".join(prefix.replace("_", " ").split()).lower(), 0) if colon else 0

    def _link(self, node: Any, trail: str) -> None:
        target = _plain(node.title).lstrip(": ")
        dynamic = any(type(each).__name__ == "Template" for each in node.title.nodes)
        broken = not dynamic and (not target or _ILLEGAL.search(target))
        if broken or (node.text is not None and self._holds_link(node.text)):
            self._literal(node, trail)
            return
        start = len(self.text)
        if node.text is None:
            self.text += target
        else:
            self.read(node.text)
        self.text += trail
        name = _title(unquote(target.partition("#")[0]))
        if name and name != self.title and not (dynamic or self._space(target) or _other(target, self.site)):
            self.links.append((start, len(self.text), name))

    def _holds_link(self, code: Any) -> bool:
        return any(self._space(_plain(each.title)) != 6 for each in code.filter_wikilinks(recursive=False))

    def _literal(self, node: Any, trail: str) -> None:
        self.text += "[["
        self.read(node.title)
        if node.text is not None:
            self.text += "|"
            self.read(node.text)
        self.text += "]]" + trail

    def paragraphs(self) -> Iterator[tuple[str, list[Span]]]:
        """Runs of lines of prose, each with the links inside it."""
        place, begin = 0, 0
        for line in [*self.text.split("\n"), ""]:
            if _no_prose(line):
                yield self.text[begin:place], list(self._between(begin, place))
                begin = place + len(line) + 1
            place += len(line) + 1

    def _between(self, begin: int, end: int) -> Iterator[Span]:
        for start, stop, target in self.links:
            if begin <= start and stop <= end:
                yield start - begin, stop - begin, target


def _label(name: str, numbered: list[Any], language: str) -> str:
    """Name of the language that `lang-fr`, `langx|fr` or German `frS` stands for, or ""."""
    names = dict(each.split("=") for each in _LABELS.get(language, "").split())
    code = name if language == "de" else name[5:] if name.startswith("lang-") else ""
    return names.get(str(numbered[0]).strip() if name == "langx" and numbered else code, "").replace("_", " ")


def _formula(source: str) -> str:
    """A formula of plain letters is itself, any other the word: a convention of the corpus, not of reading."""
    source = source.strip()
    plain = source[:1].isalnum() and len(source) < 32 and not re.search(r"[\\{}^_\[\]\n]", source)
    return source if plain else "formula" if source else ""


def _no_prose(line: str) -> bool:
    """Empty lines, list items, and what is left of broken tables and rules."""
    start = line.strip()
    return not start or start.startswith((_LIST, "|", "!", "{|", "----"))


def _plain(code: Any) -> str:
    """A link's title as text, entities decoded."""
    return "".join(_entity(each) if type(each).__name__ == "HTMLEntity" else str(each) for each in code.nodes).strip()


def _entity(node: Any) -> str:
    try:
        return str(node.normalize())
    except (ValueError, OverflowError):
        return str(node)


def _language(target: str, site: Site) -> bool:
    """Whether a title's prefix names a language."""
    prefix, colon, _ = target.partition(":")
    return bool(colon) and prefix.strip() not in site.namespaces and bool(_LANGUAGE.fullmatch(prefix.strip()))


def _other(target: str, site: Site) -> bool:
    """Whether a title's prefix leads to another wiki."""
    prefix, colon, _ = target.partition(":")
    return _language(target, site) or (bool(colon) and prefix.strip().lower() in _WIKIS)


def _title(title: str) -> str:
    """A title as MediaWiki shows it: single blanks, first letter upper, no marks of direction."""
    title = re.sub("[\u200e\u200f\u202a-\u202e]", "", title.replace("_", " "))
    title = " ".join(title.split())
    return title[:1].upper() + title[1:] if len(title[:1].upper()) == 1 else title
