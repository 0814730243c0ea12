"""`nerbert annotate`: texts in, open-type labels of a language model out."""

from typing import Annotated

from cyclopts import Parameter

from nerbert.annotate.settings import AnnotateSettings
from nerbert.cli.options import FileOrDash, Flag, Output


def annotate(
    *texts: FileOrDash, output: Output, settings: Annotated[AnnotateSettings, Parameter(name="*")],
    from_: Annotated[str, Parameter(name="--from")] = "", field: str = "text", errors: str = "strict",
    overwrite: Flag = False,
) -> None:  # fmt: skip
    """Label texts with entities of any type, by a language model behind an OpenAI-compatible server.

    Answers are kept as they come, so a run can be interrupted, killed even: run the command again to go on. A run that
    has used up its budget names a larger one to go on with.

    Parameters
    ----------
    texts
        Files, or folders of them, as `nerbert tag` reads them; `-` or nothing for standard input.
    output
        File of JSON lines to make, a text a line; a report lies beside it (NAME.report.json).
    from_
        text (a text a line), jsonl, conll, parquet, csv, any annotation format (label-studio, brat, …), or your own as
        module:Class; default: as the files' names end, .json and .csv by content, else text.
    field
        Field of JSON, or column of CSV or Parquet, with the text or a list of words.
    errors
        Bytes that are no UTF-8: strict (an error that names the line) or replace (they become U+FFFD).
    overwrite
        Replace the file; kept answers stay, and only texts that failed are asked for again.
    """
    from nerbert.annotate.annotate import annotate_texts

    annotate_texts(texts, output, settings, from_=from_, field=field, errors=errors, overwrite=overwrite)
