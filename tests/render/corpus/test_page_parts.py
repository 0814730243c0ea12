"""The page's parts: words, figures, colours, what is read from a corpus's files."""

import json
import math
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.shards import read_manifest
from nerbert.corpus.unknown import ELSEWHERE
from nerbert.errors import InputError
from nerbert.records import Reason
from nerbert.render import TEMPLATES, share, size
from nerbert.render.corpus import (
    card_of,
    concentration,
    draw_sentences,
    dump_date,
    log_share,
    make_overview,
    page_of,
    read_dropped,
    slope,
)
from tests.pages import markdown_tables_of, tables_of
from tests.raised import raises


def test_reasons_and_sources_are_told_in_plain_words(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus)
    step = {"step": "pages", "in": 99, "out": 0, "dropped": {reason.value: 1 for reason in Reason} | {"some_new": 1}}
    used = [{"path": "a.json", "kind": "wikidata json"}]
    known = {"mention_sources": {"a.json": 1, "infobox": 1, "c": 1}, "knowledge": {"used": used, "passed_over": []}}
    tables = markdown_tables_of(card_of(manifest | {"steps": [step]} | known))
    (told,) = [row[3].replace("\\", "") for rows in tables for row in rows if row[0] == "Pages of the dump"]
    for reason in Reason:
        assert f"{reason.value.replace('_', ' ')}: 1" not in told, f"{reason}: say in templates/words.j2 what it means"
    assert "some new: 1" in told
    (sources,) = [rows for rows in tables if rows[0][0] == "types by source"]
    words = {row[0].replace("\\", ""): row[3] for row in sources[1:]}
    assert words["a.json"] == "wikidata json"
    assert words["infobox"].startswith("the infobox of the page")
    assert words["c"] == "a file named with --knowledge"


def test_what_steps_found_beyond_links_is_told(sample_corpus: Path) -> None:
    overview = make_overview(sample_corpus)
    assert "Mentions by origin" not in page_of(overview)
    more = {"mention_origins": {"link": 7, "own": 3}, "unknown": {ELSEWHERE: 2, "own": 1}}
    tables = tables_of(page_of(overview | more))
    (origins,) = [rows for rows in tables if rows[0][0] == "origin"]
    assert origins[1] == ["link", "7", "links"]
    assert [row[0] for row in origins[2:]] == ["own"]
    (unknown,) = [rows for rows in tables if rows[0][:2] == ["reason", "spans"]]
    assert unknown[1] == ["mention elsewhere", "2", "names that are mentions elsewhere"]


def test_damaged_samples_of_dropped_sentences_name_the_line(tmp_path: Path) -> None:
    assert read_dropped(tmp_path) == {}
    good = json.dumps({"step": "b", "reason": "r", "id": "i", "text": "t"})
    (tmp_path / "dropped.jsonl").write_text(f"{good}\n" * 5 + good.replace('"b"', '"a"') + "\n")
    assert list(read_dropped(tmp_path, ["a"]).items()) == [
        ("a", {"r": [{"id": "i", "text": "t"}]}),
        ("b", {"r": [{"id": "i", "text": "t"}] * 3}),
    ]
    for bad in ("{", "[]", '{"step": 1}', '"\\ud800'):
        (tmp_path / "dropped.jsonl").write_text(f"{good}\n{bad}\n")
        with raises(InputError, words="dropped.jsonl:2:"):
            read_dropped(tmp_path)


def test_categories_that_the_manifest_does_not_name_are_left_out(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus) | {"categories": {"ENTITY": {}, "Nothing": {}}}
    drawn = draw_sentences(sample_corpus, manifest, 2)
    assert [(name, len(rows)) for name, rows in drawn.items()] == [("ENTITY", 2), ("Nothing", 0)]


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_bars_grow_with_counts(one: int, other: int) -> None:
    most = max(one, other)
    assert (log_share(one, most) < log_share(other, most)) == (one < other)
    assert 0 == log_share(0, most) < log_share(one, most) <= log_share(most, most) == 1


def test_facts() -> None:
    law = {f"c{n}": {"mentions": n**2 * 100, "with_copies": round(n**2 * 100) * 3} for n in range(1, 9)}
    fitted = slope({"categories": law})
    assert fitted is not None
    assert math.isclose(fitted, 1)
    power = {f"c{n}": {"mentions": 10 ** (2 * n), "with_copies": 10**n} for n in range(1, 9)}
    assert math.isclose(slope({"categories": power}) or 0, 0.5)
    assert slope({"categories": {"a": {"mentions": 3, "with_copies": 3}}}) is None
    assert slope({"categories": {name: {"mentions": 3, "with_copies": 4} for name in "abcd"}}) is None
    dense = concentration({"categories": {f"c{n}": {"mentions": n} for n in (50, 30, 15, 5)}})
    assert (dense["mentions"], dense["categories_that_hold_half"]) == (100, 1)
    assert dump_date("enwiki-20240101-pages-articles.xml.bz2") == "2024-01-01"
    assert dump_date("enwiki-latest-pages-articles.xml.bz2") == "–"
    shares = [share(*pair) for pair in ((1, 2), (0, 2), (1, 10**6), (0, 0))]
    assert shares == ["50.0\xa0%", "0.0\xa0%", "<\xa00.1\xa0%", "–"]
    assert [size(n) for n in (12, 4_200_000_000)] == ["12 bytes", "4.2 GB"]


def test_colours_have_enough_contrast() -> None:
    style = (TEMPLATES / "style.css").read_text("utf-8")
    light = dict(re.findall(r"--([\w]+): (#\w{6});", style.partition("@media")[0]))
    dark = light | dict(re.findall(r"--([\w]+): (#\w{6});", style.partition("@media")[2].partition("}")[0]))
    assert len(light) == len(set(light)) > 40
    assert light["paper"] != dark["paper"]
    for scheme in (light, dark):
        texts = [(name, back) for name in ("ink", "soft", "link") for back in ("paper", "card")]
        texts += [(f"l{n}", f"k{n}") for n in range(10)] + [("ink", f"k{n}") for n in range(10)]
        texts += [("lentity", "entity"), ("ink", "entity")]
        for front, back in texts:
            assert contrast(scheme[front], scheme[back]) >= 4.5, (front, back, scheme[front], scheme[back])
        for name in ("before", "after", "kept", "d0"):
            assert contrast(scheme[name], scheme["paper"]) >= 3, name


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
