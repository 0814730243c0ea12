"""Parser functions that need no wiki: values of `#expr` as MediaWiki has them; nothing makes them fail or grow."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import wikitext_of
from nerbert.corpus.wikitext.parser_functions import call_function, evaluate
from tests.expected import rows

PIECES = [*"0123456789.+-−*/^()=<>eN| #é", "mod", "round", "not ", "and", " or ", "pi", "abs", "99", "9^9", "a=", "[["]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@pytest.mark.parametrize(("expression", "value"), rows(__file__, "expressions"))
def test_expressions(expression: str, value: float | None) -> None:
    result = evaluate(expression)
    assert math.isnan(result) if value is None else result == value


@example("1+" * 100_000 + "1")
@example("(" * 2000 + "1" + ")" * 2000)
@given(TEXTS)
def test_no_expression_fails(text: str) -> None:
    evaluate(text)


@example("padleft", ["7", "9" * 5000])
@example("formatnum", ["1" * 300_000])
@given(st.sampled_from(sorted(wikitext_of("ru").functions.values())), st.lists(TEXTS, min_size=1, max_size=6))
def test_no_function_fails_or_grows(name: str, values: list[str]) -> None:
    assert len(call_function(name, values, wikitext_of("ru").facts)) <= 500 + 2 * len("".join(values))
