"""The commands `nerbert corpus near` and `nerbert knowledge gazetteer`."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nerbert.cli import options as opt


def corpus_near(
    *texts: opt.FileOrDash,
    output: opt.Output,
    from_: Annotated[list[str], Parameter(name="--from", negative="")],
    pages: int = 1000,
    run: opt.Run = opt.RUN,
    overwrite: opt.ReplaceFile = False,
) -> None:
    """Find texts of a domain for DAPT (mlm.texts): the pages of dumps and corpora most similar to its sentences.

    Similarity is the cosine of TF-IDF vectors of a page and of all sentences.

    Parameters
    ----------
    texts
        Files or folders of sentences of the domain, as for `tag`, such as the training sentences.
    output
        File of JSON lines to make: text, title, page and revision, similarity; most similar first.
    from_
        Pages to search: corpora built by `corpus build`, with all their sentences except excluded ones, or MediaWiki
        pages-articles files, read whole. They are read twice.
    pages
        Number of pages to keep.
    """
    from nerbert.executors import HERE
    from nerbert_papers.similar_pages import near_pages

    with run.open_executor() as executor:
        read, kept = near_pages(texts, from_, output, pages, executor or HERE, overwrite=overwrite)
    print(f"pages: {len(kept):,} of {read:,}; similarity {kept[0]:.3f} to {kept[-1]:.3f}")


def knowledge_gazetteer(
    *knowledge: Path,
    output: opt.Output,
    label_set: str = "4types",
    language: str = "en",
    overwrite: opt.ReplaceFile = False,
) -> None:
    """Write titles and their types as a list for `pretrain --set gazetteers.files=…`: lines of entry, tab, type.

    Disambiguation in brackets is removed from titles. Infobox mappings aren't used, since they need a dump's pages.

    Parameters
    ----------
    knowledge
        Files or folders with types of titles, as for `corpus build`: instance types, Wikidata, tables; an ontology.
    output
        File to make, for example coarse.tsv.
    label_set
        Label set: 4types (person, location, organisation), paper315, 212types, dbpedia, or a file `class<TAB>label`.
        Titles without one are left out.
    language
        Wikipedia's code of the titles.
    """
    from nerbert_papers.gazetteer_file import write_gazetteer

    written = write_gazetteer(knowledge, label_set, output, language=language, overwrite=overwrite)
    print(f"{written:,} entries written", file=sys.stderr)
