"""Types of options that several commands share."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import ArgumentCollection, Group, Parameter, UnknownOptionError

from nerbert.about import DOCS
from nerbert.errors import SettingsError
from nerbert.formats.documents import CheckReading, Reading
from nerbert.model.loading import Loading as TaggerLoading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

    from nerbert.executors import Executor


def _local_output(_: Any, tokens: "Sequence[Token]") -> Path:
    """Return an output on this machine."""
    if "://" in tokens[0].value:
        from nerbert.sources.files import Source

        address = Source(tokens[0].value)
        raise SettingsError(f"{address}: outputs can't be at addresses; name a local path, then copy it there")
    return Path(tokens[0].value)


_OUTPUT = Parameter(name=["--output", "-o"], converter=_local_output)
Output = Annotated[Path, _OUTPUT]
OptionalOutput = Annotated[Path | None, _OUTPUT]
FileOrPipe = Annotated[Path, Parameter(name=["--output", "-o"], allow_leading_hyphen=True, converter=_local_output)]
_SETTING = f"One setting, as key=value; see {DOCS}/settings.md."
Repeated = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]
"""An option that may be given several times."""
Set = Annotated[Repeated, Parameter(name="--set", help=_SETTING)]
Many = Annotated[list[Path] | None, Parameter(negative="", consume_multiple=True)]
Config = Annotated[Path | None, Parameter(name="--config", help="Settings file (TOML).")]


def _refuse_option(_: Any, tokens: "Sequence[Token]") -> str:
    """Return an input's name; refuse one that begins with `--` as an option that the command doesn't have."""
    if tokens[0].value.startswith("--"):
        raise UnknownOptionError(token=tokens[0], argument_collection=ArgumentCollection())  # type: ignore[no-untyped-call]
    return tokens[0].value


FileOrDash = Annotated[str, Parameter(allow_leading_hyphen=True, converter=_refuse_option)]

_READING = Group("How annotated data is read", sort_key=1)
Read = Annotated[Reading, Parameter(name="*", group=_READING)]
CheckRead = Annotated[CheckReading, Parameter(name="*", group=_READING)]
READ = Reading()
CHECK = CheckReading()


@dataclass(frozen=True)
class RunOn:
    """Options for running a command's tasks."""

    workers: int | None = None
    """Number of parallel tasks; it doesn't change the result. Default: 1; `pretrain` with a large corpus: one per core;
    `benchmark`: one per GPU, else one per core."""
    executor: str = "local"
    """Executor of the tasks: `local` (processes on this machine), `ray` (the cluster that this machine belongs to, or
    RAY_ADDRESS; nerbert[ray]), or your own as module:Class."""

    def open_executor(self) -> "AbstractContextManager[Executor | None]":
        """Provide the chosen executor, or None for the command's own choice."""
        from nerbert.executors import open_executor

        return nullcontext() if self == RUN else open_executor(self.executor, self.workers)


RUN = RunOn()
Run = Annotated[RunOn, Parameter(name="*", group=Group("How tasks run", sort_key=2))]


@dataclass(frozen=True)
class TextsRead:
    """Options for reading texts."""

    from_: Annotated[str, Parameter(name="--from")] = ""
    """text (one per line), jsonl, conll, parquet, csv, any annotation format (label-studio, brat, …), or your own as
    module:Class; default: by the file names, .json and .csv by content, otherwise text."""
    field: str = "text"
    """Field of JSON, or column of CSV or Parquet, with the text or a list of words."""
    errors: str = "strict"
    """Bytes that are not UTF-8: strict (an error with the line number) or replace (they become U+FFFD)."""


TEXTS = TextsRead()
Texts = Annotated[TextsRead, Parameter(name="*", group=Group("How texts are read", sort_key=1))]
Tagger = Annotated[str, Parameter(help="Tagger's folder or hub name.")]
Head = Annotated[str, Parameter(help="For a tagger whose head is your own code: its module:Class, which is imported.")]
MinConfidence = Annotated[
    str, Parameter(help="Leave out entities below this confidence: a number from 0 to 1, or by type: 0.8,city=0.5.")
]


LOADING = TaggerLoading()
Loading = Annotated[TaggerLoading, Parameter(name="*", group=Group("How the tagger is loaded", sort_key=1))]


@dataclass(frozen=True)
class ScoringOptions:
    """Options for scoring a tagger's predictions: parameters of `nerbert.evaluate`."""

    train: Path | None = None
    """Its training data (folder or file), to separate seen entities and leave out repeated sentences. A note is printed
    if the tagger was trained on another file."""
    labels: str = ""
    """The tagger's labels for types of the data: "Restaurant_Name=restaurant name,PER=person", or a file with one
    `TYPE=label` per line. Other types keep their names."""
    min_confidence: str = ""
    """Leave out entities below this confidence: a number from 0 to 1, or by type: 0.8,city=0.5; default: the tagger's
    own thresholds, set by its training or `nerbert calibrate`. 0 keeps all."""
    decoding: str = ""
    """legal (best path of BIO tags; default for taggers made by nerbert) or greedy (each word independently). Cells of
    `nerbert benchmark` have both."""
    backend: str = "auto"
    """torch, onnx or auto, as in `nerbert tag`."""
    precision: str = "auto"
    """bf16, fp32, int8 or auto, as in `nerbert tag`."""
    head: Head = ""

    def arguments(self) -> dict[str, Any]:
        """Return the options as arguments of `evaluate`."""
        from nerbert.entity_labels import read_type_labels
        from nerbert.tagger.thresholds import parse_thresholds

        read = {"labels": read_type_labels(self.labels), "thresholds": parse_thresholds(self.min_confidence)}
        return {name: value for name, value in vars(self).items() if name != "min_confidence"} | read


SCORED = ScoringOptions()
Score = Annotated[ScoringOptions, Parameter(name="*", group=Group("How answers are scored", sort_key=1))]
_DATA = "its folder's, or that of NER-BERT's tables: Pol, Sci, …"
DataName = Annotated[str, Parameter(help=f"Name of a data set in --data ({_DATA}); without --data a folder or a file.")]
DataRoot = Annotated[Path | None, Parameter(name="--data", help="Folder with one folder per data set.")]
_JOB = "Replace a file, a folder that nerbert made, or an unfinished job with other settings."
Corpus = Annotated[Path, Parameter(help="Folder that `corpus build` made.")]
Flag = Annotated[bool, Parameter(negative="")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
ReplaceFile = Annotated[bool, Parameter(negative="", help="Replace a file.")]
ReplaceJob = Annotated[bool, Parameter(negative="", help=_JOB)]
Overwrite = Annotated[bool, Parameter(negative="", help="Replace a folder that nerbert made.")]
ListOnly = Annotated[bool, Parameter(name="--list", negative="")]


def words_of(options: Any) -> list[str]:
    """Return options that differ from their defaults as words of a command line."""
    values = ((option, getattr(options, option.name)) for option in fields(options))
    changed = ((option.name.strip("_").replace("_", "-"), value) for option, value in values if value != option.default)
    return [word for name, value in changed for word in (f"--{name}", str(value))]


class UnwrappedHelp:
    """The help of a command, wrapped at the terminal's width."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Print a part of the help."""
        from cyclopts.help import DefaultFormatter, InlineText
        from rich.text import Text

        for entry in panel.entries:
            about = entry.description
            if isinstance(about, InlineText) and isinstance(text := about.primary_renderable, Text):
                about.primary_renderable = Text(" ".join(text.plain.split()))
        DefaultFormatter()(console, options, panel)

    def __getattr__(self, name: str) -> Any:
        """Return other attributes of cyclopts' own formatter: `render_usage`, `render_description`."""
        from cyclopts.help import DefaultFormatter

        return getattr(DefaultFormatter(), name)
