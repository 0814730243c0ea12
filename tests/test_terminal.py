from io import StringIO

import pytest
from rich.console import Console

from nerbert.terminal import Flow, Progress, coloured, percent, plain, progress, throughput, visible


def test_control_characters_are_escaped() -> None:
    assert visible("a\x1b[31mb\x07") == "a\\x1b[31mb\\x07"
    assert visible("naïve 東京") == "naïve 東京"
    assert visible("a\u202eb") == "a\u202eb".replace("\u202e", "\\u202e")


def test_coloured_keeps_the_text_and_names_types() -> None:
    spans = [(0, 3, "person"), (8, 11, "person")]
    shown = coloured(Console(force_terminal=True, color_system="standard"), "Ada met Bob.", spans)
    assert shown.plain == "Ada person met Bob person."
    assert coloured(Console(file=StringIO()), "Ada met Bob.", spans).plain == "[Ada|person] met [Bob|person]."


def test_markup_in_text_is_not_read() -> None:
    console = Console(record=True, width=80, file=StringIO())
    console.print(coloured(console, "[bold]x[/bold]", []))
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
    assert coloured(Console(file=StringIO()), "ab", [(0, 1, "\ud800")]).plain == r"[a|\ud800]b"


def test_a_flow_tells_speed_and_time_left() -> None:
    flow = Flow(total=100_000_000)
    assert flow.describe("pages", 0.0) == "0 pages, 0/s, 0.0 MB/s, time left unknown"
    flow.add(12_000, 25_000_000, before=False)
    assert flow.describe("pages", 10.0) == "12,000 pages, 1,200/s, 2.5 MB/s, 0:00:30 left"
    assert flow.describe("pages", 1800.0) == "12,000 pages, 7/s, 0.0 MB/s, 1:30:00 left"


def test_what_was_done_before_is_no_speed() -> None:
    flow = Flow(total=100_000_000)
    flow.add(40_000, 80_000_000, before=True)
    assert flow.describe("pages", 5.0) == "40,000 pages, 0/s, 0.0 MB/s, time left unknown"
    flow.add(5_000, 10_000_000, before=False)
    assert flow.describe("pages", 5.0) == "45,000 pages, 1,000/s, 2.0 MB/s, 0:00:05 left"


def test_the_time_left_of_a_pipe_is_unknown() -> None:
    flow = Flow()
    flow.add(3_000, 1_500_000, before=False)
    assert flow.describe("pages", 1.0) == "3,000 pages, 3,000/s, 1.5 MB/s, time left unknown"


def test_bars_show_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = StringIO()
    now = iter(range(10_000))
    console = Console(file=written, force_terminal=True, width=150, get_time=lambda: float(next(now)))
    monkeypatch.setattr("nerbert.terminal.Console", lambda **_: console)
    with throughput("pages", 1000) as bar:
        bar.advance(7, "2 parts were done \x1balready", size=500, before=True)
    with progress("typing", 3) as bar:
        bar.advance(note="x")
    assert "7 pages" in written.getvalue()
    assert "2 parts were done \\x1balready" in written.getvalue()
    assert "1/3" in written.getvalue()
    Progress().advance(2, size=5)
