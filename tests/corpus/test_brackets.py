import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.brackets import match_brackets


def matched(source: str) -> list[str]:
    """What each bracket that closes encloses, in order of its opening."""
    brackets = match_brackets(source)
    closes = ((place, brackets.close(place, len(source))) for place in range(len(source)))
    return [source[start:end] for start, end in closes if end]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("[[a]]", ["[[a]]"]),
        ("{{a|{{b}}}}", ["{{a|{{b}}}}", "{{b}}"]),
        ("{{{a}}}", ["{{{a}}}"]),
        ("{{{{a}}}}", ["{{{a}}}"]),
        ("{{{{{a}}}}}", ["{{{{{a}}}}}", "{{{a}}}"]),
        ("[[a {{b]] c}}", ["[[a {{b]]"]),
        ("[[a [[b]] c", ["[[b]]"]),
        ("]] [[a }} b", []),
        ("x {| |}", []),
        ("{|\n|a\n|}", ["{|\n|a\n|}"]),
        ("a\n :{|\n{|\n|}\n|}", ["{|\n{|\n|}\n|}", "{|\n|}"]),
        ("{{a|}}", ["{{a|}}"]),
        ("{{{a|}}}", ["{{{a|}}}"]),
        ("[[a|[[b]]]]", ["[[a|[[b]]]]", "[[b]]"]),
        ("{a} [b]", []),
    ],
)
def test_pairs(source: str, found: list[str]) -> None:
    assert matched(source) == found


def test_a_bracket_that_closes_too_late_does_not_close() -> None:
    assert match_brackets("[[a]]").close(0, 5) == 5
    assert match_brackets("[[a]]").close(0, 4) == 0
    assert match_brackets("[[a]]").close(1, 5) == 0


def test_outermost_templates() -> None:
    source = "{{a|{{b}}}} [[c|{{d}}]]\n{|\n{{e}}\n|}\n{{f"
    spans = match_brackets(source).outermost_templates(source)
    assert [source[start:end] for start, end in spans] == ["{{a|{{b}}}}", "{{d}}", "{{e}}"]


@given(st.text("{}[]|\n a", max_size=60))
def test_pairs_never_cross(source: str) -> None:
    brackets = match_brackets(source)
    pairs = [(place, end) for place in range(len(source)) if (end := brackets.close(place, len(source)))]
    assert all(end - start >= 4 for start, end in pairs)
    assert not [1 for a, b in pairs for c, d in pairs if a < c < b < d]


@pytest.mark.parametrize("piece", ["{{", "[[", "}}", "]]", "{|\n", "|}", "[[{{", "{{]]", "{", "\n ", "{{[[\n{|"])
def test_hostile_input_is_finished(piece: str) -> None:
    source = piece * 100_000
    assert match_brackets(source).close(0, len(source)) in (0, 3, 4)
