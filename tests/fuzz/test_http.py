"""Bodies, streams and files with hostile values: an answer, never 500, and good requests are answered as before."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch
from zlib import crc32

import httpx
import pytest
from hypothesis import strategies as st

from nerbert.formats.documents import Reading
from nerbert.records import EntityLabel
from nerbert.serve.protocol import Operation
from nerbert.serve.service import log
from nerbert.serve.settings import Limits
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from nerbert_label.labelling import LabelJob, Labelling
from nerbert_label.learning import Learner
from nerbert_label.project import Project
from nerbert_label.routes import label_routes
from tests.examples import read_examples
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_values import dumped, json_mutated
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import check_message
from tests.serve.servers import Records, built
from tests.tagger.test_labels import NamesHead

pytestmark = pytest.mark.fuzz
LIMITS = Limits(max_body=100_000, max_characters=20_000, max_texts=200)
TEXTS = [f"The ship{n} lay at Port {word} 👩‍👧 ." for n, word in enumerate("Kiel Rostock Wismar Bremen Emden".split())]
LEFT_OUT = ("/label/train", "/label/sample")
"""They start processes, or add hundreds of sentences."""
GOOD_AFTER = 8
"""A good request is made after one of so many: after always the same ones, so that a fault can be found again."""
Request = tuple[str, bytes, bytes, tuple[tuple[bytes, bytes], ...], tuple[bytes, ...]]
"""Method, path, query, headers and the parts of a body."""
Cases = Callable[[Sequence[Operation]], st.SearchStrategy[Request]]
STATUSES = {200, 400, 403, 404, 409, 413, 422, 429}
"""What is answered, whatever was asked; 5xx is a fault of the server."""
KEYS = (
    "text",
    "labels",
    "threshold",
    "thresholds",
    "model",
    "offsets",
    "decoding",
    "nested",
    "inputs",
    "parameters",
    "flat_ner",
    "language",
    "entities",
    "tasks",
    "project",
    "label_config",
    "data",
    "messages",
    "content",
    "metadata",
    "score_threshold",
    "tab",
    "id",
    "revision",
    "answer",
    "request",
    "types",
    "name",
    "description",
    "colour",
    "key",
)
VALUES = (
    "The ship left a port.",
    "ship",
    ["ship", "port"],
    {"ship": "a boat"},
    {"ship": 0.5},
    "utf-16",
    "nested",
    "flat",
    ["a"] * 300,
    "ship " * 400,
    [{"start": 0, "end": 3, "type": "ship"}],
)


class AsgiServer:
    """An application with all protocols and a labelling project, which runs in this thread only while it is asked."""

    def __init__(self, work: Labelling, runner: asyncio.Runner) -> None:
        tagger = Tagger(NamesHead(), SPLITTER, "en").with_labels(["ship", "port"])
        self.service, operations, app = built(lambda _: tagger, LIMITS, more=label_routes(work))
        self.operations = [operation for operation in operations if operation.path not in LEFT_OUT]
        self.project, self.logged, self._runner = work.project, Records(), runner
        transport = httpx.ASGITransport(app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def ask(self, request: Request) -> httpx.Response:
        method, path, query, headers, parts = request

        async def body() -> Any:
            for part in parts:
                yield part

        url = self._client.base_url.copy_with(raw_path=path + (b"?" + query if query else b""))
        return self._runner.run(self._client.request(method, url, headers=[*headers], content=body()))

    def good(self, what: str, **body: Any) -> Any:
        """Return the answer to a good request."""
        answer = self.ask(("POST", what.encode(), b"", (), (dumped(body),)))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def check(self, request: Request) -> None:
        """Check the properties of any answer, and for some requests those of good ones after it."""
        answer = self.ask(request)
        assert not self.logged.text(), request
        assert answer.status_code in STATUSES, (request, answer)
        assert all(value.isprintable() for value in answer.headers.values()), answer.headers
        if answer.status_code != 200:
            content = answer.json()
            assert content == {
                "error": content["error"],
                "status": answer.status_code,
                "request_id": answer.headers["x-request-id"],
            }
            check_message(content["error"])
        if crc32(repr(request).encode()) % GOOD_AFTER == 0:
            (result,) = self.good("/tag", text=TEXTS[0], labels=["ship", "port"])["results"]
            assert [span["text"] for span in result["spans"]] == ["Port"]
            self.good("/label/next", tab="good")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsgiServer]:
    """A server whose project is in the end what its journal says."""
    folder = tmp_path_factory.mktemp("http")
    (folder / "texts.txt").write_text("\n".join(TEXTS))
    types = EntityLabel("ship"), EntityLabel("port", "a place")
    work = Labelling(LabelJob(folder=folder / "work", files=(folder / "texts.txt",), types=types))
    with asyncio.Runner() as runner, patch.object(Learner, "start_if_due"):  # a training is another process
        made = AsgiServer(work, runner)
        made.logged.setLevel(logging.ERROR)
        log.addHandler(made.logged)
        runner.get_loop().call_soon(made.service.start)
        for _ in TEXTS[1:]:
            item = made.good("/label/next", tab="a")["item"]
            made.good(
                "/label/save",
                tab="a",
                id=item["id"],
                revision=0,
                answer="accept",
                entities=[{"start": 0, "end": 3, "type": "ship"}],
            )
        yield made
        runner.run(made.service.stop())
        log.removeHandler(made.logged)
    work.project.close()
    again = Project(folder / "work", Reading())
    assert state_of(again) == state_of(work.project), "its journal says something else"
    accepted = [item.sentence.text for item in again.with_answer("accept")]
    if accepted:
        assert [example.text for example in read_examples(folder / "work" / "labels.jsonl")] == accepted
    again.close()


def state_of(project: Project) -> Any:
    return project.types, [(item.sentence.text, item.revision, item.states, item.test) for item in project.items]


def path_of(operation: Operation) -> bytes:
    """Return the path of an operation, with a model's name in it."""
    return operation.path.replace("{model}", "told").encode()


def bodies(operations: Sequence[Operation]) -> st.SearchStrategy[Request]:
    """Return a strategy for requests with hostile bodies: most are JSON with hostile values, others aren't JSON."""
    strategies = []
    for operation in operations:
        if operation.body is None or operation.streams:
            continue
        known = [*operation.examples.values()]
        values = json_mutated(known, KEYS, VALUES).map(dumped)
        broken = mutated([dumped(body) for body in known], [b'"text":1,', b'"labels":["ship"],', b"\xff\xfe"])
        make = partial(_request, operation.method, path_of(operation))
        strategies += [values.map(make), values.map(make), broken.map(make)]
    return st.one_of(strategies)


def _request(method: str, path: bytes, *parts: bytes, query: bytes = b"") -> Request:
    return method, path, query, ((b"Content-Type", b"application/json"),), parts


def saves(_: object) -> st.SearchStrategy[Request]:
    """Return a strategy for saved sentences, most of which can be."""
    span = {"start": st.integers(0, 30), "end": st.integers(0, 30), "type": st.sampled_from(["ship", "port", "x"])}
    body = st.fixed_dictionaries(
        {
            "id": st.integers(-1, 6),
            "revision": st.integers(0, 5),
            "tab": st.sampled_from(["a", "b", "\n", "👩‍👧"]),
            "answer": st.sampled_from(["", "accept", "reject", "skip"]),
            "entities": st.lists(st.fixed_dictionaries(span), max_size=3),
        }
    )
    return body.map(lambda drawn: _request("POST", b"/label/save", dumped(drawn)))


def loads(_: object) -> st.SearchStrategy[Request]:
    """Return a strategy for files that are added."""
    seeds = [b"A ship .\nA port .\n", b"Ada B-ship\nleft O\n\n", b'{"text": "a ship", "spans": []}\n', b""]
    names = st.sampled_from([b"a.txt", b"a.conll", b"a.jsonl", b"..%2f..%2fx", b"%00", b"a.zip", b""])
    return st.builds(
        lambda name, content: _request("POST", b"/label/load", content, query=b"name=" + name), names, mutated(seeds)
    )


def streams(_: object) -> st.SearchStrategy[Request]:
    """Return a strategy for streams, which come in two parts."""
    line = dumped({"text": "a ship", "id": 1}) + b"\n"
    content = mutated([line, line * 3, line + b"\n" + line[:-1], b""], [b'{"text":"a port"}\n', b'{"text":1}\n'])
    return st.builds(
        lambda content, cut: _request("POST", b"/tag/stream", content[:cut], content[cut:], query=b"labels=ship,port"),
        content,
        st.integers(0, 100),
    )


@pytest.mark.parametrize(("cases", "share"), [(bodies, 2), (saves, 1), (streams, 1), (loads, 0.3)])
def test_any_request(server: AsgiServer, fuzz: Fuzz, cases: Cases, share: float) -> None:
    fuzz(cases(server.operations), server.check, share=share)
