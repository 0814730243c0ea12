"""What the page asks while sentences are labelled, over HTTP, with a model that tests tell what to do."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from nerbert.formats.examples import read_examples
from nerbert.records import EntityLabel
from nerbert.serve.labelling.learning import Enough, Round
from nerbert.serve.protocols.labelling import LabelJob, Labelling
from tests.serve.conftest import Inside
from tests.serve.heads import until

Open = Callable[[], AbstractContextManager[Inside]]
TEXTS = [f"The ship{n} lay at Port {word} ." for n, word in enumerate("Kiel Rostock Wismar Bremen Emden Leer".split())]
TEXTS += [f"Number {n} : a ship and a port called P{n}" for n in range(30)]


@pytest.fixture
def labelled(inside: Any, tmp_path: Path) -> Open:
    """What serves a project of the same folder, as often as it is called."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    types = EntityLabel("ship"), EntityLabel("port", "a place")

    def serve(**more: Any) -> Any:
        job = LabelJob(folder=tmp_path / "work", files=(tmp_path / "texts.txt",), types=types, **more)
        return inside(labelling=Labelling(job))

    return serve


@pytest.fixture
def server(labelled: Open) -> Iterator[Inside]:
    with labelled() as found:
        yield found


def ask(server: Inside, what: str, status: int = 200, **body: Any) -> Any:
    answer = server.client.post(f"/label/{what}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def following(server: Inside, tab: str = "a") -> dict[str, Any]:
    found: dict[str, Any] = ask(server, "next", tab=tab)["item"]
    return found


def save(server: Inside, item: dict[str, Any], *entities: tuple[int, int, str], answer: str = "accept", tab: str = "a",
         status: int = 200) -> Any:  # fmt: skip
    placed = [{"start": start, "end": end, "type": type_} for start, end, type_ in entities]
    return ask(
        server, "save", status, tab=tab, id=item["id"], revision=item["revision"], entities=placed, answer=answer
    )


def test_sentences_come_with_words_context_and_suggestions_but_none_in_the_test(server: Inside) -> None:
    items = []
    for _ in range(10):
        items.append(following(server))
        save(server, items[-1])
    assert len({each["id"] for each in items}) == 10
    assert sum(each["test"] for each in items) == 2
    for each in items:
        assert each["text"] == TEXTS[each["id"]]
        assert [each["text"][start:end] for start, end in each["words"]] == each["text"].split()
        assert each["before"] == (TEXTS[each["id"] - 1] if each["id"] else "")
        found = {(one["type"], each["text"][one["start"] : one["end"]]) for one in each["suggestions"]}
        named = {("ship", "ship"), ("port", "port")} if each["text"].startswith("Number") else {("port", "Port")}
        assert found == (set() if each["test"] else named)
        assert all(0.5 < one["confidence"] < 1 for one in each["suggestions"])


def test_two_tabs_get_two_sentences_and_each_keeps_its_own(server: Inside) -> None:
    one, two = following(server, "a"), following(server, "b")
    assert one["id"] != two["id"]
    assert following(server, "a") == one
    save(server, one, answer="skip")
    assert following(server, "a")["id"] not in (one["id"], two["id"])
    ask(server, "open", tab="b", id=one["id"])
    save(server, one, tab="b", status=409)
    assert server.client.get("/label").json()["counts"]["skipped"] == 1


def test_undo_goes_back_over_sentences(server: Inside) -> None:
    one = following(server)
    save(server, one, (0, 3, "ship"), answer="")
    save(server, {**one, "revision": 1}, (0, 3, "ship"))
    two = following(server)
    save(server, two, answer="reject")
    again = ask(server, "undo", tab="a")["item"]
    assert (again["id"], again["answer"], again["revision"]) == (two["id"], "", 2)
    back = ask(server, "undo", tab="a")["item"]
    placed = [(each["start"], each["end"], each["type"]) for each in back["entities"]]
    assert (back["id"], back["answer"], placed) == (one["id"], "", [(0, 3, "ship")])
    assert ask(server, "undo", tab="a")["item"]["entities"] == []
    assert ask(server, "undo", tab="a")["item"] is None
    assert ask(server, "undo", tab="never seen")["item"] is None


def test_work_goes_on_where_it_was(labelled: Open) -> None:
    with labelled() as server:
        done, opened = following(server), None
        save(server, done, (0, 3, "ship"))
        opened = following(server)
        state = server.client.get("/label").json()
    with labelled() as server:
        assert server.client.get("/label").json() == state
        assert following(server)["id"] == opened["id"]
        assert ask(server, "undo", tab="a")["item"]["id"] == done["id"]


def test_a_file_is_loaded_and_what_is_none_is_refused(server: Inside, tmp_path: Path) -> None:
    before = server.client.get("/label").json()["counts"]["sentences"]
    (tmp_path / "more.conll").write_text("A O\nFram B-ship\nlay O\n\n")
    content = (tmp_path / "more.conll").read_bytes()
    answer = server.client.post("/label/load", params={"name": "../../more.conll"}, content=content)
    assert answer.json()["state"]["counts"]["sentences"] == before + 1
    answer = server.client.post("/label/load", params={"name": "bad.jsonl"}, content=b'{"text": "a"}\n{"text"\n')
    assert (answer.status_code, answer.json()["error"].count("bad.jsonl:2")) == (422, 1)
    assert server.client.get("/label").json()["counts"]["sentences"] == before + 1
    assert not (tmp_path.parent / "more.conll").exists()


def test_types_are_set_and_hostile_ones_stay_text(server: Inside) -> None:
    names = ["ship", "port", "constructor", "__proto__", "<script>alert(1)</script>"]
    state = ask(server, "types", types=[{"name": each} for each in names])["state"]
    assert [each["name"] for each in state["types"]] == names
    assert len({each["key"] for each in state["types"]}) == 5
    item = following(server)
    save(server, item, (0, 3, "__proto__"))
    assert "can't be removed" in ask(server, "types", 400, types=[{"name": "ship"}])["error"]


def test_labels_are_exported_in_every_form(server: Inside, tmp_path: Path) -> None:
    assert server.client.get("/label/export").status_code == 422
    item = following(server)
    save(server, item, (0, 3, "ship"))
    for name in server.client.get("/label").json()["formats"]:
        answer = server.client.get("/label/export", params={"format": name})
        assert answer.status_code == 200, (name, answer.text)
        path = tmp_path / answer.headers["content-disposition"].split('"')[1]
        path.write_bytes(answer.content)
        if path.suffix == ".zip":
            path = tmp_path / name
            zipfile.ZipFile(io.BytesIO(answer.content)).extractall(path)
        (example,) = read_examples(path)
        assert [(each.text, each.type) for each in example.spans] == [(item["text"][:3], "ship")]
    assert server.client.get("/label/export", params={"format": "os:system"}).status_code == 422


def label(server: Inside, count: int, *, tests: bool = True) -> None:
    """Accept sentences, with what the told model would find; those of the test without, unless `tests`."""
    for _ in range(count):
        item = following(server)
        found = [(item["text"].index(name), item["text"].index(name) + 4, name) for name in ("ship", "port")
                 if name in item["text"]]  # fmt: skip
        save(server, item, *(found if tests or not item["test"] else ()))


def state_of(server: Inside) -> dict[str, Any]:
    found: dict[str, Any] = server.client.get("/label").json()
    return found


def test_a_tagger_is_trained_scored_and_answers(labelled: Any, tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text("max_steps = 2\n")
    with labelled(config=tmp_path / "quick.toml") as server:
        label(server, 9)
        assert (state_of(server)["learning"], state_of(server)["next_round"]) == (None, 10)
        label(server, 1)
        assert state_of(server)["learning"]["sentences"] == 10
        assert ask(server, "train", 400)["error"]
        label(server, 2)
        until(lambda: not state_of(server)["learning"], "the tagger is trained", 300)
        (made,) = state_of(server)["rounds"]
        assert (made["state"], made["sentences"], made["test_sentences"]) == ("done", 10, 2), made
        assert made["commands"][0].startswith("nerbert finetune embedded-open --data ")
        assert list(server.service.models) == ["told", "mine"]
        assert (
            "your tagger" in ask(server, "next", tab="c")["item"]["suggested_by"]
            or ask(server, "next", tab="c")["item"]["test"]
        )
    folder = tmp_path / "work" / "rounds" / "0010"
    (train, test) = (read_examples(folder / f"{name}.jsonl") for name in ("train", "test"))
    assert (len(train), len(test)) == (8, 2)
    with labelled() as server:
        assert state_of(server)["rounds"] == [made]
        assert list(server.service.models) == ["told", "mine"]


def test_a_training_is_cancelled_and_a_failed_one_says_why(labelled: Any, tmp_path: Path) -> None:
    with labelled() as server:
        label(server, 10)
        state = ask(server, "cancel")["state"]
        assert (state["learning"], [each["state"] for each in state["rounds"]]) == (None, ["cancelled"])
        assert state["next_round"] == 20
    (tmp_path / "wrong.toml").write_text("no_such = 2\n")
    with labelled(config=tmp_path / "wrong.toml") as server:
        ask(server, "train")
        until(lambda: not state_of(server)["learning"], "it has failed")
        assert "no_such" in state_of(server)["rounds"][-1]["message"]


def test_a_test_without_entities_is_not_scored(labelled: Any, tmp_path: Path) -> None:
    with labelled() as server:
        label(server, 10, tests=False)
        (made,) = ask(server, "cancel")["state"]["rounds"]
    assert len(made["commands"]) == 1
    assert sorted(each.name for each in (tmp_path / "work" / "rounds" / "0010").iterdir()) == [
        "round.json",
        "train.jsonl",
    ]


def test_enough_is_not_known_until_the_interval_is_narrow(tmp_path: Path) -> None:
    learner = Labelling(LabelJob(folder=tmp_path))._learner
    assert learner.enough().answer == "not known yet"
    learner.rounds = [Round(10, f1=0.5, low=0.1, high=0.9, test_sentences=2)]
    assert learner.enough().answer == "not known yet"
    learner.rounds += [Round(20, f1=0.7, low=0.66, high=0.74, test_sentences=40)]
    assert learner.enough() == Enough("not yet", learner.enough().why)
    learner.rounds += [Round(40, f1=0.71, low=0.67, high=0.75, test_sentences=80)]
    assert learner.enough().answer == "yes"
    learner.rounds = [Round(each, f1=0.0, low=0.0, high=0.0, test_sentences=4) for each in (10, 20)]
    assert learner.enough().answer == "not known yet"


def test_a_round_with_a_tagger_stays(tmp_path: Path) -> None:
    learner = Labelling(LabelJob(folder=tmp_path))._learner
    learner._note(Round(20, finished=2.0))
    learner._note(Round(20, state="cancelled", finished=3.0))
    learner._note(Round(30, finished=1.0))
    assert [(each.sentences, each.state) for each in learner.rounds] == [(20, "done"), (30, "done")]
    assert learner.newest == Round(20, finished=2.0)


def test_the_page_needs_no_token_but_its_questions_do(tmp_path: Path) -> None:
    from tests.serve.servers import serving

    with serving(tmp_path / "told", NERBERT_TOKEN="a-token-of-tests-only") as server:
        page = server.clients[0].get("/")
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert server.clients[0].get("/page/app.js").headers["content-type"].startswith("text/javascript")
        for path in ("/page/..%2fapp.py", "/page/none.js", "/page/"):
            assert server.clients[0].get(path).status_code in (401, 404)
        assert server.clients[0].get("/models").status_code == 401
        assert (
            httpx.get(f"{server.url}/label", headers={"Authorization": "Bearer a-token-of-tests-only"}).status_code
            == 404
        )
