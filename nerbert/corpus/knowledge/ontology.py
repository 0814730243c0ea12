"""Read DBpedia's classes and their parents from the MediaWiki export of the ontology's wiki (`OntologyClass:` pages).

The classes form a tree. Of several parents, the first that is a class of the export counts. A class with an unknown
parent becomes a root, and a cycle is cut where it closes. The wiki's tree changes with its editors (a person is an
animal there, a bridge no place), so `nerbert/tables/parents.tsv` fixes a few parents. The cost: a class under two
branches is seen under one only, and a fixed parent hides the wiki's. Names match in any case and with the usual
prefixes (`dbo:`, `owl:`, the full IRI), because no two classes differ by case alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from nerbert.corpus.knowledge.exports import export_pages, templates
from nerbert.errors import InputError, at
from nerbert.label_sets import class_name
from nerbert.tables import read_columns

PAGE_PREFIX = "OntologyClass:"
_THING = "thing"
_EQUIVALENT = re.compile(r"wikidata:\s*(Q[1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Ontology:
    """Classes with their parent ("" for roots), their names by case-folded name, and equivalent Wikidata items."""

    parents: Mapping[str, str]
    folded: Mapping[str, str]
    equivalents: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, parents: Mapping[str, str], equivalents: Mapping[str, str] | None = None) -> "Ontology":
        """Return the ontology of `parents`: class to parent, "" for roots; `equivalents`: Wikidata id to class."""
        return cls(parents, {name.casefold(): name for name in reversed(list(parents))}, equivalents or {})

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
        return name if name in self.parents else self.folded.get(name.casefold(), "")


def read_ontology(stream: IO[bytes], place: Path | str) -> Ontology:
    """Read the classes of a MediaWiki export; ignore other pages (properties, datatypes)."""
    declared: dict[str, list[str]] = {}
    equivalents: dict[str, str] = {}
    for title, text in export_pages(stream, place):
        name = class_name(title.removeprefix(PAGE_PREFIX))
        if title.startswith(PAGE_PREFIX) and name.casefold() != _THING:
            template = next((template for template in templates(text) if template.name == "Class"), None)
            declared[name] = template.text("rdfs:subClassOf").split(",") if template else []
            for item in _EQUIVALENT.findall(template.text("owl:equivalentClass") if template else ""):
                equivalents.setdefault(item, name)
    if not declared:
        with at(place):
            raise InputError(f"no page is called {PAGE_PREFIX}…; give the export of DBpedia's ontology classes")
    flat = Ontology.of(dict.fromkeys(declared, ""))
    parents = {
        name: next((flat.path(parent)[-1] for parent in parents if flat.knows(parent)), "")
        for name, parents in declared.items()
    }
    for name, parent in read_columns("parents.tsv", "class", "parent"):
        if name in parents:
            parents[name] = parent if parent in parents else ""
    return Ontology.of(parents, equivalents)
