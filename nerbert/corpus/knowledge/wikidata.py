"""Wikidata as a source of classes: `instance of`, up `subclass of` to a class that equals one of DBpedia's.

The choice: DBpedia's ontology says which item equals a class (`owl:equivalentClass = wikidata:Q5`), so no table of ours
stands between. The price: what lies below no such item is unknown, and something must link pages to items:
`latest-all` does, as N-Triples and as JSON; the truthy dump does not, and needs the table `wb_items_per_site`.
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
    """Yield the wiki's titles with their classes, DISAMBIGUATION for pages that are one; `scratch` takes gigabytes.

    `table` has the links of a dump without any, and its own tally.

    Rows are titles. Whole but untyped are those without `instance of` and Wikimedia's own (categories, lists,
    templates); one whose classes lead to none of DBpedia's is of an unknown class, named by the lowest of them.
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
    """What counts a broken line or row of a file, and keeps where it is."""
    return lambda place, text: tally.bad(f"{found.name}:{unit}{place}: {text[:200].decode('utf-8', 'replace')}")


def _counted(verdict: Verdict | None, tally: ClaimCounts) -> ClassPath:
    """The path that a verdict gives a title, () for none; counted."""
    if verdict and verdict.sort == Sort.UNKNOWN:
        tally.good((False, (f"Q{verdict.said_by}",)))
        return ()
    path = DISAMBIGUATION if verdict and verdict.sort == Sort.DISAMBIGUATION else verdict.path if verdict else ()
    tally.good((True, path))
    return path
