"""Mentions of what is no name."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from nerbert.corpus.settings import BUILT_IN_STEPS, CorpusSettings
from tests.corpus.test_propagation import SETTINGS, built

PAGES = {
    "A": "[[Engine|engines]] and [[London]]. [[London|london]] saw an [[Engine|engine]].",
    "B": "[[Engine|Engine]] of [[London]] in [[1945]], the [[1990s]] and [[3M]], after [[Charles Babbage|him]].",
    "C": "[[Charles Babbage]] and [[Charles Babbage|Babbage]] were in [[London]].",
}
STEPS = tuple(each for each in BUILT_IN_STEPS if each not in ("propagation", "unknown"))


def mentions(folder: Path, concepts: Literal["entity", "drop"] = "drop") -> list[tuple[str, str]]:
    sentences = built(folder, PAGES, replace(SETTINGS, steps=STEPS, concepts=concepts))
    return [(each.text[m.start : m.end], m.category) for each in sentences for m in each.mentions]


def test_concepts_and_numbers_are_dropped(tmp_path: Path) -> None:
    assert mentions(tmp_path) == [
        ("London", "city"), ("london", "city"), ("London", "city"), ("3M", "ENTITY"), ("him", "person"),
        ("Charles Babbage", "person"), ("Babbage", "person"), ("London", "city"),
    ]  # fmt: skip


def test_concepts_become_entities_without_a_type(tmp_path: Path) -> None:
    found = mentions(tmp_path, concepts="entity")
    assert found[:4] == [("engines", "ENTITY"), ("London", "city"), ("london", "city"), ("engine", "ENTITY")]
    assert ("1945", "ENTITY") in found


def test_typed_concepts_lose_their_class(tmp_path: Path) -> None:
    pages = {"A": "An [[Analytical Engine|engine]] in [[London]]."}
    settings = replace(SETTINGS, steps=STEPS, concepts="entity")
    (sentence,) = built(tmp_path, pages, settings)
    assert [(m.category, m.class_path, m.source) for m in sentence.mentions] == [
        ("ENTITY", (), ""), ("city", ("City",), "t.tsv"),
    ]  # fmt: skip


def test_a_sentence_of_concepts_alone_goes_out(tmp_path: Path) -> None:
    pages = {"A": "An [[Engine|engine]] ran. It ran to [[London]]."}
    sentences = built(tmp_path, pages, replace(SETTINGS, steps=STEPS))
    assert [each.text for each in sentences] == ["It ran to London."]


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(Exception, match="concepts"):
        CorpusSettings(concepts="keep")  # type: ignore[arg-type]


def test_a_script_without_capitals_has_no_concepts(tmp_path: Path) -> None:
    pages = {"A": "[[London|თბილისი]] და [[Nansen|ნანსენი]]."}
    (sentence,) = built(tmp_path, pages, replace(SETTINGS, steps=STEPS))
    assert len(sentence.mentions) == 2
