"""Types of options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nerbert import DOCS

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
Config = Annotated[Path | None, Parameter(name="--config")]
FileOrDash = Annotated[str, Parameter(allow_leading_hyphen=True)]
From = Annotated[
    str,
    Parameter(
        name="--from", help="Format of annotated data: conll, jsonl, or your own as module:name; else by content."
    ),
]
Flag = Annotated[bool, Parameter(negative="")]
ListOnly = Annotated[bool, Parameter(name="--list", negative="")]
