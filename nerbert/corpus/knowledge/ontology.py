"""Read DBpedia's classes and their parents from its wiki's MediaWiki export, and parse such exports.

The classes form a tree. Limitation: a class under two branches is seen under one only.
"""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from lxml import etree

from nerbert.corpus.dump.parts import forget
from nerbert.corpus.dump.sites import normalise_title
from nerbert.corpus.wikitext.templates import TEMPLATE, arguments
from nerbert.errors import InputError, at, visible
from nerbert.label_sets import class_name
from nerbert.tables import read_columns

PAGE_PREFIX = "OntologyClass:"
_THING = "thing"
_EQUIVALENT = re.compile(r"wikidata:\s*(Q[1-9]\d*)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TEMPLATE = re.compile(TEMPLATE)
_MARKUP = re.compile(
    r"<ref[^<>]*/>|<ref\b[^<>]*>.*?(?:</ref>|\Z)|</?[a-z][^<>]*>|'{2,}|\[\[(?:[^\[\]|]*+\|)?|\]\]|"
    r"\[(?:https?:)?//[^\s\[\]]*+\s*+([^\[\]]*+)\]|(?<!\s)\s*+\(https?://[^\s()]*+\)", re.DOTALL | re.IGNORECASE,
)  # fmt: skip
"""References, tags, marks of bold and links, addresses; of an external link the label stays."""
_SENTENCE_END = re.compile(r"[.!?](?=\s[^\W\d_a-z])|[。！？]")
_WORDS = (("label", "labels", "Label", 200), ("description", "comments", "Comment", 300))
"""A class's words: key, argument, template, and the most characters."""


@dataclass(frozen=True)
class Ontology:
    """Classes with parents ("" for roots), equivalent Wikidata items (id to class), and words."""

    parents: Mapping[str, str]
    equivalents: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {name.casefold(): name for name in reversed(list(self.parents))}

    def path(self, name: str) -> tuple[str, ...]:
        """Return the classes from the root down to `name`; an unknown name is a path of its own, owl:Thing is ()."""
        name = class_name(name)
        if not name or name.casefold() == _THING:
            return ()
        found = self._find(name)
        path: dict[str, None] = {}
        while found and found not in path:
            path[found] = None
            found = self.parents.get(found, "")
        return tuple(reversed(path)) or (name,)

    def knows(self, name: str) -> bool:
        """Return whether `name` is a class of this ontology."""
        return bool(self._find(class_name(name)))

    def __len__(self) -> int:
        return len(self.parents)

    def _find(self, name: str) -> str:
        return name if name in self.parents else self._folded.get(name.casefold(), "")


def read_ontology(stream: IO[bytes], place: Path | str, language: str = "en") -> Ontology:
    """Read the classes of a MediaWiki export, with words in `language`; ignore other pages (properties, datatypes)."""
    declared: dict[str, list[str]] = {}
    equivalents: dict[str, str] = {}
    words: dict[str, Mapping[str, str]] = {}
    for title, text in export_pages(stream, place):
        name = class_name(title.removeprefix(PAGE_PREFIX))
        if title.startswith(PAGE_PREFIX) and name.casefold() != _THING:
            template = next((template for template in templates(text) if template.name == "Class"), None)
            declared[name] = template.text("rdfs:subClassOf").split(",") if template else []
            for item in _EQUIVALENT.findall(template.text("owl:equivalentClass") if template else ""):
                equivalents.setdefault(item, name)
            if template and (words_there := _words(template, language)):
                words[name] = words_there
    if not declared:
        with at(place):
            raise InputError(f"no page is called {PAGE_PREFIX}…; give the export of DBpedia's ontology classes")
    flat = Ontology(dict.fromkeys(declared, ""))
    parents = {
        name: next((flat.path(parent)[-1] for parent in parents if flat.knows(parent)), "")
        for name, parents in declared.items()
    }
    for name, parent in read_columns("parents.tsv", "class", "parent"):
        if name in parents:
            parents[name] = parent if parent in parents else ""
    return Ontology(parents, equivalents, words)


def _words(template: "Template", language: str) -> dict[str, str]:
    """Return the label and the description of a class, without those that it lacks."""
    found: dict[str, str] = {}
    for key, argument, kind, longest in _WORDS:
        old = f"rdfs:{kind.lower()}@"
        said = {name.removeprefix(old): template.text(name) for name in template.fields if name.startswith(old)}
        for each in template.nested(argument):
            if each.name == kind and len(each.fields) > 1 and "1" in each.fields:
                number = list(each.fields)[1]  # text with "=" was read as a named argument
                said[each.text("1").lower()] = each.text(number) if number == "2" else f"{number}={each.text(number)}"
        plain = (_plain(said.get(each, ""), longest) for each in (language, "en"))
        if words := next(filter(None, plain), ""):
            found[key] = words
    return found


def _plain(text: str, longest: int) -> str:
    """Return wikitext as one line without markup, cut at the end of a sentence, or else of a word, if it is longer."""
    text = html.unescape(_MARKUP.sub(lambda found: found[1] or "", text))
    text = visible(" ".join(text.split()))
    if len(text) <= longest:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text, 0, longest + 2) if found.end() <= longest]
    return text[: ends[-1]] if ends else text[: longest + 1].rpartition(" ")[0] or text[:longest]


@dataclass(frozen=True, slots=True)
class Template:
    """A template call: its normalised name and its arguments by name (of equal names, the first)."""

    name: str
    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return the text of the argument `name` without the templates nested in it, "" if it is absent."""
        return _TEMPLATE.sub("", self.fields.get(name, "")).strip()

    def nested(self, name: str) -> tuple["Template", ...]:
        """Return the templates nested in the argument `name`."""
        return templates(self.fields.get(name, ""))


def export_pages(stream: IO[bytes], place: Path | str) -> Iterator[tuple[str, str]]:
    """Yield the title and newest text of each page; raise InputError with the line for malformed XML."""
    events = etree.iterparse(
        stream, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip
    title = text = ""
    try:
        for _, element in events:
            match _names(element):
                case ("page", *_):
                    yield title.strip(), text
                    title = text = ""
                case ("title", "page", _):
                    title = title or element.text or ""
                case ("text", "revision", "page"):
                    text = element.text or ""
            forget(element)
    except etree.XMLSyntaxError as error:
        with at(place, error.lineno):
            raise InputError(f"XML is not well-formed: {error.msg}; fetch the export again") from error


def templates(text: str) -> tuple[Template, ...]:
    """Return the top-level templates of `text`, nested eight deep at most; comments are removed, open ones closed."""
    text = _COMMENT.sub("", text)
    text += "}}" * (text.count("{{") - text.count("}}"))
    return tuple(map(_template, _TEMPLATE.findall(text)))


def _template(source: str) -> Template:
    name, *parts = arguments(source[2:-2])
    fields: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        key, equals, value = part.partition("=")
        named = equals and "{{" not in key
        fields.setdefault(key.strip() if named else str(number), value if named else part)
    return Template(normalise_title(name), fields)


def _names(element: etree._Element) -> tuple[str, str, str]:
    """Return the names of an element, its parent and its grandparent without namespaces; "" if there is none."""
    above = element.getparent()
    over = above.getparent() if above is not None else None
    one, two, three = ("" if each is None else str(each.tag).rpartition("}")[2] for each in (element, above, over))
    return one, two, three
