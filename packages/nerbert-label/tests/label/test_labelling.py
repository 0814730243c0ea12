"""What the page asks while sentences are labelled, over HTTP, with a model that tests tell what to do."""

import asyncio
import io
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from nerbert.formats.documents import Reading
from nerbert.records import EntityLabel
from nerbert.serve import commands
from nerbert_label import learning
from nerbert_label.labelling import LabelJob, Labelling
from nerbert_label.learning import Round
from nerbert_label.routes import label_routes
from tests.commands import exit_code
from tests.examples import read_examples
from tests.serve.heads import DEADLINE, until
from tests.serve.servers import Inside, assert_fault, inside

Open = Callable[..., AbstractContextManager[Inside]]
TEXTS = [f"The ship{n} lay at Port {word} ." for n, word in enumerate("Kiel Rostock Wismar Bremen Emden Leer".split())]
TEXTS += [f"Number {n} : a ship and a port called P{n}" for n in range(30)]


@pytest.fixture
def labelled(tmp_path: Path) -> Open:
    """What serves a project of the same folder, as often as it is called."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    types, numbers = (EntityLabel("ship"), EntityLabel("port", "a place")), count()

    def serve(**more: Any) -> Any:
        job = LabelJob(folder=tmp_path / "work", files=(tmp_path / "texts.txt",), types=types, **more)
        work = Labelling(job)
        return inside(tmp_path / f"told{next(numbers)}", operations=label_routes(work), lifespan=work.run)

    return serve


@pytest.fixture
def server(labelled: Open) -> Iterator[Inside]:
    with labelled() as running:
        yield running


def ask(server: Inside, what: str, status: int = 200, **body: Any) -> Any:
    answer = server.clients[0].post(f"/label/{what}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def state_of(server: Inside) -> dict[str, Any]:
    state: dict[str, Any] = server.clients[0].get("/label").json()
    return state


def following(server: Inside, tab: str = "a") -> dict[str, Any]:
    item: dict[str, Any] = ask(server, "next", tab=tab)["item"]
    return item


def save(
    server: Inside,
    item: dict[str, Any],
    *entities: tuple[int, int, str],
    answer: str = "accept",
    tab: str = "a",
    status: int = 200,
) -> Any:
    spans = [{"start": start, "end": end, "type": type_} for start, end, type_ in entities]
    saved = {"id": item["id"], "revision": item["revision"], "entities": spans, "answer": answer}
    return ask(server, "save", status, tab=tab, **saved)


def label(server: Inside, count: int, *, tests: bool = True) -> None:
    """Accept sentences, with what the told model would find; those of the test without, unless `tests`."""
    for _ in range(count):
        item = following(server)
        entities = [
            (item["text"].index(name), item["text"].index(name) + 4, name)
            for name in ("ship", "port")
            if name in item["text"]
        ]
        save(server, item, *(entities if tests or not item["test"] else ()))


def test_sentences_come_with_words_context_and_suggestions_but_none_in_the_test(server: Inside) -> None:
    items = []
    for _ in range(10):
        items.append(following(server))
        save(server, items[-1])
    assert len({item["id"] for item in items}) == 10
    assert sum(item["test"] for item in items) == 2
    for item in items:
        text, number = item["text"], item["id"]
        assert (text, item["before"]) == (TEXTS[number], TEXTS[number - 1] if number else "")
        assert [text[start:end] for start, end in item["words"]] == text.split()
        suggested = {(span["type"], text[span["start"] : span["end"]]) for span in item["suggestions"]}
        named = {("ship", "ship"), ("port", "port")} if text.startswith("Number") else {("port", "Port")}
        assert suggested == (set() if item["test"] else named)
        assert all(0.5 < span["confidence"] < 1 for span in item["suggestions"])


def test_two_tabs_get_two_sentences_and_each_keeps_its_own(server: Inside) -> None:
    one, two = following(server, "a"), following(server, "b")
    assert one["id"] != two["id"]
    assert following(server, "a") == one
    save(server, one, answer="skip")
    assert following(server, "a")["id"] not in (one["id"], two["id"])
    ask(server, "open", tab="b", id=one["id"])
    save(server, one, tab="b", status=409)
    assert state_of(server)["counts"]["skipped"] == 1


def test_work_goes_on_where_it_was_and_undo_goes_back_over_sentences(labelled: Open) -> None:
    with labelled() as server:
        one = following(server)
        save(server, one, (0, 3, "ship"), answer="")
        save(server, {**one, "revision": 1}, (0, 3, "ship"))
        two = following(server)
        save(server, two, answer="reject")
        opened, state = following(server), state_of(server)
    with labelled() as server:
        assert state_of(server) == state
        assert following(server)["id"] == opened["id"]
        again, back, first, nothing = (ask(server, "undo", tab="a")["item"] for _ in range(4))
        assert (again["id"], again["answer"], again["revision"]) == (two["id"], "", 2)
        spans = [(span["start"], span["end"], span["type"]) for span in back["entities"]]
        assert (back["id"], back["answer"], spans) == (one["id"], "", [(0, 3, "ship")])
        assert (first["entities"], nothing) == ([], None)
        assert ask(server, "undo", tab="never seen")["item"] is None


def test_a_file_is_loaded_and_what_is_none_is_refused(server: Inside, tmp_path: Path) -> None:
    before = state_of(server)["counts"]["sentences"]
    for name, content, status in (
        ("../../more.conll", b"A O\nFram B-ship\nlay O\n\n", 200),
        ("bad.jsonl", b'{"text": "a"}\n{"text"\n', 422),
    ):
        answer = server.clients[0].post("/label/load", params={"name": name}, content=content)
        assert answer.json().get("status", 200) == status
        assert status == 200 or "bad.jsonl:2" in answer.json()["error"]
        assert state_of(server)["counts"]["sentences"] == before + 1
    assert not (tmp_path.parent / "more.conll").exists()


def test_types_are_set_and_hostile_ones_stay_text(server: Inside) -> None:
    names = ["ship", "port", "constructor", "__proto__", "<script>alert(1)</script>"]
    state = ask(server, "types", types=[{"name": name} for name in names])["state"]
    assert [type_["name"] for type_ in state["types"]] == names
    assert len({type_["key"] for type_ in state["types"]}) == 5
    save(server, following(server), (0, 3, "__proto__"))
    assert "can't be removed" in ask(server, "types", 400, types=[{"name": "ship"}])["error"]


def test_labels_are_exported_in_every_form(server: Inside, tmp_path: Path) -> None:
    def export(name: str) -> httpx.Response:
        return server.clients[0].get("/label/export", params={"format": name})

    assert_fault(export("jsonl"), 422, "no sentence is accepted yet")
    item = following(server)
    save(server, item, (0, 3, "ship"))
    assert {"conll", "brat", "parquet"} < set(state_of(server)["formats"])
    for name in ("conll", "brat", "parquet"):
        answer = export(name)
        path = tmp_path / answer.headers["content-disposition"].split('"')[1]
        path.write_bytes(answer.content)
        if path.suffix == ".zip":
            path = tmp_path / name
            zipfile.ZipFile(io.BytesIO(answer.content)).extractall(path)
        (example,) = read_examples(path)
        assert [(span.text, span.type) for span in example.spans] == [(item["text"][:3], "ship")]
    assert_fault(export("os:system"), 422, "is none of nerbert's")


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_a_tagger_is_trained_scored_and_answers(
    labelled: Open, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, processes: bool
) -> None:
    """Its commands run in a thread here, or in processes."""
    going, command = threading.Event(), commands.run_command

    def run(arguments: Sequence[str]) -> bytes:
        with redirect_stdout(io.StringIO()) as printed:
            assert exit_code(*arguments) == 0
        return printed.getvalue().encode()

    async def run_command(*arguments: str, read: Callable[[str], None] = lambda _: None) -> bytes:
        read("step 2 of 9")
        assert await asyncio.to_thread(going.wait, DEADLINE)
        return await (command(*arguments, read=read) if processes else asyncio.to_thread(run, arguments))

    monkeypatch.setattr(learning, "run_command", run_command)
    (tmp_path / "quick.toml").write_text("max_steps = 2\n")
    with labelled(config=tmp_path / "quick.toml", encoder=str(tiny_encoder)) as server:
        label(server, 4)
        assert (state_of(server)["learning"], state_of(server)["next_round"]) == (None, 5)
        label(server, 1)
        assert state_of(server)["learning"]["sentences"] == 5
        until(lambda: state_of(server)["learning"]["line"] == "step 2 of 9", "it says how far it is")
        assert "in training already" in ask(server, "train", 400)["error"]
        label(server, 2)
        going.set()
        until(lambda: not state_of(server)["learning"], "the tagger is trained", 300)
        (made,) = state_of(server)["rounds"]
        assert (made["state"], made["sentences"], made["test_sentences"]) == ("done", 5, 1), made
        assert made["high"] - made["low"] > 0.6, "one sentence can't say more"
        assert made["commands"][0].startswith(f"nerbert finetune {tiny_encoder} --data ")
        assert list(server.service.models) == ["told", "mine"]
        item = following(server, "c")
        assert item["test"] or "your tagger" in item["suggested_by"]
    folder = tmp_path / "work" / "rounds" / "0005"
    assert [len(read_examples(folder / f"{name}.jsonl")) for name in ("train", "test")] == [4, 1]
    with labelled() as server:
        assert state_of(server)["rounds"] == [made]
        assert list(server.service.models) == ["told", "mine"]


def test_a_training_is_cancelled_and_a_failed_one_says_why(labelled: Open, tmp_path: Path) -> None:
    with labelled(reading=Reading(language="de")) as server:
        label(server, 5, tests=False)
        state = ask(server, "cancel")["state"]
        (made,) = state["rounds"]
        assert (state["learning"], made["state"], state["next_round"]) == (None, "cancelled", 10)
        (command,) = made["commands"]  # a test without entities is not scored
        assert command.endswith(" --language de")
        assert {path.name for path in Path(made["tagger"]).parent.glob("*.json*")} == {"round.json", "train.jsonl"}
    (tmp_path / "wrong.toml").write_text("no_such = 2\n")
    with labelled(config=tmp_path / "wrong.toml") as server:
        ask(server, "train")
        until(lambda: not state_of(server)["learning"], "it has failed")
        assert "no_such" in state_of(server)["rounds"][-1]["message"]


def scored(sentences: int, f1: float, half: float, tests: int) -> Round:
    return Round(sentences, f1=f1, low=f1 - half, high=f1 + half, test_sentences=tests)


@pytest.mark.parametrize(
    ("rounds", "answer"),
    [
        ([], "keep labelling"),
        ([scored(10, 0.5, 0.04, 40)], "keep labelling"),
        ([scored(10, 0.5, 0.4, 2), scored(20, 0.7, 0.06, 40)], "keep labelling"),
        ([scored(10, 0.5, 0.4, 2), scored(20, 0.7, 0.04, 40)], "not yet"),
        ([scored(10, 0.5, 0.4, 2), scored(20, 0.7, 0.04, 40), scored(40, 0.71, 0.04, 80)], "yes"),
        ([scored(10, 0.0, 0.0, 4), scored(20, 0.0, 0.0, 4)], "keep labelling"),
    ],
)
def test_enough_is_not_known_until_the_interval_is_narrow(tmp_path: Path, rounds: list[Round], answer: str) -> None:
    learner = Labelling(LabelJob(folder=tmp_path))._learner
    learner.rounds = rounds
    enough = learner.enough()
    assert enough["answer"] == answer
    if answer == "keep labelling" and len(rounds) > 1:
        assert f"F1 is {rounds[-1].f1:.0%} so far" in enough["why"]


def test_a_round_with_a_tagger_stays(tmp_path: Path) -> None:
    learner = Labelling(LabelJob(folder=tmp_path))._learner
    for made in (Round(20, finished=2.0), Round(20, state="cancelled", finished=3.0), Round(30, finished=1.0)):
        learner._note(made)
    assert [(made.sentences, made.state) for made in learner.rounds] == [(20, "done"), (30, "done")]
    assert learner.newest == Round(20, finished=2.0)
