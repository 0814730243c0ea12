"""Hostile answers: what servers and language models send, saved answers that are damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import strategies as st

from nerbert.data.open_types import open_type_line, read_open_types
from nerbert.errors import visible
from nerbert_annotate.answers import Failure, Reply, Tokens, read_labels, read_reply
from nerbert_annotate.store import AnswerStore, open_store
from tests.fuzz.conftest import Fuzz
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer

pytestmark = pytest.mark.fuzz
TEXT = (
    "The Bank of Norway raised rates; the bank waits. O\u2019Brien, e\u0301t\u00e9, \U0001f469\u200d\U0001f467, 東京."
)
LINES = b"Bank of Norway <> central bank <> issues money\nrates <> price\nbank <> institution\n\xe6\x9d\xb1 <> city\n"
COMPLETION = json.dumps(
    {
        "id": "x",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "none"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }
)
WORDS = (
    b"```json\n",
    b"```",
    b"<think>",
    b"</think>",
    b"<>",
    b" <> ",
    b"none",
    b"Here you are:\n",
    b"- ",
    b"1. ",
    b'{"entities": []}',
    b'"mention": ',
    b'"concept": ',
    b'"start": 1, ',
    b"rates <> price\n" * 600,
    b"bank",
    b"Norway raised",
    b"\xe6\x9d\xb1\xe4\xba\xac",
    b"\xcc\x81",
    b"\xe2\x80\x99",
    b"rates <> " + b"x" * 300 + b"\n",
    b'"content": ',
    b'"choices": ',
    b'"message": ',
    b'"refusal": 1, ',
    b'"usage": null, ',
    b'"finish_reason": "length", ',
)
ANSWERS = mutated([LINES, b"none"], WORDS, edits=4).map(lambda data: data.decode("utf-8", "replace"))


def tried(call: Callable[[], object]) -> bool:
    """Return whether a call succeeds; the only other thing that it may do is to count a failure, with a short line."""
    try:
        call()
    except Failure as failure:
        message = str(failure)
    else:
        return True
    assert len(message.splitlines()) == 1
    assert len(message) <= 300
    return False


def test_any_answer_of_a_model(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"

    def check(case: tuple[str, bool]) -> None:
        content, cut = case

        def read() -> None:
            labels = read_labels(TEXT, content, cut=cut)
            assert labels == read_labels(TEXT, content, cut=cut)
            for each in labels.text.entities:
                assert 0 <= each.start < each.end <= len(TEXT)
                assert TEXT[each.start : each.end].strip() == TEXT[each.start : each.end]
                assert visible(each.type) == each.type.strip() != ""
            path.write_bytes(open_type_line(labels.text))
            assert [*read_open_types(path)] == [labels.text]

        tried(read)

    fuzz(st.tuples(ANSWERS, st.booleans()), check, share=2)


def test_any_body_of_a_server(fuzz: Fuzz) -> None:
    def check(case: bytes) -> None:
        def read() -> None:
            reply = read_reply(case.decode("utf-8", "replace"), 5)
            assert reply.content is not None
            reply.content.encode()
            assert min(reply.tokens) >= 0

        tried(read)

    fuzz(mutated([COMPLETION.encode()], WORDS, edits=3), check)


def ask(store: AnswerStore) -> None:
    """What a run does with saved answers."""
    store.add("a", Reply("yes", cut=False, tokens=Tokens(1, 1), estimated=False))
    assert store.get("a").content
    store.get("b")


def test_any_damage_of_saved_answers(fuzz: Fuzz) -> None:
    with TemporaryDirectory() as folder:
        with open_store(folder, "asked") as store:
            ask(store)
        (path,) = Path(folder).rglob("*.sqlite")
        seeds = [path.read_bytes()]

        def check(case: bytes) -> None:
            for other in path.parent.iterdir():
                other.unlink()
            path.write_bytes(case)

            def use() -> None:
                with open_store(folder, "asked") as store:
                    ask(store)

            answer(use, naming=(str(path.parent),))

        fuzz(mutated(seeds, [b"answers", b"SQLite format 3\0", b"CREATE TABLE"], edits=2), check, share=0.5)
