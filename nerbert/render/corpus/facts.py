"""Figures that follow from a corpus's manifest: pure functions, no file is read here.

What a reader of corpora checks (`shape.py`) is used as it is. All other keys may be absent or hold anything, and are
then shown as far as they make sense; the price is the small helpers at the end.
"""

import re
from collections.abc import Mapping
from typing import Any

from nerbert.config import RENAMED
from nerbert.corpus.balance import exponent
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.tallies import TOPICS, most_first

PAPER = {"examples": 16_300_000, "tokens": 475_600_000, "categories": 315, "bytes": 4_200_000_000}
"""NER-BERT's Table 1."""
_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=\D)")

Counts = dict[str, int]


def table1(manifest: Mapping[str, Any], size: int) -> dict[str, Counts]:
    """The paper's Table 1 and ours; `size` is that of the sentences' files in bytes (NER-BERT §2.3)."""
    splits = manifest["splits"].values()
    ours = {
        "examples": sum(split["sentences"] for split in splits), "tokens": sum(split["words"] for split in splits),
        "categories": len(manifest["categories"]), "bytes": size,
    }  # fmt: skip
    return {"paper": dict(PAPER), "ours": ours}


def topics(manifest: Mapping[str, Any]) -> dict[str, Counts]:
    """Mentions of the train part by topic, before and after sampling; {} in a manifest that doesn't tell them."""
    told = table(manifest, "topics")
    found = {name: {key: counts_of(told, name).get(key, 0) for key in _BEFORE_AFTER} for name in TOPICS}
    return found if told else {}


def mentions_of(manifest: Mapping[str, Any], key: str = "mentions") -> Counts:
    """Category → mentions in the train part, most frequent first."""
    return most_first({name: max(0, each[key]) for name, each in manifest["categories"].items()})


def concentration(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The ten largest categories and their mentions, how many hold half of all mentions, and all mentions."""
    counts = mentions_of(manifest)
    whole, held, half = sum(counts.values()), 0, 0
    for count in counts.values():
        if 2 * held >= whole:
            break
        held, half = held + count, half + 1
    return {"mentions": whole, "largest": dict(list(counts.items())[:10]), "categories_that_hold_half": half}


def slope(manifest: Mapping[str, Any]) -> float | None:
    """The exponent b of after ∝ before^b, of the copies that were drawn; None where there is nothing to fit."""
    before, after = ({name: each[key] for name, each in manifest["categories"].items()} for key in _BEFORE_AFTER)
    return exponent(before, after)


def exponents(manifest: Mapping[str, Any]) -> dict[str, float]:
    """Way of sampling → the exponent that mentions are expected to follow."""
    ways = ((name, table(table(manifest, "balance"), name).get("exponent")) for name in ("literal", "fit"))
    return {name: found for name, found in ways if isinstance(found, float)}


def changed_settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from the defaults of this version."""
    usual = CorpusSettings().told()
    settings = table(manifest, "settings")
    return {name: value for name, value in settings.items() if usual.get(RENAMED.get(name, name), _UNSET) != value}


def dump_date(file: str) -> str:
    """The date in a dump's file name, as Wikimedia names them; "" if there is none."""
    found = _DATE.search(file)
    return "-".join(found.groups()) if found else ""


def drawn_by(manifest: Mapping[str, Any]) -> str:
    """The way of sampling by which this corpus's copies are drawn; "" if that isn't told."""
    found = table(manifest, "balance").get("method")
    return found if isinstance(found, str) else ""


def source_kinds(manifest: Mapping[str, Any]) -> dict[str, str]:
    """File of knowledge → what kind it is."""
    return {str(each.get("path")): str(each.get("kind")) for each in rows_of(manifest["knowledge"], "used")}


def notes_of(manifest: Mapping[str, Any], step: str) -> Counts:
    """Figures of a step that drop nothing."""
    return counts_of(table(manifest, "notes"), step)


def unresolved(manifest: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Titles that no source types, with their links; as many as the manifest names."""
    rows = [(each.get("title"), each.get("links")) for each in rows_of(manifest, "unresolved")]
    return [(title, links) for title, links in rows if isinstance(title, str) and isinstance(links, int)]


def table(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The table below `key`; an empty one if there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def rows_of(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The tables in the list below `key`; none if there is no list."""
    found = value.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def counts_of(value: Mapping[str, Any], key: str) -> Counts:
    """The whole numbers in the table below `key`, largest first."""
    return most_first({name: count for name, count in table(value, key).items() if isinstance(count, int)})


_UNSET = object()
_BEFORE_AFTER = ("mentions", "with_copies")
