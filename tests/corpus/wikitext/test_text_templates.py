"""The table of text templates: what each shows, by its documentation; no argument makes it fail or grow."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.corpus.wikitext.text_templates import Arguments, _read_rules, format_measure, text_rule, unit_names
from nerbert.tables import read_columns
from tests.expected import rows

SHOWN = rows(__file__, "text_templates")

SNIPPETS = [*"0123456789-−+/|=[]{}<> \n'.,éI²९", "[[", "{{", "}}", "km", "to", "ft", "in", "e6", "X", "1=", "lt="]
PIECES = st.lists(st.sampled_from(SNIPPETS), max_size=12).map("".join)
NAMES = sorted(
    {(name, language) for language in ("en", "de", "it", "fr", "ru", "zh", "xx") for name in _read_rules(language)}
)


def template_text(name: str, arguments: Sequence[str], language: str) -> str | None:
    """Return the text of a template; None if the table lacks it."""
    rule = text_rule(name, language)
    return rule(Arguments(arguments, language)) if callable(rule) else rule


@pytest.mark.parametrize(("language", "template", "shown"), SHOWN)
def test_a_template_shows_what_its_documentation_says(language: str, template: str, shown: str | None) -> None:
    name, *arguments = template.split("|")
    if "[[" in template:
        name, _, only = template.partition("|")
        arguments = [only]
    assert template_text(name, arguments, language) == shown


@given(st.sampled_from(NAMES), st.lists(PIECES, max_size=6))
def test_no_arguments_make_it_fail_or_grow(template: tuple[str, str], arguments: list[str]) -> None:
    name, language = template
    text, given_ = template_text(name, arguments, language), "|".join(arguments)
    assert text is not None
    assert len(text) <= 200 + 12 * len(given_)
    assert text.count("{") <= given_.count("{"), "what holds templates is given back once"
    assert text.count("[") <= given_.count("[") + 4


UNITS = {code: (one, many) for code, one, many in read_columns("units.tsv", "code", "one", "many")}


@given(st.text(max_size=40))
@example("/".join("m" * 5000))
@example("e3" * 5000 + "m")
@example("/" * 5000)
@example("e6")
@example("l")
@example("/d")
@example("m/")
def test_unit_codes_of_any_kind_are_read_or_left(code: str) -> None:
    names, shown = unit_names(code), format_measure(["5", code], {}, short=False)
    assert shown == f"5 {names[2]}" if names else code.strip() in shown


def test_a_unit_has_a_name_for_one_and_for_many() -> None:
    assert len(UNITS) > 150
    for code, (one, many) in UNITS.items():
        assert format_measure(["1", code], {}, short=False) == f"1 {one}"
        assert format_measure(["2", code], {}, short=False) == f"2 {many}"


@pytest.mark.parametrize("template", ["flag", "hms", "stnlnk", "sortname", "ill", "section link", "sclass", "nihongo"])
def test_templates_in_each_other_do_not_double(template: str) -> None:
    text = "core"
    for _ in range(30):
        text = "{{" + template + "|" + text + "}}"
        shown = template_text(template, [text], "en")
        assert shown is not None
        assert len(shown) < len(text) + 200
