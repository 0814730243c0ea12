"""What trainings, calibrations, exports and evaluations print; figures are in percent."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from nerbert.executors import is_first_process
from nerbert.finetuning.sizes import many
from nerbert.metrics.judging import Judgement
from nerbert.metrics.score import Counts, Macro
from nerbert.render import LOG_NAMES, log_figure
from nerbert.render.terminal import print_json, say, table
from nerbert.terminal import duration, percent, plain

if TYPE_CHECKING:
    from nerbert.encoder.dry_run import DryRun
    from nerbert.evaluation.evaluate import Evaluation
    from nerbert.tagger.calibrate import Calibrated
    from nerbert.tagger.export import Export
    from nerbert.training.log import TrainLog


def print_dry_run(run: "DryRun", output: Path) -> None:
    """Print sizes, memory and time of a pre-training, then what the command would do without --dry-run."""
    if is_first_process():
        say(Console(), "dry_run", run=run, output=output, scoring=duration(run.scoring), time=duration(run.seconds))


def print_log(log: "TrainLog", output: Path) -> None:
    """Print the loss and the figures of each evaluation, then the speed and the folder."""
    if not is_first_process():
        return
    names = [*LOG_NAMES, *sorted({name for entry in log.entries for name in entry} - {*LOG_NAMES})]
    rows = [[log_figure(name, entry[name]) if name in entry else None for name in names] for entry in log.entries]
    console = Console()
    console.print(table(names, rows, numbers=range(len(names))))
    say(console, "log", log=log, output=output, speed=log.tokens / max(log.seconds, 1e-9))


def print_taggers(folders: Iterable[Path]) -> None:
    """Print where each tagger is and its F1 on the dev split."""
    from nerbert.model.backbone import read_card

    taggers = {folder: read_card(str(folder)).get("dev") for folder in folders}
    say(Console(soft_wrap=True), "taggers", taggers=taggers)


def print_calibrations(done: Sequence["Calibrated"], data: Path) -> None:
    """Print temperature and calibration error of each tagger, and its thresholds."""
    console = Console(soft_wrap=True)
    for each in done:
        say(console, "calibration", each=each, told=each.calibration, data=data)
        if each.thresholds:
            rows = [(name, "none" if bound.confidence is None else f"{bound.confidence:.3f}", bound.predicted,
                     bound.kept, percent(bound.precision), percent(bound.recall_kept))
                    for name, bound in each.thresholds.items()]  # fmt: skip
            heads = ["type", "threshold", "found", "kept", "precision", "right kept"]
            console.print(table(heads, rows, numbers=range(1, 6)))


def print_export(done: "Export") -> None:
    """Print where the graphs are and how large, and what they share with torch's."""
    console = Console(soft_wrap=True)
    say(console, "export", done=done)
    if done.agreement:
        rows = [(name, percent(each.f1), f"{percent(each.share)} %", each.other)
                for name, each in done.agreement.items()]  # fmt: skip
        console.print(table(["back end", "F1", "entities like torch's", "others"], rows, numbers=range(1, 4)))


def print_evaluation(evaluation: "Evaluation", *, as_json: bool) -> None:
    """Print the figures, with the rules of scoring."""
    if as_json:
        print_json(evaluation.as_json())
        return
    console, heads = Console(), ("type", "precision", "recall", "F1", "right", "predicted", "gold")
    for name, judged in evaluation.judgements.items():
        title = f"{name} on {evaluation.file}: {many(evaluation.sentences, 'sentence')}"
        console.print(plain(title), plain(f"{judged.score.rules}; percent"), sep="\n")
        console.print(table(heads, _rows(judged), numbers=range(1, 7)))
        say(console, "judgement", judged=judged, min_words=evaluation.min_words, many=many)
    say(console, "evaluation", evaluation=evaluation)


def _rows(judged: Judgement) -> Iterator[tuple[object, ...]]:
    for name, counts in judged.score.by_type.items():
        yield name, *_figures(counts)
    yield "all (micro)", *_figures(judged.score)
    yield "all (macro)", *_means(judged.score.macro)
    yield "strict (micro)", *_figures(judged.strict)
    yield "strict (macro)", *_means(judged.strict.macro)
    yield "spans, any type", *_figures(judged.span)
    groups = {"seen in train": judged.seen, "unseen in train": judged.unseen, "without repeats": judged.without}
    yield from ((name, *_figures(part)) for name, part in groups.items() if part is not None)


def _figures(counts: Counts) -> list[object]:
    return [*map(percent, (counts.precision, counts.recall, counts.f1)), counts.right, counts.predicted, counts.gold]


def _means(macro: Macro) -> list[str]:
    return [percent(macro.precision), percent(macro.recall), percent(macro.f1)]
