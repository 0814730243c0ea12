from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.dump import Dump
from nerbert.corpus.pages import write_pages
from nerbert.corpus.rows import ARTICLE, PageReport
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import read_table, shard_paths
from nerbert.corpus.wikitext import clean_page
from nerbert.records import Reason, sentence_id
from nerbert.show import Progress
from nerbert.words import split_words

SETTINGS = CorpusSettings()


def build(
    dumps: list[Dump], folder: Path, settings: CorpusSettings = SETTINGS, workers: int = 1
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], PageReport]:
    """Rows of `pages/` and of `titles/`, and the report."""
    report = write_pages(dumps, folder, settings, workers, Progress())
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
    assert report.links == {"found": 4, "kept": 4, Reason.CUTS_A_WORD: 0}
    check_counts(report, 1)


def test_links_that_cut_words_are_counted(tmp_path: Path) -> None:
    rows, _, report = build([dump(tmp_path, page(1, "un[[do]] [[pre]]é [[a]]b [[c-d|c]]-d [[P1]]"))], tmp_path / "out")
    assert [link["target"] for link in rows[0]["links"]] == ["A", "C-d"]
    assert report.links[Reason.CUTS_A_WORD] == 2
    assert report.links[Reason.LINK_TO_SELF] == 1
    check_counts(report, 1)


def test_every_page_has_a_fate(tmp_path: Path) -> None:
    pages = [
        page(1, "Text."),
        page(2, "#REDIRECT [[P1]]"),
        page(3, "Text.", ns="<ns>4</ns>"),
        page(4, "Text.", "User:X", ns=""),
        page(5, "Text.", ""),
        page(6, "Text.", model="css"),
        page(7, "x" * 101),
        page(8, "{{Infobox x|a=b}} [[Category:Y]]"),
        page(9, ""),
        page(10, "Text.", ns=""),
    ]
    settings = CorpusSettings(max_page_characters=100)
    rows, titles, report = build([dump(tmp_path, *pages)], tmp_path / "out", settings)
    assert report.fates == {
        ARTICLE: 2, Reason.REDIRECT: 1, Reason.NOT_AN_ARTICLE: 2, Reason.NO_TITLE: 1, Reason.NOT_WIKITEXT: 1,
        Reason.PAGE_TOO_LONG: 1, Reason.EMPTY_TEXT: 2,
    }  # fmt: skip
    assert Counter(title["fate"] for title in titles) == report.fates
    assert [row["page_id"] for row in rows] == [1, 10]
    assert [(title["page_id"], title["ns"]) for title in titles if title["ns"]] == [(3, 4), (4, 2)]
    assert titles[1]["redirect"] == "P1"
    assert titles[7]["infoboxes"] == [{"template": "Infobox x", "parameters": [{"name": "a", "value": "b"}]}]
    check_counts(report, len(pages))


def test_text_without_a_word_gives_no_sentence(tmp_path: Path) -> None:
    rows, titles, report = build([dump(tmp_path, page(1, "&#128; [[a|\x80]]"))], tmp_path / "out")
    assert all(row["words"] for row in rows)
    assert len(titles) == 1
    check_counts(report, 1)


def test_lists_are_a_setting(tmp_path: Path) -> None:
    source = dump(tmp_path, page(1, "A.\n* B [[c]]."))
    plain, _, report = build([source], tmp_path / "plain")
    both, _, _ = build([source], tmp_path / "both", CorpusSettings(lists=True))
    assert [row["text"] for row in plain] == ["A."]
    assert [row["text"] for row in both] == ["A.", "B c."]
    assert report.links[Reason.LINK_OUTSIDE_PROSE] == 1


def test_strange_white_space_never_shifts_offsets(tmp_path: Path) -> None:
    text = "A\tb\u2028[[c]]\u00a0d&#8203;[[e]]&shy;.\r\n\r\nNext [[f\u200b|\u200efoo]].&#10;End."
    rows, _, report = build([dump(tmp_path, page(1, text))], tmp_path / "out")
    assert [row["text"] for row in rows] == ["A b c de.", "Next foo.", "End."]
    assert [[row["text"][link["start"] : link["end"]] for link in row["links"]] for row in rows] == [["c"], ["foo"], []]
    assert report.links[Reason.CUTS_A_WORD] == 1
    check_counts(report, 1)


def test_pages_are_numbered_over_all_dumps(tmp_path: Path) -> None:
    one, two = dump(tmp_path, page(1, "A."), page(2, "B.")), dump(tmp_path, page(3, "C."))
    rows, titles, _ = build([one, two, dump(tmp_path)], tmp_path / "out")
    assert [(row["page_number"], row["text"]) for row in rows] == [(0, "A."), (1, "B."), (2, "C.")]
    assert [title["page_number"] for title in titles] == [0, 1, 2]


def test_shards_do_not_depend_on_workers(sample: Path, tmp_path: Path) -> None:
    settings = CorpusSettings(shard_sentences=200)
    for workers in (1, 2):
        build([Dump(sample / "wiki.xml")], tmp_path / str(workers), settings, workers)
    for name in ("pages", "titles"):
        one, two = (shard_paths(tmp_path / workers / name) for workers in "12")
        assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def check_dump(path: Path, folder: Path) -> list[dict[str, Any]]:
    """Build a dump's pages and check every row against its page's clean text."""
    source = Dump(path)
    raw = list(source.pages())
    rows, titles, report = build([Dump(path)], folder)
    check_counts(report, len(raw))
    assert len(titles) == len(raw)
    texts = {
        number: clean_page(each.title, each.text, source.site).text
        for number, each in enumerate(raw)
        if titles[number]["fate"] == ARTICLE
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


@pytest.mark.parametrize(("language", "least"), [("en", 40_000), ("de", 8_000), ("it", 15_000)])
def test_real_dumps_add_up(shared: Path, tmp_path: Path, language: str, least: int) -> None:
    path = shared / f"data/wiki/{language}wiki-sample-pages-articles-multistream.xml.bz2"
    assert len(check_dump(path, tmp_path)) > least
