"""Types by what titles, categories and first sentences say."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from nerbert.corpus.evidence import phrase_features, sentence_features, title_features
from nerbert.corpus.settings import CorpusSettings
from tests.corpus.test_unknown import SETTINGS, built

Kind = Literal["title", "category", "first sentence"]
NAMES = "Byron King Smith Li Roth Moe Poe Fox Day Lee Orr Ash"
PEOPLE = {f"Ada {name}": "Person" for name in NAMES.split()}
FILMS = {f"{name} (19{year} film)": "Film" for year, name in enumerate("ABCDEFGHIJKL", 60)}
CITIES = {f"Town {name}": "City" for name in "ABCDEFGHIJKL"}


def typed(folder: Path, pages: dict[str, str], settings: CorpusSettings) -> dict[str, tuple[str, str]]:
    """Return target → (deepest class, source) for the mentions of a small wiki whose knowledge is PEOPLE and FILMS."""
    return {
        mention.target: (mention.class_path[-1] if mention.class_path else "", mention.source)
        for sentence in built(folder, pages, settings, types=PEOPLE | FILMS | CITIES)
        for mention in sentence.mentions
    }


def with_evidence(*kinds: Kind, least: float = 0.8) -> CorpusSettings:
    return replace(SETTINGS, evidence=kinds, steps=CorpusSettings().steps, evidence_precision=least)


LINKS = "See [[Ada Unknown]], [[M (2003 film)]], [[Ada lovelaceana]], [[Town A]] and [[Odd]]."


def test_parts_of_titles_type_titles(tmp_path: Path) -> None:
    found = typed(tmp_path, {"Page": LINKS}, with_evidence("title"))
    assert found == {
        "Ada Unknown": ("Person", "title"),
        "M (2003 film)": ("Film", "title"),
        "Ada lovelaceana": ("", ""),
        "Town A": ("City", "t.tsv"),
        "Odd": ("", ""),
    }
    for other in (with_evidence("title", least=0.95), with_evidence()):
        assert typed(tmp_path, {"Page": LINKS}, other)["Ada Unknown"] == ("", ""), "less precise than asked, or none"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("category", "Text.\n[[Category:Towns in Y|*]]"),
        ("first sentence", "It was an old town in Y, by the sea. Text."),
    ],
)
def test_pages_tell_their_own_class(tmp_path: Path, kind: Kind, said: str) -> None:
    pages = dict.fromkeys([*CITIES, "Odd"], said) | {"Page": LINKS}
    assert typed(tmp_path, pages, with_evidence(kind))["Odd"] == ("City", kind)


def test_a_disambiguation_page_gets_no_class(tmp_path: Path) -> None:
    pages = {"Page": LINKS, "Ada Unknown": "{{Disambiguation}}\n* [[Ada Li]]"}
    assert typed(tmp_path, pages, with_evidence("title"))["Ada Unknown"] == ("", "")


@pytest.mark.parametrize(
    ("title", "features"),
    [
        ("Dune (1984 film)", ["(0 film)", "(… film)"]),
        ("University of Oxford", ["University …", "… University"]),
        ("Duke of the Labour Party", ["Duke …", "… Duke"]),
        ("82nd Academy Awards", ["… Academy Awards", "… Awards"]),
        ("Latin language", ["… Latin language", "… language"]),
        ("Portland, Oregon", [", Oregon"]),
        ("Gene Hackman", ["Gene Hackman …", "Gene …", "… Gene Hackman", "… Hackman"]),
        ("", []),
        ("()", []),
        ("日本", []),
    ],
)
def test_parts_of_titles(title: str, features: list[str]) -> None:
    assert title_features(title) == sorted(features)


@pytest.mark.parametrize(
    ("text", "language", "features"),
    [
        (
            "Ada Lovelace was an English mathematician and writer.",
            "en",
            ["english …", "… english mathematician", "… mathematician"],
        ),
        ("Siena è una città italiana della Toscana.", "it", ["città …", "… città italiana", "… italiana"]),
        (
            "Berlin ist die Hauptstadt Deutschlands.",
            "de",
            ["hauptstadt …", "… deutschlands", "… hauptstadt deutschlands"],
        ),
        ("Jean est l’un des rois d'Angleterre.", "fr", ["rois …", "… rois"]),
        ("Roma è la capitale dell'Italia.", "it", ["capitale …", "… capitale"]),
        ("No verb here.", "en", []),
        ("It is.", "en", []),
        ("X is a town.", "xx", []),
        ("", "en", []),
    ],
)
def test_phrases_of_first_sentences(text: str, language: str, features: list[str]) -> None:
    assert sentence_features(text, language) == features


def test_phrases_of_categories() -> None:
    assert phrase_features("1984 films directed by Someone", "en") == ["0 …", "… directed", "… films directed"]
    assert phrase_features("Cities in Alabama", "en") == ["cities …", "… cities"]


def test_a_title_whose_parts_disagree_gets_no_class(tmp_path: Path) -> None:
    found = typed(
        tmp_path,
        {"Page": "See [[Ada (2003 film)]], [[Ada Two (2003 film)]] and [[Two (2003 film)]]."},
        with_evidence("title"),
    )
    assert {target: each for target, (each, _) in found.items()} == {
        "Ada (2003 film)": "Film",
        "Ada Two (2003 film)": "",
        "Two (2003 film)": "Film",
    }
