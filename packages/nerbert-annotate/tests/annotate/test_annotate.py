"""`nerbert annotate`: what is asked, kept, and written."""

import json
import os
import re
import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.data.open_types import read_open_types
from nerbert.encoder.open_texts import OpenTypesSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, OutputExists, SettingsError, WriteError
from nerbert.training.objective import PRETRAIN
from nerbert.training.sections import chosen_objective, load_settings
from nerbert_annotate.annotate import annotate_texts
from nerbert_annotate.settings import load_prompt
from nerbert_annotate.store import AnswerStore, BudgetSpent
from tests.annotate.conftest import Desk
from tests.annotate.model_server import Handler, fail, say
from tests.commands import exit_code
from tests.raised import raises, raising

ADA, BOB, EVE = "Ada met Bob.", "Bob saw Ada, and Ada saw Bob.", "Eve left."
PERSON = "what someone is called"
TEXTS = [f"Text {number}." for number in range(10)]
SHORT: dict[str, Any] = {"max_answer_tokens": 50}


def most_of(text: str) -> int:
    """Return the tokens that a request may take at most, with `SHORT`."""
    return len(load_prompt("lines-1").fill(text)) + 64 + 50


def kept_answers(desk: Desk) -> Path:
    (path,) = (desk.folder / "cache").rglob("*.sqlite")
    return path


def test_labels_are_written_in_order_with_a_report(desk: Desk) -> None:
    report = desk.annotate(BOB, "", ADA)
    assert [(row["text"], row["asked"]) for row in desk.rows()] == [(BOB, "all"), (ADA, "all")]
    assert desk.entities() == [
        {(0, 3, "name", PERSON), (0, 3, "last word", ""), (25, 28, "name", PERSON), (25, 28, "last word", "")},
        {(0, 3, "name", PERSON), (8, 11, "last word", "")},
    ]
    assert (report.passages, report.empty, report.answered, report.entities) == (2, 1, 2, 6)
    assert (report.input_tokens, report.output_tokens, report.tokens_are_estimated) == (200, 20, False)
    assert [len(text.entities) for text in read_open_types(desk.output)] == [4, 2]
    written = json.loads((desk.folder / "out.report.json").read_text())
    assert (written["entities"], written["made_from"]["model"]) == (6, "m")
    assert not [path for path in desk.folder.iterdir() if path.name.startswith(".")]


def test_a_request_has_the_prompt_the_text_and_the_bounds(desk: Desk) -> None:
    desk.annotate(ADA, max_answer_tokens=77, request='{"temperature": null, "top_p": 0.5}')
    (asked,) = desk.server.asked
    assert asked.path == "/v1/chat/completions"
    messages = [{"role": "user", "content": load_prompt("lines-1").fill(ADA)}]
    assert asked.body == {"model": "m", "max_tokens": 77, "top_p": 0.5, "messages": messages}


def test_a_run_that_ended_between_report_and_output_is_run_again(desk: Desk) -> None:
    desk.annotate(ADA)
    rows, report = desk.rows(), desk.folder / "out.report.json"
    desk.output.unlink()
    desk.annotate(ADA)
    assert desk.rows() == rows
    desk.output.unlink()
    report.write_text('{"made_from": "something else"}')
    with raises(OutputExists, f"{report}: exists already"):
        desk.annotate(ADA)


def test_equal_texts_are_asked_for_once_and_never_again(desk: Desk) -> None:
    report = desk.annotate(ADA, EVE, ADA, ADA)
    assert desk.server.passages == [ADA, EVE]
    assert (report.passages, report.distinct, report.kept_before) == (4, 2, 0)
    first = desk.output.read_bytes()
    report = desk.annotate(ADA, EVE, ADA, ADA, overwrite=True)
    assert (len(desk.server.asked), report.kept_before, desk.output.read_bytes()) == (2, 2, first)


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"temperature": 1.0}, {"max_answer_tokens": 5}, {"request": '{"seed": 1}'}]
)
def test_another_way_of_asking_is_asked_anew(desk: Desk, change: dict[str, Any]) -> None:
    desk.annotate(ADA)
    desk.server.moods = [say("none")]
    report = desk.annotate(ADA, overwrite=True, **change)
    assert (len(desk.server.asked), report.kept_before, desk.entities()) == (2, 0, [set()])


def test_of_what_a_cut_off_answer_does_not_list_nothing_is_known(desk: Desk) -> None:
    desk.server.moods = [say("Ada <> name\nBob <> na", "length")]
    desk.annotate(ADA)
    assert (desk.entities(), desk.rows()[0]["asked"]) == ([{(0, 3, "name", "")}], [])


def test_a_prompt_of_ones_own_counts_by_its_content(desk: Desk) -> None:
    mine, please = desk.folder / "mine.toml", 'form = "lines"\ntext = "Please label {text}!"\n'
    desk.server.label = lambda passage: "Ada <> name"
    for number, (text, content) in enumerate(
        (
            (ADA, please.replace("Please label", "Label")),
            ("Ada {text}", please.replace("Please label", "Label")),
            (ADA, please),
            (ADA, f'{please}asked = ["name", "ship"]\n'),
        )
    ):
        mine.write_text(content)
        desk.annotate(text, prompt=str(mine), overwrite=True)
        assert len(desk.server.asked) == min(number, 2) + 1
        assert desk.rows()[0]["asked"] == ("all" if number < 3 else ["name", "ship"])
    contents = [asked.body["messages"][0]["content"] for asked in desk.server.asked]
    assert contents == [f"Label {ADA}!", "Label Ada {text}!", f"Please label {ADA}!"]


@pytest.mark.parametrize("read", ["files", "pipe", "pipes"])
def test_all_forms_of_input_are_read(desk: Desk, read: str) -> None:
    folder = desk.folder / "in"
    folder.mkdir()
    pipes = {"pipe": [f"{ADA}\n{EVE}\n"], "pipes": [f"{ADA}\n", f"{EVE}\n"], "files": []}[read]
    for number, content in enumerate(pipes):
        os.mkfifo(folder / f"{number}")
        threading.Thread(target=(folder / f"{number}").write_text, args=(content,), daemon=True).start()
    if read == "files":
        (folder / "a.jsonl").write_text(json.dumps({"body": "Ada \ud800 met Bob.", "text": "no"}) + "\n")
        (folder / "b.conll").write_text("Bob\tO\nsaw\tO\n\nEve\tO\nleft\tO\n")
        pq.write_table(pa.table({"body": ["Kim ran."]}), folder / "c.parquet")
    sources: Sequence[Path] = [folder / f"{number}" for number in range(len(pipes))] or [folder]
    annotate_texts([*sources], desk.output, desk.settings(), field="body" if read == "files" else "text")
    texts = ["Ada \ud800 met Bob.", "Bob saw", "Eve left", "Kim ran."] if read == "files" else [ADA, EVE]
    assert [row["text"] for row in desk.rows()] == texts
    assert desk.server.passages == [text.replace("\ud800", "?") for text in texts]


def test_several_requests_are_in_flight(desk: Desk) -> None:
    together = threading.Barrier(4)

    def mood(handler: Handler) -> None:
        together.wait(60)
        say("none")(handler)

    desk.server.always = mood
    desk.annotate(*TEXTS[:8], concurrency=4)
    assert desk.server.most_at_once == 4
    assert [row["text"] for row in desk.rows()] == TEXTS[:8]


def test_bad_answers_are_asked_for_again_then_counted_and_left_out(desk: Desk) -> None:
    desk.server.label = lambda passage: "Sorry, no." if passage == BOB else "Ada <> name\nZoe <> name\n1. nothing"
    report = desk.annotate(ADA, BOB, BOB)
    assert desk.server.passages == [ADA, BOB, BOB]  # twice for one text
    assert [row["text"] for row in desk.rows()] == [ADA]
    assert (report.answered, report.failed, report.failures) == (1, 2, {"not_the_form_asked_for": 2})
    assert (report.invented_mentions, report.bad_lines, report.input_tokens) == (1, 1, 300)
    assert [(failed["row"], failed["reason"]) for failed in report.failed_passages] == [
        (2, "not_the_form_asked_for"),
        (3, "not_the_form_asked_for"),
    ]
    desk.server.label = lambda passage: "Bob <> name"
    report = desk.annotate(ADA, BOB, BOB, overwrite=True)
    assert desk.server.passages[3:] == [BOB]  # only what failed is asked for again
    assert (report.answered, report.failed, report.input_tokens) == (3, 0, 400)


def test_many_failures_in_a_row_stop_the_run(desk: Desk) -> None:
    desk.server.label = lambda passage: "Je ne comprends pas."
    with raises(InputError, "no text got a usable answer (not_the_form_asked_for: no line is "):
        desk.annotate(ADA, BOB)
    assert not desk.output.exists()
    desk.server.label = lambda passage: "none"
    desk.annotate(ADA)
    desk.server.always = fail(400, "too odd")
    before = len(desk.server.asked)
    with raises(InputError, "3 texts in a row failed (max_failures), ") as raised:
        desk.annotate(ADA, *TEXTS, max_failures=3, overwrite=True)
    assert re.search(r"too odd.*1 of 11 texts done", str(raised.value))
    assert len(desk.server.asked) == before + 3


def test_what_failed_in_earlier_runs_does_not_stop_a_later_one(desk: Desk) -> None:
    desk.server.label = lambda passage: "Sorry." if passage[-2] in "13579" else "none"
    assert desk.annotate(*TEXTS, max_failures=3).failed == 5
    assert desk.annotate(*TEXTS, "More.", max_failures=3, overwrite=True).failed == 5


def raised_limit(stopped: BaseException, name: str) -> str:
    """Return the limit that a run is told to go on with."""
    limit = re.search(rf"; rerun it with --max-{name} (\S+) \(max_{name.replace('-', '_')}=(\S+)\), ", str(stopped))
    assert limit
    assert limit[1] == limit[2]
    return limit[1]


def test_a_budget_of_tokens_stops_and_a_larger_one_goes_on(desk: Desk) -> None:
    budget: dict[str, Any] = {**SHORT, "max_total_tokens": most_of(TEXTS[0]) + 3 * 110}
    for done in (
        "4 of 10 texts done (0 by earlier runs); 400 + 40 tokens spent; rerun it with --max",
        "4 of 10 texts done (4 by earlier runs)",
    ):
        with raises(BudgetSpent, done) as stopped:
            desk.annotate(*TEXTS, **budget)
        assert (desk.output.exists(), len(desk.server.asked)) == (False, 4)
    report = desk.annotate(*TEXTS, **SHORT, max_total_tokens=int(raised_limit(stopped.value, "total-tokens")))
    assert desk.server.passages == TEXTS
    assert (report.input_tokens, report.kept_before) == (1000, 4)


def test_requests_in_flight_count_as_reserved(desk: Desk) -> None:
    most = most_of(TEXTS[0])
    with raises(BudgetSpent):
        desk.annotate(*TEXTS, *map(str, range(10)), **SHORT, max_total_tokens=2 * most, concurrency=8)
    assert desk.server.most_at_once <= 2
    assert 110 * len(desk.server.asked) <= 2 * most


def test_a_full_disk_stops_all_that_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnswerStore, "add", raising(WriteError("full")))
    with raises(WriteError, "full; 0 of 2 texts done"):
        desk.annotate(ADA, EVE, concurrency=2, **SHORT, max_total_tokens=most_of(ADA))


def test_use_is_estimated_where_the_server_does_not_say(desk: Desk) -> None:
    desk.server.always = say("Ada <> name", usage=None)
    report = desk.annotate(ADA)
    assert report.tokens_are_estimated
    tokens = len(load_prompt("lines-1").fill(ADA)) // 3, len("Ada <> name") // 3
    assert (report.input_tokens, report.output_tokens) == tokens


def test_what_is_there_is_not_overwritten(desk: Desk) -> None:
    desk.output.write_text("mine")
    with raises(OutputExists):
        desk.annotate(ADA)
    desk.output.rename(desk.folder / "out.report.json")
    with raises(OutputExists, "out.report.json"):
        desk.annotate(ADA)
    with raises(InputError, "is the input itself"):
        annotate_texts([desk.folder / "texts.txt"], desk.folder / "texts.txt", desk.settings(), overwrite=True)
    assert desk.server.asked == []


def test_a_damaged_cache_is_told(desk: Desk) -> None:
    desk.annotate(ADA)
    kept_answers(desk).write_bytes(b"x" * 5000)
    with raises(WriteError, ".sqlite: saved answers can't be used: ") as raised:
        desk.annotate(ADA, overwrite=True)
    assert "set another cache" in str(raised.value)


def prompt(content: str) -> Callable[[Desk], object]:
    def load(desk: Desk) -> object:
        (desk.folder / "mine.toml").write_text(content)
        return load_prompt(str(desk.folder / "mine.toml"))

    return load


@pytest.mark.parametrize(
    ("act", "setting", "words"),
    [
        *(
            (lambda desk, given=given: desk.settings(**given), setting, words)
            for given, setting, words in [
                ({"endpoint": "ftp://x"}, "endpoint", "endpoint = 'ftp://x': must be an address"),
                ({"endpoint": "localhost:8000"}, "endpoint", ""),
                ({"endpoint": "http://"}, "endpoint", ""),
                ({"model": " "}, "model", "a model's name"),
                ({"max_total_tokens": 9, "request": '{"max_tokens": null}'}, "request", "for there is a budget"),
                ({"max_total_tokens": 9, "request": '{"max_tokens": -1}'}, "request", "for there is a budget"),
                ({"request": "[1]"}, "request", "a JSON object"),
                ({"concurrency": 0}, "concurrency", "at least 1"),
                ({"request": '{"model": "x"}'}, "request", "a JSON object without model"),
            ]
        ),
        (prompt('form = "lines"\ntext = "no place"'), "text", "a text that contains {text} once"),
        (prompt('form = "xml"\ntext = "{text}"'), "form", "form = 'xml': must be 'lines'"),
        (prompt("form = "), "", "mine.toml: not TOML"),
        (lambda _: load_prompt("lines-9"), "prompt", "'lines-9': did you mean 'lines-1'? (must be lines-1"),
    ],
)
def test_messages(desk: Desk, act: Callable[[Desk], object], setting: str, words: str) -> None:
    with raises(SettingsError, words, setting=setting):
        act(desk)


def test_the_command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    texts = desk.folder / "notes.txt"
    texts.write_text(f"{ADA}\n{EVE}\n")
    asked = [
        "annotate",
        texts,
        "-o",
        desk.output,
        "--endpoint",
        desk.server.address,
        "--model",
        "m",
        "--cache",
        desk.folder,
    ]
    assert exit_code(*asked, "--max-total-tokens", 10) == 1
    assert capsys.readouterr().err.startswith("nerbert: the budget is used up: the next request may take ")
    assert exit_code(*asked, "--concurrency", 2) == 0
    done, wrote, *_ = capsys.readouterr().err.splitlines()
    assert done == "2 of 2 texts done (0 by earlier runs); 200 + 20 tokens spent"
    assert wrote.startswith(f"{desk.output}: 2 texts with 4 entities; report: {desk.folder}/out.report.json; to train")
    use = shlex.split(wrote.partition("nerbert ")[2])
    assert use[:2] == ["pretrain", "SETTINGS.toml"]
    chosen = load_settings(PretrainSettings, None, use[use.index("--set") + 1 :: 2])
    assert chosen.of(OpenTypesSettings).files == (desk.output,)
    assert chosen_objective(chosen, PRETRAIN).settings.section == "concepts"
    assert len(desk.rows()) == 2
