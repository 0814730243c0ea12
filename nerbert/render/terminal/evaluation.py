"""Scores on the terminal or as JSON; a terminal of 80 columns is enough."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from nerbert.finetuning.sizes import many
from nerbert.metrics.judging import Judgement
from nerbert.metrics.score import Counts, Macro
from nerbert.render.terminal import table
from nerbert.terminal import percent, plain

if TYPE_CHECKING:
    from nerbert.evaluation.evaluate import Evaluation

_HEADS = ("type", "precision", "recall", "F1", "right", "predicted", "gold")
_SUMMARY = {"micro": "all (micro)", "macro": "all (macro)", "strict": "strict (micro)", "span": "spans, any type"}


def print_evaluation(evaluation: "Evaluation", *, as_json: bool) -> None:
    """Print the figures in percent, with the rules of scoring."""
    if as_json:
        print(json.dumps(evaluation.as_json(), ensure_ascii=False, indent=2))
        return
    console = Console()
    for name, judged in evaluation.judgements.items():
        title = f"{name} on {evaluation.file}: {many(evaluation.sentences, 'sentence')}"
        console.print(plain(title), plain(f"{judged.score.rules}; percent"), sep="\n")
        console.print(table(_HEADS, _rows(judged), numbers=range(1, 7)))
        console.print(*map(plain, _lines(judged, evaluation.min_words)), sep="\n", end="\n\n")
    for line in _over_all(evaluation):
        console.print(plain(line))


def _rows(judged: Judgement) -> Iterator[tuple[object, ...]]:
    for name, counts in judged.score.by_type.items():
        yield name, *_figures(counts)
    yield _SUMMARY["micro"], *_figures(judged.score)
    yield _SUMMARY["macro"], *_means(judged.score.macro)
    yield _SUMMARY["strict"], *_figures(judged.strict)
    yield "strict (macro)", *_means(judged.strict.macro)
    yield _SUMMARY["span"], *_figures(judged.span)
    groups = {"seen in train": judged.seen, "unseen in train": judged.unseen, "without repeats": judged.without}
    yield from ((name, *_figures(part)) for name, part in groups.items() if part is not None)


def _lines(judged: Judgement, min_words: int) -> Iterator[str]:
    """Yield what is said below the table."""
    yield f"strict: {judged.strict.rules}"
    yield "mistakes: " + ", ".join(f"{count:,} {kind}" for kind, count in judged.kinds.items())
    low, high = percent(judged.interval.low), percent(judged.interval.high)
    yield (f"micro F1, {judged.interval.level:.0%} interval: {low}–{high} "
           f"({judged.interval.samples:,} bootstrap samples of the sentences)")  # fmt: skip
    if sure := judged.calibration:
        predicted = many(sure.entities, "predicted entity", "predicted entities")
        yield f"calibration: ECE {percent(sure.ece)} ({predicted}, {sure.bins} bins)"
    if judged.left_out:
        occur = f"{min_words} or more words {'occurs' if judged.left_out == 1 else 'occur'} in train"
        yield f"repeats: {many(judged.left_out, 'test sentence')} of {occur}"


def _over_all(evaluation: "Evaluation") -> Iterator[str]:
    """Yield what is said once, of all taggers."""
    if len(evaluation.judgements) > 1:
        yield f"F1 over {len(evaluation.judgements)} seeds, mean ± standard deviation:"
        for key, values in evaluation.over_seeds().items():
            yield f"  {_SUMMARY[key]}: {percent(values['mean'])} ± {percent(values['sd'])}"
    if evaluation.train and not any(judged.left_out for judged in evaluation.judgements.values()):
        yield f"no test sentence of {evaluation.min_words} or more words occurs in {evaluation.train}"
    if evaluation.other_train:
        names = ", ".join(evaluation.other_train)
        yield f"note: {names}: trained on other data than --train {evaluation.train} (a subset of it counts as other)"
    if evaluation.unknown_types:
        yield f"gold types that the tagger has never seen, counted as missed: {', '.join(evaluation.unknown_types)}"
    if evaluation.not_finetuned:
        names = ", ".join(evaluation.not_finetuned)
        yield f"{names}: made by pretrain, not fine-tuned: its types are the corpus's categories"


def _figures(counts: Counts) -> list[object]:
    return [*map(percent, (counts.precision, counts.recall, counts.f1)), counts.right, counts.predicted, counts.gold]


def _means(macro: Macro) -> list[str]:
    return [percent(macro.precision), percent(macro.recall), percent(macro.f1)]
