"""Types of options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from nerbert import DOCS
from nerbert.formats.documents import CheckReading, Reading

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

Output = Annotated[Path, Parameter(name=["--output", "-o"])]
OptionalOutput = Annotated[Path | None, Parameter(name=["--output", "-o"])]
FileOrPipe = Annotated[Path, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)]
Set = Annotated[
    list[str] | None,
    Parameter(
        name="--set", negative="", consume_multiple=False, help=f"One setting, as key=value; see {DOCS}/settings.md."
    ),
]  # fmt: skip
Many = Annotated[list[Path] | None, Parameter(negative="", consume_multiple=True)]
Config = Annotated[Path | None, Parameter(name="--config", help="Settings file (TOML).")]
FileOrDash = Annotated[str, Parameter(allow_leading_hyphen=True)]

_READING = Group("How annotated data is read", sort_key=1)
Read = Annotated[Reading, Parameter(name="*", group=_READING)]
CheckRead = Annotated[CheckReading, Parameter(name="*", group=_READING)]
READ = Reading()
"""Annotated data as it comes."""
CHECK = CheckReading()
"""Annotated data to be checked."""
Head = Annotated[
    str, Parameter(help="For a tagger whose head is your own code: its module:function, which is imported.")
]
DataName = Annotated[
    str,
    Parameter(
        help="Name of a data set in --data (its folder's, or that of NER-BERT's tables: Pol, Sci, …); without --data a "
        "folder or a file."
    ),
]
DataRoot = Annotated[Path | None, Parameter(name="--data", help="Folder that holds data sets, a folder each.")]
Flag = Annotated[bool, Parameter(negative="")]
Overwrite = Annotated[bool, Parameter(negative="", help="Replace a folder that nerbert made.")]
ListOnly = Annotated[bool, Parameter(name="--list", negative="")]


class UnwrappedHelp:
    """The help of a command, whose lines end where the terminal does, not where the source's did."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Print a part of it."""
        from cyclopts.help import DefaultFormatter, InlineText
        from rich.text import Text

        for entry in panel.entries:
            if isinstance(one := entry.description, InlineText) and isinstance(text := one.primary_renderable, Text):
                one.primary_renderable = Text(" ".join(text.plain.split()))
        DefaultFormatter()(console, options, panel)

    def __getattr__(self, name: str) -> Any:
        """Return what else cyclopts asks of its own formatter: `render_usage`, `render_description`."""
        from cyclopts.help import DefaultFormatter

        return getattr(DefaultFormatter(), name)
