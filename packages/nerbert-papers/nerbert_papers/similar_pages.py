"""Find the pages of dumps and corpora most similar to given sentences, for DAPT (Gururangan et al. 2020).

The similarity is the cosine between a page and the mean of the sentences, by TF-IDF over hashed words (scikit-learn).
Pages are read twice, first for document frequencies. Cost: words are split only at white space and punctuation.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import nlargest
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nerbert.artifacts import check_free, publish
from nerbert.config import refuse
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parts import DumpPart, read_pages
from nerbert.corpus.dump.sites import Site
from nerbert.corpus.page_rows import drop_reason
from nerbert.corpus.shards import PageLines, corpus_parts, is_corpus
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.errors import InputError
from nerbert.executors import HERE, Executor
from nerbert.rng import Array
from nerbert.schema import json_line
from nerbert.terminal import progress
from nerbert.texts.inputs import read_texts

_COLUMNS = 1 << 18
_BATCH = 256
"""Number of pages whose words are counted together."""
_Part = Callable[[], Iterator[PageLines]]
_Result = TypeVar("_Result")


def near_pages(
    texts: Sequence[str],
    sources: Sequence[str],
    output: Path,
    pages: int,
    executor: Executor = HERE,
    *,
    overwrite: bool = False,
) -> tuple[int, list[float]]:
    """Write the most similar pages of dumps and corpora as JSON lines with similarity and attribution, best first.

    `texts` are files of any format that `nerbert tag` reads. Return the number of pages read, and the similarities
    (0–1) of the pages kept. Raise InputError if no text, or no page, has a word.
    """
    refuse(pages < 1, "pages", pages, "at least 1")
    refuse(not sources, "from", [], "dumps or corpora to look in")
    check_free(output, overwrite=overwrite, file=True)
    sentences = list(read_texts(texts))
    counts = np.zeros(_COLUMNS, np.int64)
    read = 0
    for number, of_part in _map_parts(_count_part, sources, executor):
        counts = counts + of_part
        read = read + number
    weights = np.log((1 + read) / (1 + counts)) + 1
    total = _vectors(_count_words(sentences), weights).sum(axis=0)
    # Without a common word, every similarity would be 0 or undefined
    if not counts.any() or not (norm := float(np.sqrt(np.square(total).sum()))):
        noun = "sentences" if not total.any() else "pages"
        raise InputError(f"no word in the {noun}: give texts, and dumps or corpora of their language")
    # Second pass: each part gives its best pages, from which the best of all are taken
    rank = partial(_rank_part, weights=weights, direction=np.asarray(total).ravel() / norm, most=pages)
    ranked = chain.from_iterable(_map_parts(rank, sources, executor))
    # Of equally similar pages, the first in the input
    kept = nlargest(pages, ranked, key=itemgetter(0))
    with publish(output) as draft, draft.open("w", encoding="utf-8") as file:
        for similarity, page in kept:
            facts = page._asdict() | {"similarity": round(similarity, 4)}
            file.write(json_line({"text": "\n".join(facts.pop("lines"))} | facts) + "\n")
    return read, [similarity for similarity, _ in kept]


def source_parts(sources: Iterable[str]) -> Iterator[_Part]:
    """Yield the parts of dumps and corpora: functions that read their articles without markup."""
    for source in sources:
        if is_corpus(Path(source)):
            yield from corpus_parts(Path(source))
        else:
            dump = Dump(source)
            yield from (partial(_read_articles, part, dump.site) for part in dump.parts())
            # Raises an error if the dump changed meanwhile
            dump.finish(())


def _read_articles(part: DumpPart, site: Site) -> Iterator[PageLines]:
    with part.open() as stream:
        for page in read_pages(part, stream, site.wikitext.redirects):
            # Old dumps lack the namespace's number
            ns = site.namespace(page.title) if page.ns is None else page.ns
            if drop_reason(page, ns) is None:
                lines = scan_page(page.title, page.text, site).text.split("\n")
                yield PageLines(site.wiki, page.page_id, page.revision, page.title, lines)


def _map_parts(task: Callable[[_Part], _Result], sources: Sequence[str], executor: Executor) -> Iterator[_Result]:
    with progress("reading parts of dumps and corpora") as bar:
        for result in executor.map_ordered(task, source_parts(sources)):
            yield result
            bar.advance()


def _count_part(part: _Part) -> tuple[int, Array]:
    """Return the number of pages, and in how many of them each column occurs."""
    read = 0
    columns = np.zeros(_COLUMNS, np.int64)
    for batch, counts in _batches(part):
        read += len(batch)
        columns = columns + counts.getnnz(axis=0)
    return read, columns


def _rank_part(part: _Part, weights: Array, direction: Array, most: int) -> list[tuple[float, PageLines]]:
    """Return the most similar pages with their similarity."""
    similar = (
        zip((_vectors(counts, weights) @ direction).tolist(), batch, strict=True) for batch, counts in _batches(part)
    )
    return nlargest(most, chain.from_iterable(similar), key=itemgetter(0))


def _batches(part: _Part) -> Iterator[tuple[list[PageLines], Any]]:
    pages = part()
    while batch := list(islice(pages, _BATCH)):
        yield batch, _count_words(" ".join(page.lines) for page in batch)


def _count_words(texts: Iterable[str]) -> Any:
    """Return sparse word counts (texts, columns); words with the same hash share a column."""
    from sklearn.feature_extraction.text import HashingVectorizer

    # No signs, as negative counts have no logarithm
    return HashingVectorizer(n_features=_COLUMNS, alternate_sign=False, norm=None).transform(texts)


def _vectors(counts: Any, weights: Any) -> Any:
    """Return TF-IDF vectors of length 1, with logarithmic counts; `counts` is changed in place."""
    from sklearn.preprocessing import normalize

    counts.data = 1 + np.log(counts.data)
    return normalize(counts.multiply(weights).tocsr())
