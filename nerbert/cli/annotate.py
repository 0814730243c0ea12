"""`nerbert annotate`: texts in, open-type labels of a language model out."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from nerbert.annotate.settings import AnnotateSettings
from nerbert.cli.options import TEXTS, FileOrDash, Flag, Output, Texts


def annotate(
    *texts: FileOrDash, output: Output, settings: Annotated[AnnotateSettings, Parameter(name="*")], read: Texts = TEXTS,
    overwrite: Flag = False,
) -> None:  # fmt: skip
    """Label texts with entities of any type, by a language model behind an OpenAI-compatible server.

    Each answer is saved at once, so a run can be interrupted: rerun the command to resume it. If the budget is used up,
    the error names a larger one.

    Parameters
    ----------
    texts
        Files, or folders of them, as `nerbert tag` reads them; `-` or nothing for standard input.
    output
        JSON lines file to make, one text per line; NAME.report.json beside it is the report.
    overwrite
        Replace the file. Saved answers are kept; only failed texts are sent again.
    """
    from nerbert.annotate.annotate import annotate_texts

    annotate_texts(texts, output, settings, **asdict(read), overwrite=overwrite)
