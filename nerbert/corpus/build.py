"""The whole story of a corpus: dump → sentences with links → types → exclude → split → filters → balance → shards.

Every step after the first is a map over shards with a small sum in between, so it runs on any number of workers and
gives the same bytes. The price is that typed sentences are read three more times, for the counts.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

from nerbert.chance import coin
from nerbert.corpus.balance import draw_copies, draw_rates, expected_copies
from nerbert.corpus.dump import Dump
from nerbert.corpus.exclude import read_excluded
from nerbert.corpus.filters import (
    common_and_untyped,
    count_categories,
    excluded,
    fold_rare,
    frequent_categories,
    most_common,
    no_typed_entity,
)
from nerbert.corpus.knowledge import open_knowledge
from nerbert.corpus.manifest import Funnel, Samples, write_manifest
from nerbert.corpus.pages import write_pages
from nerbert.corpus.rows import ARTICLE, PageReport
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import read_table, shard_paths, typed_rows, typed_sentences, write_table
from nerbert.corpus.types import Targets, Titles, drop_superseded, read_targets, read_titles, type_link, write_targets
from nerbert.errors import InputError, NerbertError
from nerbert.files import check_free, publish_folder
from nerbert.records import ENTITY, Reason, Sentence
from nerbert.show import progress
from nerbert.work import run_ordered

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the filters need to know of the whole train part; None for what is not counted yet."""

    settings: CorpusSettings
    kept: frozenset[str]
    common: frozenset[str] | None = None
    rates: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class CorpusPlan:
    """The inputs and the place of one corpus."""

    dumps: tuple[Path, ...]
    knowledge: tuple[Path, ...]
    output: Path
    exclude: tuple[Path, ...] = ()
    workers: int = 1
    overwrite: bool = False


def build_corpus(plan: CorpusPlan, settings: CorpusSettings) -> dict[str, Any]:
    """Build a corpus in `plan.output` and return its manifest (NER-BERT §2)."""
    check_free(plan.output, overwrite=plan.overwrite)
    dumps = _open_dumps(plan.dumps, settings)
    knowledge = open_knowledge(plan.knowledge, dumps[0].site.language)
    forbidden = read_excluded(plan.exclude, settings.exclude_ngram)
    with publish_folder(plan.output, overwrite=plan.overwrite) as folder:
        funnel, samples = Funnel(), Samples(settings.seed)
        with progress("pages") as bar:
            report = write_pages(dumps, folder, settings, plan.workers, bar)
        titles = read_titles(folder)
        drop_superseded(folder, titles)
        _count_pages(funnel, report, titles)
        targets, typed = write_targets(folder, titles, knowledge)
        funnel.note("targets", found=targets, typed=typed)
        mentions = _type_sentences(folder, settings, forbidden.ngrams, plan.workers, funnel, samples)
        rules = _count_rules(folder, settings, mentions, plan.workers)
        _write_sentences(folder, rules, plan.workers, funnel, samples)
        rmtree(folder / "typed")
        samples.write(folder / "dropped.jsonl")
        return write_manifest(folder, dumps, forbidden, settings, knowledge.report(), funnel)


def _open_dumps(paths: Sequence[Path], settings: CorpusSettings) -> list[Dump]:
    """The dumps, looked into as far as their sites; they must be of one wiki."""
    if not paths:
        raise InputError("no dump given: put it before --exclude, which takes every file that follows it")
    dumps = [Dump(path, wiki=settings.wiki, language=settings.language) for path in paths]
    for dump in dumps:
        if not dump.path.is_file():
            raise InputError(f"{dump.path}: no such dump; give a pages-articles file (.xml, .xml.bz2, .xml.gz)")
        if dump.look().wiki != dumps[0].site.wiki:
            raise InputError(
                f"{dump.path}: of {dump.site.wiki}, {dumps[0].path.name} of {dumps[0].site.wiki}: "
                "page ids and titles of two wikis mean different things; build a corpus for each"
            )
    return dumps


def _count_pages(funnel: Funnel, report: PageReport, titles: Titles) -> None:
    fates = Counter(report.fates)
    articles = fates.pop(ARTICLE, 0)
    funnel.step("pages", articles + fates.total(), articles, fates)
    funnel.step("newest revisions", articles, articles - titles.superseded_articles,
                {Reason.DUPLICATE_PAGE: titles.superseded_articles})  # fmt: skip
    links = Counter(report.links)
    found, kept = links.pop("found", 0), links.pop("kept", 0)
    funnel.step("links", found, kept, links)


def _type_sentences(
    folder: Path, settings: CorpusSettings, forbidden: frozenset[str], workers: int, funnel: Funnel, samples: Samples
) -> Counter[str]:
    """Write `typed/` from `pages/`; the mentions by category in the train part."""
    task = partial(_type_shard, folder=folder, settings=settings, forbidden=forbidden)
    mentions: Counter[str] = Counter()
    dropped: Counter[Reason] = Counter()
    came = 0
    paths = shard_paths(folder / "pages")
    (folder / "typed").mkdir()
    with progress("typing shards", len(paths)) as bar:
        for seen, counts, losses, drops in run_ordered(task, paths, workers):
            came += seen
            mentions.update(counts)
            dropped.update(losses)
            samples.merge(drops)
            bar.advance()
    left = came - dropped[Reason.EXCLUDED_TEXT]
    funnel.step("exclude", came, left, {Reason.EXCLUDED_TEXT: dropped[Reason.EXCLUDED_TEXT]})
    funnel.step("no link", left, left - dropped[Reason.NO_ENTITY], {Reason.NO_ENTITY: dropped[Reason.NO_ENTITY]})
    return mentions


def _type_shard(
    path: Path, folder: Path, settings: CorpusSettings, forbidden: frozenset[str]
) -> tuple[int, Counter[str], Counter[Reason], Samples]:
    kept: list[Sentence] = []
    mentions, dropped, samples = Counter[str](), Counter[Reason](), Samples(settings.seed)
    targets = read_targets(folder / "targets.parquet")
    rows = read_table(path).to_pylist()
    for row in rows:
        reason = excluded(row["text"], forbidden, settings.exclude_ngram)
        reason = reason or (None if row["links"] else Reason.NO_ENTITY)
        if reason:
            dropped[reason] += 1
            samples.add("exclude" if reason is Reason.EXCLUDED_TEXT else "no link", reason, row["id"], row["text"])
            continue
        sentence = _typed(row, targets, settings)
        kept.append(sentence)
        if sentence.split == TRAIN:
            mentions.update(mention.category for mention in sentence.mentions)
    write_table(typed_rows(kept), folder / "typed" / path.name)
    return len(rows), mentions, dropped, samples


def _typed(row: dict[str, Any], targets: Targets, settings: CorpusSettings) -> Sentence:
    mentions = tuple(type_link(link, targets) for link in row["links"])
    validation = coin(settings.seed, "split", f"{row['wiki']}:{row['page_id']}") < settings.validation_share
    return Sentence(
        wiki=row["wiki"], page_id=row["page_id"], revision=row["revision"], title=row["title"], start=row["start"],
        text=row["text"], words=tuple((word["start"], word["end"]) for word in row["words"]), mentions=mentions,
        split=VALIDATION if validation else TRAIN,
    )  # fmt: skip


def _count_rules(folder: Path, settings: CorpusSettings, mentions: Counter[str], workers: int) -> Rules:
    """Filter 1's categories, filter 3's ranking after 1 and 2, the sampling's rates after 3; train part only."""
    rules = Rules(settings, frequent_categories(mentions, settings.min_mentions))
    counts, _, _ = _count(folder, rules, workers)
    rules = replace(rules, common=most_common(counts, settings.common_categories))
    counts, holding, sentences = _count(folder, rules, workers)
    if not sentences:
        raise NerbertError(f"the corpus would be empty: {_why_empty(mentions, settings)}")
    total = settings.sample_size or sentences
    return replace(rules, rates=draw_rates(counts, holding, settings.alpha, total))


def _why_empty(mentions: Counter[str], settings: CorpusSettings) -> str:
    """What is missing, and what to give."""
    typed = Counter({name: count for name, count in mentions.items() if name != ENTITY})
    if not mentions:
        return "no sentence of the train part holds a link; give a larger dump, or a smaller --set validation_share"
    if not typed:
        return ("no link leads to a title that the knowledge types; give title tables or infobox mappings for this "
                "wiki's titles (--knowledge)")  # fmt: skip
    name, count = typed.most_common(1)[0]
    return (f"the most frequent category, {name}, has {count} mentions; take a smaller --set "
            f"min_mentions={settings.min_mentions}, or give more knowledge or a larger dump")  # fmt: skip


def _count(folder: Path, rules: Rules, workers: int) -> tuple[Counter[str], Counter[str], int]:
    mentions, holding, sentences = Counter[str](), Counter[str](), 0
    for some, others, number in run_ordered(partial(_count_shard, rules=rules), shard_paths(folder / "typed"), workers):
        mentions.update(some)
        holding.update(others)
        sentences += number
    return mentions, holding, sentences


def _count_shard(path: Path, rules: Rules) -> tuple[Counter[str], Counter[str], int]:
    rows = read_table(path, ["id", "split", "mentions"]).to_pylist()
    train = [(row["id"], [m["category"] for m in row["mentions"]]) for row in rows if row["split"] == TRAIN]
    judged = [judge(identity, categories, rules) for identity, categories in train]
    passed = [categories for categories, _, reason in judged if reason is None]
    return *count_categories(passed), len(passed)


def judge(identity: str, categories: Sequence[str], rules: Rules) -> tuple[list[str], str, Reason | None]:
    """A sentence's categories after filter 1, and the filter and reason that drop it, if any does."""
    settings = rules.settings
    folded = fold_rare(categories, rules.kept)
    if settings.rare_category == "drop" and folded != list(categories):
        return folded, "filter 1", Reason.RARE_CATEGORY
    reason = no_typed_entity(folded, keep_untyped=settings.keep_untyped)
    if reason or rules.common is None:
        return folded, "filter 2", reason
    chance = coin(settings.seed, "filter 3", identity)
    return folded, "filter 3", common_and_untyped(folded, rules.common, chance, settings)


def _write_sentences(folder: Path, rules: Rules, workers: int, funnel: Funnel, samples: Samples) -> None:
    """Apply all rules, draw copies, write `sentences/`; counts go to the funnel."""
    (folder / "sentences").mkdir()
    steps: dict[str, Counter[Reason]] = {"filter 1": Counter(), "filter 2": Counter(), "filter 3": Counter()}
    came, folded = 0, 0
    paths = shard_paths(folder / "typed")
    task: Callable[[Path], tuple[int, int, Counter[tuple[str, Reason]], Samples, Funnel]] = partial(
        _write_shard, rules=rules, output=folder / "sentences"
    )
    with progress("writing shards", len(paths)) as bar:
        for seen, rare, drops, dropped, counts in run_ordered(task, paths, workers):
            came, folded = came + seen, folded + rare
            for (step, reason), number in drops.items():
                steps[step][reason] += number
            samples.merge(dropped)
            funnel.merge(counts)
            bar.advance()
    for name, reasons in steps.items():
        funnel.step(name, came, came - reasons.total(), reasons)
        came -= reasons.total()
    funnel.note("filter 1", mentions_made_entity=folded, categories_kept=len(rules.kept))


def _write_shard(
    path: Path, rules: Rules, output: Path
) -> tuple[int, int, Counter[tuple[str, Reason]], Samples, Funnel]:
    kept: list[Sentence] = []
    drops, samples, counts = Counter[tuple[str, Reason]](), Samples(rules.settings.seed), Funnel()
    came = rare = 0
    for sentence in typed_sentences(path):
        came += 1
        categories, step, reason = judge(sentence.id, [m.category for m in sentence.mentions], rules)
        rare += sum(m.category != c for m, c in zip(sentence.mentions, categories, strict=True))
        if reason:
            drops[step, reason] += 1
            samples.add(step, reason, sentence.id, sentence.text)
        else:
            final = _final(sentence, categories, rules)
            kept.append(final)
            counts.count_sentence(final)
    write_table(typed_rows(kept), output / path.name)
    return came, rare, drops, samples, counts


def _final(sentence: Sentence, categories: Sequence[str], rules: Rules) -> Sentence:
    """The sentence with the corpus's categories and its number of copies; validation is not sampled."""
    pairs = zip(sentence.mentions, categories, strict=True)
    mentions = tuple(replace(mention, category=category) for mention, category in pairs)
    copies = 1
    if sentence.split == TRAIN:
        expected = expected_copies(categories, rules.rates or {})
        copies = draw_copies(expected, coin(rules.settings.seed, "copies", sentence.id))
    return replace(sentence, mentions=mentions, copies=copies)
