"""The sample that ships with the package is what it says: a true dump made from its sources, and texts of its own."""

import runpy
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import pytest
import regex

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.formats.conll import conll_block
from nerbert.records import CleanPage, Example
from tests.examples import read_examples

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "sources" / "wiki"
SAMPLE = ROOT / "nerbert" / "sample"
PARTS = ("train", "dev", "test")
WORD_OR_SIGN = r"\w+|[^\w\s]"


def tokens(text: str) -> str:
    """A text's words and signs, each between spaces, so that a name is looked for as whole words."""
    return f" {' '.join(regex.findall(WORD_OR_SIGN, text))} "


@pytest.fixture(scope="module")
def clean() -> dict[str, CleanPage]:
    """The articles, neither redirects nor disambiguation pages, without their markup."""
    (path,) = (SAMPLE / "wiki").iterdir()
    dump = Dump(path)
    articles = [page for page in dump.pages() if page.ns == 0 and "{{disambiguation}}" not in page.text]
    return {page.title: scan_page(page.title, page.text, dump.site) for page in articles if not page.redirect}


@pytest.fixture(scope="module")
def domain() -> dict[str, list[Example]]:
    return {part: read_examples(SAMPLE / "domain" / f"{part}.conll") for part in PARTS}


def test_dump_is_what_the_sources_give() -> None:
    script = runpy.run_path(str(SOURCES / "build.py"))
    made = script["build"](script["read_pages"](SOURCES))
    assert made.keys() == {path.name for path in (SAMPLE / "wiki").iterdir()}
    for name, data in made.items():
        assert (SAMPLE / "wiki" / name).read_bytes() == data, f"{name}: run: python sources/wiki/build.py"


def test_the_domain_is_iob2_has_all_types_in_each_part_and_no_sentence_twice(
    domain: Mapping[str, Sequence[Example]],
) -> None:
    for part, examples in domain.items():
        text = (SAMPLE / "domain" / f"{part}.conll").read_text(encoding="utf-8")
        assert "".join(map(conll_block, examples)).rstrip() == text.rstrip(), part
    assert sum(map(len, domain.values())) >= 250
    types = [{span.type for each in examples for span in each.spans} for examples in domain.values()]
    assert len(types[0]) >= 6
    assert types[1:] == types[:1] * 2
    for one, other in combinations(PARTS, 2):
        assert not {each.text for each in domain[one]} & {each.text for each in domain[other]}


def test_few_names_of_the_domains_test_part_occur_in_the_wikis_prose(
    domain: Mapping[str, Sequence[Example]], clean: Mapping[str, CleanPage]
) -> None:
    """Case is ignored; what is no prose (infoboxes, tables, lists, captions, references) is not looked at."""
    wiki = "".join(tokens(page.text.casefold()) for page in clean.values())
    names = [each.text[span.start : span.end] for each in domain["test"] for span in each.spans]
    found = [name for name in names if tokens(name.casefold()) in wiki]
    assert len(found) <= 0.2 * len(names), found
