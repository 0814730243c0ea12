"""The labelling page's API with hostile requests: an answer, and a project that is what its journal says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from nerbert.formats.documents import Reading
from nerbert.formats.examples import read_examples
from nerbert.records import EntityLabel
from nerbert.serve.labelling.learning import Learner
from nerbert.serve.labelling.project import Project
from nerbert.serve.protocols.labelling import LabelJob, Labelling
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.fuzz.asgi import AsgiServer, HttpRequest, asgi_server
from tests.fuzz.conftest import Fuzz
from tests.fuzz.http_cases import VALUES, addressed, check_answer, requests
from tests.fuzz.json_values import dumped, json_mutated
from tests.fuzz.mutator import mutated
from tests.tagger.test_labels import NamesHead

pytestmark = pytest.mark.fuzz
TEXTS = [f"The ship{n} lay at Port {word} 👩‍👧 ." for n, word in enumerate("Kiel Rostock Wismar Bremen Emden".split())]
LEFT_OUT = ("/label/train", "/label/sample")
"""They start processes, or add hundreds of sentences."""


class Labelled:
    """A project that is served."""

    def __init__(self, server: AsgiServer, project: Project) -> None:
        self.server, self._project = server, project
        self.operations = [
            each for each in server.operations if each.path.startswith("/label") and each.path not in LEFT_OUT
        ]

    def ask(self, what: str, **body: Any) -> Any:
        answer = self.server.ask(HttpRequest("POST", f"/label/{what}".encode(), parts=(dumped(body),)))
        assert answer.status == 200, answer
        return answer

    def state(self, project: Project) -> Any:
        """Return what counts of a project."""
        return project.types, [(each.sentence.text, each.revision, each.states, each.test) for each in project.items]

    def check(self, request: HttpRequest) -> None:
        """Check an answer; whatever it was, the project can go on."""
        check_answer(
            self.server, request, self.server.ask(request), [each.sentence.text for each in self._project.items]
        )
        found = self.server.ask(HttpRequest("GET", b"/label"))
        assert found.status == 200
        self.ask("next", tab="good")


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Labelled]:
    monkeypatch.setattr(Learner, "start_if_due", lambda *_: None)  # a training is another process
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    types = EntityLabel("ship"), EntityLabel("port", "a place")
    work = Labelling(LabelJob(folder=tmp_path / "work", files=(tmp_path / "texts.txt",), types=types))
    with asgi_server(Tagger(NamesHead(), SPLITTER, "en"), work, max_body=100_000) as server:
        found = Labelled(server, work.project)
        for _ in TEXTS[1:]:
            found.ask("next", tab="a")
            shown = work.project.drawn[-1]
            found.ask("save", tab="a", id=shown.id, revision=0, answer="accept",
                      entities=[{"start": 0, "end": 3, "type": "ship"}])  # fmt: skip
        yield found
        now = found.state(work.project)
    again = Project(tmp_path / "work", Reading())
    assert found.state(again) == now, "its journal says something else"
    if accepted := again.with_answer("accept"):
        assert [each.text for each in read_examples(tmp_path / "work" / "labels.jsonl")] == [
            each.sentence.text for each in accepted
        ]
    again.close()


def saves() -> st.SearchStrategy[HttpRequest]:
    """Return a strategy for saved sentences, most of which can be."""
    places = st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from(["ship", "port", "x"])), max_size=3
    )
    body = st.builds(
        lambda id_, revision, answer, entities, tab: {
            "id": id_, "revision": revision, "answer": answer, "tab": tab,
            "entities": [{"start": start, "end": end, "type": type_} for start, end, type_ in entities],
        },
        st.integers(-1, 6), st.integers(0, 5), st.sampled_from(["", "accept", "reject", "skip"]), places,
        st.sampled_from(["a", "b", "\n", "👩‍👧"]),
    )  # fmt: skip
    return body.map(lambda found: HttpRequest("POST", b"/label/save", parts=(dumped(found),)))


def loads() -> st.SearchStrategy[HttpRequest]:
    """Return a strategy for files that are added."""
    seeds = [b"A ship .\nA port .\n", b"Ada B-ship\nleft O\n\n", b'{"text": "a ship", "spans": []}\n', b""]
    names = st.sampled_from([b"a.txt", b"a.conll", b"a.jsonl", b"..%2f..%2fx", b"%00", b".", b"a.csv", b"a.zip", b""])
    return st.builds(lambda name, content: HttpRequest("POST", b"/label/load", b"name=" + name, (), (content,)),
                     names, mutated(seeds))  # fmt: skip


def test_bodies(labelled: Labelled, fuzz: Fuzz) -> None:
    taken = [each for each in labelled.operations if each.body is not None]
    types = json_mutated([{"types": [{"name": "ship", "key": "1"}, {"name": "port", "colour": "#0072b2"}]}], (), VALUES)
    typed = types.map(lambda found: HttpRequest("POST", b"/label/types", parts=(dumped(found),)))
    fuzz(st.one_of(requests(taken), saves(), typed), labelled.check)


def test_addresses(labelled: Labelled, fuzz: Fuzz) -> None:
    fuzz(addressed([each for each in labelled.operations if not each.streams]), labelled.check, share=0.5)


def test_files(labelled: Labelled, fuzz: Fuzz) -> None:
    fuzz(loads(), labelled.check, share=0.3)
