"""Reports for terminals of 80 columns or more: templates have the sentences, `table` draws the tables."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nerbert.data.sampling import SizeUnit, Subset, plural
from nerbert.data.splits import SPLITS
from nerbert.errors import refused
from nerbert.metrics.judging import Judgement
from nerbert.metrics.score import Counts, Macro
from nerbert.process import is_first_process
from nerbert.render import LOG_NAMES, TEMPLATES, facts_of, log_figure, render
from nerbert.schema import to_plain
from nerbert.terminal import duration, percent, plain

if TYPE_CHECKING:
    from nerbert.data.catalogue import Listed
    from nerbert.data.convert import Conversion
    from nerbert.doctor import Finding
    from nerbert.encoder.pretrain import DryRun
    from nerbert.evaluation.evaluate import Evaluation, OpenEvaluation
    from nerbert.tagger.calibrate import Calibrated
    from nerbert.tagger.export import Export
    from nerbert.tagger.self_check_answers import Checked
    from nerbert.tagger.summary import ModelSummary
    from nerbert.training.checkpoint import TrainLog

EVALUATION_HEADS = ("type", "precision", "recall", "F1", "right", "predicted", "gold")
_STYLES = {"ok": "green", "missing": "yellow", "wrong": "bold red"}


def table(
    heads: Sequence[str | Text], rows: Iterable[Sequence[object]], *, numbers: Collection[int] = (), title: str = ""
) -> Table:
    """Return a table that wraps at the terminal's width, without truncation; columns in `numbers` align right.

    Whole numbers get thousands separators, None is a dash, control characters become visible; a `Text` keeps its style.
    """
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    # Not as markup: rich would take "[PER]" in a name for a style.
    drawn.title = plain(title) if title else None
    for column, head in enumerate(heads):
        drawn.add_column(_cell_text(head), justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(_cell_text, row))
    return drawn


def say(console: Console, template: str, folder: Path = TEMPLATES, /, style: str = "", **facts: Any) -> None:
    """Print the lines of a text template; values are printed on one line, without markup or control characters."""
    for line in render(f"terminal/{template}.txt.j2", folder, **facts).splitlines():
        console.print(plain(line), style=style, highlight=False)


def print_json(value: Any) -> None:
    """Print JSON in ASCII, so that it can't contain control sequences of the terminal."""
    # DEL is the only control character that JSON leaves as it is.
    print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def _cell_text(cell: object) -> Text:
    if isinstance(cell, Text):
        return cell
    if cell is None:
        return plain("–")
    return plain(f"{cell:,}" if isinstance(cell, int) else cell)


def print_doctor(findings: "Sequence[Finding]", *, as_json: bool) -> bool:
    """Print a line for each finding, then advice; return whether nothing is wrong."""
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        console = Console()
        rows = [[finding.what, Text(finding.state, _STYLES[finding.state]), finding.found] for finding in findings]
        console.print(table(["what", "", "found"], rows))
        for finding in findings:
            if finding.advice:
                console.print(plain(f"{finding.what}: {finding.found}: {finding.advice}"))
    return all(finding.state != "wrong" for finding in findings)


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
    """Print each tagger's folder and its F1 on the dev split."""
    from nerbert.model.folder import read_card

    taggers = {folder: read_card(str(folder)).get("dev") for folder in folders}
    say(Console(soft_wrap=True), "taggers", taggers=taggers)


def print_calibrations(done: Sequence["Calibrated"], data: Path, *, dry_run: bool = False) -> None:
    """Print scaling and calibration error of each tagger, and its thresholds; `dry_run` adds that none is kept."""
    console = Console(soft_wrap=True)
    for calibrated in done:
        say(console, "calibration", tagger=calibrated, calibration=calibrated.calibration, data=data)
        if calibrated.thresholds:
            rows = [
                (
                    name,
                    "none" if bound.confidence is None else f"{bound.confidence:.3f}",
                    bound.predicted,
                    bound.kept,
                    percent(bound.precision),
                    percent(bound.recall_kept),
                )
                for name, bound in calibrated.thresholds.items()
            ]
            heads = ["type", "threshold", "found", "kept", "precision", "right kept"]
            console.print(table(heads, rows, numbers=range(1, 6)))
    if dry_run:
        console.print("nothing was written (--dry-run)")


def print_types(names: Mapping[str, str], folder: Path) -> None:
    """Print the new names of a tagger's types."""
    say(Console(soft_wrap=True), "types", names=names, folder=folder, kept=sorted({*names.values()} - {""}))


def print_summaries(models: Sequence["ModelSummary"], *, as_json: bool) -> None:
    """Print a summary of each model, with its origin."""
    if as_json:
        print_json(to_plain(models))
        return
    from nerbert.render.cards import chosen_settings, threshold_origin

    for model in models:
        with refused(f"{model.name}: its nerbert.json is not as nerbert writes it"):
            facts = facts_of(model.card)
            settings = chosen_settings(model.card)
            say(
                Console(soft_wrap=True),
                "summary",
                model=model,
                card=facts,
                settings=settings,
                origin=threshold_origin(model.card),
            )


def print_checks(done: Sequence["Checked"], *, as_json: bool) -> None:
    """Print for each tagger whether it answers as expected, and each text with a different answer."""
    if as_json:
        print_json([checked.as_json() for checked in done])
        return
    for checked in done:
        say(
            Console(soft_wrap=True),
            "check",
            done=checked,
            made=checked.expected,
            marked=lambda answer: (
                ", ".join(f"[{span.text}|{span.type}] {span.confidence:.3f}" for span in answer.spans) or "no entity"
            ),
        )


def print_export(done: "Export") -> None:
    """Print the graphs' paths and sizes, and the agreement of their entities with torch's."""
    console = Console(soft_wrap=True)
    say(console, "export", done=done)
    if done.agreement:
        rows = [
            (
                name,
                percent(agreement.f1),
                f"{percent(agreement.share)} %",
                agreement.other,
                f"{agreement.confidence:.4f}",
            )
            for name, agreement in done.agreement.items()
        ]
        heads = ["back end", "F1", "entities like torch's", "others", "confidences differ by"]
        console.print(table(heads, rows, numbers=range(1, 5)))
    # int8 rounds weights and so may lose F1, which is compared with torch's.
    if int8 := done.agreement.get("onnx int8"):
        # A loss of F1 is shown as a negative change, so the interval's ends are exchanged.
        change, *ends = (f"{-100 * loss:+.2f}" for loss in (int8.loss, int8.high, int8.low))
        changes = [("all", int8.gold, percent(int8.f1), change, " to ".join(ends))]
        console.print(table(["int8", "gold", "F1", "change, in points", "95 % interval"], changes, numbers=range(1, 5)))


def print_evaluation(evaluation: "Evaluation", *, as_json: bool) -> None:
    """Print the figures, with the rules of scoring."""
    if as_json:
        print_json(evaluation.as_json())
        return
    console = Console()
    for name, judged in evaluation.judgements.items():
        title = f"{name} on {evaluation.file}: {plural(evaluation.sentences, 'sentence')}"
        console.print(plain(title), plain(f"{judged.score.rules}; percent"), sep="\n")
        if name in evaluation.answering:
            console.print(plain(f"scored as `nerbert tag` answers: {evaluation.answering[name]}"))
        console.print(table(EVALUATION_HEADS, evaluation_rows(judged), numbers=range(1, 7)))
        say(console, "judgement", judged=judged, min_words=evaluation.min_words, plural=plural)
    say(console, "evaluation", evaluation=evaluation)


def evaluation_html(evaluation: "Evaluation") -> str:
    """Return a table for each tagger, for notebooks, with the rows that the command prints."""
    tables = {name: list(evaluation_rows(judged)) for name, judged in evaluation.judgements.items()}
    return render("evaluation_table.html.j2", evaluation=evaluation, heads=EVALUATION_HEADS, tables=tables)


def print_open_evaluation(evaluation: "OpenEvaluation", *, as_json: bool) -> None:
    """Print the figures on a file of open types, with the rules of scoring."""
    facts = evaluation.as_json()
    if as_json:
        print_json(facts)
        return
    console = Console()
    heads = ("", *EVALUATION_HEADS[1:])
    passages = plural(evaluation.passages, "passage")
    types = plural(evaluation.types, "type")
    scored = plain(f"scored as `nerbert tag` answers: {evaluation.answering}")
    console.print(
        plain(f"{evaluation.file}: {passages}, {types} asked for"),
        plain(f"{facts['rules']}; percent"),
        scored,
        sep="\n",
    )
    console.print(table(heads, [("mentions", *_figures(evaluation.counts))], numbers=range(1, 7)))


def evaluation_rows(judged: Judgement) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a tagger's scores, figures in percent, under `EVALUATION_HEADS`."""
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


def print_list(listed: Sequence["Listed"], *, as_json: bool) -> None:
    """Print the data sets, a row each."""
    if as_json:
        print_json(
            [{"name": data.name, "there": data.there} | (asdict(data.known) if data.known else {}) for data in listed]
        )
        return
    # Without a folder there is no state to show, so titles take the column.
    looked = any(data.there for data in listed)
    heads = ("name", "paper", "train/dev/test", "types", "licence", "there" if looked else "title")
    rows = [[*_list_cells(data), data.there if looked else data.known and data.known.title] for data in listed]
    drawn = table(heads, rows, numbers=(3,))
    for column in drawn.columns[:3]:
        # So that names can be copied.
        column.no_wrap = True
    console = Console(soft_wrap=True)
    console.print(drawn)
    console.print(
        "paper: its name in NER-BERT's tables, with * where the split or the types aren't quite the paper's "
        "(nerbert data check, in nerbert-bench)"
    )


def _list_cells(listed: "Listed") -> list[object]:
    known = listed.known
    if known is None:
        return [listed.name, "", "", "", ""]
    paper = known.paper_name or ("source" if known.source_domain else "")
    sentences = "/".join(f"{known.splits[split].sentences}" for split in SPLITS)
    mark = "*" if paper and not known.fits else ""
    return [known.name, f"{paper}{mark}", sentences, len(known.types) or "open", known.licence]


def print_conversion(done: "Conversion") -> None:
    """Print the numbers of texts and entities written, the repairs, and the losses in the new format."""
    say(Console(soft_wrap=True), "converted", done=done, plural=plural)


def print_sample(subset: Subset, output: Path) -> None:
    """Print what was drawn: sentences, entities by type, and which types fall short of k."""
    console = Console(soft_wrap=True)
    rows = [(name, count, subset.there[name]) for name, count in subset.reached.items()]
    title = f"size {subset.size}, draw {subset.draw}: {plural(len(subset.places), 'sentence')}"
    console.print(table(("type", "drawn", "there"), rows, numbers=(1, 2), title=title))
    shots = subset.size.shots if subset.size.unit is SizeUnit.EACH else 0
    say(console, "sample", subset=subset, output=output, asked=shots, plural=plural)
