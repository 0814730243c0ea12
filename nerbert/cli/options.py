"""Types of options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nerbert import DOCS
from nerbert.formats.documents import CheckReading, Reading

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

Read = Annotated[Reading, Parameter(name="*")]
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
