from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress as RichProgress

from nerbert.errors import visible
from nerbert.terminal import Progress, colour_spans, is_terminal, percent, plain, progress


def test_texts_are_shown_as_they_are() -> None:
    assert visible("a\x1b[31mb\x07") == "a\\x1b[31mb\\x07"
    assert visible("naïve 東京") == "naïve 東京"
    assert visible("a\u202eb") == "a\\u202eb"
    assert plain("[/red]\x1b").plain == r"[/red]\x1b"
    assert plain(3).plain == "3"
    assert percent(0.12345) == "12.35"
    console = Console(record=True, width=80, file=StringIO())
    console.print(colour_spans(console, "[bold]x[/bold]", []))
    assert "[bold]x[/bold]" in console.export_text(), "markup in text is not read"


def test_coloured_keeps_the_text_and_names_types() -> None:
    spans = [(0, 3, "person"), (8, 11, "person")]
    shown = colour_spans(Console(force_terminal=True, color_system="standard"), "Ada met Bob.", spans)
    assert shown.plain == "Ada person met Bob person."
    assert colour_spans(Console(file=StringIO()), "Ada met Bob.", spans).plain == "[Ada|person] met [Bob|person]."
    assert colour_spans(Console(file=StringIO()), "ab", [(0, 1, "\ud800")]).plain == r"[a|\ud800]b"


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work", 3) as bar:
        bar.advance(2, note="x")
    assert capsys.readouterr() == ("", "")


def test_a_log_has_a_line_at_each_tenth(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 2))
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    with progress("training", 25, logged=True) as bar:
        for step in range(25):
            bar.advance(note=f"loss {step}")
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split()[2]) for line in lines] == [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    assert (lines[0], lines[-1]) == (
        "training: step 3 of 25, loss 2, 15 s left",
        "training: step 25 of 25, loss 24, 0 s left",
    )


def test_what_was_done_before_is_no_speed() -> None:
    now = [0.0]
    bar = RichProgress(get_time=lambda: now[0], auto_refresh=False, console=Console(file=StringIO()))
    bar.add_task("", total=100)
    made = Progress(bar, of_bytes=True)
    made.advance(4, size=50, before=True)
    for _ in range(2):
        now[0] += 10
        made.advance(size=10)
    assert (made.items, made.items_before) == (6, 4)
    assert (bar.tasks[0].completed, bar.tasks[0].speed, bar.tasks[0].time_remaining) == (70, 1.0, 30)


def test_bars_show_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = StringIO()
    now = iter(range(10_000))
    console = Console(file=written, force_terminal=True, width=150, get_time=lambda: float(next(now)))
    monkeypatch.setattr("rich.console.Console", lambda **_: console)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("pages", 1000, of_bytes=True) as bar:
        bar.advance(7, "2 parts were done \x1balready", size=500, before=True)
    with progress("typing", 3) as bar:
        bar.advance(note="x")
    assert "7 pages" in written.getvalue()
    assert "2 parts were done \\x1balready" in written.getvalue()
    assert "1/3" in written.getvalue()
    Progress().advance(2, size=5)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"FORCE_COLOR": ""},
        {"FORCE_COLOR": "1"},
        {"TTY_COMPATIBLE": "0", "FORCE_COLOR": "1"},
        {"TTY_COMPATIBLE": "1"},
        {"TTY_COMPATIBLE": "x"},
    ],
)
def test_what_is_a_terminal_is_rich_s_answer(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert is_terminal(StringIO()) == Console(file=StringIO()).is_terminal
