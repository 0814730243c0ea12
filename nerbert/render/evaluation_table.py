"""An evaluation as a table for notebooks; every text in it is escaped."""

from typing import TYPE_CHECKING

from nerbert.render import render
from nerbert.render.terminal.models import EVALUATION_HEADS, evaluation_rows

if TYPE_CHECKING:
    from nerbert.evaluation.evaluate import Evaluation


def evaluation_html(evaluation: "Evaluation") -> str:
    """Return a table for each tagger, with the rows that the command prints."""
    tables = {name: list(evaluation_rows(judged)) for name, judged in evaluation.judgements.items()}
    return render("evaluation_table.html.j2", evaluation=evaluation, heads=EVALUATION_HEADS, tables=tables)
