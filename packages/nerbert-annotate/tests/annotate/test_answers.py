"""Answers of models, read strictly."""

import json

import pytest

from nerbert.data.open_types import LONGEST_TYPE
from nerbert_annotate.answers import LONGEST_DESCRIPTION, MOST_MENTIONS, Failure, Fault, read_labels, read_reply

TEXT = "The Bank of Norway raised rates; the bank will wait."


def lines(content: str, *, cut: bool = False) -> tuple[set[tuple[str, str]], int, int]:
    labels = read_labels(TEXT, content, cut=cut)
    found = {(TEXT[each.start : each.end], each.type) for each in labels.text.entities}
    return found, labels.invented, labels.bad


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("bank <> institution", ({("Bank", "institution"), ("bank", "institution")}, 0, 0)),
        ("bank of norway <> central bank <> it issues money\r\n\n", ({("Bank of Norway", "central bank")}, 0, 0)),
        ("rates <> price\nrates <> figure\nrates <> price", ({("rates", "price"), ("rates", "figure")}, 0, 0)),
        ("rates <> price\nSweden <> country", ({("rates", "price")}, 1, 0)),
        ("Here you are:\n```\nrates <> price\n```", ({("rates", "price")}, 0, 3)),
        ("rates <> price <> a <> b\nrates <> figure", ({("rates", "figure")}, 0, 1)),
        ("rates <> Rates\nbank <>\n<> x\nrates <> price", ({("rates", "price")}, 0, 3)),
        (f"rates <> {'x' * (LONGEST_TYPE + 1)}\nrates <> price", ({("rates", "price")}, 0, 1)),
        (f"bank <> z <> {'y' * (LONGEST_DESCRIPTION + 1)}\nrates <> price", ({("rates", "price")}, 0, 1)),
        ("<think>\nbank <> money?\n</think>\n\nrates <> price", ({("rates", "price")}, 0, 0)),
        ("bank <> money?\n</think>\n\nnone", (set(), 0, 0)),
        ("rates\x1b[1m <> x\nrates <> pri\x1b[2Jce\nrates <>  unit\u00a0 price", ({("rates", "unit price")}, 1, 1)),
        ("None\n", (set(), 0, 0)),
    ],
)
def test_lines(content: str, expected: object) -> None:
    assert lines(content) == expected


def test_a_cut_answer_keeps_its_whole_lines() -> None:
    assert lines("rates <> price\nbank <> insti", cut=True) == ({("rates", "price")}, 0, 1)
    with pytest.raises(Failure) as failed:
        lines("rates <> pri", cut=True)
    assert (failed.value.fault, failed.value.tries) == (Fault.CUT_OFF, 1)


def test_too_many_mentions_are_cut_and_counted() -> None:
    found, _, bad = lines("\n".join(f"rates <> type {number}" for number in range(MOST_MENTIONS + 7)))
    assert (len(found), bad) == (MOST_MENTIONS, 7)


@pytest.mark.parametrize(
    ("cut", "fault", "contents"),
    [
        (False, Fault.REFUSED, [""]),
        (True, Fault.CUT_OFF, ["", "<think>\nrates <> price"]),
        (False, Fault.NOT_THE_FORM, ["I can't help with that."]),
        (
            False,
            Fault.NOT_IN_TEXT,
            ["raten <> Preis\nBanken <> Institut", "rates <> rates", "1. rates <> price\n2. bank <> institution"],
        ),
    ],
)
def test_answers_of_no_use(cut: bool, fault: Fault, contents: list[str]) -> None:
    for content in contents:
        with pytest.raises(Failure) as failed:
            read_labels(TEXT, content, cut=cut)
        assert failed.value.fault is fault, content[:80]
        assert len(str(failed.value)) <= 300
        assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        {"prompt_tokens": 5, "completion_tokens": None},
        {"prompt_tokens": -5, "completion_tokens": 1},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
    ],
)
def test_use_that_can_not_be_is_estimated(usage: object) -> None:
    answer = {"choices": [{"message": {"content": "x" * 30}}], "usage": usage}
    reply = read_reply(json.dumps(answer), 7)
    assert (reply.tokens, reply.estimated, reply.cut) == ((7, 10), True, False)


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"},
        {"message": {"content": "half"}, "finish_reason": "content_filter"},
    ],
)
def test_a_refusal_is_an_empty_answer(choice: object) -> None:
    assert read_reply(json.dumps({"choices": [choice]}), 7).content == ""


def test_half_a_character_in_an_answer_does_no_harm() -> None:
    reply = read_reply('{"choices": [{"message": {"content": "rates \\ud83d <> price"}}]}', 7)
    assert (reply.content, reply.tokens.output) == ("rates ? <> price", 5)


@pytest.mark.parametrize(
    "answer",
    [
        '{"choices": [{"message": {"content": 3}}]}',
        "",
        "[]",
        "{}",
        '{"choices": []}',
        '{"choices": [{}]}',
        '{"choices": [{"mess',
    ],
)
def test_what_is_no_completion(answer: str) -> None:
    with pytest.raises(Failure) as failed:
        read_reply(answer, 7)
    assert failed.value.fault is Fault.NO_COMPLETION
