"""A model that is loaded again, or gone; a server that is told to stop."""

import shutil
import signal
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from nerbert.tagger.tagger import Tagger
from tests.serve.conftest import Serve
from tests.serve.heads import DEADLINE, Gate, until
from tests.serve.servers import LABELS, Process, serving, told

Answer = dict[str, Any]


def refuses(server: Process) -> bool:
    """Return whether it takes no more connections."""
    try:
        with closing(server.connection()) as connection:
            connection.connect()
    except ConnectionRefusedError:
        return True
    return False


def test_signals_load_models_again_and_end_when_all_is_answered(tmp_path: Path) -> None:
    """A folder that is gone changes nothing, no request is lost meanwhile, and what waits at the end is answered."""
    with serving(tmp_path / "told", "--workers", 1) as server:
        assert server.log().partition("address: ")[0].count("\n") == 2, "it comes soon"
        before = server.tag("a ship").json()
        hidden = shutil.move(server.folder, tmp_path / "hidden")
        server.process.send_signal(signal.SIGHUP)
        server.logged(f"model told: {server.folder}")
        assert ": loaded again, " not in server.log()
        shutil.move(hidden, server.folder)
        assert server.tag("a ship").json() == before
        answers, stop = list[httpx.Response](), threading.Event()

        def ask() -> None:
            with server.client() as client:
                while not stop.is_set():
                    answers.append(client.post("/tag", json={"text": "a ship", "labels": LABELS}))

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for asker in askers:
            asker.start()
        for number in range(4):
            (server.folder / "model.safetensors").write_bytes(b"%d" % number)
            server.process.send_signal(signal.SIGHUP)
            server.logged(": loaded again, ", number + 1)
        stop.set()
        for asker in askers:
            asker.join(DEADLINE)
        assert {answer.status_code for answer in answers} == {200}
        assert all(answer.json()["results"] == before["results"] for answer in answers)
        after = server.tag("a ship").json()
        assert after["fingerprint"] != before["fingerprint"]
        assert f"model told: loaded again, {after['fingerprint']}" in server.log()
        ends_when_all_is_answered(server)


def ends_when_all_is_answered(server: Process) -> None:
    """Send SIGTERM while a text is in the model, and two wait."""
    replies = list[int]()
    texts = "hold ship", "a ship", "a ship"
    server.gate.close()
    askers = [
        threading.Thread(target=lambda text: replies.append(server.tag(text).status_code), args=(text,))
        for text in texts
    ]
    with closing(server.connection()) as idle:
        idle.connect()
        askers[0].start()
        server.gate.held()
        before = server.log().count("POST /tag 200")
        for asker in askers[1:]:
            asker.start()
        until(lambda: "waiting_texts 2.0" in server.clients[0].get("/metrics").text, "two texts wait")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(server), "no more connections are taken")
        assert idle.sock.recv(1) == b"", "one that asks nothing is closed"
        server.gate.open()
        for asker in askers:
            asker.join(DEADLINE)
    assert replies == [200] * 3
    assert server.process.wait(DEADLINE) == 0
    assert server.log().count("POST /tag 200") == before + 3


def test_an_answer_has_the_fingerprint_of_the_model_that_gave_it(serve: Serve) -> None:
    """A text waits while its model is loaded again; the newer one is less sure."""
    loaded = list[Tagger]()

    def load(gate: Gate) -> Tagger:
        loaded.append(told(gate, temperature=1 + len(loaded)))
        vars(loaded[-1])["fingerprint"] = f"number {len(loaded)}"
        return loaded[-1]

    server = serve(load, workers=1)
    held, queued = server.hold(), server.submit("a ship")
    server.waiting(1)
    server.call(server.service.reload())
    server.gate.open()
    sure = {"number 1": 0.6, "number 2": 0.55}
    for answer in (held.result().json(), queued.result().json()):
        assert round(answer["results"][0]["spans"][0]["confidence"], 3) == sure[answer["fingerprint"]]


def test_an_unforeseen_error_of_loading_leaves_the_old_model(serve: Serve) -> None:
    loaded = list[Tagger]()

    def load(gate: Gate) -> Tagger:
        if loaded:
            raise ZeroDivisionError("division by zero")
        loaded.append(told(gate))
        return loaded[-1]

    server = serve(load)
    server.breaks = True
    server.call(server.service.reload())
    assert server.tag("a ship").status_code == 200
