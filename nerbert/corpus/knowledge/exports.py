"""Read DBpedia's classes and its mappings of infoboxes from the MediaWiki exports of its wiki.

The classes form a tree, so a class with two parents keeps only one. Mappings are evaluated as in DBpedia's extraction;
templates inside a value are not rendered.
"""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, TypeAlias

from lxml import etree

from nerbert.corpus.dump.parts import forget, number_in
from nerbert.corpus.dump.sites import fold_redirects, normalise_title
from nerbert.corpus.wikitext.templates import TEMPLATE, arguments
from nerbert.errors import InputError, at, visible
from nerbert.label_sets import class_name
from nerbert.records import Infobox
from nerbert.tables import read_columns

PAGE_PREFIX = "OntologyClass:"
PAGE_TITLE = re.compile(r"Mapping ([A-Za-z][A-Za-z-]*):(.+)", re.DOTALL)
_REDIRECT = re.compile(r"\s*+#REDIRECT\s*+:?\s*+\[\[\s*([^\]\[|]+)", re.IGNORECASE)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_THING = "thing"
_EQUIVALENT = re.compile(r"wikidata:\s*(Q[1-9]\d*)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TEMPLATE = re.compile(TEMPLATE)
_MARKUP = re.compile(
    r"<ref[^<>]*/>|<ref\b[^<>]*>.*?(?:</ref>|\Z)|</?[a-z][^<>]*>|'{2,}|\[\[(?:[^\[\]|]*+\|)?|\]\]|"
    r"\[(?:https?:)?//[^\s\[\]]*+\s*+([^\[\]]*+)\]|(?<!\s)\s*+\(https?://[^\s()]*+\)",
    re.DOTALL | re.IGNORECASE,
)
"""References, tags, bold and link marks, and addresses; external links keep their labels."""
_SENTENCE_END = re.compile(r"[.!?](?=\s[^\W\d_a-z])|[。！？]")
_WORDS = (("label", "labels", "Label", 200), ("description", "comments", "Comment", 300))
"""A class's words: key, argument, template, and maximum number of characters."""


@dataclass(frozen=True)
class Ontology:
    """Classes with parents ("" for roots), equivalent Wikidata items (id to class), and words."""

    parents: Mapping[str, str]
    equivalents: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def _folded(self) -> dict[str, str]:
        # Reversed, so that of names that differ only in case the first one counts
        return {name.casefold(): name for name in reversed(list(self.parents))}

    def path(self, name: str) -> tuple[str, ...]:
        """Return the classes from the root down to `name`; only `name` itself if it is unknown, () for owl:Thing."""
        name = class_name(name)
        if not name or name.casefold() == _THING:
            return ()
        ancestor = self._find(name)
        path: dict[str, None] = {}
        # The wiki can contain cycles: a class above itself ends the path
        while ancestor and ancestor not in path:
            path[ancestor] = None
            ancestor = self.parents.get(ancestor, "")
        return tuple(reversed(path)) or (name,)

    def knows(self, name: str) -> bool:
        """Return whether `name` is a class of this ontology."""
        return bool(self._find(class_name(name)))

    def __len__(self) -> int:
        return len(self.parents)

    def _find(self, name: str) -> str:
        return name if name in self.parents else self._folded.get(name.casefold(), "")


def read_ontology(stream: IO[bytes], path: Path | str, language: str = "en") -> Ontology:
    """Read the classes of a MediaWiki export, with words in `language`; ignore other pages (properties, datatypes)."""
    declared: dict[str, list[str]] = {}
    equivalents: dict[str, str] = {}
    words: dict[str, Mapping[str, str]] = {}
    for title, text in export_pages(stream, path):
        name = class_name(title.removeprefix(PAGE_PREFIX))
        if title.startswith(PAGE_PREFIX) and name.casefold() != _THING:
            template = next((template for template in templates(text) if template.name == "Class"), _EMPTY)
            declared[name] = template.text("rdfs:subClassOf").split(",")
            for item in _EQUIVALENT.findall(template.text("owl:equivalentClass")):
                equivalents.setdefault(item, name)
            if words_there := _read_words(template, language):
                words[name] = words_there
    if not declared:
        with at(path):
            raise InputError(f"no page is called {PAGE_PREFIX}…; give the export of DBpedia's ontology classes")
    return Ontology(_choose_parents(declared), equivalents, words)


def _choose_parents(declared: Mapping[str, list[str]]) -> dict[str, str]:
    # Finds each parent in the spelling of its own page: `person` is `Person`
    flat = Ontology(dict.fromkeys(declared, ""))
    parents = {
        name: next((flat.path(parent)[-1] for parent in parents if flat.knows(parent)), "")
        for name, parents in declared.items()
    }
    for name, parent in read_columns("parents.tsv", "class", "parent"):
        if name in parents:
            parents[name] = parent if parent in parents else ""
    return parents


def _read_words(template: "Template", language: str) -> dict[str, str]:
    """Return the label and the description of a class, if it has them."""
    words: dict[str, str] = {}
    for key, argument, tag, longest in _WORDS:
        old = f"rdfs:{tag.lower()}@"
        texts = {name.removeprefix(old): template.text(name) for name in template.fields if name.startswith(old)}
        for inner in template.find_nested(argument):
            # Without a language and a text, a template gives no words
            if inner.name == tag and len(inner.fields) > 1 and "1" in inner.fields:
                # Text with "=" was read as a named argument
                number = list(inner.fields)[1]
                text = inner.text(number)
                texts[inner.text("1").lower()] = text if number == "2" else f"{number}={text}"
        plain = (_strip_markup(texts.get(code, ""), longest) for code in (language, "en"))
        if text := next(filter(None, plain), ""):
            words[key] = text
    return words


def _strip_markup(text: str, longest: int) -> str:
    """Return wikitext as one line without markup; if it is longer than `longest`, cut it after a sentence or a word."""
    text = html.unescape(_MARKUP.sub(lambda match: match[1] or "", text))
    text = visible(" ".join(text.split()))
    if len(text) <= longest:
        return text
    # The end of a sentence shows only in the two characters after its mark
    ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, longest + 2) if match.end() <= longest]
    return text[: ends[-1]] if ends else text[: longest + 1].rpartition(" ")[0] or text[:longest]


@dataclass(frozen=True, slots=True)
class Template:
    """A template call: its normalised name and its arguments by name (of equal names, the first)."""

    name: str
    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return the text of the argument `name` without the templates nested in it, "" if it is absent."""
        return _TEMPLATE.sub("", self.fields.get(name, "")).strip()

    def find_nested(self, name: str) -> tuple["Template", ...]:
        """Return the templates nested in the argument `name`."""
        return templates(self.fields.get(name, ""))


def export_pages(stream: IO[bytes], path: Path | str) -> Iterator[tuple[str, str]]:
    """Yield the title and newest text of each page; raise InputError with the line for malformed XML."""
    events = etree.iterparse(
        stream,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    title, text, newest, number = "", "", 0, 0
    try:
        for _, element in events:
            match [str(node.tag).rpartition("}")[2] for node in (element, *islice(element.iterancestors(), 2))]:
                case ["page", *_]:
                    yield title.strip(), text
                    title, text, newest = "", "", 0
                case ["title", "page", *_]:
                    title = title or element.text or ""
                # The id comes before the text, so the number of a text's revision is known
                case ["id", "revision", "page"]:
                    number = number_in(element.text, lowest=0) or 0
                case ["text", "revision", "page"] if number >= newest:
                    text = element.text or ""
                    newest = number
            forget(element)
    except etree.XMLSyntaxError as error:
        with at(path, error.lineno):
            raise InputError(f"XML is not well-formed: {error.msg}; fetch the export again") from error


def templates(text: str) -> tuple[Template, ...]:
    """Return the top-level templates of `text`, nested at most eight deep; remove comments and close open templates."""
    text = _COMMENT.sub("", text)
    # The pattern finds only closed templates, so close those that a page left open
    text += "}}" * (text.count("{{") - text.count("}}"))
    return tuple(map(_parse_template, _TEMPLATE.findall(text)))


def _parse_template(source: str) -> Template:
    name, *parts = arguments(source[2:-2])
    fields: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        key, equals, value = part.partition("=")
        # An "=" inside a nested template belongs to that template
        named = equals and "{{" not in key
        fields.setdefault(key.strip() if named else str(number), value if named else part)
    return Template(normalise_title(name), fields)


@dataclass(frozen=True, slots=True)
class Case:
    """A branch of a conditional mapping: if `property` meets `operator` with `value`, the infobox maps to `outcome`."""

    property: str
    operator: str
    value: str
    outcome: "Outcome"

    def holds(self, parameters: Mapping[str, str]) -> bool:
        """Return whether an infobox with these parameters meets the condition; unknown operators never hold."""
        value = _strip_links(parameters.get(self.property, ""))
        expected = self.value
        holds = {"otherwise": True, "isset": bool(value), "equals": value == expected, "contains": expected in value}
        return holds.get(self.operator, False)


_EMPTY = Template("", {})
Outcome: TypeAlias = str | tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Mappings:
    """Template names with the class or the cases they map to; `unread` are pages without a mapping, with reasons.

    `folded` has the case-folded names: `Infobox Software` redirects to `Infobox software`, but a dump of articles alone
    does not contain that redirect. Names that are equal after folding and map differently are omitted.
    """

    rules: Mapping[str, Outcome]
    unread: tuple[tuple[str, str], ...] = ()
    folded: Mapping[str, Outcome] = field(default_factory=dict)

    def add_redirects(self, ends: Mapping[str, str]) -> "Mappings":
        """Return these mappings with redirected templates added: a redirect maps like the end of its chain.

        An end without a mapping takes its redirect's, because the wiki has renamed the template since.
        """
        rules = dict(self.rules)
        for name, outcome in self.rules.items():
            if not self._find_outcome(end := ends.get(name, name)):
                rules.setdefault(end, outcome)
        extended = replace(self, rules=rules)
        redirected = {name: outcome for name, end in ends.items() if (outcome := extended._find_outcome(end))}
        return replace(self, rules=redirected | rules)

    def class_of(self, infobox: Infobox) -> str | None:
        """Return the class as the mapping writes it; template names ignore case. None: no rule, no case, owl:Thing."""
        outcome = self._find_outcome(normalise_title(infobox.template))
        parameters = dict(infobox.parameters)
        # A case can lead to another conditional mapping
        while not isinstance(outcome, str):
            outcome = next((case.outcome for case in outcome if case.holds(parameters)), "")
        return None if outcome.lower() in ("", "thing", "owl:thing") else outcome

    def _find_outcome(self, template: str) -> Outcome:
        """Return the outcome of a normalised name, "" for none."""
        return self.rules.get(template) or self.folded.get(template.casefold(), "")


def read_mappings(stream: IO[bytes], path: Path | str) -> Mappings:
    """Read the mappings of one language, that of the first mapping page; pages of others are `unread`."""
    language = ""
    rules = dict[str, Outcome]()
    redirects = dict[str, str]()
    unread = list[tuple[str, str]]()
    for title, text in export_pages(stream, path):
        match = PAGE_TITLE.fullmatch(title)
        language = language or (match.group(1).lower() if match else "")
        if not match or match.group(1).lower() != language:
            unread.append((title, "not a mapping of this language"))
        # A renamed template keeps its mapping page as a redirect
        elif target := _REDIRECT.match(text):
            other = PAGE_TITLE.fullmatch(target[1].strip())
            redirects[normalise_title(match[2])] = normalise_title(other[2] if other else target[1])
        elif outcome := _find_outcome(templates(text)):
            rules[normalise_title(match[2])] = outcome
        else:
            unread.append((title, "no mapToClass in a TemplateMapping or ConditionalMapping"))
    redirected, lost = _follow_redirects(rules, redirects, language)
    merged = redirected | rules
    return Mappings(merged, (*unread, *lost), _fold_names(merged))


def _follow_redirects(
    rules: Mapping[str, Outcome], redirects: Mapping[str, str], language: str
) -> tuple[dict[str, Outcome], Iterator[tuple[str, str]]]:
    """Return the outcomes of renamed templates, and the pages whose redirects lead to no mapping, with reasons."""
    read = Mappings(rules, folded=_fold_names(rules))
    ends = fold_redirects(redirects)
    redirected = {name: outcome for name, end in ends.items() if (outcome := read._find_outcome(end))}
    lost = (
        (f"Mapping {language}:{name}", "redirects in a circle" if end in ends else f"redirects to {end}")
        for name, end in ends.items()
        if name not in redirected
    )
    return redirected, lost


def _fold_names(rules: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Return the rules by case-folded name, without names that are equal after folding and map differently."""
    folded: dict[str, set[Outcome]] = {}
    for name, outcome in rules.items():
        folded.setdefault(name.casefold(), set()).add(outcome)
    return {name: outcomes.pop() for name, outcomes in folded.items() if len(outcomes) == 1}


def _find_outcome(calls: tuple[Template, ...]) -> Outcome:
    """Return the outcome of the first mapping among `calls`, "" for none."""
    for template in calls:
        if template.name == "TemplateMapping":
            return template.text("mapToClass")
        if template.name == "ConditionalMapping":
            return tuple(
                Case(
                    case.text("templateProperty"),
                    case.text("operator").lower(),
                    _strip_links(case.text("value")),
                    _find_outcome(case.find_nested("mapping")),
                )
                for case in template.find_nested("cases")
                if case.name == "Condition"
            )
    return ""


def _strip_links(value: str) -> str:
    # Bold marks first, as each contains an italic mark
    return _LINK.sub(r"\1", value).replace("'''", "").replace("''", "").strip().lower()
