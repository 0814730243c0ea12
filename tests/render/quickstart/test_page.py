"""The page: one file that asks for nothing, with every figure of the result, and a place that is free for it."""

import base64
import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree, html

from nerbert.errors import InputError, OutputExists
from nerbert.quickstart.result import LIMITS, Result, Shown, verdict
from nerbert.render.quickstart.page import check_page_free, write_page
from nerbert.render.quickstart.picture import picture
from nerbert.render.quickstart.terminal import NEXT
from nerbert.terminal import percent, visible
from tests.quickstart.made_up import TEXT, made_up_result

EVIL = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\"' & &lt; \u202eabc\u2066 \x1b[31m\x00\x9b -->"
RAW = ("<script", "<img", "\u202e", "\u2066", "\x1b", "\x00", "\x9b")
SECTIONS = ["result", "tagged", "curves", "funnel", "next", "making"]


@pytest.fixture(scope="module")
def page(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(made_up_result(), sample_corpus, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def tree(page: str) -> "etree._Element":
    return html.document_fromstring(page)


def written(result: Result, corpus: Path, folder: Path) -> str:
    write_page(result, corpus, folder / "page.html")
    assert [path.name for path in folder.iterdir()] == ["page.html"]
    return (folder / "page.html").read_text(encoding="utf-8")


def find(tree: "etree._Element", path: str) -> "list[etree._Element]":
    found = tree.xpath(path)
    assert isinstance(found, list)
    return [each for each in found if isinstance(each, etree._Element)]


def text_of(element: "etree._Element") -> str:
    return "".join(str(part) for part in element.itertext())


def section(tree: "etree._Element", name: str) -> "etree._Element":
    (found,) = find(tree, f"//section[@id='{name}']")
    return found


def table(tree: "etree._Element", name: str, place: int = 0) -> list[list[str]]:
    found = find(section(tree, name), ".//table")[place]
    return [[text_of(cell) for cell in row] for row in found.iter("tr")]


def check_harmless(page: str) -> None:
    """Every tag is closed in order, so the page is XML but for its void tags; nothing in it acts or loads."""
    assert page.startswith("<!DOCTYPE html>\n")
    closed = re.sub(r"<(meta|link)\b([^>]*)>", r"<\1\2/>", page.removeprefix("<!DOCTYPE html>\n"))
    root = etree.fromstring(closed.encode("utf-8"))
    for each in root.iter():
        assert isinstance(each.tag, str), "a comment"
        name = etree.QName(each).localname
        assert name not in {"script", "img", "iframe", "object", "embed", "base", "form", "image", "use", "a", "audio"}
        for key, value in each.attrib.items():
            assert not str(key).startswith(("on", "{"))
            assert key not in ("src", "srcset", "style", "action", "srcdoc")
            assert key != "href" or value == "data:,"
            assert "http://" not in str(value)
            assert "https://" not in str(value)
    ids = [str(each.get("id")) for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    style = page.partition("<style>")[2].partition("</style>")[0]
    for loads in ("url(", "@import", "http", "expression"):
        assert loads not in style


def test_one_file_that_asks_for_nothing(page: str, tree: "etree._Element") -> None:
    check_harmless(page)
    assert re.findall(r"https?://[^\"'\s<]*", page) == ["http://www.w3.org/2000/svg"]
    assert [text_of(each) for each in find(tree, "/html/head/title")] == ["nerbert quickstart"]
    assert tree.get("lang") == "en"


def test_policy_forbids_all_but_its_own_style(page: str, tree: "etree._Element") -> None:
    policy = str(tree.xpath("string(//meta[@http-equiv='Content-Security-Policy']/@content)"))
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = [rule.strip() for rule in policy.split(";")]
    assert "default-src 'none'" in rules
    assert f"style-src 'sha256-{digest}'" in rules
    assert "script" not in policy
    assert "unsafe" not in policy
    assert page.count("<style") == 1
    assert ".compared" in style  # the page's own sheet, after the corpus page's
    assert "prefers-color-scheme: dark" in style


def test_sections_are_there_in_order(tree: "etree._Element") -> None:
    assert [each.get("id") for each in find(tree, "//section")] == SECTIONS
    assert all(text_of(each) for each in find(tree, "//section/h2"))
    assert len(find(tree, "//section/h2")) == len(SECTIONS)


def test_the_picture_and_the_verdict_are_in_it(page: str, tree: "etree._Element") -> None:
    result = made_up_result()
    assert str(picture(result)) in page
    told = text_of(section(tree, "result"))
    assert verdict(result) in told
    (under,) = find(section(tree, "result"), ".//p[@class='told']")
    assert LIMITS in text_of(under)
    assert told.rindex(verdict(result)) < told.index(LIMITS)
    assert page.count(LIMITS) == 1
    assert "137 seconds" in text_of(find(tree, "//header")[0])


def test_table_has_every_type_and_both_ways(tree: "etree._Element") -> None:
    result = made_up_result()
    mlm, ner = result.ways
    assert table(tree, "result") == [
        ["type", "to learn from", mlm.title, ner.title],
        ["date", "7", "0.00", "7.07"],
        ["port", "1,301", "43.21", "65.43"],
        ["vessel", "53", "54.32", "76.54"],
        ["all, F1 mean ± sd", "1,361", mlm.told, ner.told],
        ["types aside", "", "54.07", "65.53"],
    ]
    told = text_of(section(tree, "result"))
    assert "the same 31 sentences and scored on 151 test sentences with 2,643 mentions" in told
    for way in result.ways:
        assert all(percent(f1) in told for f1 in way.f1)


def test_sentences_as_annotated_and_as_tagged(tree: "etree._Element") -> None:
    result = made_up_result()
    blocks = find(section(tree, "tagged"), ".//div[@class='compared']")
    assert len(blocks) == len(result.examples)
    for block, shown in zip(blocks, result.examples, strict=True):
        hands = [text_of(each) for each in find(block, ".//p[@class='hand']")]
        assert hands == ["annotated", result.ways[0].title, result.ways[1].title]
        for paragraph, marked in zip(find(block, ".//p[@class='text']"), shown.marked.values(), strict=True):
            marks = [(text_of(each[0]), text_of(each[1])) for each in paragraph.iter("mark")]
            assert marks == [(shown.text[start:end], name) for start, end, name in marked]
            for name in find(paragraph, ".//small"):
                name.text = ""
            assert text_of(paragraph) == shown.text


def test_own_sentence_with_confidences(tree: "etree._Element", sample_corpus: Path, tmp_path: Path) -> None:
    heads, *found = table(tree, "tagged")
    assert heads[1:] == ["type", "confidence"]
    assert found == [["Ada", "vessel", "0.91"], ["Bergen", "port", "0.84"]]
    nothing = html.document_fromstring(written(made_up_result(marked=()), sample_corpus, tmp_path))
    assert "Nothing was found" in text_of(section(nothing, "tagged"))
    assert find(section(nothing, "tagged"), ".//table") == []


def test_curves_have_every_point(tree: "etree._Element") -> None:
    result = made_up_result()
    found = section(tree, "curves")
    for way, kind in zip(result.ways, ("before", "after"), strict=True):
        (group,) = find(found, f".//*[local-name()='g'][@class='{kind}']")
        dots = find(group, ".//*[local-name()='circle']")
        assert [text_of(dot) for dot in dots] == [f"step {step}: {percent(value)} %" for step, value in way.curve]
        places = [(str(dot.get("cx")), str(dot.get("cy"))) for dot in dots]
        (path,) = find(group, ".//*[local-name()='path']")
        assert path.get("d") == "M" + " ".join(f"{float(x):g},{float(y):g}" for x, y in places)
        xs, ys = ([float(each) for each in part] for part in zip(*places, strict=True))
        assert xs == sorted(xs)
        assert ys == sorted(ys, reverse=True)  # more is higher
        scale = (ys[0] - ys[2]) / (way.curve[2][1] - way.curve[0][1])
        assert (ys[0] - ys[1]) / (way.curve[1][1] - way.curve[0][1]) == pytest.approx(scale, rel=0.01)
        assert f"{way.steps:,} steps, {way.pieces:,} pieces, {way.seconds:.0f} s" in text_of(found)
        assert f"{percent(way.curve[-1][1])} % at the end" in text_of(found)


def test_a_curve_of_one_point_is_a_dot(sample_corpus: Path, tmp_path: Path) -> None:
    result = made_up_result()
    short = replace(
        result, ways=(replace(result.ways[0], curve=((1, 0.5),)), replace(result.ways[1], curve=((1, 1.0),)))
    )
    page = written(short, sample_corpus, tmp_path)
    check_harmless(page)
    found = section(html.document_fromstring(page), "curves")
    assert find(found, ".//*[local-name()='path']") == []
    assert [text_of(each) for each in find(found, ".//*[local-name()='circle']")] == [
        "step 1: 50.00 %", "step 1: 100.00 %"
    ]  # fmt: skip


def test_funnel_is_the_corpus_manifests(tree: "etree._Element", sample_corpus: Path) -> None:
    manifest: dict[str, Any] = json.loads((sample_corpus / "manifest.json").read_text())
    found = section(tree, "funnel")
    steps = [re.findall(r"\d[\d,]*", text_of(each)) for each in find(found, ".//*[@class='step']/p[1]")]
    told = [tuple(int(n.replace(",", "")) for n in each) for each in steps]
    assert told == [(step["in"], step["out"]) for step in manifest["steps"]]
    dropped = [int(text_of(each).replace(",", "")) for each in find(found, ".//ul[@class='reasons']//b")]
    assert sorted(dropped) == sorted(count for step in manifest["steps"] for count in step["dropped"].values())
    assert dropped


def test_next_commands_and_how_it_was_made(tree: "etree._Element") -> None:
    assert [text_of(each) for each in find(section(tree, "next"), ".//pre")] == [
        "".join(f"{command}\n" for command in NEXT)
    ]
    making = section(tree, "making")
    told = {text_of(each[0]): text_of(each[1]) for each in find(making, ".//dl/div")}
    assert told == {"nerbert": "9.8.7", "machine": "made up"}


def test_texts_do_nothing(sample_corpus: Path, tmp_path: Path) -> None:
    result = made_up_result(text=EVIL, marked=((0, 9, EVIL),))
    evil = replace(
        result, examples=(Shown(EVIL, {"gold": ((2, 8, EVIL),), "mlm": (), "ner": ((0, len(EVIL), EVIL),)}),),
        mentions={EVIL: 3}, made={EVIL: EVIL},
        ways=(replace(result.ways[0], title=EVIL, by_type={EVIL: 0.5}), replace(result.ways[1], title=EVIL)),
    )  # fmt: skip
    page = written(evil, sample_corpus, tmp_path)
    check_harmless(page)
    assert not [each for each in RAW if each in page]
    tree = html.document_fromstring(page)
    for name in ("result", "tagged", "curves", "making"):
        assert visible(EVIL) in text_of(section(tree, name)), name


def test_a_free_place_is_free_and_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_page_free(tmp_path / "page.html")
    monkeypatch.chdir(tmp_path)
    check_page_free(Path("page.html"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("place", "why"), [("", "is a folder"), ("none/page.html", "its folder isn't there")])
def test_no_place_for_a_file(tmp_path: Path, place: str, why: str) -> None:
    with pytest.raises(InputError, match=f"{why}; name another file with --report"):
        check_page_free(tmp_path / place)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "<title>my page</title>", "x" * 100_000 + "<title>nerbert quickstart</title>"])
def test_a_foreign_file_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.html").write_text(text)
    with pytest.raises(OutputExists, match=r"page\.html: exists and is no page of a quickstart; name another file"):
        check_page_free(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == text
    assert len(list(tmp_path.iterdir())) == 1


def test_an_earlier_page_is_replaced(sample_corpus: Path, tmp_path: Path) -> None:
    first = written(made_up_result(text="The first ."), sample_corpus, tmp_path)
    check_page_free(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == first
    second = written(made_up_result(), sample_corpus, tmp_path)
    assert "first" in first
    assert "first<" not in second
    assert TEXT.split()[2] in second


@pytest.mark.parametrize("long", [250, 300])
def test_a_name_that_is_too_long_is_told_before_the_tour(tmp_path: Path, long: int) -> None:
    place = tmp_path / ("n" * long)
    with pytest.raises(InputError, match=f"^{place}: can't be written: .*; name another file with --report$"):
        check_page_free(place)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
def test_a_folder_that_takes_no_files_is_told() -> None:
    with pytest.raises(InputError, match=r"^/proc/page\.html: can't be written: "):
        check_page_free(Path("/proc/page.html"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_ours_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match=r"page\.html: can't be written: Permission denied"):
            check_page_free(tmp_path / "page.html")
    finally:
        tmp_path.chmod(0o700)
