"""The whole story of a corpus: dump → sentences with links → types → exclude → split → filters → balance → shards.

Every step is a map over parts with a small sum in between, so it runs on any number of workers and gives the same
bytes. Pass 1, the long one, can be killed and run again: its finished parts stay. The later steps are made again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

from nerbert.artifacts import RESUME, check_free, publish_folder, write_json
from nerbert.corpus.balance import Rates, draw
from nerbert.corpus.dump.deduplicate import Titles, read_titles, write_newest
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.index import pair_indexes, read_index
from nerbert.corpus.exclude import read_excluded
from nerbert.corpus.filters import most_common
from nerbert.corpus.histogram import Histogram
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.corpus.manifest import Funnel, Samples, make_manifest
from nerbert.corpus.pages import fingerprint, write_pages
from nerbert.corpus.rows import ARTICLE, PageReport
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import shard_paths
from nerbert.corpus.split import keys_on_both_sides
from nerbert.corpus.steps import Rules, Typing, count_part, type_part, write_part
from nerbert.corpus.types import SCRATCH, write_targets
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.executors import run_ordered
from nerbert.label_sets import frequent_categories, open_label_set
from nerbert.records import ENTITY, TRAIN, VALIDATION, Reason
from nerbert.sources.source import Source
from nerbert.terminal import progress, throughput

_MOST_COPIES = (1 << 31) - 1
"""What the column `copies` holds."""


@dataclass(frozen=True, slots=True)
class CorpusPlan:
    """The inputs and the place of one corpus."""

    dumps: tuple[Path | str, ...]
    knowledge: tuple[Path, ...]
    output: Path
    exclude: tuple[Path, ...] = ()
    workers: int = 1
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class BuiltCorpus:
    """A corpus that was built: its folder and its manifest."""

    folder: Path
    manifest: dict[str, Any]


def build_corpus(
    plan: CorpusPlan, settings: CorpusSettings, card: Callable[[Path, BuiltCorpus], None] | None = None
) -> BuiltCorpus:
    """Build a corpus in `plan.output` (NER-BERT §2); `card` adds a data card to the unfinished folder."""
    check_free(plan.output, overwrite=plan.overwrite)
    with _open_dumps(plan.dumps, settings) as dumps:
        knowledge = open_knowledge(plan.knowledge, dumps[0].site.language, settings.precedence, dumps[0].site.wiki)
        label_set = open_label_set(settings.label_set, knowledge.ontology.parents)
        forbidden = read_excluded(plan.exclude, settings.exclude_ngram_size)
        made = fingerprint(dumps, settings)
        with publish_folder(plan.output, overwrite=plan.overwrite, resume=made) as folder:
            funnel, samples = Funnel(), Samples(settings.seed)
            with throughput("pages", _size(dumps)) as bar:
                report = write_pages(dumps, folder / RESUME, settings, plan.workers, bar, overwrite=plan.overwrite)
            titles = read_titles(folder / RESUME)
            ambiguous = write_newest(folder / RESUME, folder, titles, dumps[0].site.language, plan.workers)
            _count_pages(funnel, report, titles, ambiguous)
            targets = write_targets(folder, titles, knowledge, plan.workers)
            funnel.note("targets", found=targets.targets, typed=targets.typed, bad_redirects=targets.bad_redirects)
            typing = Typing(settings, label_set, forbidden.ngrams)
            mentions = _type_sentences(folder, typing, plan.workers, funnel, samples)
            rules = _make_rules(folder, typing, mentions, plan.workers, funnel)
            _write_sentences(folder, rules, plan.workers, funnel, samples)
            for scratch in ("typed", "keys", SCRATCH):
                rmtree(folder / scratch)
            samples.write(folder / "dropped.jsonl")
            manifest = make_manifest(
                folder, dumps, forbidden, settings, label_set, knowledge=knowledge.report(),
                unresolved=targets.unresolved, funnel=funnel,
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
            if dumps[-1].look().wiki != dumps[0].site.wiki:
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


def _type_sentences(folder: Path, typing: Typing, workers: int, funnel: Funnel, samples: Samples) -> Counter[str]:
    """Write `typed/` from `pages/`; return the mentions by category in the train part."""
    mentions, dropped, came = Counter[str](), Counter[Reason](), 0
    paths = shard_paths(folder / "pages")
    for scratch in ("typed", f"keys/{TRAIN}", f"keys/{VALIDATION}"):
        (folder / scratch).mkdir(parents=True)
    with progress("typing shards", len(paths)) as bar:
        for done in run_ordered(partial(type_part, folder=folder, typing=typing), paths, workers):
            came += done.came
            mentions.update(done.mentions)
            dropped.update(done.dropped)
            funnel.outside["to_ancestor"].update(done.to_ancestor)
            funnel.outside["to_entity"].update(done.to_entity)
            samples.merge(done.samples)
            bar.advance()
    left = came - dropped[Reason.EXCLUDED_TEXT]
    funnel.step("exclude", came, left, {Reason.EXCLUDED_TEXT: dropped[Reason.EXCLUDED_TEXT]})
    funnel.step("no link", left, left - dropped[Reason.NO_ENTITY], {Reason.NO_ENTITY: dropped[Reason.NO_ENTITY]})
    return mentions


def _make_rules(folder: Path, typing: Typing, mentions: Counter[str], workers: int, funnel: Funnel) -> Rules:
    """Return the rules; all but the sentences that occur in both splits come from the train part."""
    settings = typing.settings
    train, validation = (sorted((folder / "keys" / side).iterdir()) for side in (TRAIN, VALIDATION))
    duplicates = keys_on_both_sides(train, validation)
    rules = Rules(settings, typing.label_set.typed, duplicates, frequent_categories(mentions, settings.min_mentions))
    common = most_common(_count(folder, rules, workers).mentions(), settings.common_categories)
    rules = replace(rules, common=common)
    histogram = _count(folder, rules, workers)
    if not histogram.sentences:
        raise NerbertError(f"the corpus would be empty: {_why_empty(mentions, settings)}")
    draws = {
        method: draw(
            histogram, method=method, alpha=settings.alpha, total=settings.sample_size, cap=settings.max_copies
        )
        for method in ("literal", "fit")
    }
    if (most := draws[settings.balance].largest) >= _MOST_COPIES:
        raise SettingsError(f"sample_size = {settings.sample_size}: a sentence would get {most:.3g} copies; take less")
    funnel.balance = {name: _told(rates) for name, rates in draws.items()} | {"method": settings.balance}
    return replace(rules, rates=draws[settings.balance])


def _told(rates: Rates) -> dict[str, Any]:
    """Return the manifest's entry for a sampling method: all but the weights."""
    return {name: value for name, value in asdict(rates).items() if name not in ("weights", "method")}


def _why_empty(mentions: Counter[str], settings: CorpusSettings) -> str:
    """Return what is missing, and the remedy."""
    typed = Counter({name: count for name, count in mentions.items() if name != ENTITY})
    if not mentions:
        return "no sentence of the train part holds a link; give a larger dump, or a smaller --set validation_ratio"
    if not typed:
        return ("no link leads to a title that the knowledge types; give title tables or infobox mappings for this "
                "wiki's titles (--knowledge)")  # fmt: skip
    name, count = typed.most_common(1)[0]
    return (f"the most frequent category, {name}, has {count} mentions; take a smaller --set "
            f"min_mentions={settings.min_mentions}, or give more knowledge or a larger dump")  # fmt: skip


def _count(folder: Path, rules: Rules, workers: int) -> Histogram:
    histogram = Histogram(rules.categories)
    for part in run_ordered(partial(count_part, rules=rules), shard_paths(folder / "typed"), workers):
        histogram.merge(part)
    return histogram


def _write_sentences(folder: Path, rules: Rules, workers: int, funnel: Funnel, samples: Samples) -> None:
    """Apply all rules, draw copies, write `sentences/`; counts go to the funnel."""
    (folder / "sentences").mkdir()
    steps: dict[str, Counter[Reason]] = {name: Counter() for name in ("split", "filter 1", "filter 2", "filter 3")}
    came, folded = 0, 0
    paths = shard_paths(folder / "typed")
    with progress("writing shards", len(paths)) as bar:
        for done in run_ordered(partial(write_part, rules=rules, output=folder / "sentences"), paths, workers):
            came, folded = came + done.came, folded + done.folded
            for (step, reason), number in done.dropped.items():
                steps[step][reason] += number
            samples.merge(done.samples)
            funnel.merge(done.counts)
            bar.advance()
    for name, reasons in steps.items():
        funnel.step(name, came, came - reasons.total(), reasons)
        came -= reasons.total()
    funnel.note("filter 1", mentions_made_entity=folded, categories_kept=len(rules.kept))
