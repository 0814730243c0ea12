from io import StringIO

from rich.console import Console

from nerbert.show import coloured, percent, plain, progress, visible


def test_control_characters_are_escaped() -> None:
    assert visible("a\x1b[31mb\x07") == "a\\x1b[31mb\\x07"
    assert visible("naïve 東京") == "naïve 東京"
    assert visible("a\u202eb") == "a\u202eb".replace("\u202e", "\\u202e")


def test_coloured_keeps_the_text_and_names_types() -> None:
    shown = coloured("Ada met Bob.", [(0, 3, "person"), (8, 11, "person")])
    assert shown.plain == "Ada person met Bob person."


def test_markup_in_text_is_not_read() -> None:
    console = Console(record=True, width=80, file=StringIO())
    console.print(coloured("[bold]x[/bold]", []))
    assert "[bold]x[/bold]" in console.export_text()


def test_percent() -> None:
    assert percent(0.12345) == "12.35"


def test_progress_is_silent_without_a_terminal(capsys: object) -> None:
    with progress("work", 3) as bar:
        bar.advance(2, note="x")


def test_plain_reads_no_markup() -> None:
    assert plain("[/red]\x1b").plain == r"[/red]\x1b"
    assert plain(3).plain == "3"


def test_a_type_that_is_half_a_character_has_a_colour() -> None:
    assert coloured("ab", [(0, 1, "\ud800")]).plain == r"a \ud800b"
