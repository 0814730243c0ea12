"""Ask a language model whether entities are right: yes or no to one question each.

Client, saved answers and budget are those of `nerbert annotate`. Limitation: the model's own mistakes count as the
tagger's, so people should look at some of its answers.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nerbert.annotate.answers import Fault, Reply, read_yes_or_no
from nerbert.annotate.asking import AGAIN, ModelRun, asked_as, warn_of_open_key
from nerbert.annotate.settings import JudgeSettings, load_key, load_prompt
from nerbert.annotate.store import open_store
from nerbert.errors import few, need
from nerbert.tagger.span_answers import Answer, SpanAnswers, SpanQuestion
from nerbert.terminal import tell

_LABELS = 100
"""Labels that a question lists at most."""


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """Whether each question was answered with yes; None without a usable answer, whose reasons `failures` counts."""

    right: list[bool | None]
    failures: Counter[Fault]
    summary: str


def judge(questions: Sequence[str], settings: JudgeSettings) -> ModelAnswers:
    """Return a model's answer to each question; raise NerbertError if the run can't be finished.

    Each answer is saved at once: after a kill or an error, the same call resumes. If the budget is used up, the error
    (BudgetSpent) names a larger one.
    """
    need("annotate", "openai")
    prompt, key = load_prompt(settings.prompt, ("yes-no",)), load_key(settings.key_variable)
    warn_of_open_key(settings, key)

    def texts() -> Iterator[str]:
        return iter(questions)

    def read(_: str, reply: Reply) -> bool:
        return read_yes_or_no(reply.content or "", cut=reply.cut)

    with open_store(settings.cache, asked_as(settings, prompt)) as store:
        run = ModelRun(settings, prompt, key, store, texts, read)
        try:
            run.ask()
        except (KeyboardInterrupt, SystemExit) as stop:
            stop.add_note(f"{run.summary()}; {AGAIN}")
            raise
        failed = Counter(failure[0] for each in questions if (failure := run.failure(each)))
        return ModelAnswers([run.kept(each)[1] for each in questions], failed, run.summary())


def judge_spans(settings: JudgeSettings) -> Callable[[SpanAnswers], None]:
    """Return what asks a language model for the answers that are missing; one without a usable answer is "unsure"."""

    def ask(answers: SpanAnswers) -> None:
        places = answers.open
        done = judge([question_of(answers.questions[place], answers.head.labels) for place in places], settings)
        given: dict[int, Answer | None] = {
            place: "unsure" if right is None else right for place, right in zip(places, done.right, strict=True)
        }
        answers.answer_all(given, f"model {settings.model}")
        tell(f"{done.summary}; answers: {answers.path}")

    return ask


def question_of(question: SpanQuestion, labels: Sequence[str]) -> str:
    """Return a span in its sentence, marked with [[ and ]], with its label and those that it could have instead."""
    before, span, after = question.text[: question.start], question.span, question.text[question.end :]
    others = ", ".join(labels) if len(labels) <= _LABELS else few(labels)
    return f"{before}[[{span}]]{after}\n\nMarked span: {span}\nIts label: {question.label}\nAll labels: {others}"
