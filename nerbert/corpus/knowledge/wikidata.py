"""Wikidata as a source of classes: `instance of`, then up `subclass of` to a class that equals one of DBpedia's.

DBpedia's ontology says which item equals a class (`owl:equivalentClass = wikidata:Q5`), so no extra table is needed.
The cost: items below no such class stay unknown. A source must also link pages to items: `latest-all` does, as
N-Triples and as JSON; the truthy dump does not, and needs the table `wb_items_per_site`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from nerbert.corpus.knowledge.claims import DISAMBIGUATION, ClaimCounts, ClassPath
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.corpus.knowledge.wikidata_classes import Sort, Verdict, WikidataClasses
from nerbert.corpus.knowledge.wikidata_dumps import Wiki, read_json, read_triples
from nerbert.corpus.knowledge.wikidata_items import Items
from nerbert.corpus.knowledge.wikidata_links import read_links
from nerbert.errors import InputError
from nerbert.sources.files import FoundFile


def wikidata_rows(
    found: FoundFile,
    kind: SourceKind,
    wiki: Wiki,
    ontology: Ontology,
    tally: ClaimCounts,
    scratch: Path,
    table: tuple[FoundFile, ClaimCounts] | None = None,
) -> Iterator[tuple[str, ClassPath]]:
    """Yield the wiki's titles with their classes, DISAMBIGUATION for such pages; `scratch` takes gigabytes.

    `table` is the file of links for a dump without any, with its own counts.

    Each title counts as a row. Titles without `instance of` and Wikimedia's own pages (categories, lists, templates)
    are valid but untyped. A title whose classes lead to none of DBpedia's has an unknown class, named by the lowest of
    them.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="wikidata-", dir=scratch) as folder:
        items = Items(Path(folder))
        if table:
            read_links(table[0].path, wiki.site, items, _bad(table[0], table[1], "byte "))
            table[1].rows += items.links
        (read_json if kind == SourceKind.WIKIDATA_JSON else read_triples)(found.path, wiki, items, _bad(found, tally))
        if not items.links:
            raise InputError(f"{(table or (found,))[0].path}: no item has a page of {wiki.site}; name the right wiki "
                             "(--set wiki=…), or give a dump with all links, latest-all.nt or latest-all.json"
                             )  # fmt: skip
        classes = WikidataClasses(items.parents(), ontology)
        for pairs, titles in items.parts():
            verdicts = classes.judge(pairs)
            for item, title in titles:
                if path := _counted(verdicts.get(item), tally):
                    yield title, path


def _bad(found: FoundFile, tally: ClaimCounts, unit: str = "") -> Callable[[int, bytes], None]:
    """Return a function that counts a broken line or row of a file, and stores its position."""
    return lambda place, text: tally.bad(f"{found.name}:{unit}{place}: {text[:200].decode('utf-8', 'replace')}")


def _counted(verdict: Verdict | None, tally: ClaimCounts) -> ClassPath:
    """Count a verdict, and return the path that it gives a title, () for none."""
    if verdict and verdict.sort == Sort.UNKNOWN:
        tally.good((False, (f"Q{verdict.said_by}",)))
        return ()
    path = DISAMBIGUATION if verdict and verdict.sort == Sort.DISAMBIGUATION else verdict.path if verdict else ()
    tally.good((True, path))
    return path
