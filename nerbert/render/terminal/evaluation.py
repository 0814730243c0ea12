"""Scores on the terminal or as JSON; a terminal of 80 columns is enough."""

import json
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from nerbert.evaluation.datasets.duplicates import AT_LEAST
from nerbert.evaluation.evaluate import Evaluation
from nerbert.finetuning.sizes import many
from nerbert.metrics.judging import Judgement
from nerbert.metrics.score import Counts, Macro
from nerbert.terminal import percent, plain

_COLUMNS = ("precision", "recall", "F1", "right", "predicted", "gold")
_SUMMARY = {"micro": "all (micro)", "macro": "all (macro)", "strict": "strict (micro)", "span": "spans, any type"}


def print_evaluation(evaluation: Evaluation, *, as_json: bool) -> None:
    """Print the figures in percent; the rules of scoring stand beside them."""
    if as_json:
        print(json.dumps(evaluation.as_json(), ensure_ascii=False, indent=2))
        return
    console = Console()
    for name, judged in evaluation.judgements.items():
        title = f"{name} on {evaluation.file}: {many(evaluation.sentences, 'sentence')}"
        console.print(plain(title), plain(f"{judged.score.rules}; percent"), sep="\n")
        console.print(_table(judged))
        console.print(*map(plain, _lines(judged)), sep="\n", end="\n\n")
    for line in _over_all(evaluation):
        console.print(plain(line))


def _table(judged: Judgement) -> Table:
    table = Table()
    table.add_column("type", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for name, counts in judged.score.by_type.items():
        table.add_row(plain(name), *_figures(counts))
    table.add_section()
    table.add_row("all (micro)", *_figures(judged.score), style="bold")
    table.add_row("all (macro)", *_means(judged.score.macro))
    table.add_row("strict (micro)", *_figures(judged.strict))
    table.add_row("strict (macro)", *_means(judged.strict.macro))
    table.add_row("spans, any type", *_figures(judged.span))
    table.add_section()
    groups = {"seen in train": judged.seen, "unseen in train": judged.unseen, "without repeats": judged.without}
    for name, part in groups.items():
        if part is not None:
            table.add_row(name, *_figures(part))
    return table


def _lines(judged: Judgement) -> Iterator[str]:
    """What is said below the table."""
    yield f"strict: {judged.strict.rules}"
    yield "mistakes: " + ", ".join(f"{count:,} {kind}" for kind, count in judged.kinds.items())
    low, high = percent(judged.interval.low), percent(judged.interval.high)
    yield (f"micro F1, {judged.interval.level:.0%} interval: {low}–{high} "
           f"({judged.interval.samples:,} bootstrap samples of the sentences)")  # fmt: skip
    if sure := judged.calibration:
        predicted = many(sure.entities, "predicted entity", "predicted entities")
        yield f"calibration: ECE {percent(sure.ece)} ({predicted}, {sure.bins} bins)"
    if judged.left_out:
        occur = f"{AT_LEAST} or more words {'occurs' if judged.left_out == 1 else 'occur'} in train"
        yield f"repeats: {many(judged.left_out, 'test sentence')} of {occur}"


def _over_all(evaluation: Evaluation) -> Iterator[str]:
    """What is said once, of all taggers."""
    if len(evaluation.judgements) > 1:
        yield f"F1 over {len(evaluation.judgements)} seeds, mean ± standard deviation:"
        for key, values in evaluation.over_seeds().items():
            yield f"  {_SUMMARY[key]}: {percent(values['mean'])} ± {percent(values['sd'])}"
    if evaluation.train and not any(judged.left_out for judged in evaluation.judgements.values()):
        yield f"no test sentence of {AT_LEAST} or more words occurs in {evaluation.train}"
    if evaluation.other_train:
        names = ", ".join(evaluation.other_train)
        yield f"note: {names}: trained on other data than --train {evaluation.train} (a subset of it counts as other)"
    if evaluation.unknown_types:
        yield f"gold types that the tagger has never seen, counted as missed: {', '.join(evaluation.unknown_types)}"
    if evaluation.not_finetuned:
        names = ", ".join(evaluation.not_finetuned)
        yield f"{names}: made by pretrain, not fine-tuned: its types are the corpus's categories"


def _figures(counts: Counts) -> list[str]:
    shares = [percent(value) for value in (counts.precision, counts.recall, counts.f1)]
    return [*shares, *(f"{value:,}" for value in (counts.right, counts.predicted, counts.gold))]


def _means(macro: Macro) -> list[str]:
    return [percent(value) for value in (macro.precision, macro.recall, macro.f1)]
