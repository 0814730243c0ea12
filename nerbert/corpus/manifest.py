"""The manifest: the corpus's inputs and outputs, and the reasons for every drop.

It contains no workers, times or absolute paths, so the same input gives the same manifest.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nerbert import __version__
from nerbert.artifacts import sha256_of
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.exclude import Excluded
from nerbert.corpus.funnel import TOPICS, Funnel
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.sentences import RuleSplitter
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import FORMAT, shard_paths
from nerbert.corpus.wikitext.scan import SCANNER
from nerbert.label_sets import LabelSet
from nerbert.records import ENTITY, TRAIN, VALIDATION
from nerbert.words import SPLITTER

_LICENCE = (
    "Text and links: Wikipedia, CC BY-SA 4.0 (revisions before June 2023: CC BY-SA 3.0 and GFDL); every sentence "
    "carries its page id and revision as attribution."
)
_LICENCES: Mapping[str, tuple[SourceKind, ...]] = {
    "DBpedia ({kinds}): CC BY-SA 3.0 and GFDL":
        (SourceKind.ONTOLOGY, SourceKind.MAPPING, SourceKind.TRIPLES, SourceKind.DISAMBIGUATIONS),
    "Wikidata: CC0 1.0": (SourceKind.WIKIDATA_JSON,),
    "title tables: as their makers say": (SourceKind.TABLE,),
}  # fmt: skip
"""The usual licences of each kind of knowledge; a file of the same format may have another source."""


def make_manifest(
    folder: Path, dumps: Sequence[Dump], forbidden: Excluded, settings: CorpusSettings, label_set: LabelSet,
    knowledge: Mapping[str, Any], unresolved: Sequence[Mapping[str, Any]], balance: Mapping[str, Any], funnel: Funnel,
) -> dict[str, Any]:  # fmt: skip
    """Return the content of `manifest.json`, the last file of a corpus, for the one in `folder`."""
    shards = {f"sentences/{path.name}": path for path in shard_paths(folder / "sentences")}
    outside = {kind: funnel.under("outside", kind) for kind in ("to_ancestor", "to_entity")}
    splits = {name: funnel.under("splits", name) for name in (TRAIN, VALIDATION)}
    categories = most_first(funnel.under("categories", "mentions"))
    return {
        "format": FORMAT,
        "made_by": f"nerbert {__version__}",
        "scanner": SCANNER,
        "sentence_splitter": RuleSplitter.name,
        "word_splitter": SPLITTER,
        "licence": licence_of(knowledge),
        "wiki": dumps[0].site.wiki,
        "language": dumps[0].site.language,
        "inputs": [dump.facts() for dump in dumps],
        "knowledge": dict(knowledge),
        "excluded": list(forbidden.files),
        "settings": settings.to_dict(),
        "label_set": {"name": label_set.name, "labels": len(label_set.labels), "sha256": label_set.digest}
        | {kind: most_first(classes) for kind, classes in outside.items()},
        "steps": funnel.steps,
        "notes": funnel.notes,
        "splits": {name: dict(counts) for name, counts in splits.items() if counts},
        "balance": dict(balance),
        "unresolved": list(unresolved),
        "mention_sources": dict(sorted(funnel.under("sources").items())),
        "topics": _with_copies(funnel, "topics", TOPICS),
        "years": dict(sorted(funnel.under("years").items())),
        "categories": _with_copies(funnel, "categories", dict.fromkeys([*categories, ENTITY])),
        "shards": {name: pq.read_metadata(path).num_rows for name, path in shards.items()},
        "shard_sha256": {name: sha256_of(path) for name, path in shards.items()},
    }


def _with_copies(funnel: Funnel, kind: str, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return for each name how many mentions it has, and how many with their sentences' copies."""
    counts = {key: funnel.under(kind, key) for key in ("mentions", "with_copies")}
    return {name: {key: some[name] for key, some in counts.items()} for name in names}


def licence_of(knowledge: Mapping[str, Any]) -> str:
    """Return the licences of the text and the types, according to the kinds of the sources used."""
    used = {each["kind"] for each in knowledge["used"]}
    there = {licence: [kind.value for kind in kinds if kind in used] for licence, kinds in _LICENCES.items()}
    told = [licence.format(kinds=", ".join(kinds)) for licence, kinds in there.items() if kinds]
    return f"{_LICENCE} Types: {'; '.join(told)}." if told else _LICENCE


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Sort counts, largest first, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
