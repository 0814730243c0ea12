"""Time and memory of readers: in proportion to what they read, whatever is repeated in it, and wherever that is."""

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from hypothesis import strategies as st

from nerbert.corpus.knowledge.claims import ClaimCounts
from nerbert.corpus.knowledge.exports import read_mappings, read_ontology
from nerbert.corpus.wikitext.protected import without_ours
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.sources.files import FoundFile
from nerbert.training.sections import load_settings
from nerbert_annotate.answers import read_labels
from tests.corpus.wikitext.test_scan import EN
from tests.fuzz import test_answers, test_dump, test_knowledge, test_settings, test_wikitext
from tests.fuzz.conftest import Fuzz
from tests.fuzz.properties import answer, check_growth, check_seconds, peak_of

pytestmark = pytest.mark.fuzz
Case: TypeAlias = tuple[str, str, str]
"""A beginning, a piece and an end, of which the last two are repeated."""


class Reader(NamedTuple):
    """What reads a text: `read(path, begin, repeated)`; what the text is made of; its bytes of memory for each byte."""

    read: Callable[[Path, str, str], object]
    begins: Sequence[str]
    pieces: Sequence[str]
    ends: Sequence[str] = ("",)
    memory: int = 400
    at_least: int = 1 << 18


def read_wikitext(_: Path, begin: str, repeated: str) -> object:
    return scan_page("T", without_ours(begin + repeated), EN, lists=True)


def read_dump(path: Path, mark: str, repeated: str) -> object:
    """Read a dump with a text behind the first of these marks."""
    xml = test_dump.XML.decode()
    start = xml.index(mark) + len(mark)
    path.write_text(xml[:start] + repeated + xml[start:], "utf-8", "surrogateescape")
    return answer(lambda: test_dump.pages_of(path))


def read_page(_: Path, begin: str, repeated: str) -> None:
    """Read an export of a page as classes and as mappings."""
    for title in ("OntologyClass:A", "Mapping en:A"):
        data = test_knowledge.export((title, (begin + repeated).replace("&", "&amp;").replace("<", "&lt;")))
        answer(partial(read_ontology, BytesIO(data), "x"))
        answer(partial(read_mappings, BytesIO(data), "x"))


def read_rows(path: Path, begin: str, repeated: str) -> None:
    path.write_text(begin + repeated, "utf-8")
    for name in ("table", "triples", "disambiguations"):
        list(test_knowledge.rows_of(name, FoundFile(path, "rows", direct=True), ClaimCounts()))


def read_answer(_: Path, begin: str, repeated: str) -> None:
    test_answers.tried(lambda: read_labels(test_answers.TEXT, begin + repeated, cut=False))


def read_settings(path: Path, begin: str, repeated: str) -> None:
    path.write_text(begin + repeated, "utf-8", "surrogateescape")
    answer(lambda: load_settings(FinetuneSettings, path))


def texts(pieces: Sequence[bytes]) -> list[str]:
    return [piece.decode("utf-8", "surrogateescape") for piece in pieces if len(piece) < 1000]


FACTS = [piece for piece in texts(test_knowledge.WORDS) if piece.isascii()]
TRIPLE = test_knowledge.TYPE.format("A", "dbpedia.org/ontology/B")[:-3]
READERS = {
    "wikitext": Reader(read_wikitext, [""], test_wikitext.PIECES),
    "dump": Reader(
        read_dump,
        ["", "<mediawiki ", "<siteinfo>", '<namespace key="6">', "<page>", "<title>", 'title="P1', "text ", "</page>"],
        texts(test_dump.WORDS),
        ["", "<", " ", "</a>"],
        8,
        1 << 23,
    ),
    "page": Reader(
        read_page,
        ["", "{{Class | comments = {{comment|en|", "#REDIRECT", "{{TemplateMapping", "{{ConditionalMapping | a="],
        FACTS,
        ["", " x"],
    ),
    "rows": Reader(read_rows, ["", "<http://dbpedia.org/resource/a", TRIPLE, "a\tb"], FACTS, at_least=1 << 23),
    "answer": Reader(read_answer, ["", "{", "[", '"', "rates"], texts(test_answers.WORDS), memory=60),
    "settings": Reader(read_settings, ["", "x = ", "[", "{"], texts(test_settings.WORDS)),
}


def cases(reader: Reader) -> st.SearchStrategy[Case]:
    piece = st.sampled_from(reader.pieces)
    several = st.tuples(piece, piece).map("".join)
    return st.tuples(st.sampled_from(reader.begins), piece | several, st.sampled_from(reader.ends) | piece)


def read(reader: Reader, path: Path, case: Case, count: int) -> object:
    begin, piece, end = case
    return reader.read(path, begin, piece * count + end * count)


@pytest.mark.parametrize("name", READERS)
def test_calls_and_memory_grow_with_a_text(fuzz: Fuzz, tmp_path: Path, name: str) -> None:
    reader, path = READERS[name], tmp_path / "a.toml"

    def grows(case: Case) -> None:
        check_growth(partial(read, reader, path, case), (50, 100, 200, 400))
        size = 1000 * len((case[1] + case[2]).encode("utf-8", "surrogatepass"))
        assert peak_of(lambda: read(reader, path, case, 1000)) < reader.memory * size + reader.at_least

    fuzz(cases(reader), grows, share=0.25)


@pytest.mark.nightly
@pytest.mark.parametrize("name", READERS)
def test_seconds_grow_with_a_text(fuzz: Fuzz, tmp_path: Path, name: str) -> None:
    """What an expression costs is in no count of calls."""
    reader, path = READERS[name], tmp_path / "a.toml"

    def grows(case: Case) -> None:
        size = max(10, 20_000 // len(case[1] + case[2]))  # writing megabytes would be what is measured
        check_seconds(partial(read, reader, path, case), (size, 4 * size), what=case)

    fuzz(cases(reader), grows, found=product(reader.begins, reader.pieces, reader.ends))


@pytest.mark.parametrize(
    ("name", "case", "count"),
    [
        *(("page", (begin, " ", ""), 300_000) for begin in ("#REDIRECT", "{{Class | comments = {{comment|en|a")),
        ("dump", ("<mediawiki ", "<text", ""), 400_000),
        *(
            ("dump", (mark, piece, ""), 200_000)
            for mark, piece in product(READERS["dump"].begins, ("<a>", "<page>", "<text>"))
        ),
        ("answer", ("", "rates <> price\n", ""), 20_000),
    ],
)
def test_what_was_found(tmp_path: Path, name: str, case: Case, count: int) -> None:
    """What took minutes, a hundred bytes for each of its own, or all of the stack."""
    reader = READERS[name]
    size = count * len(case[1])
    assert peak_of(lambda: read(reader, tmp_path / "a", case, count)) < reader.memory * size + reader.at_least
