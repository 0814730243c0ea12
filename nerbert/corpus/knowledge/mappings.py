"""Which DBpedia class an infobox stands for, from the MediaWiki export of the mappings' wiki (`Mapping xx:` pages).

The choice: the wiki's own rules are kept as they are, conditions in their order, and asked per infobox, as DBpedia's
extraction does. The price: a condition is compared with the infobox's value as the dump writes it, only without link
brackets and bold, since rendering templates inside a value is what we don't do.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TypeAlias

from nerbert.corpus.knowledge.exports import Template, export_pages, templates
from nerbert.corpus.wikitext.titles import fold_redirects, normalise_title
from nerbert.errors import InputError, at
from nerbert.records import Infobox

PAGE_TITLE = re.compile(r"Mapping ([A-Za-z][A-Za-z-]*):(.+)", re.DOTALL)
_REDIRECT = re.compile(r"\s*#REDIRECT\s*:?\s*\[\[\s*([^\]\[|]+)", re.IGNORECASE)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Case:
    """A branch of a conditional mapping: when `property` meets `operator` with `value`, the infobox is `outcome`."""

    property: str
    operator: str
    value: str
    outcome: "Outcome"

    def holds(self, parameters: Mapping[str, str]) -> bool:
        """Whether an infobox with these parameters meets the condition; an operator the wiki lacks never holds."""
        found = _plain(parameters.get(self.property, ""))
        match self.operator:
            case "otherwise":
                return True
            case "isset":
                return bool(found)
            case "equals":
                return found == self.value
            case "contains":
                return self.value in found
        return False


Outcome: TypeAlias = str | tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Mappings:
    """Template names with the class or the cases they map to; `unread` are pages that map to nothing, and why.

    `folded` has the case-folded names: `Infobox Software` redirects to `Infobox software`, but a dump of articles alone
    doesn't say so. Names that fold alike and map apart are not in it.
    """

    language: str
    rules: Mapping[str, Outcome]
    unread: tuple[tuple[str, str], ...] = ()
    folded: Mapping[str, Outcome] = field(default_factory=dict)

    def knows(self, template: str) -> bool:
        """Whether there is a mapping for this template."""
        return bool(self._outcome(normalise_title(template)))

    def led_by(self, ends: Mapping[str, str]) -> "Mappings":
        """These mappings where templates are redirects to their `ends`: a redirect maps as its end does.

        A mapping of a redirect is one of its end too, unless that has its own: the wiki renamed the template since.
        """
        rules = dict(self.rules)
        for name, outcome in self.rules.items():
            if not self._outcome(end := ends.get(name, name)):
                rules.setdefault(end, outcome)
        whole = replace(self, rules=rules)
        led = {name: outcome for name, end in ends.items() if (outcome := whole._outcome(end))}
        return replace(self, rules=led | rules)

    def class_of(self, infobox: Infobox) -> str | None:
        """Return the class as the mapping writes it, if need be of a name in other case.

        None where no rule or case applies, or the class is owl:Thing.
        """
        outcome = self._outcome(normalise_title(infobox.template))
        parameters = dict(infobox.parameters)
        while not isinstance(outcome, str):
            outcome = next((case.outcome for case in outcome if case.holds(parameters)), "")
        return None if outcome.lower() in ("", "thing", "owl:thing") else outcome

    def _outcome(self, template: str) -> Outcome:
        """What a normalised name maps to, "" for nothing."""
        return self.rules.get(template) or self.folded.get(template.casefold(), "")


def read_mappings(stream: IO[bytes], place: Path | str) -> Mappings:
    """Read the mappings of one language; the first mapping page tells which, pages of others are left `unread`."""
    language, rules, redirects, unread = "", dict[str, Outcome](), dict[str, str](), list[tuple[str, str]]()
    for title, text in export_pages(stream, place):
        match = PAGE_TITLE.fullmatch(title)
        language = language or (match.group(1).lower() if match else "")
        if not match or match.group(1).lower() != language:
            unread.append((title, "not a mapping of this language"))
        elif target := _REDIRECT.match(text):
            redirects[normalise_title(match.group(2))] = _template_name(target.group(1))
        elif outcome := _outcome(templates(text)):
            rules[normalise_title(match.group(2))] = outcome
        else:
            unread.append((title, "no mapToClass in a TemplateMapping or ConditionalMapping"))
    if not language:
        with at(place):
            raise InputError("no page is called `Mapping xx:…`; give the export of one language's infobox mappings")
    read = Mappings(language, rules, folded=_folded(rules))
    ends = fold_redirects(redirects)
    led = {name: outcome for name, end in ends.items() if (outcome := read._outcome(end))}
    lost = ((f"Mapping {language}:{name}", "redirects in a circle" if end in ends else f"redirects to {end}")
            for name, end in ends.items() if name not in led)  # fmt: skip
    known = led | rules
    return Mappings(language, known, (*unread, *lost), _folded(known))


def _folded(rules: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """The rules by case-folded name, without names that fold alike and map apart."""
    found: dict[str, set[Outcome]] = {}
    for name, outcome in rules.items():
        found.setdefault(name.casefold(), set()).add(outcome)
    return {name: outcomes.pop() for name, outcomes in found.items() if len(outcomes) == 1}


def _template_name(title: str) -> str:
    match = PAGE_TITLE.fullmatch(title.strip())
    return normalise_title(match.group(2) if match else title)


def _outcome(found: tuple[Template, ...], depth: int = 0) -> Outcome:
    """What the first mapping among `found` says; "" for nothing, which nesting deeper than any real page also is."""
    for template in found:
        if template.name == "TemplateMapping":
            return template.text("mapToClass")
        if template.name == "ConditionalMapping" and depth < _DEEPEST:
            return tuple(_case(case, depth) for case in template.nested("cases") if case.name == "Condition")
    return ""


def _case(condition: Template, depth: int) -> Case:
    outcome = _outcome(condition.nested("mapping"), depth + 1)
    operator, value = condition.text("operator").lower(), _plain(condition.text("value"))
    return Case(condition.text("templateProperty"), operator, value, outcome)


def _plain(value: str) -> str:
    return _LINK.sub(r"\1", value).replace("'''", "").replace("''", "").strip().lower()
