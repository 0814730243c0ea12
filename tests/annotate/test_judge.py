"""A language model that judges spans: what it is asked, how its answers are read, what they cost."""

import re
from pathlib import Path
from typing import Any

import pytest

from nerbert.annotate.answers import Failure, read_yes_or_no
from nerbert.annotate.budget import BudgetSpent
from nerbert.annotate.judge import judge, judge_spans, question_of
from nerbert.annotate.settings import JudgeSettings, load_prompt
from nerbert.errors import InputError, SettingsError
from nerbert.tagger.span_answers import AnswersHead, SpanAnswers, SpanQuestion
from tests.annotate.conftest import Desk
from tests.annotate.model_server import say

pytestmark = pytest.mark.extras
ADA, BOB = "Ada met Bob.", "Bob {text} left."


def settings(desk: Desk, **changes: Any) -> JudgeSettings:
    given: dict[str, Any] = {
        "endpoint": desk.server.address,
        "model": "m",
        "concurrency": 1,
        "cache": str(desk.folder / "cache"),
    }
    return JudgeSettings(**(given | changes))


def drawn(folder: Path) -> SpanAnswers:
    """Return three spans to judge, one of them answered by a person."""
    head = AnswersHead("nerbert span answers 1", "0" * 16, "0" * 64, ["place", "name"], 5, 3, 0)
    questions = [
        SpanQuestion(0, ADA, 0, 3, "Ada", "name", 0.9, 0.5), SpanQuestion(3, ADA, 8, 11, "Bob", "name", 0.8, 0.5),
        SpanQuestion(4, BOB, 4, 10, "{text}", "place", 0.4, 0.5, right=True, by="person"),
    ]  # fmt: skip
    return SpanAnswers(folder / "answers.jsonl", head, questions)


def test_one_question_is_asked_of_each_span(desk: Desk) -> None:
    desk.server.label = lambda passage: "yes" if "[[Ada]]" in passage else "No."
    answers = drawn(desk.folder)
    judge_spans(settings(desk))(answers)
    assert [(each.right, each.by) for each in answers.questions] == [
        (True, "model m"), (False, "model m"), (True, "person")]  # fmt: skip
    assert SpanAnswers.read(answers.path).questions == answers.questions
    assert desk.server.passages == [
        f"{marked}\n\nMarked span: {span}\nIts label: name\nAll labels: place, name"
        for marked, span in (("[[Ada]] met Bob.", "Ada"), ("Ada met [[Bob]].", "Bob"))
    ]
    content = desk.server.asked[0].body["messages"][0]["content"]
    assert content == load_prompt("yes-no-1", ("yes-no",)).filled(desk.server.passages[0])
    assert desk.server.asked[0].body["max_tokens"] == 512


def test_a_text_is_data_even_with_marks_in_it() -> None:
    question = SpanQuestion(0, "a [[ {text} ]] b", 5, 11, "{text}", "x", 0.5, 0.5)
    asked = load_prompt("yes-no-1", ("yes-no",)).filled(question_of(question, ["x"]))
    assert "a [[ [[{text}]] ]] b\n\nMarked span: {text}\n" in asked
    many = question_of(question, [f"label{number}" for number in range(500)])
    assert many.endswith("and 490 more")


@pytest.mark.parametrize(
    ("content", "right"),
    [("yes", True), ("No", False), (" YES.\n", True), ("<think>no, or</think>\nyes", True)],
)  # fmt: skip
def test_yes_and_no_are_read(content: str, *, right: bool) -> None:
    assert read_yes_or_no(content, cut=False) is right


@pytest.mark.parametrize("content", ["", "yes, but", "maybe", "yes no", "<think>yes", "yes!", "1"])
def test_all_else_is_no_answer(content: str) -> None:
    with pytest.raises(Failure):
        read_yes_or_no(content, cut=False)


def test_what_can_not_be_read_is_left_out_and_counted(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.server.label = lambda passage: "yes" if "[[Ada]]" in passage else "It depends."
    answers = drawn(desk.folder)
    judge_spans(settings(desk))(answers)
    assert [each.right for each in answers.questions] == [True, "unsure", True]
    assert len(desk.server.asked) == 3, "twice for the one"
    assert re.search(r"1 of 2 texts done .*, 1 not_the_form_asked_for; .* tokens spent", capsys.readouterr().err)
    desk.server.label = lambda passage: "perhaps"
    with pytest.raises(InputError, match="no text got a usable answer"):
        judge(["another question"], settings(desk))


def test_answers_are_kept_when_the_budget_ends(desk: Desk) -> None:
    desk.server.label = lambda passage: "yes"
    answers = drawn(desk.folder)
    asked = load_prompt("yes-no-1", ("yes-no",)).filled(question_of(answers.questions[0], answers.head.labels))
    small = settings(desk, max_total_tokens=len(asked) + 64 + 16, max_answer_tokens=16)  # for one at a time
    with pytest.raises(BudgetSpent, match=r"1 of 2 texts done .*--max-total-tokens"):
        judge_spans(small)(answers)
    assert len(answers.open) == 2
    judge_spans(settings(desk, max_total_tokens=9000, max_answer_tokens=16))(answers)
    assert (len(desk.server.asked), answers.open) == (2, [])


def test_a_cut_answer_is_none(desk: Desk) -> None:
    desk.server.moods = [say("yes and", "length")] * 2 + [say("no")]
    assert judge(["one", "two"], settings(desk)).right == [None, False]


def test_prompts_of_the_other_kind_are_refused(desk: Desk) -> None:
    with pytest.raises(SettingsError, match=r"prompt = 'lines-1'.*must be yes-no-1 or a TOML file"):
        judge(["?"], settings(desk, prompt="lines-1"))
    own = desk.folder / "own.toml"
    own.write_text('form = "lines"\ntext = "{text}"\n')
    with pytest.raises(SettingsError, match=r"own\.toml: setting form = 'lines': must be 'yes-no'"):
        judge(["?"], settings(desk, prompt=str(own)))
    with pytest.raises(SettingsError, match=r"prompt = 'yes-no-1'"):
        load_prompt("yes-no-1")
    own.write_text('form = "yes-no"\ntext = "Is it? {text}"\n')
    desk.server.label = lambda _: "yes"
    assert judge(["?"], settings(desk, prompt=str(own))).right == [True]
    assert desk.server.asked[0].body["messages"][0]["content"] == "Is it? ?"
