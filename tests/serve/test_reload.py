"""A model that is loaded again, or gone; a server that is told to stop."""

import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from nerbert.tagger.tagger import Tagger
from tests.serve.conftest import Serve, told
from tests.serve.heads import DEADLINE, Gate, until
from tests.serve.servers import LABELS, Server, assert_fault


def refuses(server: Server) -> bool:
    """Return whether it takes no more connections."""
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_sighup_loads_the_models_again(serve: Serve) -> None:
    server = serve()
    before = server.tag("a ship").json()
    (server.folder / "model.safetensors").write_bytes(b"other")
    assert server.tag("a ship").json() == before
    server.process.send_signal(signal.SIGHUP)
    server.logged(": loaded again, ")
    after = server.tag("a ship").json()
    assert after["fingerprint"] != before["fingerprint"]
    assert f"model told: loaded again, {after['fingerprint']}" in server.log()
    assert after["results"] == before["results"]


def test_a_folder_that_is_gone_changes_nothing(serve: Serve) -> None:
    server = serve()
    before = server.tag("a ship").json()
    kept = shutil.copytree(server.folder, server.folder.parent / "kept")
    shutil.rmtree(server.folder)
    server.process.send_signal(signal.SIGHUP)
    server.logged("model told: ")
    assert ": loaded again, " not in server.log()
    shutil.copytree(kept, server.folder)
    assert server.tag("a ship").json() == before
    assert server.clients[0].get("/ready").status_code == 200
    server.process.send_signal(signal.SIGHUP)
    server.logged(": loaded again, ")


def test_no_request_is_lost_while_models_are_loaded(serve: Serve) -> None:
    server, stop = serve("--allow-reload"), threading.Event()

    def ask(number: int) -> list[int]:
        with server.client() as client:
            found = []
            while not stop.is_set():
                reply = client.post("/tag", json={"text": f"a ship {number}", "labels": LABELS})
                found.append(reply.status_code)
                assert reply.json()["results"][0]["spans"][0]["text"] == "ship"
            return found

    with ThreadPoolExecutor(4) as pool:
        askers = [pool.submit(ask, number) for number in range(4)]
        try:
            for number in range(10):
                (server.folder / "model.safetensors").write_bytes(b"%d" % number)
                if number % 2:
                    told = server.clients[0].post("/models/told/reload").json()
                    assert (told["error"], len(told["fingerprint"])) == ("", 16)
                else:
                    server.process.send_signal(signal.SIGHUP)
                server.logged(": loaded again, ", number + 1)
        finally:
            stop.set()
        statuses = [status for each in askers for status in each.result()]
    assert set(statuses) == {200}
    assert_fault(server.clients[0].post("/models/none/reload"), 400, "model 'none'")


def test_an_answer_has_the_fingerprint_of_the_model_that_gave_it(inside: Callable[..., Any]) -> None:
    """A text waits while its model is loaded again; the newer one is less sure."""
    loaded = list[Tagger]()

    def load(gate: Gate) -> Tagger:
        loaded.append(told(gate, temperature=1 + len(loaded)))
        vars(loaded[-1])["fingerprint"] = f"number {len(loaded)}"
        return loaded[-1]

    with ThreadPoolExecutor(2) as pool, inside(load, workers=1) as server:
        server.gate.close()
        held = pool.submit(server.tag, "hold ship")
        server.gate.held()
        queued = pool.submit(server.tag, "a ship")
        until(lambda: len(server.service.queue) == 1, "a text waits")
        server.call(server.service.reload())
        server.gate.open()
        answers = [each.result().json() for each in (held, queued)]
    sure = {"number 1": 0.6, "number 2": 0.55}
    for each in answers:
        assert round(each["results"][0]["spans"][0]["confidence"], 3) == sure[each["fingerprint"]]


def test_an_unforeseen_error_of_loading_leaves_the_old_model(inside: Callable[..., Any]) -> None:
    loaded = list[Tagger]()

    def load(gate: Gate) -> Tagger:
        if loaded:
            raise ZeroDivisionError("division by zero")
        loaded.append(told(gate))
        return loaded[-1]

    with inside(load) as server:
        errors = server.call(server.service.reload())
        assert errors["told"]
        assert server.tag("a ship").status_code == 200


def test_sigterm_finishes_what_was_taken(serve: Serve) -> None:
    """What is in the model, and what waits; nothing more is taken."""
    server = serve("--workers", 1)
    server.gate.close()
    with ThreadPoolExecutor(4) as pool, closing(server.connect()) as idle:
        held = pool.submit(server.tag, "hold ship")
        server.gate.held()
        queued = [pool.submit(server.tag, f"a ship {number}") for number in range(2)]
        until(lambda: "waiting_texts 2.0" in server.clients[0].get("/metrics").text, "two texts wait")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(server), "no more connections are taken")
        assert idle.recv(1) == b"", "one that asks nothing is closed"
        server.gate.open()
        answers = [each.result() for each in (held, *queued)]
    assert [each.status_code for each in answers] == [200] * 3
    assert server.process.wait(DEADLINE) == 0
    assert server.log().count("POST /tag 200") == 3


def test_ctrl_c_does_the_same(serve: Serve) -> None:
    server = serve()
    assert server.tag("a ship").status_code == 200
    assert server.stop(signal.SIGINT) == 0
