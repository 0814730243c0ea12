"""What `nerbert doctor` prints."""

from collections.abc import Sequence

from rich.console import Console

from nerbert.doctor import Finding
from nerbert.render.terminal import print_json, table
from nerbert.terminal import plain

_STYLES = {"ok": "green", "missing": "yellow", "wrong": "bold red"}


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> bool:
    """Print a line for each finding, then what helps; return whether nothing is wrong."""
    if as_json:
        print_json([each._asdict() for each in findings])
    else:
        console, rows = Console(), []
        for each in findings:
            state = plain(each.state)
            state.stylize(_STYLES[each.state])
            rows.append([each.what, state, each.found])
        console.print(table(["what", "", "found"], rows))
        for each in findings:
            if each.advice:
                console.print(plain(f"{each.what}: {each.found}: {each.advice}"))
    return all(each.state != "wrong" for each in findings)
