"""The whole story of a corpus: dump → sentences with links → types → exclude → split → filters → balance → shards.

Everything is a map over parts with a small sum in between, so it runs on any executor and gives the same bytes. Pass 1,
the long one, can be killed and run again: its finished parts stay. The later steps (`_steps`) are made again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from nerbert.artifacts import check_free, publish_job, write_json
from nerbert.corpus.dump.deduplicate import Titles, read_titles, write_newest
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.index import pair_indexes, read_index
from nerbert.corpus.exclude import Excluded, ExcludedTexts, read_excluded
from nerbert.corpus.filters import (
    CommonCategories,
    EqualInTrain,
    OnlyUntyped,
    RareCategories,
    Sampling,
    WithoutLink,
)
from nerbert.corpus.funnel import Funnel, Samples
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.corpus.manifest import make_manifest
from nerbert.corpus.mentions import Typing
from nerbert.corpus.pages import fingerprint, write_pages
from nerbert.corpus.rows import ARTICLE, PageReport
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.steps import Step, own_steps, run_steps
from nerbert.corpus.types import SCRATCH, write_targets
from nerbert.errors import InputError
from nerbert.executors import HERE, Executor
from nerbert.label_sets import LabelSet, open_label_set
from nerbert.records import Reason
from nerbert.sources.files import Source
from nerbert.terminal import throughput


@dataclass(frozen=True, slots=True)
class CorpusPlan:
    """The inputs and the place of one corpus."""

    dumps: tuple[Path | str, ...]
    knowledge: tuple[Path, ...]
    output: Path
    exclude: tuple[Path, ...] = ()
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class BuiltCorpus:
    """A corpus that was built: its folder and its manifest."""

    folder: Path
    manifest: dict[str, Any]


def build_corpus(
    plan: CorpusPlan, settings: CorpusSettings, card: Callable[[Path, BuiltCorpus], None] | None = None,
    executor: Executor = HERE,
) -> BuiltCorpus:  # fmt: skip
    """Build a corpus in `plan.output` (NER-BERT §2); `card` adds a data card to the unfinished folder."""
    check_free(plan.output, overwrite=plan.overwrite)
    own = own_steps(settings)
    with _open_dumps(plan.dumps, settings) as dumps:
        knowledge = open_knowledge(plan.knowledge, dumps[0].site.language, settings.precedence, dumps[0].site.wiki)
        label_set = open_label_set(settings.label_set, knowledge.ontology.parents)
        forbidden = read_excluded(plan.exclude, settings.exclude_ngram_size)
        made = fingerprint(dumps, settings)
        with publish_job(plan.output, made, overwrite=plan.overwrite) as (folder, work):
            funnel, steps = Funnel(Samples(settings.seed)), _steps(folder, settings, label_set, forbidden, own)
            with throughput("pages", _size(dumps)) as bar:
                report = write_pages(dumps, work, settings, executor, bar)
            titles = read_titles(work)
            ambiguous = write_newest(work, folder, titles, dumps[0].site.language, executor)
            _count_pages(funnel, report, titles, ambiguous)
            targets = write_targets(folder, titles, knowledge, executor)
            funnel.note("targets", found=targets.targets, typed=targets.typed, bad_redirects=targets.bad_redirects)
            done = run_steps(steps, folder, funnel, executor)
            kept = len(done.find(RareCategories).kept)
            funnel.note("filter 1", mentions_made_entity=funnel.under()["made_entity"], categories_kept=kept)
            for scratch in ("typed", SCRATCH):
                rmtree(folder / scratch)
            funnel.samples.write(folder / "dropped.jsonl")
            manifest = make_manifest(
                folder, dumps, forbidden, settings, label_set, knowledge=knowledge.report(),
                unresolved=targets.unresolved, balance=done.find(Sampling).report, funnel=funnel,
            )  # fmt: skip
            built = BuiltCorpus(plan.output, manifest)
            if card is not None:
                card(folder, built)
            write_json(folder / "manifest.json", manifest)
            return built


@contextmanager
def _open_dumps(places: Sequence[Path | str], settings: CorpusSettings) -> Iterator[list[Dump]]:
    """Open the dumps with their indexes, and read their sites; they must be of one wiki."""
    sources = [Source(str(place)) for place in places]
    _check_places(sources)
    dumps: list[Dump] = []
    with ExitStack() as stack:
        for source, index in pair_indexes(sources):
            read = read_index(index) if index else None
            dumps.append(Dump(source, wiki=settings.wiki, language=settings.language, index=read))
            stack.callback(dumps[-1].close)
            if dumps[-1].site.wiki != dumps[0].site.wiki:
                raise InputError(
                    f"{source}: of {dumps[-1].site.wiki}, {dumps[0].source.name} of {dumps[0].site.wiki}: "
                    "page ids and titles of two wikis mean different things; build a corpus for each"
                )
        yield dumps


def _check_places(sources: Sequence[Source]) -> None:
    """Raise InputError unless there are dumps, each there and each named once."""
    if not sources:
        raise InputError("no dump given: put it before --exclude, which takes every file that follows it")
    seen: set[str] = set()
    for source in sources:
        local = Path(source.place)
        if not source.pipe and not source.remote and (not local.exists() or local.is_dir()):
            what = "option or dump" if source.place.startswith("-") else "dump"
            raise InputError(f"{source}: no such {what}; give a pages-articles file (.xml, .xml.bz2, .xml.gz, .xml.xz)")
        place = source.place if source.pipe or source.remote else str(local.resolve())
        if place in seen:
            raise InputError(f"{source}: given twice; give each file once")
        seen.add(place)


def _steps(
    folder: Path, settings: CorpusSettings, label_set: LabelSet, forbidden: Excluded, own: Sequence[Step]
) -> list[Step | Typing]:
    """Return the steps from sentences with links to the corpus, in order."""
    return [
        ExcludedTexts(forbidden.ngrams, settings.exclude_ngram_size),
        WithoutLink(),
        Typing(folder, settings, label_set),
        *own,
        EqualInTrain(),
        RareCategories(settings),
        OnlyUntyped(settings.keep_untyped or not label_set.typed),
        CommonCategories(settings, label_set.typed),
        Sampling(settings),
    ]


def _size(dumps: Sequence[Dump]) -> int | None:
    """Return the bytes of all inputs; None if one comes through a pipe."""
    sizes = [dump.size for dump in dumps]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _count_pages(funnel: Funnel, report: PageReport, titles: Titles, ambiguous: int) -> None:
    fates = Counter(report.fates)
    articles = fates.pop(ARTICLE, 0)
    funnel.step("pages", articles + fates.total(), articles, fates)
    funnel.step("newest revisions", articles, articles - titles.superseded_articles,
                {Reason.DUPLICATE_PAGE: titles.superseded_articles})  # fmt: skip
    newest = articles - titles.superseded_articles
    funnel.step("disambiguation pages", newest, newest - ambiguous, {Reason.DISAMBIGUATION_PAGE: ambiguous})
    links = Counter(report.links)
    found, kept = links.pop("found", 0), links.pop("kept", 0)
    funnel.step("links", found, kept, links)
