import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.wikitext.apostrophes import remove_marks


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("''a'' '''b''' '''''c'''''", "a b c"),
        ("''''a''''", "'a'"),
        ("''''''a''''''", "'a'"),
        ("'''''''a", "''a"),
        ("''[[Hamlet]]'''s father", "[[Hamlet]]'s father"),
        ("'''[[Hamlet]]''''s father", "[[Hamlet]]'s father"),
        ("l'''arbre''", "l'arbre"),
        ("''l'''arbre", "l'arbre"),
        ("a '''b''' ''c'''s", "a b' cs"),
        ("''a l'''b cc'''d '''e", "a l'b ccd e"),
        ("'''Hamlet'' x''' y", "Hamlet x y"),
        ("''x\n'''y", "x\ny"),
        ("'' '''", " '"),
    ],
)
def test_marks_and_apostrophes(source: str, text: str) -> None:
    assert remove_marks(source) == text


@given(st.text("'a \n", max_size=60))
def test_only_apostrophes_in_runs_go(source: str) -> None:
    left = remove_marks(source)
    assert left.replace("'", "") == source.replace("'", "")
    for line, other in zip(source.split("\n"), left.split("\n"), strict=True):
        assert other.count("'") <= line.count("'")
        assert "''" in line or other == line


@pytest.mark.parametrize("piece", ["'", "'' '", "''' ", "'' ''' ", "a'''", "'\n"])
def test_hostile_input_is_finished(piece: str) -> None:
    assert len(remove_marks(piece * 100_000)) <= len(piece) * 100_000
