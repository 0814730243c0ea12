import bz2
import gzip
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from html import escape
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow
import pytest

import nerbert
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.page_rows import ARTICLE, PageReport
from nerbert.corpus.pages import fingerprint, write_pages
from nerbert.corpus.settings import PASS_1, CorpusSettings
from nerbert.corpus.shards import read_table, shard_paths
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.errors import InputError
from nerbert.executors import HERE, LocalExecutor
from nerbert.records import Reason, sentence_id
from nerbert.terminal import Progress
from nerbert.words import split_words
from tests.raised import raises

SETTINGS = CorpusSettings()


def build(
    dumps: list[Dump], folder: Path, settings: CorpusSettings = SETTINGS, workers: int = 1
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], PageReport]:
    """Rows of `pages/` and of `titles/`, and the report."""
    with LocalExecutor(workers) as executor:
        report = write_pages(dumps, folder, settings, executor, Progress())
    rows, titles = (
        [row for path in shard_paths(folder / name) for row in read_table(path).to_pylist()]
        for name in ("pages", "titles")
    )
    return rows, titles, report


def dump(tmp_path: Path, *pages: str) -> Dump:
    path = tmp_path / f"dump{len(list(tmp_path.iterdir()))}.xml"
    path.write_text('<mediawiki xml:lang="en">' + "".join(pages) + "</mediawiki>", encoding="utf-8")
    return Dump(path, wiki="testwiki")


def page(number: int, text: str, title: str | None = None, *, ns: str = "<ns>0</ns>", model: str = "wikitext") -> str:
    title = f"P{number}" if title is None else title
    return (
        f"<page><title>{title}</title>{ns}<id>{number}</id><revision><id>{number}0</id><model>{model}</model>"
        f"<text>{escape(text)}</text></revision></page>"
    )


def check_counts(report: PageReport, pages: int) -> None:
    """All that came in went out or has a reason."""
    assert report.fates.total() == pages
    assert set(report.fates) <= {ARTICLE, *Reason}
    links = Counter(report.links)
    found, kept = links.pop("found", 0), links.pop("kept", 0)
    assert found == kept + links.total()
    assert set(links) <= set(Reason)


def check_row(row: dict[str, Any]) -> None:
    """A sentence's words and links point into its text, links from word edge to word edge."""
    words = [(word["start"], word["end"]) for word in row["words"]]
    assert words == list(split_words(row["text"])) != []
    assert row["text"] == row["text"].strip()
    assert "\n" not in row["text"]
    last = 0
    for link in row["links"]:
        assert last <= link["start"] < link["end"] <= len(row["text"])
        assert link["start"] in {start for start, _ in words}
        assert link["end"] in {end for _, end in words}
        assert link["target"]
        last = link["end"]


def test_sentences_of_a_page(tmp_path: Path) -> None:
    text = "A [[cat]] sat. ''[[Hamlet]]'''s end, [[dog|do]]g.\n\nThe Mr. [[Who? Me.|Who? Me.]] left."
    rows, titles, report = build([dump(tmp_path, page(7, text))], tmp_path / "out")
    assert [(row["text"], [link["target"] for link in row["links"]]) for row in rows] == [
        ("A cat sat.", ["Cat"]),
        ("Hamlet's end, dog.", ["Hamlet", "Dog"]),
        ("The Mr. Who? Me. left.", ["Who? Me."]),
    ]
    assert [row["start"] for row in rows] == [0, 11, 30]
    assert rows[1]["id"] == "testwiki:7:70:11"
    assert (titles[0]["fate"], titles[0]["page_number"], titles[0]["ns"]) == (ARTICLE, 0, 0)
    assert +report.links == {"found": 4, "kept": 4}
    check_counts(report, 1)


STRANGE = "A\tb\u2028[[c]]\u00a0d&#8203;[[e]]&shy;.\r\n\r\nNext [[f\u200b|\u200efoo]].&#10;End."


@pytest.mark.parametrize(
    ("text", "lists", "sentences", "links"),
    [
        (
            "un[[do]] [[pre]]É [[a]]b [[c-d|c]]-d [[P1]]",
            False,
            {"undo preÉ ab c-d P1": ["ab", "c"]},
            {"found": 5, "kept": 2, Reason.CUTS_A_WORD: 2, Reason.LINK_TO_SELF: 1},
        ),
        ("A.\n* B [[c]].", False, {"A.": []}, {"found": 1, Reason.LINK_OUTSIDE_PROSE: 1}),
        ("A.\n* B [[c]].", True, {"A.": [], "B c.": ["c"]}, {"found": 1, "kept": 1}),
        (
            STRANGE,
            False,
            {"A b c de.": ["c"], "Next foo.": ["foo"], "End.": []},
            {"found": 3, "kept": 2, Reason.CUTS_A_WORD: 1},
        ),
    ],
)
def test_links_of_sentences_are_counted(
    tmp_path: Path, text: str, lists: bool, sentences: dict[str, list[str]], links: dict[str, int]
) -> None:
    rows, _, report = build([dump(tmp_path, page(1, text))], tmp_path / "out", CorpusSettings(lists=lists))
    assert {row["text"]: [row["text"][a["start"] : a["end"]] for a in row["links"]] for row in rows} == sentences
    assert (+report.links, report.grown) == (links, 0)
    check_counts(report, 1)


def test_every_page_has_a_fate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [
        page(1, "Text."),
        page(2, "#REDIRECT [[P1]]"),
        page(3, "Text.", ns="<ns>4</ns>"),
        page(4, "Text.", "User:X", ns=""),
        page(5, "Text.", ""),
        page(6, "Text.", model="css"),
        page(7, "{{Infobox x}}" * 9),
        page(8, "{{Infobox x|a=b}} [[Category:Y]]"),
        page(9, ""),
        page(10, "Text.", ns=""),
    ]
    monkeypatch.setattr("nerbert.corpus.page_rows._LONGEST_PAGE", 100)
    rows, titles, report = build([dump(tmp_path, *pages)], tmp_path / "out")
    assert report.fates == {
        ARTICLE: 2,
        Reason.REDIRECT: 1,
        Reason.NOT_AN_ARTICLE: 2,
        Reason.NO_TITLE: 1,
        Reason.NOT_WIKITEXT: 1,
        Reason.PAGE_TOO_LONG: 1,
        Reason.EMPTY_TEXT: 2,
    }
    assert Counter(title["fate"] for title in titles) == report.fates
    assert [row["page_id"] for row in rows] == [1, 10]
    assert [(title["page_id"], title["ns"]) for title in titles if title["ns"]] == [(3, 4), (4, 2)]
    assert titles[1]["redirect"] == "P1"
    assert not titles[6]["infoboxes"], "too long to be read at all"
    assert titles[7]["infoboxes"] == [{"template": "Infobox x", "parameters": [{"name": "a", "value": "b"}]}]
    check_counts(report, len(pages))


def test_pages_are_numbered_over_all_dumps(tmp_path: Path) -> None:
    one, two = dump(tmp_path, page(1, "A."), page(2, "B.")), dump(tmp_path, page(3, "C."))
    rows, titles, _ = build([one, two, dump(tmp_path)], tmp_path / "out")
    second = 1 << 24
    assert [(row["page_number"], row["text"]) for row in rows] == [(0, "A."), (1, "B."), (second, "C.")]
    assert [title["page_number"] for title in titles] == [0, 1, second]


def multistream(xml: bytes) -> bytes:
    return b"".join(bz2.compress(xml[n : n + 7000]) for n in range(0, len(xml), 7000))


@pytest.mark.parametrize(("pack", "split_bytes"), [(bytes, 20_000), (multistream, 9_000), (gzip.compress, 20_000)])
def test_parts_do_not_depend_on_workers(
    sample: Path, tmp_path: Path, pack: Callable[[bytes], bytes], split_bytes: int
) -> None:
    path = tmp_path / "dump"
    path.write_bytes(pack((sample / "wiki.xml").read_bytes()))
    for workers in (1, 3):
        build([Dump(path)], tmp_path / str(workers), CorpusSettings(split_bytes=split_bytes), workers)
    assert len(files(tmp_path / "1")) > 10
    assert files(tmp_path / "3") == files(tmp_path / "1")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_does_only_what_is_missing(sample: Path, tmp_path: Path) -> None:
    settings = CorpusSettings(split_bytes=20_000)
    build([Dump(sample / "wiki.xml")], tmp_path, settings)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    one, other, torn = sorted((tmp_path / "done").iterdir())[:3]
    one.unlink()
    (tmp_path / "titles" / f"{other.stem}.parquet").unlink()
    (tmp_path / "pages" / f"{torn.stem}.parquet").write_bytes(b"PAR1")
    bar = Progress()
    write_pages([Dump(sample / "wiki.xml")], tmp_path, settings, HERE, bar)
    changed = {path for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert changed == {
        tmp_path / kind / f"{mark.stem}{end}"
        for mark in (one, other, torn)
        for kind, end in (("pages", ".parquet"), ("titles", ".parquet"), ("done", ".json"))
    }
    assert bar.items == 246
    assert 0 < bar.items_before < 246


def test_a_part_of_other_input_is_made_again(tmp_path: Path) -> None:
    """What comes through a pipe is known by its content only."""
    pipe, pages = tmp_path / "pipe", [page(n, f"Cat {n} sat. " * 50) for n in range(1, 9)]
    os.mkfifo(pipe)
    before = []
    for some in (pages, [*pages[:4], page(5, "Dog. " * 99), *pages[5:]], pages[:4]):
        before.append(pour(pipe, "".join(some), tmp_path / "out", 3000).items_before)
        read = [title for path in shard_paths(tmp_path / "out" / "titles") for title in read_table(path)["title"]]
        assert len(read) == len(some)
    assert before[0] == 0
    assert 0 < before[1] < 5


def pour(pipe: Path, xml: str, folder: Path, split_bytes: int) -> Progress:
    """Write the pages of a dump that comes through a pipe."""
    thread = Thread(target=pipe.write_bytes, args=(gzip.compress(f"<mediawiki>{xml}</mediawiki>".encode()),))
    thread.start()
    bar = Progress()
    write_pages([Dump(pipe)], folder, CorpusSettings(split_bytes=split_bytes), HERE, bar)
    thread.join()
    return bar


def long_dump(path: Path, text: str = "old") -> bytes:
    """A dump of 4 MB, larger than what its identity looks at."""
    data = ("<mediawiki>" + "".join(page(n, f"{text} {n}. " * 4000) for n in range(100, 200)) + "</mediawiki>").encode()
    path.write_bytes(data)
    os.utime(path, ns=(10**18, 10**18))
    return data


LONG = CorpusSettings(split_bytes=1_000_000)


def test_a_file_that_changed_in_its_middle_since_a_run_is_read_again(tmp_path: Path) -> None:
    """Its time tells, since neither its size nor its edges do; a build refuses to go on (tests/faults)."""
    path = tmp_path / "dump.xml"
    old, edge = long_dump(path), 1 << 20
    build([Dump(path)], tmp_path / "out", LONG)
    one, new = fingerprint([Dump(path)], LONG), long_dump(path, "new")
    assert len(new) == len(old)
    path.write_bytes(old[:edge] + new[edge:-edge] + old[-edge:])
    assert fingerprint([Dump(path)], LONG) != one
    build([Dump(path)], tmp_path / "out", LONG)
    build([Dump(path)], tmp_path / "anew", LONG)
    assert files(tmp_path / "out") == files(tmp_path / "anew")


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    long_dump(path)
    state = path.stat()
    pages = Dump(path).pages()
    next(pages)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    with raises(InputError, "changed while it was read; run again with --overwrite"):
        list(pages)


def test_a_part_depends_on_its_site(tmp_path: Path) -> None:
    """A pipe's parts, whose plan says nothing of what is in them."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    names = '<siteinfo><namespaces><namespace key="6">Foo</namespace></namespaces></siteinfo>'
    other = names.replace('"6"', '"0"')
    pages = "".join(page(n, "A [[Foo:b|c]] d. " * 50) for n in range(1, 9))
    for head, folder in ((other, "out"), (other, "plain"), (names, "out"), (names, "anew")):
        pour(path, head + pages, tmp_path / folder, 2000)
    plain, anew = (read_table(tmp_path / name / "pages" / "part-00001.parquet") for name in ("plain", "anew"))
    assert plain != anew, "the site matters here"
    assert files(tmp_path / "out") == files(tmp_path / "anew")


def test_a_part_has_room_for_so_many_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.corpus.pages._PLACES", 1)
    with raises(InputError, "dump0.xml: more than 2 pages in a part; take a smaller --set split_bytes"):
        build([dump(tmp_path, *(page(n, "A.") for n in range(1, 4)))], tmp_path / "out")


def test_the_same_is_made_from_the_same(tmp_path: Path) -> None:
    one = dump(tmp_path, page(1, "A."))
    told = fingerprint([one], SETTINGS)
    assert (told["nerbert"], told["pyarrow"]) == (nerbert.__version__, pyarrow.__version__)
    assert told == fingerprint([one], CorpusSettings(seed=7, alpha=0.1))
    assert told != fingerprint([one], CorpusSettings(lists=True))
    assert {field.name for field in fields(CorpusSettings)} > PASS_1


def check_dump(path: Path, folder: Path) -> list[dict[str, Any]]:
    """Build a dump's pages and check every row against its page's clean text."""
    source = Dump(path)
    raw = list(source.pages())
    rows, titles, report = build([Dump(path)], folder)
    check_counts(report, len(raw))
    assert len(titles) == len(raw)
    texts = {
        title["page_number"]: scan_page(each.title, each.text, source.site).text
        for title, each in zip(titles, raw, strict=True)
        if title["fate"] == ARTICLE
    }
    last = (-1, 0)
    for row in rows:
        check_row(row)
        start, end = row["start"], row["start"] + len(row["text"])
        assert texts[row["page_number"]][start:end] == row["text"]
        assert row["id"] == sentence_id(source.site.wiki, row["page_id"], row["revision"], start)
        assert (row["page_number"], start) >= last
        last = (row["page_number"], end)
    assert sum(len(row["links"]) for row in rows) == report.links["kept"]
    covered = Counter[int]()
    for row in rows:
        covered[row["page_number"]] += len(row["words"])
    assert covered == {number: len(split_words(text)) for number, text in texts.items()}
    return rows


def test_the_sample_adds_up(sample: Path, tmp_path: Path) -> None:
    assert len(check_dump(sample / "wiki.xml", tmp_path)) > 100


@pytest.mark.parametrize(
    ("language", "least"),
    [
        pytest.param("en", 40_000, marks=pytest.mark.nightly),
        ("de", 8_000),
        pytest.param("it", 15_000, marks=pytest.mark.nightly),
    ],
)
def test_real_dumps_add_up(shared: Path, tmp_path: Path, language: str, least: int) -> None:
    path = shared / f"data/wiki/{language}wiki-sample-pages-articles-multistream.xml.bz2"
    assert len(check_dump(path, tmp_path)) > least
