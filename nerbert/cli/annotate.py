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

    Answers are kept as they come, so a run can be interrupted, killed even: run the command again to resume. A run that
    has used up its budget names a larger one to go on with.

    Parameters
    ----------
    texts
        Files, or folders of them, as `nerbert tag` reads them; `-` or nothing for standard input.
    output
        File of JSON lines to make, a text a line; a report lies beside it (NAME.report.json).
    overwrite
        Replace the file; kept answers stay, and only texts that failed are asked for again.
    """
    from nerbert.annotate.annotate import annotate_texts

    annotate_texts(texts, output, settings, **asdict(read), overwrite=overwrite)
