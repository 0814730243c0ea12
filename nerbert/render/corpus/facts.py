"""What a page and a data card say about a corpus: figures and words that follow from its manifest. No file is read.

The reader of corpora checks some of the manifest's keys (`corpus/shards.py`). Every other key may be absent or
hold anything: `dict_of`, `dicts_of` and `counts_of` take from it what makes sense.
"""

import re
from collections.abc import Mapping
from typing import Any

from nerbert.corpus.balance import exponent
from nerbert.corpus.funnel import TOPICS
from nerbert.corpus.manifest import most_first
from nerbert.corpus.settings import CorpusSettings
from nerbert.records import ENTITY
from nerbert.render import values
from nerbert.render.corpus.phrases import (
    NO_LABEL,
    note_words,
    reason_words,
    share,
    size,
    source_words,
    step_words,
)
from nerbert.render.values import dict_of, dicts_of

PAPER = {"examples": 16_300_000, "tokens": 475_600_000, "categories": 315, "bytes": 4_200_000_000}
"""NER-BERT's Table 1."""
_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=\D)")
_BEFORE_AFTER = ("mentions", "with_copies")
_COLUMNS = ("sentences", "words", "mentions", "copies", "words_with_copies")

Counts = dict[str, int]
Manifest = Mapping[str, Any]


def corpus_facts(manifest: Manifest) -> dict[str, Any]:
    """Return the facts that the templates of the page and of the card share; lists hold a table's rows."""
    dense, knowledge, label_set = concentration(manifest), manifest["knowledge"], dict_of(manifest, "label_set")
    whole, largest = dense["mentions"], dense["largest"]
    versions = ("scanner", "sentence_splitter", "word_splitter")
    return {
        "entity": ENTITY, "no_label": NO_LABEL, "wiki": manifest["wiki"], "language": manifest["language"],
        "label_set": manifest["label_set"]["name"], "licence": str(manifest.get("licence", "")),
        "made_by": str(manifest.get("made_by", "nerbert")), "drawn_by": drawn_by(manifest),
        "versions": {key.replace("_", " "): str(manifest.get(key, "unknown")) for key in versions},
        "splits": splits(manifest),
        "topics": _topics(manifest), "years": list(counts_of(manifest, "years", by_count=False).items()),
        "categories": len(manifest["categories"]), "half": dense["categories_that_hold_half"],
        "largest": [(name, count, share(count, whole)) for name, count in largest.items()],
        "largest_share": share(sum(largest.values()), whole),
        "entity_share": share(mentions_of(manifest).get(ENTITY, 0), whole),
        "slope": _two_decimals(slope(manifest)),
        "exponents": {name: _two_decimals(value) for name, value in exponents(manifest).items()},
        "steps": funnel(manifest), "sources": _sources(manifest),
        "inputs": [_input(each) for each in dicts_of(manifest, "inputs")],
        "excluded": [str(each.get("file")) for each in dicts_of(manifest, "excluded")],
        "passed_over": [(str(each.get("path")), str(each.get("why", "")))
                        for each in dicts_of(knowledge, "passed_over")],
        "targets": counts_of(dict_of(manifest, "notes"), "targets"), "unresolved": unresolved(manifest),
        "unknown_classes": list(counts_of(knowledge, "unknown_classes").items()),
        "to_ancestor": list(counts_of(label_set, "to_ancestor").items()),
        "to_entity": list(counts_of(label_set, "to_entity").items()), "changed": changed_settings(manifest),
    }  # fmt: skip


def splits(manifest: Manifest) -> list[tuple[Any, ...]]:
    """Return for each split its name and its counts."""
    return [(name, *(split[key] for key in _COLUMNS)) for name, split in manifest["splits"].items()]


def used_knowledge(manifest: Manifest, *keys: str) -> list[list[Any]]:
    """Return for each file of knowledge that was used its name, its kind and these keys' values."""
    return [
        [str(each.get("path")), str(each.get("kind")), *map(each.get, keys)]
        for each in dicts_of(manifest["knowledge"], "used")
    ]


def funnel(manifest: Manifest) -> list[dict[str, Any]]:
    """Return for each step its title, what came in and went out, what was dropped and why, and the parts of a bar."""
    return [_step(step, note_words(counts_of(dict_of(manifest, "notes"), step["step"]))) for step in manifest["steps"]]


def _step(step: Mapping[str, Any], note: str) -> dict[str, Any]:
    title, unit = step_words(step["step"])
    came, left, bar = step["in"], 0.0, []
    dropped = most_first(step["dropped"])
    for count in (step["out"], *dropped.values()):
        width = 100 * part_of(count, came)
        bar.append({"left": f"{left:.3f}%", "width": f"{width:.3f}%"})
        left += width
    told = [{"name": name, "words": reason_words(name), "count": count, "share": share(count, came)}
            for name, count in dropped.items()]  # fmt: skip
    return {
        "title": title, "unit": unit, "came": came, "left": step["out"], "dropped": told, "note": note, "bar": bar,
    }  # fmt: skip


def _topics(manifest: Manifest) -> list[tuple[str, int, str, str]]:
    """Return the topics of the train part's mentions; none if the manifest doesn't count them."""
    told = dict_of(manifest, "topics")
    counts = {name: [counts_of(told, name).get(key, 0) for key in _BEFORE_AFTER] for name in TOPICS} if told else {}
    before, after = (sum(each[place] for each in counts.values()) for place in (0, 1))
    return [(name, each[0], share(each[0], before), share(each[1], after)) for name, each in counts.items()]


def _input(each: Mapping[str, Any]) -> tuple[str, str, str, str]:
    file, digest = str(each.get("file")), each.get("sha256") or f"of parts: {each.get('sha256_of_parts')}"
    count = each.get("bytes")
    return file, dump_date(file) or "–", f"{count:,}" if isinstance(count, int) else "–", str(digest)


def _sources(manifest: Manifest) -> list[tuple[str, int, str, str]]:
    kinds = dict(used_knowledge(manifest))
    counts = counts_of(manifest, "mention_sources")
    whole = sum(counts.values())
    return [(name, count, share(count, whole), source_words(name, kinds)) for name, count in counts.items()]


def table1(manifest: Manifest, bytes_: int) -> dict[str, Counts]:
    """Return the paper's Table 1 and ours; `bytes_` is the size of the sentences' files (NER-BERT §2.3)."""
    splits = manifest["splits"].values()
    ours = {
        "examples": sum(split["sentences"] for split in splits), "tokens": sum(split["words"] for split in splits),
        "categories": len(manifest["categories"]), "bytes": bytes_,
    }  # fmt: skip
    return {"paper": dict(PAPER), "ours": ours}


def size_rows(table1: Mapping[str, Counts]) -> list[tuple[str, str, str]]:
    """Return Table 1 as rows: what is counted, the paper's count, ours."""
    paper, ours = table1["paper"], table1["ours"]
    names = {"examples": "sentences (examples)", "tokens": "words (tokens)", "categories": f"categories with {ENTITY}"}
    rows = [(told, f"{paper[name]:,}", f"{ours[name]:,}") for name, told in names.items()]
    return [*rows, ("size on disk", size(paper["bytes"]), size(ours["bytes"]))]


def mentions_of(manifest: Manifest, key: str = "mentions") -> Counts:
    """Return category → mentions in the train part, most frequent first."""
    return most_first({name: max(0, each[key]) for name, each in manifest["categories"].items()})


def concentration(manifest: Manifest) -> dict[str, Any]:
    """Return the ten largest categories and their mentions, how many hold half of all mentions, and all mentions."""
    counts = mentions_of(manifest)
    whole, held, half = sum(counts.values()), 0, 0
    for count in counts.values():
        if 2 * held >= whole:
            break
        held, half = held + count, half + 1
    return {"mentions": whole, "largest": dict(list(counts.items())[:10]), "categories_that_hold_half": half}


def slope(manifest: Manifest) -> float | None:
    """Return the exponent b of after ∝ before^b, of the copies that were drawn; None where there is nothing to fit."""
    before, after = ({name: each[key] for name, each in manifest["categories"].items()} for key in _BEFORE_AFTER)
    return exponent(before, after)


def exponents(manifest: Manifest) -> dict[str, float]:
    """Return method of sampling → the exponent that mentions are expected to follow."""
    balance = dict_of(manifest, "balance")
    found = ((name, dict_of(balance, name).get("exponent")) for name in ("literal", "fit"))
    return {name: value for name, value in found if isinstance(value, float)}


def drawn_by(manifest: Manifest) -> str:
    """Return the method of sampling that drew this corpus's copies; "" if the manifest doesn't name it."""
    found = dict_of(manifest, "balance").get("method")
    return found if isinstance(found, str) else ""


def changed_settings(manifest: Manifest) -> dict[str, Any]:
    """Return the settings that differ from the defaults of this version."""
    return values.changed_settings(dict_of(manifest, "settings"), CorpusSettings().to_dict())


def dump_date(file: str) -> str:
    """Return the date in a dump's file name, as Wikimedia names them; "" if there is none."""
    found = _DATE.search(file)
    return "-".join(found.groups()) if found else ""


def unresolved(manifest: Manifest) -> list[tuple[str, int]]:
    """Return the titles that no source types, with their links; as many as the manifest names."""
    rows = [(each.get("title"), each.get("links")) for each in dicts_of(manifest, "unresolved")]
    return [(title, links) for title, links in rows if isinstance(title, str) and isinstance(links, int)]


def part_of(count: int, whole: int) -> float:
    """Return which part of a whole a count is, 0–1."""
    return min(1.0, max(0, count) / whole) if whole > 0 else 0.0


def counts_of(value: Mapping[str, Any], key: str, *, by_count: bool = True) -> Counts:
    """Return the whole numbers in the table below `key`, largest first unless told otherwise."""
    counts = {name: count for name, count in dict_of(value, key).items() if isinstance(count, int)}
    return most_first(counts) if by_count else counts


def _two_decimals(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
