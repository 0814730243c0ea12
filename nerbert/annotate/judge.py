"""Ask a language model whether entities are right: yes or no to one question each.

Client, saved answers and budget are those of `nerbert annotate`. Limitation: the model's own mistakes count as the
tagger's, so people should look at some of its answers.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nerbert.annotate.answers import Fault, Reply, read_yes_or_no
from nerbert.annotate.asking import AGAIN, ModelRun, asked_as, warn_of_open_key
from nerbert.annotate.settings import JudgeSettings, load_key, load_prompt
from nerbert.annotate.store import open_store
from nerbert.errors import need


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
