"""The page: every category once, figures that are the manifest's, and nothing from a corpus that a browser acts on."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree, html

from nerbert.corpus.shards import read_sentences
from nerbert.errors import visible
from nerbert.render.corpus import card_of, concentration, make_overview, marked_pieces, page_of
from nerbert.rng import uniform
from tests import pages
from tests.render.checks import HOSTILE as EVIL
from tests.render.checks import check_page


@pytest.fixture(scope="module")
def overview(sample_corpus: Path) -> dict[str, Any]:
    return make_overview(sample_corpus)


@pytest.fixture(scope="module")
def page(overview: dict[str, Any]) -> str:
    return page_of(overview)


@pytest.fixture(scope="module")
def tree(page: str) -> "etree._Element":
    return html.document_fromstring(page)


@pytest.fixture
def evil_corpus(sample_corpus: Path, tmp_path: Path) -> Path:
    """The sample with a text that is an attack wherever a text can stand."""
    corpus = tmp_path / "evil"
    shutil.copytree(sample_corpus, corpus)
    path = corpus / "sentences" / "part-00000.parquet"
    rows = pq.read_table(path)
    evil = [
        row
        | {"title": EVIL, "text": EVIL * 3, "split": EVIL}
        | {
            "mentions": [
                each
                | dict.fromkeys(("target", "resolved_target", "source", "category"), EVIL)
                | {"start": -3 + 7 * place, "end": 40 + place * 10**6, "class_path": [EVIL]}
                for place, each in enumerate(row["mentions"])
            ]
        }
        for row in rows.to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(evil, schema=rows.schema), path)
    manifest = json.loads((corpus / "manifest.json").read_text())
    counts = {"mentions": 5, "with_copies": 3}
    manifest |= {
        "wiki": EVIL,
        "language": EVIL,
        "licence": EVIL,
        "made_by": EVIL,
        "scanner": EVIL,
        "steps": [{"step": EVIL, "in": 2, "out": 1, "dropped": {EVIL: 1}}],
        "mention_sources": {EVIL: 3},
        "splits": {EVIL: next(iter(manifest["splits"].values()))},
        "categories": {EVIL: counts},
        "settings": manifest["settings"] | {EVIL: EVIL},
        "balance": {EVIL: EVIL, "fit": {EVIL: EVIL}},
        "unresolved": [{"title": EVIL, "links": 9}],
        "label_set": {"name": EVIL, "sha256": EVIL, "to_ancestor": {EVIL: 1}, "to_entity": {EVIL: 1}},
        "inputs": [{"file": EVIL, "bytes": 1, "sha256": EVIL}],
        "knowledge": {
            "used": [{"path": EVIL, "kind": EVIL, "rows": EVIL, "typed": EVIL, "dropped": {EVIL: 1}}],
            "passed_over": [{"path": EVIL, "why": EVIL}],
            "unknown_classes": {EVIL: 1},
        },
    }
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    line = {"step": EVIL, "reason": EVIL, "id": EVIL, "text": EVIL}
    (corpus / "dropped.jsonl").write_text(json.dumps(line) + "\n")
    return corpus


def text_of(element: "etree._Element") -> str:
    return "".join(str(part) for part in element.itertext())


def find(tree: "etree._Element", path: str) -> "list[etree._Element]":
    found = tree.xpath(path)
    assert isinstance(found, list)
    return [each for each in found if isinstance(each, etree._Element)]


def test_parts_and_links_to_them(page: str) -> None:
    tree = check_page(page)
    parts = {"size", "topics", "categories", "sentences", "funnel", "knowledge", "dropped", "making"}
    assert parts <= set(tree.xpath("//@id"))
    assert len(tree.xpath("//a/@href[starts-with(., '#')]")) == 9


def test_policy_names_what_stands_inside(page: str) -> None:
    policy = html.document_fromstring(page).xpath("string(//meta[@http-equiv]/@content)")
    for name in ("style", "script"):
        inside = page.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in str(policy)
    assert "default-src 'none'" in str(policy)
    assert "unsafe" not in str(policy)


def test_figures_are_the_manifests(tree: "etree._Element", overview: dict[str, Any]) -> None:
    assert [text_of(each) for each in find(tree, "//*[@id='blocks']//h3")] == list(overview["categories"])
    assert len(overview["categories"]) > 20
    told = {
        text_of(find(each, "./span[@class='name']")[0]): text_of(find(each, "./span[@class='told']")[0])
        for each in find(tree, "//ol[@class='barlist']/li")
    }
    assert told == {
        name: f"{counts['mentions']:,} → {counts['with_copies']:,}" for name, counts in overview["categories"].items()
    }
    steps = [re.findall(r"\d[\d,]*", text_of(each)) for each in find(tree, "//*[@class='step']/p[1]")]
    assert [tuple(int(n.replace(",", "")) for n in each) for each in steps] == [
        (step["in"], step["out"]) for step in overview["steps"]
    ]
    drops = [int(text_of(each).replace(",", "")) for each in find(tree, "//ul[@class='reasons']//b")]
    assert sorted(drops) == sorted(count for step in overview["steps"] for count in step["dropped"].values())
    sizes = [text_of(each).replace(",", "") for each in find(tree, "//*[@id='size']//td")]
    ours = overview["table1"]["ours"]
    assert {str(ours["examples"]), str(ours["tokens"]), str(ours["categories"])} <= set(sizes)
    assert {"16300000", "475600000", "315", "4.2 GB"} <= set(sizes)


def test_sentences_are_those_of_the_smallest_coins(sample_corpus: Path, overview: dict[str, Any]) -> None:
    holding: dict[str, list[tuple[float, str]]] = {}
    for each in read_sentences(sample_corpus):
        for category in {mention.category for mention in each.mentions}:
            holding.setdefault(category, []).append((uniform(0, f"show {category}", each.id), each.id))
    drawn = overview["sentences_by_category"]
    assert {name: [row["id"] for row in rows] for name, rows in drawn.items()} == {
        name: [identity for _, identity in sorted(holding.get(name, []))[:3]] for name in overview["categories"]
    }
    assert sum(map(len, drawn.values())) > 60


def test_topics_are_the_manifests(tree: "etree._Element", overview: dict[str, Any]) -> None:
    shown = [[text_of(cell) for cell in find(row, "./td")[:2]] for row in find(tree, "//*[@id='topics']/div//tbody/tr")]
    assert shown == [[name, f"{counts['mentions']:,}"] for name, counts in overview["topics"].items()]
    old = {key: value for key, value in overview.items() if key != "topics"}
    assert not find(html.document_fromstring(page_of(old)), "//*[@id='topics']/div")


@pytest.mark.parametrize(
    ("step", "head", "notes", "words"),
    [
        (
            "filter 1",
            "Filter 1",
            {"mentions_made_entity": 1234, "categories_kept": 56},
            "1,234 mentions of rare categories became ENTITY; 56 categories are left",
        ),
        (
            "exclude",
            "Texts to exclude",
            {"by_ngram": 4321, "by_equality": 5, "not_judged": 6},
            "4,321 compared by words in a row, 5 as a whole, 6 too short to be judged",
        ),
    ],
)
def test_notes_are_beside_their_step(
    overview: dict[str, Any], step: str, head: str, notes: dict[str, int], words: str
) -> None:
    tree = html.document_fromstring(page_of(overview | {"notes": {step: notes}}))
    assert words in text_of(find(tree, f"//*[@class='step'][starts-with(h3, '{head}')]")[0])
    assert "too short to be judged" not in page_of(overview)


def test_every_mention_can_be_reached_without_a_mouse(page: str, tree: "etree._Element") -> None:
    marks = find(tree, "//mark")
    assert marks
    assert all(each.get("tabindex") == "0" and each.get("title") for each in marks)
    assert re.search(r"mark:focus::after \{ content: [^}]*attr\(title\)", page)


def test_words_fit_a_set_of_one_label(overview: dict[str, Any]) -> None:
    for name, count in (("dbpedia", None), ("1type", 1)):
        categories = dict([*overview["categories"].items()][:count])
        changed = overview | {"label_set": overview["label_set"] | {"name": name}, "categories": categories}
        changed |= {"concentration": concentration(changed)}
        for shown in (pages.text_of(page_of(changed)), card_of(changed)):
            assert name in shown
            assert "class unknown, outside the set, or rare" in shown
            assert ("hold half of all mentions" in shown) == (count is None)


def test_marks_are_the_mentions(tree: "etree._Element", overview: dict[str, Any]) -> None:
    shown = [
        [(text_of(mark[0]), text_of(mark[1])) for mark in find(each, ".//mark")]
        for each in find(tree, "//*[@id='blocks']//div[@class='sentence']")
    ]
    assert shown == [
        [(row["text"][m["start"] : m["end"]], m["category"]) for m in row["mentions"]]
        for rows in overview["sentences_by_category"].values()
        for row in rows
    ]


def test_nothing_in_a_corpus_acts(evil_corpus: Path) -> None:
    tree = check_page(page_of(make_overview(evil_corpus)))
    assert len(tree.xpath("//script")) == 1
    assert all(each.startswith("#") or each == "data:," for each in tree.xpath("//@href"))
    assert text_of(tree).count(visible(EVIL)) > 20
    assert any(visible(EVIL) in title for title in tree.xpath("//@title"))


@given(st.text(min_size=1, max_size=900), st.lists(st.tuples(st.integers(-9, 999), st.integers(-9, 999)), max_size=6))
def test_spans_that_lie_lose_no_text(text: str, spans: list[tuple[int, int]]) -> None:
    mention = {"category": "City", "resolved_target": "x", "class_path": [], "source": "", "origin": "link"}
    mentions = [mention | {"start": start, "end": end} for start, end in spans]
    row = {"text": text, "mentions": mentions, "title": "t", "id": "i", "split": "train", "copies": 1}
    got = "".join(piece for piece, _ in marked_pieces(text, mentions, "City"))
    if len(text) <= 600:
        assert got == text
    assert got.removeprefix("… ").removesuffix(" …") in text
    tree = check_page(page_of(_small() | {"sentences_by_category": {"City": [row]}}))
    shown = find(tree, "//*[@class='sentence']/p[@class='text']")[0]
    for small in find(shown, ".//small"):
        small.text = ""
    assert text_of(shown).split() == visible(got).split()


def _small() -> dict[str, Any]:
    """An overview with as little as there can be."""
    counts: Mapping[str, int] = {"mentions": 3, "with_copies": 2}
    split = dict.fromkeys(("sentences", "words", "mentions", "copies", "words_with_copies"), 1)
    return {
        "wiki": "w",
        "language": "en",
        "splits": {"train": split},
        "mention_sources": {},
        "shards": {},
        "steps": [{"step": "pages", "in": 0, "out": 0, "dropped": {}}],
        "categories": {"City": counts},
        "knowledge": {"passed_over": []},
        "slope": None,
        "dropped_sentences": {},
        "sentences_by_category": {"City": []},
        "table1": {
            "paper": dict.fromkeys(("examples", "tokens", "categories", "bytes"), 1),
            "ours": dict.fromkeys(("examples", "tokens", "categories", "bytes"), 1),
        },
        "label_set": {"name": "n"},
        "concentration": concentration({"categories": {"City": counts}}),
    }
