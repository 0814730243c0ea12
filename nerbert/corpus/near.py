"""Find the pages of dumps and corpora most similar to given sentences, for DAPT (Gururangan et al. 2020).

The similarity is the cosine between a page and the mean of the sentences, by TF-IDF over hashed words (scikit-learn).
Pages are read twice, first for document frequencies. Cost: words are split only at white space and punctuation.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.artifacts import check_free, publish
from nerbert.config import refuse
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.rows import drop_reason
from nerbert.corpus.shards import PageLines, is_corpus, train_pages
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.errors import InputError, need
from nerbert.formats.inputs import read_texts
from nerbert.schema import json_line
from nerbert.sources.files import Source
from nerbert.terminal import progress

_COLUMNS = 1 << 18
_BATCH = 256
"""Number of pages whose words are counted together."""


def near_pages(
    texts: Sequence[str], sources: Sequence[str], output: Path, pages: int, *, overwrite: bool = False
) -> tuple[int, list[float]]:
    """Write the most similar pages of dumps and corpora as JSON lines with similarity and attribution, best first.

    `texts` are files of any format that `nerbert tag` reads. Return the number of pages read, and the similarities
    (0–1) of the pages kept. Raise InputError if no text, or no page, has a word.
    """
    refuse(pages < 1, "pages", pages, "at least 1")
    refuse(not sources, "from", [], "dumps or corpora to look in")
    need("cluster", "sklearn")
    check_free(output, overwrite=overwrite, file=True)
    sentences = list(read_texts(texts))
    counts, read = np.zeros(_COLUMNS, np.int64), 0
    for batch in _batches(_pages(sources)):
        counts += _count_words(_texts(batch)).getnnz(axis=0)
        read += len(batch)
    weights = np.log((1 + read) / (1 + counts)) + 1
    total = _vectors(_count_words(sentences), weights).sum(axis=0)
    if not counts.any() or not (norm := float(np.sqrt(np.square(total).sum()))):
        noun = "sentences" if not total.any() else "pages"
        raise InputError(f"no word in the {noun}: give texts, and dumps or corpora of their language")
    order, direction = count(), np.asarray(total).ravel() / norm
    similar = (
        (float(similarity), -next(order), page)
        for batch in _batches(_pages(sources))
        for similarity, page in zip(_vectors(_count_words(_texts(batch)), weights) @ direction, batch, strict=True)
    )
    kept = nlargest(pages, similar)
    with publish(output) as draft, draft.open("w", encoding="utf-8") as file:
        for similarity, _, page in kept:
            facts = page._asdict() | {"similarity": round(similarity, 4)}
            file.write(json_line({"text": "\n".join(facts.pop("lines"))} | facts) + "\n")
    return read, [similarity for similarity, *_ in kept]


def dump_pages(dumps: Iterable[Source]) -> Iterator[PageLines]:
    """Yield the articles of dumps without markup; their lines are paragraphs."""
    for dump in map(Dump, dumps):
        for page in dump.pages():
            ns = dump.site.namespace(page.title) if page.ns is None else page.ns
            if drop_reason(page, ns) is None:
                lines = scan_page(page.title, page.text, dump.site).text.split("\n")
                yield PageLines(dump.site.wiki, page.page_id, page.revision, page.title, lines)


def _pages(sources: Sequence[str]) -> Iterator[PageLines]:
    corpora = [Path(path) for path in sources if is_corpus(Path(path))]
    dumps = dump_pages(Source(path) for path in sources if not is_corpus(Path(path)))
    yield from chain(chain.from_iterable(map(train_pages, corpora)), dumps)


def _batches(pages: Iterator[PageLines]) -> Iterator[list[PageLines]]:
    with progress("reading pages") as bar:
        while batch := list(islice(pages, _BATCH)):
            yield batch
            bar.advance(len(batch))


def _texts(pages: Iterable[PageLines]) -> Iterator[str]:
    return (" ".join(page.lines) for page in pages)


def _count_words(texts: Iterable[str]) -> Any:
    """Return sparse word counts (texts, columns); words with the same hash share a column."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=_COLUMNS, alternate_sign=False, norm=None).transform(texts)


def _vectors(counts: Any, weights: Any) -> Any:
    """Return TF-IDF vectors of length 1, with logarithmic counts; `counts` is changed in place."""
    from sklearn.preprocessing import normalize

    counts.data = 1 + np.log(counts.data)
    return normalize(counts.multiply(weights).tocsr())
