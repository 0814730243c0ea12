"""Parser functions that need no wiki: values of `#expr` as MediaWiki has them; nothing makes them fail or grow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import wikitext_of
from nerbert.corpus.wikitext.parser_functions import call_function, evaluate

PIECES = [*"0123456789.+-−*/^()=<>eN| #é", "mod", "round", "not ", "and", " or ", "pi", "abs", "99", "9^9", "a=", "[["]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2+3", 5), ("2^3^2", 64), ("-2^2", 4), ("7 mod 3", 1), ("-7 mod 3", -1), ("1e3", 1000),
        ("(135/3645)*100 round 1", 3.7),
        ("2.5 round 0", 3), ("-2.5 round 0", -3), ("1.005 round 2", 1.01), ("1234 round -2", 1200), ("7 div 2", 3.5),
        ("not 0 and 2 > 1", 1), ("3 <> 3 or 1 >= 2", 0), ("2 * (3 + 4) − 1", 13), ("abs -3 + trunc 2.7", 5),
        ("2 = 2.0", 1),
        ("sqrt 16 != ceil 3.2", 0), ("pi > 3", 1),
    ],
)  # fmt: skip
def test_expressions(expression: str, value: float) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    ["", "1/0", "1 mod 0", "2 2", "(1", "1)", "()", "2(3)", "1.2.3", "+", "1 +", "9^9^9^9", "(0-8)^0.5", "sqrt -1", "x",
     "1 round 99999999", "1+" * 100_000 + "1", "(" * 2000 + "1" + ")" * 2000, "__import__", "1;2"],
)  # fmt: skip
def test_expressions_without_a_value(expression: str) -> None:
    assert math.isnan(evaluate(expression))


@given(TEXTS)
def test_no_expression_fails(text: str) -> None:
    evaluate(text)


@given(st.sampled_from(sorted(wikitext_of("ru").functions.values())), st.lists(TEXTS, min_size=1, max_size=6))
def test_no_function_fails_or_grows(name: str, values: list[str]) -> None:
    assert len(call_function(name, values, wikitext_of("ru").facts)) <= 500 + 2 * len("".join(values))
