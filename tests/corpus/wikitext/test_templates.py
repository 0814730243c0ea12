import re

import pytest

from nerbert.corpus.wikitext.templates import TEMPLATE, arguments, remove_deep_templates, remove_tables


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("{{a}} {{b|{{c}}}}", ["{{a}}", "{{b|{{c}}}}"]),
        ("{{a {b} c}} {{d }} }}", ["{{a {b} c}}", "{{d }}"]),
        ("{{{{a}}}} {{{b}}}", ["{{{{a}}}}", "{{{b}}"]),
        ("{{a {{b}} {{c", ["{{b}}"]),
        ("{{" * 9 + "}}" * 9, ["{{" * 9 + "}}" * 9]),
        ("{{a" * 10 + "}}" * 10, ["{{a" * 9 + "}}" * 9]),
        ("}} {a} {{", []),
    ],
)
def test_templates_enclose_templates(source: str, found: list[str]) -> None:
    assert re.findall(TEMPLATE, source) == found


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        ("a", ["a"]),
        ("a|b|c=d", ["a", "b", "c=d"]),
        ("a|", ["a", ""]),
        ("", [""]),
        ("a|[[b|c]]|{{d|e}}|f", ["a", "[[b|c]]", "{{d|e}}", "f"]),
        ("a|[[b|c|{{d", ["a", "[[b", "c", "{{d"]),
        ("{{a|b}}c|[[File:d|[[e|f]]]]", ["{{a|b}}c", "[[File:d|[[e|f]]]]"]),
    ],
)
def test_arguments_are_cut_at_top_level_bars(inside: str, found: list[str]) -> None:
    assert arguments(inside) == found


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a {{b {{c}} d}} e", "a <ref/> e"),
        ("a {{b {{c}} d", "a {{b <ref/> d"),
        ("a }} b {{", "a }} b {{"),
        ("{{" * 5000 + "a" + "}}" * 5000 + "b", "<ref/>b"),
    ],
)
def test_deep_templates(source: str, left: str) -> None:
    assert remove_deep_templates(source) == left


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a\n{|\n|b\n|}\nc", "\na\n\nc"),
        ("{|\n|b\n|}c", "\nc"),
        ("a\n :{|\n{|\n|}\n|b\n|}", "\na\n"),
        ("a\n{|\nb\n{|\n|}\nc", "\na\n{|\nb\n\nc"),
        ("a {| b\n|} c", "\na {| b\n|} c"),
        ("a\n|}\nb", "a\n|}\nb"),
        ("a\n{|\n|b|}\n|}c", "\na\nc"),
        ("a\n\n|-\n|b||c\nd||e\n\n|f\n|}\ng", "a\n\n\ng"),
        ("|a\n=b=\nc\n|}\nd", "|a\n=b=\nc\n|}\nd"),
    ],
)
def test_tables(source: str, left: str) -> None:
    text, tables = remove_tables(source)
    assert text == left
    assert all(table.endswith("|}") for table in tables)
