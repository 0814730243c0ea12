import re

import pytest

from nerbert.corpus.dump.deduplicate import is_disambiguation
from nerbert.corpus.dump.sites import normalise_title
from nerbert.corpus.knowledge import claims as triples
from nerbert.corpus.knowledge.claims import is_other_triple
from nerbert.tables import read_columns
from tests.expected import rows


@pytest.mark.parametrize(("language", "templates"), rows(__file__, "disambiguation_templates"))
def test_a_template_marks_a_page(language: str, templates: str) -> None:
    for name in templates.split("|"):
        assert is_disambiguation("Ada", ["Wiktionary", normalise_title(name)], language), name
    assert not is_disambiguation("Ada", ["Wiktionary"], language)


@pytest.mark.parametrize(("language", "templates"), rows(__file__, "disambiguation_notes"))
def test_notes_names_and_indices_do_not(language: str, templates: str) -> None:
    for name in templates.split("|"):
        assert not is_disambiguation("Ada", [normalise_title(name)], language), name


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("en", "Ada (disambiguation)"),
        ("de", "Ada (Begriffsklärung)"),
        ("fr", "Ada (homonymie)"),
        ("cs", "Ada (rozcestník)"),
        ("it", "Ada (disambigua)"),
        ("es", "Ada (desambiguación)"),
        ("nl", "Ada (doorverwijspagina)"),
        ("pt", "Ada (desambiguação)"),
        ("pl", "Ada (ujednoznacznienie)"),
        ("ru", "Ада (значения)"),
        ("zh", "阿 (消歧義)"),
        ("ja", "あ (曖昧さ回避)"),
        ("sv", "Ada (olika betydelser)"),
        ("uk", "Ада (значення)"),
        ("en", "A (B) (disambiguation)"),
        ("tlh", "Ada (disambiguation)"),
    ],
)
def test_a_bracket_behind_the_title_marks_a_page(language: str, title: str) -> None:
    assert is_disambiguation(title, [], language)
    name, bracket = title.rsplit(" (", 1)
    for other in (name, f"{name} (film)", f"{name}({bracket}", bracket.rstrip(")"), f"({bracket}", f"{title} x"):
        assert not is_disambiguation(other, [], language)
    assert not is_disambiguation(title, [], "ko")


def test_no_pattern_matches_nothing_or_anything() -> None:
    languages = [language for (language,) in read_columns("disambiguation.tsv", "language")]
    assert len(set(languages)) == len(languages) == 40
    for language in languages:
        assert not is_disambiguation("Ada", ["", "X", "Infobox person"], language)
        assert not is_disambiguation("Ada ()", [], language)


@pytest.mark.parametrize(
    ("line", "is_triple"),
    [
        ("<a> <b> <c> .", True),
        ('<a><b>"c . d"@en .  ', True),
        ("_:a <b> _:c .", True),
        ("_:a<b>_:c.", True),
        ("# x", True),
        ("@prefix x", True),
        ("<a> <b> <c>", False),
        ("<a> <b> .", False),
        ("_: <b> <c> .", False),
        ("a b c .", False),
        ("", False),
        ("_:" + "<a>" * 10, False),
        ("<a> <b> <c> . x", False),
    ],
)
def test_triples_are_told(line: str, is_triple: bool) -> None:
    assert is_other_triple(line) == is_triple


def test_no_line_is_read_twice() -> None:
    """Every repetition in the expression keeps what it took, so a line costs no more than its length."""
    plain = re.sub(r"\[[^\]]*\]|\\.|\(\?:", "", triples._TRIPLE.pattern)
    assert not set("*+?{") & set(re.sub(r"[*+?]\+", "", plain))
