"""Scores on the terminal or as JSON."""

import json

from rich.console import Console
from rich.table import Table

from nerbert.evaluation.evaluate import Evaluation
from nerbert.metrics import Counts, Score
from nerbert.show import percent, plain


def print_evaluation(evaluation: Evaluation, *, as_json: bool) -> None:
    """Print the figures in percent; the rules of scoring stand beside them."""
    if as_json:
        print(json.dumps(evaluation.as_json(), ensure_ascii=False, indent=2))
        return
    console = Console()
    rules = next(iter(evaluation.scores.values())).rules
    title = f"{evaluation.file}: {evaluation.sentences:,} sentences; {rules}; percent"
    for name, score in evaluation.scores.items():
        console.print(_by_type(f"{name} on {title}", score))
    if len(evaluation.scores) > 1:
        console.print(f"F1 over {len(evaluation.scores)} seeds: {percent(evaluation.f1_mean)} ± "
                      f"{percent(evaluation.f1_sd)} (mean ± standard deviation)", highlight=False)  # fmt: skip
    if evaluation.unknown_types:
        names = ", ".join(evaluation.unknown_types)
        console.print(plain(f"gold types that the tagger has never seen, counted as missed: {names}"))
    if evaluation.not_finetuned:
        names = ", ".join(evaluation.not_finetuned)
        console.print(plain(f"{names}: made by pretrain, not fine-tuned: its types are the corpus's categories"))


def _by_type(title: str, score: Score) -> Table:
    names = ("type", "precision", "recall", "F1", "right", "predicted", "gold")
    table = Table(*names, title=plain(title), title_justify="left")
    for name, counts in score.by_type.items():
        table.add_row(plain(name), *_figures(counts))
    table.add_section()
    table.add_row("all (micro)", *_figures(score), style="bold")
    return table


def _figures(counts: Counts) -> list[str]:
    shares = [percent(value) for value in (counts.precision, counts.recall, counts.f1)]
    return [*shares, *(f"{value:,}" for value in (counts.right, counts.predicted, counts.gold))]
