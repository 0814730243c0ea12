"""Map infoboxes to DBpedia classes by the MediaWiki export of the mappings' wiki (`Mapping xx:` pages).

The wiki's rules are evaluated as DBpedia's extraction does. Limitation: templates inside a value are not rendered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TypeAlias

from nerbert.corpus.dump.sites import fold_redirects, normalise_title
from nerbert.corpus.knowledge.ontology import Template, export_pages, templates
from nerbert.records import Infobox

PAGE_TITLE = re.compile(r"Mapping ([A-Za-z][A-Za-z-]*):(.+)", re.DOTALL)
_REDIRECT = re.compile(r"\s*+#REDIRECT\s*+:?\s*+\[\[\s*([^\]\[|]+)", re.IGNORECASE)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")


@dataclass(frozen=True, slots=True)
class Case:
    """A branch of a conditional mapping: if `property` meets `operator` with `value`, the infobox maps to `outcome`."""

    property: str
    operator: str
    value: str
    outcome: "Outcome"

    def holds(self, parameters: Mapping[str, str]) -> bool:
        """Return whether an infobox with these parameters meets the condition; unknown operators never hold."""
        found, wanted = _plain(parameters.get(self.property, "")), self.value
        holds = {"otherwise": True, "isset": bool(found), "equals": found == wanted, "contains": wanted in found}
        return holds.get(self.operator, False)


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

    def led_by(self, ends: Mapping[str, str]) -> "Mappings":
        """Return these mappings with redirected templates added: a redirect maps as the end of its chain does.

        An end without a mapping of its own has its redirect's: the wiki has renamed the template since.
        """
        rules = dict(self.rules)
        for name, outcome in self.rules.items():
            if not self._outcome(end := ends.get(name, name)):
                rules.setdefault(end, outcome)
        whole = replace(self, rules=rules)
        led = {name: outcome for name, end in ends.items() if (outcome := whole._outcome(end))}
        return replace(self, rules=led | rules)

    def class_of(self, infobox: Infobox) -> str | None:
        """Return the class as the mapping writes it, in any case of names; None for no rule, no case, and owl:Thing."""
        outcome = self._outcome(normalise_title(infobox.template))
        parameters = dict(infobox.parameters)
        while not isinstance(outcome, str):
            outcome = next((case.outcome for case in outcome if case.holds(parameters)), "")
        return None if outcome.lower() in ("", "thing", "owl:thing") else outcome

    def _outcome(self, template: str) -> Outcome:
        """Return the outcome of a normalised name, "" for none."""
        return self.rules.get(template) or self.folded.get(template.casefold(), "")


def read_mappings(stream: IO[bytes], place: Path | str) -> Mappings:
    """Read the mappings of one language, that of the first mapping page; pages of others are `unread`."""
    language, rules, redirects, unread = "", dict[str, Outcome](), dict[str, str](), list[tuple[str, str]]()
    for title, text in export_pages(stream, place):
        match = PAGE_TITLE.fullmatch(title)
        language = language or (match.group(1).lower() if match else "")
        if not match or match.group(1).lower() != language:
            unread.append((title, "not a mapping of this language"))
        elif target := _REDIRECT.match(text):
            other = PAGE_TITLE.fullmatch(target[1].strip())
            redirects[normalise_title(match[2])] = normalise_title(other[2] if other else target[1])
        elif outcome := _outcome(templates(text)):
            rules[normalise_title(match[2])] = outcome
        else:
            unread.append((title, "no mapToClass in a TemplateMapping or ConditionalMapping"))
    read = Mappings(rules, folded=_folded(rules))
    ends = fold_redirects(redirects)
    led = {name: outcome for name, end in ends.items() if (outcome := read._outcome(end))}
    lost = ((f"Mapping {language}:{name}", "redirects in a circle" if end in ends else f"redirects to {end}")
            for name, end in ends.items() if name not in led)  # fmt: skip
    known = led | rules
    return Mappings(known, (*unread, *lost), _folded(known))


def _folded(rules: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Return the rules by case-folded name, without names that are equal after folding and map differently."""
    found: dict[str, set[Outcome]] = {}
    for name, outcome in rules.items():
        found.setdefault(name.casefold(), set()).add(outcome)
    return {name: outcomes.pop() for name, outcomes in found.items() if len(outcomes) == 1}


def _outcome(found: tuple[Template, ...]) -> Outcome:
    """Return the outcome of the first mapping among `found`, "" for none."""
    for template in found:
        if template.name == "TemplateMapping":
            return template.text("mapToClass")
        if template.name == "ConditionalMapping":
            return tuple(
                Case(case.text("templateProperty"), case.text("operator").lower(), _plain(case.text("value")),
                     _outcome(case.nested("mapping")))
                for case in template.nested("cases") if case.name == "Condition"
            )  # fmt: skip
    return ""


def _plain(value: str) -> str:
    return _LINK.sub(r"\1", value).replace("'''", "").replace("''", "").strip().lower()
