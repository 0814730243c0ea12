"""Build a corpus: dump → sentences with links → types → exclude → split → filters → balance → shards.

Each step maps over parts, with small sums in between. A rerun keeps the finished parts of pass 1 and repeats later
steps.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow.parquet as pq

from nerbert.about import __version__
from nerbert.artifacts import check_free, publish_job, sha256_of, write_json
from nerbert.corpus.dump.deduplicate import Titles, read_titles, write_newest
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parts import is_index
from nerbert.corpus.filters import (
    CommonCategories,
    EqualInTrain,
    ExcludedTexts,
    OnlyUntyped,
    RareCategories,
    Sampling,
    WithoutLink,
)
from nerbert.corpus.funnel import TOPICS, Funnel
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.corpus.mentions import Typing
from nerbert.corpus.page_rows import ARTICLE, PageReport
from nerbert.corpus.pages import fingerprint, write_pages
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import FORMAT, shard_paths
from nerbert.corpus.steps import SCRATCH_ROWS, AnyStep, open_own_steps, run_steps
from nerbert.corpus.types import SCRATCH, write_targets
from nerbert.corpus.unknown import UnknownStretches
from nerbert.corpus.wikitext.scan import SCANNER
from nerbert.data.exclude import Excluded, read_excluded
from nerbert.errors import InputError
from nerbert.executors import HERE, Executor
from nerbert.label_sets import LabelSet, open_label_set
from nerbert.records import ENTITY, TRAIN, VALIDATION, Reason
from nerbert.sentences import RuleSplitter
from nerbert.sources.files import Source
from nerbert.terminal import progress
from nerbert.words import splitter_named


@dataclass(frozen=True, slots=True)
class CorpusPlan:
    """The inputs and the output of one corpus."""

    dumps: tuple[Path | str, ...]
    knowledge: tuple[Path, ...]
    output: Path
    exclude: tuple[Path, ...] = ()
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class BuiltCorpus:
    """The folder and the manifest of a built corpus."""

    folder: Path
    manifest: dict[str, Any]


def build_corpus(
    plan: CorpusPlan,
    settings: CorpusSettings,
    card: Callable[[Path, BuiltCorpus], None] | None = None,
    executor: Executor = HERE,
) -> BuiltCorpus:
    """Build a corpus in `plan.output` (NER-BERT §2); `card` adds a data card to the unfinished folder."""
    # Faults of the settings, of own steps and of the output appear before any input is read
    own_steps = open_own_steps(settings)
    check_free(plan.output, overwrite=plan.overwrite)
    with _open_dumps(plan.dumps, settings) as dumps:
        knowledge = open_knowledge(plan.knowledge, dumps[0].site.language, dumps[0].site.wiki)
        label_set = open_label_set(settings.label_set, knowledge.ontology.parents)
        forbidden = read_excluded(plan.exclude, settings.exclude_ngram_size)
        made = fingerprint(dumps, settings)
        with publish_job(plan.output, made, overwrite=plan.overwrite) as (folder, work):
            funnel = Funnel(settings.seed)
            steps = _make_steps(folder, settings, dumps[0].site.language, label_set, forbidden) | own_steps
            sizes = [dump.size for dump in dumps]
            with progress("pages", None if None in sizes else sum(filter(None, sizes)), of_bytes=True) as bar:
                report = write_pages(dumps, work, settings, executor, bar)
            titles = read_titles(work)
            ambiguous = write_newest(work, folder, titles, dumps[0].site.language, executor)
            _count_pages(funnel, report, titles, ambiguous)
            targets = write_targets(folder, titles, knowledge, executor, settings.evidence, settings.evidence_precision)
            funnel.note("targets", found=targets.targets, typed=targets.typed, bad_redirects=targets.bad_redirects)
            for kind, learnt in targets.evidence.items():
                funnel.note(f"evidence of {kind}", **learnt)
            done = run_steps([steps[name] for name in settings.steps], folder, funnel, executor)
            kept = len(done.find(RareCategories).kept)
            if plan.exclude:
                funnel.note("exclude", **forbidden.judged)
            funnel.note("filter 1", mentions_made_entity=funnel.under()["made_entity"], categories_kept=kept)
            for scratch in (SCRATCH_ROWS, SCRATCH):
                rmtree(folder / scratch)
            funnel.write_samples(folder / "dropped.jsonl")
            manifest = make_manifest(
                folder,
                dumps,
                forbidden,
                settings,
                label_set,
                knowledge=knowledge.report(),
                words=knowledge.ontology.words,
                unresolved=targets.unresolved,
                balance=done.find(Sampling).report,
                funnel=funnel,
            )
            built = BuiltCorpus(plan.output, manifest)
            # The card goes into the folder before the manifest, which is written last
            if card is not None:
                card(folder, built)
            write_json(folder / "manifest.json", manifest)
            return built


@contextmanager
def _open_dumps(paths: Sequence[Path | str], settings: CorpusSettings) -> Iterator[list[Dump]]:
    """Open the dumps, but not their indexes, and read their sites; all must belong to one wiki."""
    sources = [source for source in map(Source, map(str, paths)) if not is_index(source)]
    _check_sources(sources)
    dumps: list[Dump] = []
    with ExitStack() as stack:
        for source in sources:
            dumps.append(Dump(source, wiki=settings.wiki, language=settings.language))
            stack.callback(dumps[-1].close)
            # The dumps' own names come first: with the setting `wiki`, their sites would all be equal
            first, wiki = (dump.database or dump.site.wiki for dump in (dumps[0], dumps[-1]))
            if first != wiki:
                raise InputError(
                    f"{source}: of {wiki}, {dumps[0].source.name} of {first}: "
                    "page ids and titles differ between wikis; build a corpus for each"
                )
        yield dumps


def _check_sources(sources: Sequence[Source]) -> None:
    """Raise InputError unless there are dumps, and each exists and is named once."""
    if not sources:
        raise InputError("no dump given: put it before --knowledge and --exclude, which take everything that follows")
    seen: set[str] = set()
    for source in sources:
        local = Path(source.place)
        streamed = source.pipe or source.remote
        if not streamed and (not local.exists() or local.is_dir()):
            raise InputError(f"{source}: no such dump; give a pages-articles file (.xml, .xml.bz2, .xml.gz, .xml.xz)")
        # Two paths, such as a link and its target, may name the same file
        path = source.place if streamed else str(local.resolve())
        if path in seen:
            raise InputError(f"{source}: given twice; give each file once")
        seen.add(path)


def _make_steps(
    folder: Path, settings: CorpusSettings, language: str, label_set: LabelSet, forbidden: Excluded
) -> dict[str, AnyStep]:
    return {
        "exclude": ExcludedTexts(forbidden.ngrams, settings.exclude_ngram_size),
        "no link": WithoutLink(),
        "typing": Typing(folder, settings, label_set),
        "unknown": UnknownStretches(folder, settings, language),
        "split": EqualInTrain(),
        "filter 1": RareCategories(settings),
        "filter 2": OnlyUntyped(settings.keep_untyped or not label_set.typed),
        "filter 3": CommonCategories(settings, label_set.typed),
        "sampling": Sampling(settings),
    }


def _count_pages(funnel: Funnel, report: PageReport, titles: Titles, ambiguous: int) -> None:
    fates = Counter(report.fates)
    articles = fates.pop(ARTICLE, 0)
    newest = articles - titles.superseded_articles
    funnel.step("pages", articles + fates.total(), articles, fates)
    funnel.step("newest revisions", articles, newest, {Reason.DUPLICATE_PAGE: titles.superseded_articles})
    funnel.step("disambiguation pages", newest, newest - ambiguous, {Reason.DISAMBIGUATION_PAGE: ambiguous})
    links = Counter(report.links)
    funnel.step("links", links.pop("found", 0), links.pop("kept", 0), links)
    if report.grown:
        funnel.note("links", grown=report.grown)


_LICENCE = (
    "Text and links: Wikipedia, CC BY-SA 4.0 (revisions before June 2023: CC BY-SA 3.0 and GFDL); every sentence "
    "carries its page id and revision as attribution."
)
_LICENCES: Mapping[str, tuple[SourceKind, ...]] = {
    "DBpedia ({kinds}): CC BY-SA 3.0 and GFDL": (
        SourceKind.ONTOLOGY,
        SourceKind.MAPPING,
        SourceKind.TRIPLES,
        SourceKind.DISAMBIGUATIONS,
    ),
    "Wikidata: CC0 1.0": (SourceKind.WIKIDATA_JSON,),
    "title tables: see their sources": (SourceKind.TABLE,),
}
"""The usual licences of each kind of knowledge; a file of the same format may have another source."""


def make_manifest(
    folder: Path,
    dumps: Sequence[Dump],
    forbidden: Excluded,
    settings: CorpusSettings,
    label_set: LabelSet,
    knowledge: Mapping[str, Any],
    words: Mapping[str, Mapping[str, str]],
    unresolved: Sequence[Mapping[str, Any]],
    balance: Mapping[str, Any],
    funnel: Funnel,
) -> dict[str, Any]:
    """Return the content of `manifest.json`, the last file to be written, for the corpus in `folder`."""
    outside = {name: most_first(funnel.under("outside", name)) for name in ("to_ancestor", "to_entity")}
    splits = {name: funnel.under("splits", name) for name in (TRAIN, VALIDATION)}
    categories = most_first(funnel.under("categories", "mentions"))
    return {
        "format": FORMAT,
        "made_by": f"nerbert {__version__}",
        "scanner": SCANNER,
        "sentence_splitter": RuleSplitter(dumps[0].site.language).name,
        "word_splitter": splitter_named(settings.word_splitter),
        "licence": licence_of(knowledge),
        "wiki": dumps[0].site.wiki,
        "language": dumps[0].site.language,
        "inputs": [dump.facts() for dump in dumps],
        "knowledge": dict(knowledge),
        "excluded": list(forbidden.files),
        "settings": settings.to_dict(),
        "label_set": {"name": label_set.name, "labels": len(label_set.labels), "sha256": label_set.digest} | outside,
        "steps": funnel.steps,
        "notes": funnel.notes,
        "splits": {name: dict(counts) for name, counts in splits.items() if counts},
        "balance": dict(balance),
        "unresolved": list(unresolved),
        "mention_sources": dict(sorted(funnel.under("sources").items())),
        "mention_origins": most_first(funnel.under("origins")),
        "unknown": most_first(funnel.under("unknown")),
        "topics": _with_copies(funnel, "topics", TOPICS),
        "years": dict(sorted(funnel.under("years").items())),
        "categories": _with_copies(funnel, "categories", dict.fromkeys([*categories, ENTITY])),
        "classes": {name: dict(words[name]) for name in sorted(funnel.under("classes")) if name in words},
        **_describe_shards(folder / "sentences"),
    }


def _describe_shards(folder: Path) -> dict[str, Any]:
    shards = {f"{folder.name}/{path.name}": path for path in shard_paths(folder)}
    return {
        "shards": {name: pq.read_metadata(path).num_rows for name, path in shards.items()},
        "shard_sha256": {name: sha256_of(path) for name, path in shards.items()},
    }


def _with_copies(funnel: Funnel, group: str, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return the number of mentions of each name, without and with their sentences' copies."""
    counters = {key: funnel.under(group, key) for key in ("mentions", "with_copies")}
    return {name: {key: counts[name] for key, counts in counters.items()} for name in names}


def licence_of(knowledge: Mapping[str, Any]) -> str:
    """Return the licences of the text and the types, according to the kinds of the sources used."""
    used = {file["kind"] for file in knowledge["used"]}
    applied = {licence: [kind.value for kind in kinds if kind in used] for licence, kinds in _LICENCES.items()}
    of_types = [licence.format(kinds=", ".join(kinds)) for licence, kinds in applied.items() if kinds]
    return f"{_LICENCE} Types: {'; '.join(of_types)}." if of_types else _LICENCE


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Sort counts in descending order, ties by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
