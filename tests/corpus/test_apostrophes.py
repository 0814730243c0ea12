import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.apostrophes import protect_apostrophes
from nerbert.corpus.opaque import show_protected


def shown(source: str) -> str:
    """The text without its marks of bold and italic."""
    return show_protected(protect_apostrophes(source).replace("'", ""))


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
    assert shown(source) == text


@given(st.text("'a \n", max_size=60))
def test_lengths_stay_and_only_runs_change(source: str) -> None:
    settled = protect_apostrophes(source)
    assert len(settled) == len(source)
    assert show_protected(settled) == source
    assert [line.count("'") for line in settled.split("\n") if "''" not in line] == [
        line.count("'")
        for line, other in zip(source.split("\n"), settled.split("\n"), strict=True)
        if "''" not in other
    ]


@pytest.mark.parametrize("piece", ["'", "'' '", "''' ", "'' ''' ", "a'''", "'\n"])
def test_hostile_input_is_finished(piece: str) -> None:
    assert len(protect_apostrophes(piece * 100_000)) == len(piece) * 100_000
