"""The command `nerbert annotate`."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from nerbert.cli import options as opt
from nerbert_annotate.settings import AnnotateSettings


def annotate(
    *texts: opt.FileOrDash,
    output: opt.Output,
    settings: Annotated[AnnotateSettings, Parameter(name="*")],
    read: opt.Texts = opt.TEXTS,
    overwrite: opt.Flag = False,
) -> None:
    """Label texts with entities of any type, using a language model behind an OpenAI-compatible server.

    Each answer is saved at once, so a run can be interrupted: rerun the command to resume it. If the budget is used up,
    the error suggests a larger one.

    Parameters
    ----------
    texts
        Files, or folders of them, as `nerbert tag` reads them; `-` or nothing for standard input.
    output
        JSON lines file to make, one text per line; the report is NAME.report.json in the same folder.
    overwrite
        Replace the file. Saved answers are kept; only failed texts are sent again.
    """
    from nerbert_annotate.annotate import annotate_texts

    annotate_texts(texts, output, settings, **asdict(read), overwrite=overwrite)
