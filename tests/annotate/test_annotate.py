"""`nerbert annotate`: what is asked, kept, and written."""

import asyncio
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.annotate.annotate import annotate_texts
from nerbert.annotate.answers import Reply, Tokens
from nerbert.annotate.budget import Budget, BudgetSpent
from nerbert.annotate.client import ChatClient
from nerbert.annotate.settings import AnnotateSettings, load_prompt
from nerbert.annotate.store import AnswerStore
from nerbert.config import load_settings
from nerbert.encoder.open_texts import OpenTypesSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, MissingExtra, NerbertError, OutputExists, SettingsError, WriteError
from nerbert.formats.open_types import read_open_types
from nerbert.training.objective import PRETRAIN, chosen_objective
from tests.annotate.conftest import Desk
from tests.annotate.model_server import Handler, fail, hang_up, say
from tests.commands import exit_code

ADA, BOB, EVE = "Ada met Bob.", "Bob saw Ada, and Ada saw Bob.", "Eve left."
PERSON = "what someone is called"


def test_labels_are_written_in_order_with_a_report(desk: Desk) -> None:
    report = desk.annotate(BOB, "", ADA)
    assert [row["text"] for row in desk.rows()] == [BOB, ADA]
    assert {row["asked"] for row in desk.rows()} == {"all"}
    assert desk.entities() == [
        {(0, 3, "name", PERSON), (0, 3, "last word", ""), (25, 28, "name", PERSON), (25, 28, "last word", "")},
        {(0, 3, "name", PERSON), (8, 11, "last word", "")},
    ]
    assert (report.passages, report.empty, report.answered, report.entities) == (2, 1, 2, 6)
    assert (report.input_tokens, report.output_tokens, report.tokens_are_estimated) == (200, 20, False)
    assert [len(each.entities) for each in read_open_types(desk.output)] == [4, 2]
    written = json.loads((desk.folder / "out.report.json").read_text())
    assert written["entities"] == 6
    assert written["made_from"]["model"] == "m"
    assert not [path for path in desk.folder.iterdir() if path.name.startswith(".")]


def test_a_request_has_the_prompt_the_text_and_the_bounds(desk: Desk) -> None:
    desk.annotate(ADA, max_answer_tokens=77, request='{"temperature": null, "top_p": 0.5}')
    (asked,) = desk.server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.body.pop("messages") == [{"role": "user", "content": load_prompt("lines-1").filled(ADA)}]
    assert asked.body == {"model": "m", "max_tokens": 77, "top_p": 0.5}


def test_json_is_asked_for_by_its_schema(desk: Desk) -> None:
    desk.server.moods = [say('{"entities": [{"mention": "Ada", "concept": "name", "description": "d"}]}')]
    desk.annotate(ADA, prompt="json-1")
    schema = desk.server.asked[0].body["response_format"]["json_schema"]["schema"]
    entry = schema["$defs"]["_Entry"]
    assert set(entry["required"]) == set(entry["properties"]) == {"mention", "concept", "description"}
    assert schema["additionalProperties"] is entry["additionalProperties"] is False
    assert desk.entities() == [{(0, 3, "name", "d")}]
    desk.server.moods = [say('{"entities": []}')]
    desk.annotate(ADA, prompt="json-1", request='{"response_format": null}', overwrite=True)
    assert "response_format" not in desk.server.asked[1].body


def test_a_run_that_ended_between_report_and_output_is_run_again(desk: Desk) -> None:
    desk.annotate(ADA)
    rows = desk.rows()
    desk.output.unlink()
    desk.annotate(ADA)
    assert desk.rows() == rows
    desk.output.unlink()
    (desk.folder / "out.report.json").write_text('{"made_from": "something else"}')
    with pytest.raises(OutputExists, match=r"out\.report\.json: exists already"):
        desk.annotate(ADA)


def test_equal_texts_are_asked_for_once_and_never_again(desk: Desk) -> None:
    report = desk.annotate(ADA, EVE, ADA, ADA)
    assert desk.server.passages == [ADA, EVE]
    assert (report.passages, report.distinct, report.kept_before) == (4, 2, 0)
    first = desk.output.read_bytes()
    report = desk.annotate(ADA, EVE, ADA, ADA, overwrite=True)
    assert (len(desk.server.asked), report.kept_before, desk.output.read_bytes()) == (2, 2, first)


@pytest.mark.parametrize("change", [{"model": "other"}, {"prompt": "json-1"}, {"temperature": 1.0},
                                    {"max_answer_tokens": 5}, {"request": '{"seed": 1}'}])  # fmt: skip
def test_another_way_of_asking_is_asked_anew(desk: Desk, change: dict[str, Any]) -> None:
    desk.annotate(ADA)
    desk.server.moods = [say('{"entities": []}' if "prompt" in change else "none")]
    report = desk.annotate(ADA, overwrite=True, **change)
    assert (len(desk.server.asked), report.kept_before, desk.entities()) == (2, 0, [set()])


def test_of_what_a_cut_off_answer_does_not_list_nothing_is_known(desk: Desk) -> None:
    desk.server.moods = [say("Ada <> name\nBob <> na", "length")]
    desk.annotate(ADA)
    assert desk.entities() == [{(0, 3, "name", "")}]
    assert desk.rows()[0]["asked"] == []


def test_a_prompt_of_ones_own_counts_by_its_content(desk: Desk) -> None:
    own = desk.folder / "mine.toml"
    own.write_text('form = "lines"\ntext = "Label {text}!"\n')
    desk.server.label = lambda passage: "Ada <> name"
    desk.annotate(ADA, prompt=str(own))
    desk.annotate("Ada {text}", prompt=str(own), overwrite=True)
    assert [each.body["messages"][0]["content"] for each in desk.server.asked] == [f"Label {ADA}!", "Label Ada {text}!"]
    own.write_text('form = "lines"\ntext = "Please label {text}!"\n')
    desk.annotate(ADA, prompt=str(own), overwrite=True)
    assert len(desk.server.asked) == 3
    assert desk.rows()[0]["asked"] == "all"
    own.write_text('form = "lines"\ntext = "Please label {text}!"\nasked = ["name", "ship"]\n')
    desk.annotate(ADA, prompt=str(own), overwrite=True)
    assert len(desk.server.asked) == 3
    assert desk.rows()[0]["asked"] == ["name", "ship"]


@pytest.mark.parametrize(
    ("content", "message"),
    [('form = "lines"\ntext = "no place"', r"mine\.toml: .*contains \{text\} once"),
     ('form = "xml"\ntext = "{text}"', r"mine\.toml: setting form = 'xml': must be 'lines', 'json' or 'yes-no'"),
     ("form = ", r"mine\.toml: not TOML")],
)  # fmt: skip
def test_a_bad_prompt_is_told(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(NerbertError, match=message):
        load_prompt(str(tmp_path / "mine.toml"))
    with pytest.raises(SettingsError, match=r"prompt = 'lines-9': did you mean 'lines-1'. .must be json-1"):
        load_prompt("lines-9")


def test_all_forms_of_input_are_read(desk: Desk) -> None:
    folder = desk.folder / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text(json.dumps({"body": ADA, "text": "no"}) + "\n")
    (folder / "b.conll").write_text("Bob\tO\nsaw\tO\n\nEve\tO\nleft\tO\n")
    pq.write_table(pa.table({"body": ["Kim ran."]}), folder / "c.parquet")
    annotate_texts([folder], desk.output, desk.settings(), field="body")
    assert [row["text"] for row in desk.rows()] == [ADA, "Bob saw", "Eve left", "Kim ran."]


def test_texts_come_through_a_pipe(desk: Desk) -> None:
    os.mkfifo(desk.folder / "pipe")
    threading.Thread(target=(desk.folder / "pipe").write_text, args=(f"{ADA}\n{EVE}\n",), daemon=True).start()
    annotate_texts([desk.folder / "pipe"], desk.output, desk.settings())
    assert [row["text"] for row in desk.rows()] == [ADA, EVE]


def test_pipes_are_not_mixed_up(desk: Desk) -> None:
    pipes = [desk.folder / name for name in ("one", "two")]
    for pipe, text in zip(pipes, (ADA, EVE), strict=True):
        os.mkfifo(pipe)
        threading.Thread(target=pipe.write_text, args=(f"{text}\n",), daemon=True).start()
    annotate_texts(pipes, desk.output, desk.settings())
    assert [row["text"] for row in desk.rows()] == [ADA, EVE]


def test_half_characters_do_no_harm(desk: Desk) -> None:
    (desk.folder / "x.jsonl").write_text('{"text": "Ada \\ud800 met Bob."}\n')
    annotate_texts([desk.folder / "x.jsonl"], desk.output, desk.settings())
    assert desk.server.passages == ["Ada ? met Bob."]
    assert desk.rows()[0]["text"] == "Ada \ud800 met Bob."


def test_several_requests_are_in_flight(desk: Desk) -> None:
    together = threading.Barrier(4)

    def mood(handler: Handler) -> None:
        together.wait(60)
        say("none")(handler)

    desk.server.always = mood
    desk.annotate(*(f"Text {number}." for number in range(8)), concurrency=4)
    assert desk.server.most_at_once == 4
    assert [row["text"] for row in desk.rows()] == [f"Text {number}." for number in range(8)]


def test_bad_answers_are_asked_for_again_then_counted_and_left_out(desk: Desk) -> None:
    desk.server.label = lambda passage: "Sorry, no." if passage == BOB else "Ada <> name\nZoe <> name\n1. nothing"
    report = desk.annotate(ADA, BOB, BOB)
    assert desk.server.passages == [ADA, BOB, BOB]  # twice for one text
    assert [row["text"] for row in desk.rows()] == [ADA]
    assert (report.answered, report.failed, report.failures) == (1, 2, {"not_the_form_asked_for": 2})
    assert (report.invented_mentions, report.bad_lines, report.input_tokens) == (1, 1, 300)
    assert [(each["row"], each["reason"]) for each in report.failed_passages] == [
        (2, "not_the_form_asked_for"), (3, "not_the_form_asked_for"),
    ]  # fmt: skip
    desk.server.label = lambda passage: "Bob <> name"
    report = desk.annotate(ADA, BOB, BOB, overwrite=True)
    assert desk.server.passages[3:] == [BOB]  # only what failed is asked for again
    assert (report.answered, report.failed, report.input_tokens) == (3, 0, 400)


def test_nothing_is_written_if_every_text_fails(desk: Desk) -> None:
    desk.server.label = lambda passage: "Je ne comprends pas."
    with pytest.raises(InputError, match=r"no text got a usable answer \(not_the_form_asked_for: no line is "):
        desk.annotate(ADA, BOB)
    assert not desk.output.exists()


def test_many_failures_in_a_row_stop_the_run(desk: Desk) -> None:
    desk.annotate(ADA)
    desk.server.always = fail(400, "too odd")
    with pytest.raises(InputError, match=r"3 texts in a row failed \(max_failures\), .*too odd.*1 of 11 texts done"):
        desk.annotate(ADA, *(f"Text {number}." for number in range(10)), max_failures=3, overwrite=True)
    assert len(desk.server.asked) == 4


def test_what_failed_in_earlier_runs_does_not_stop_a_later_one(desk: Desk) -> None:
    texts = [f"Text {number}." for number in range(12)]
    desk.server.label = lambda passage: "Sorry." if passage[-2] in "13579" else "none"
    assert desk.annotate(*texts, max_failures=3).failed == 6
    assert desk.annotate(*texts, "More.", max_failures=3, overwrite=True).failed == 6


def raised_limit(stopped: BudgetSpent, name: str) -> str:
    """Return the limit that a run is told to go on with."""
    told = re.search(rf"; rerun it with --max-{name} (\S+) \(max_{name.replace('-', '_')}=(\S+)\), ", str(stopped))
    assert told
    assert told[1] == told[2]
    return told[1]


def test_a_budget_of_tokens_stops_and_a_larger_one_goes_on(desk: Desk) -> None:
    texts = [f"Text {number}." for number in range(10)]
    needed = len(load_prompt("lines-1").filled(texts[0])) + 64 + 50  # the most that one request may take
    budget: dict[str, Any] = {"max_answer_tokens": 50, "max_total_tokens": needed + 3 * 110}
    with pytest.raises(BudgetSpent, match=r"4 of 10 texts done .* 400 \+ 40 tokens spent; rerun it with --max"):
        desk.annotate(*texts, **budget)
    assert not desk.output.exists()
    with pytest.raises(BudgetSpent, match=r"4 of 10 texts done \(4 by earlier runs\)") as stopped:
        desk.annotate(*texts, **budget)
    assert len(desk.server.asked) == 4
    report = desk.annotate(
        *texts, max_answer_tokens=50, max_total_tokens=int(raised_limit(stopped.value, "total-tokens"))
    )
    assert desk.server.passages == texts
    assert (report.input_tokens, report.kept_before) == (1000, 4)


def test_a_run_that_no_budget_stopped_is_told_no_larger_one(tmp_path: Path) -> None:
    settings = AnnotateSettings(endpoint="http://localhost/v1", model="m", max_total_tokens=1100)
    with closing(sqlite3.connect(":memory:")) as database:
        budget = Budget(settings, AnswerStore(database, tmp_path))
    budget.spent = Tokens(1000, 10)
    assert budget.remedy(1, 100) == ""


def test_requests_in_flight_count_as_reserved(desk: Desk) -> None:
    texts = [f"Text {number}." for number in range(20)]
    most = len(load_prompt("lines-1").filled(texts[-1])) + 64 + 50
    with pytest.raises(BudgetSpent):
        desk.annotate(*texts, max_answer_tokens=50, max_total_tokens=2 * most, concurrency=8)
    assert desk.server.most_at_once <= 2
    assert 110 * len(desk.server.asked) <= 2 * most


class Killed(SystemExit):
    """What SIGTERM raises in a run."""


def kill_in_flight(monkeypatch: pytest.MonkeyPatch, requests: int) -> None:
    """Let a run end once the server has answered so many requests, whose answers never come."""
    ask, answered = ChatClient.ask, list[str]()

    async def killed(self: ChatClient, text: str, input_estimate: int) -> Reply:
        await ask(self, text, input_estimate)
        answered.append(text)
        if len(answered) < requests:
            await asyncio.Event().wait()
        monkeypatch.undo()
        raise Killed(143)

    monkeypatch.setattr(ChatClient, "ask", killed)


def test_requests_in_flight_at_a_kill_are_spent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"Text {number}." for number in range(10)]
    most = len(load_prompt("lines-1").filled(texts[0])) + 64 + 50
    budget: dict[str, Any] = {"max_answer_tokens": 50, "max_total_tokens": 2 * most + 109}
    with monkeypatch.context() as patch:
        kill_in_flight(patch, 2)
        with pytest.raises(Killed) as stopped:
            desk.annotate(*texts, **budget, concurrency=2)
    (said,) = stopped.value.__notes__
    assert said.startswith("0 of 10 texts done (0 by earlier runs); ")
    assert f"({2 * most:,} of them reserved for requests without an answer: 2); rerun the command" in said
    assert len(desk.server.asked) == 2
    with pytest.raises(BudgetSpent, match=f"the next request may take {most:,} tokens; 0 of 10 texts done"):
        desk.annotate(*texts, **budget)
    assert len(desk.server.asked) == 2
    report = desk.annotate(*texts, max_answer_tokens=50)
    assert report.tokens_are_estimated
    assert report.input_tokens + report.output_tokens == 2 * most + 10 * 110
    assert desk.annotate(*texts[5:], overwrite=True, max_answer_tokens=50).input_tokens == 500  # of other texts none


def test_two_runs_at_once_share_a_budget(desk: Desk) -> None:
    most = len(load_prompt("lines-1").filled(ADA)) + 64 + 50
    settings = desk.settings(max_answer_tokens=50, max_total_tokens=2 * most - 1)
    stopped = list[str]()

    def second_run(handler: Handler) -> None:
        try:
            annotate_texts([desk.folder / "texts.txt"], desk.folder / "second.jsonl", settings)
        except BudgetSpent as error:
            stopped.append(str(error))
        say("Ada <> name")(handler)

    desk.server.moods = [second_run]
    assert desk.annotate(ADA, max_answer_tokens=50, max_total_tokens=2 * most - 1).answered == 1
    assert f"({most:,} of them reserved for requests without an answer: 1)" in stopped[0]
    assert len(desk.server.asked) == 1


def test_tokens_of_a_cache_without_reservations_count(desk: Desk) -> None:
    desk.annotate(ADA)
    (kept,) = (desk.folder / "cache").rglob("*.sqlite")
    with closing(sqlite3.connect(kept)) as database:
        database.execute("DROP TABLE spending")
    assert desk.annotate(ADA, overwrite=True).input_tokens == 100
    assert len(desk.server.asked) == 1


def test_a_full_disk_stops_all_that_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise WriteError("full")

    most = len(load_prompt("lines-1").filled(ADA)) + 64 + 50
    monkeypatch.setattr(AnswerStore, "settle", full)
    with pytest.raises(WriteError, match="full; 0 of 2 texts done"):
        desk.annotate(ADA, EVE, concurrency=2, max_answer_tokens=50, max_total_tokens=most)


def test_a_budget_of_money(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    prices: dict[str, Any] = {"input_price": 10.0, "output_price": 100.0}
    with pytest.raises(
        BudgetSpent, match=r"0 of 1 texts done .*cost 0\.0000.*, enough for the next request"
    ) as stopped:
        desk.annotate(ADA, max_cost=0.01, **prices)
    assert desk.annotate(ADA, max_cost=float(raised_limit(stopped.value, "cost")), **prices).cost == pytest.approx(
        100 * 10e-6 + 10 * 100e-6
    )
    assert "100 + 10 tokens spent, cost 0.0020" in capsys.readouterr().err


def test_use_is_estimated_where_the_server_does_not_say(desk: Desk) -> None:
    desk.server.always = say("Ada <> name", usage=None)
    report = desk.annotate(ADA)
    assert report.tokens_are_estimated
    assert report.input_tokens == len(load_prompt("lines-1").filled(ADA)) // 3
    assert report.output_tokens == len("Ada <> name") // 3


def test_what_is_there_is_not_overwritten(desk: Desk) -> None:
    desk.output.write_text("mine")
    with pytest.raises(OutputExists):
        desk.annotate(ADA)
    desk.output.rename(desk.folder / "out.report.json")
    with pytest.raises(OutputExists, match=r"out\.report\.json"):
        desk.annotate(ADA)
    with pytest.raises(InputError, match="is the input itself"):
        annotate_texts([desk.folder / "texts.txt"], desk.folder / "texts.txt", desk.settings(), overwrite=True)
    assert desk.server.asked == []


def test_a_damaged_cache_is_told(desk: Desk) -> None:
    desk.annotate(ADA)
    (kept,) = (desk.folder / "cache").rglob("*.sqlite")
    kept.write_bytes(b"x" * 5000)
    with pytest.raises(WriteError, match=r"\.sqlite: saved answers can't be used: .*set another cache"):
        desk.annotate(ADA, overwrite=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"endpoint": "ftp://x"}, "endpoint = 'ftp://x': must be an address"),
     ({"endpoint": "localhost:8000"}, "must be an address"),
     ({"endpoint": "http://"}, "must be an address"),
     ({"endpoint": "http://x:99999"}, "must be an address"),
     ({"model": " "}, "a model's name"),
     ({"max_cost": 1.0, "input_price": 1.0}, "give the prices too"),
     ({"max_total_tokens": 9, "request": '{"max_tokens": null}'}, "for there is a budget"),
     ({"max_total_tokens": 9, "request": '{"max_tokens": -1}'}, "for there is a budget"),
     ({"request": "[1]"}, "a JSON object"), ({"request": '{"model": "x"}'}, "a JSON object without model"),
     ({"concurrency": 0}, "at least 1")],
)  # fmt: skip
def test_bad_settings_are_refused(desk: Desk, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        desk.settings(**change)


def test_a_missing_library_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"openai not installed: pip install 'nerbert\[annotate\]'"):
        desk.annotate(ADA)


def test_the_command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    texts = desk.folder / "notes.txt"
    texts.write_text(f"{ADA}\n{EVE}\n")
    asked = ["annotate", texts, "-o", desk.output, "--endpoint", desk.server.address, "--model", "m",
             "--cache", desk.folder]  # fmt: skip
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


def test_a_killed_run_goes_on_and_asks_nothing_twice(desk: Desk) -> None:
    texts = [f"Text {number}." for number in range(30)]
    (desk.folder / "texts.txt").write_text("\n".join(texts))
    command = [sys.executable, "-m", "nerbert", "annotate", "texts.txt", "-o", "out.jsonl", "--endpoint",
               desk.server.address, "--model", "m", "--cache", "cache", "--concurrency", "1"]  # fmt: skip
    for how, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        tenth = threading.Event()

        def stall(handler: Handler, reached: threading.Event = tenth) -> None:
            reached.set()
            handler.server_state.ended.wait()
            hang_up(handler)

        desk.server.moods = [*(say("none") for _ in range(9)), stall]
        child = subprocess.Popen(command, cwd=desk.folder, stderr=subprocess.PIPE, text=True)
        assert tenth.wait(60)
        child.send_signal(how)
        _, said = child.communicate(timeout=60)
        assert child.returncode == code, said
        assert not desk.output.exists()
    most = len(load_prompt("lines-1").filled(texts[10])) + 64
    done = f"18 of 30 texts done (9 by earlier runs); {1800 + 2 * most - 1:,} + {180 + 2 * 2048:,} tokens spent"
    assert said.startswith(f"nerbert: stopped; {done} (")
    assert said.endswith(" without an answer: 2); rerun the command to resume\n")
    desk.server.always = say("none")
    report = desk.annotate(*texts)
    assert (report.answered, report.kept_before, report.input_tokens) == (30, 18, 3000 + 2 * most - 1)
    assert desk.server.passages == [*texts[:10], *texts[9:19], *texts[18:]]  # two got no answer the first time
    assert [row["text"] for row in desk.rows()] == texts
