"""The steps of `nerbert annotate`: read the texts, ask for missing labels, write labels and a report.

The output depends on the saved answers alone. Cost: the texts are read three times. With a temperature above 0 another
machine's output differs.
"""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.annotate.asking import AGAIN, ModelRun, asked_as, warn_of_open_key
from nerbert.annotate.settings import AnnotateSettings, Prompt, load_key, load_prompt
from nerbert.annotate.store import AnswerStore, open_store
from nerbert.artifacts import check_free_file, publish_job, write_json
from nerbert.config import check_choice
from nerbert.errors import InputError, paths_refused
from nerbert.formats.inputs import InputFile, check_no_input, check_source, find_sources
from nerbert.formats.open_types import open_type_line
from nerbert.formats.rows import ERRORS
from nerbert.schema import read_json, to_plain
from nerbert.terminal import tell

if TYPE_CHECKING:
    from pydantic import SecretStr

_LISTED = 1000
"""Failed passages that a report lists."""


@dataclass
class AnnotateReport:
    """Counts of texts; passages = answered + failed, without `empty` ones."""

    passages: int = 0
    distinct: int = 0
    kept_before: int = 0
    empty: int = 0
    answered: int = 0
    failed: int = 0
    entities: int = 0
    invented_mentions: int = 0
    bad_lines: int = 0
    cut_off: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tokens_are_estimated: bool = False
    failures: Counter[str] = field(default_factory=Counter)
    failed_passages: list[dict[str, Any]] = field(default_factory=list)


@paths_refused()
def annotate_texts(
    texts: Sequence[str | Path], output: str | Path, settings: AnnotateSettings, *, from_: str = "",
    field: str = "text", errors: str = ERRORS[0], overwrite: bool = False,
) -> AnnotateReport:  # fmt: skip
    """Label texts by a language model; write `output`, JSON lines of open types, and a report beside it; return that.

    `texts` are files or folders, as `nerbert tag` reads them. Each answer is saved at once: after a kill or an error,
    the same call resumes. If the budget is used up, raise BudgetSpent, which names a larger one.
    """
    check_source("--from", from_)
    check_choice("--errors", errors, ERRORS)
    prompt, key, target = load_prompt(settings.prompt), load_key(settings.key_variable), Path(output)
    found, report = find_sources([*map(str, texts)], from_), target.with_name(f"{target.stem}.report.json")
    asked = asked_as(settings, prompt)
    for path in (target, report):
        check_no_input(found, path)
    check_free_file(target, overwrite=overwrite)
    check_free_file(report, overwrite=overwrite or (not target.exists() and _made_from(report) == asked))
    warn_of_open_key(settings, key)
    with publish_job(target, None, overwrite=overwrite, file=True) as draft, open_store(settings.cache, asked) as store:
        sources = [source.copied(draft.work / f"{number}") for number, source in enumerate(found.sources)]
        run = _AnnotateRun(settings, prompt, key, store, partial(_rows, sources, field, errors))
        try:
            run.ask()
        except (KeyboardInterrupt, SystemExit) as stop:
            stop.add_note(f"{run.summary()}; {AGAIN}")
            raise
        run.write(draft.path)
        # before the output: a run killed between them is run again
        write_json(report, {"made_from": asked} | to_plain(run.report))
    if found.passed_over:
        tell(f"files skipped: {len(found.passed_over):,}, such as {found.passed_over[0]}; name them, or give --from")
    tell(run.summary())
    use = shlex.quote(f"open_types.files={json.dumps([str(output)], ensure_ascii=False)}")
    tell(f"{output}: {run.report.answered:,} texts with {run.report.entities:,} entities; report: {report}; to train "
         f"on it: nerbert pretrain SETTINGS.toml -o FOLDER --set objective=concepts --set {use}")  # fmt: skip
    return run.report


def _made_from(report: Path) -> object:
    """Return what a report was made from; None if it is none."""
    with suppress(InputError):
        return read_json(report, dict[str, Any]).get("made_from")
    return None


class _AnnotateRun(ModelRun):
    """One run over the texts, whose labels are written."""

    def __init__(
        self, settings: AnnotateSettings, prompt: Prompt, key: "SecretStr", store: AnswerStore,
        rows: Callable[[], Iterator[tuple[str, int, str]]],
    ) -> None:  # fmt: skip
        super().__init__(settings, prompt, key, store, lambda: (text for _, _, text in rows()))
        self._rows, self.report = rows, AnnotateReport()

    def write(self, path: Path) -> None:
        """Write the labels of all passages in order, and count."""
        report = self.report
        report.distinct, report.kept_before = self.distinct, self.kept_before
        with path.open("wb") as stream:
            for place, row, text in self._rows():
                if not text.strip():
                    report.empty += 1
                    continue
                reply, labels = self.kept(text)
                report.passages += 1
                report.tokens_are_estimated |= reply.estimated
                if labels is not None:
                    asked = self._prompt.asked or (() if reply.cut else None)
                    stream.write(open_type_line(replace(labels.text, asked=asked)))
                    report.answered += 1
                    report.entities += len(labels.text.entities)
                    report.invented_mentions += labels.invented
                    report.bad_lines += labels.bad
                    report.cut_off += reply.cut
                elif (failure := self.failure(text)) is not None:
                    report.failed += 1
                    report.failures[failure[0]] += 1
                    if len(report.failed_passages) < _LISTED:
                        listed = {"file": place, "row": row, "reason": failure[0], "message": failure[1]}
                        report.failed_passages.append(listed)
                else:
                    raise InputError(f"{place}: changed while it was read; rerun the command")
        report.tokens_are_estimated |= self.budget.unanswered[0] > 0
        report.input_tokens, report.output_tokens = self.budget.spent


def _rows(sources: Sequence[InputFile], field: str, errors: str) -> Iterator[tuple[str, int, str]]:
    """Yield file, row and text of each row."""
    for source in sources:
        yield from ((str(source), row.line, row.text) for row in source.documents(field, errors))
