"""The client of a server: a local tagger's answers, tries again, refusals; and `nerbert tag --server`."""

import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import nerbert
from nerbert.errors import InputError, NerbertError, Overloaded, SettingsError, TimedOut, Unavailable
from nerbert.serve import answers
from nerbert.serve.app import Access
from nerbert.serve.client import RETRIES, Client, RemoteTagger
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger
from tests.commands import exit_code
from tests.raised import raises
from tests.serve.servers import inside

TOKEN = "a token of some length"
TEXTS = [
    "Ada Lovelace met Charles Babbage in London.",
    "",
    "The 𝄞 ship Zähringen left Kiel for Oslo.",
    "\ud800 Oslo",
    "A\n\nB " * 50,
    *(f"Number {number} went to Paris." for number in range(300)),
]
Caught = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def local(tiny_tagger: Path) -> Tagger:
    """A tagger of fixed types."""
    return Tagger.load(tiny_tagger, threads=1)


@pytest.fixture(scope="module")
def served(local: Tagger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of it that wants a token."""
    folder = tmp_path_factory.mktemp("client") / "tiny"
    with inside(folder, lambda _: local, name="tiny", workers=1, access=Access(token=TOKEN)) as running:
        yield running.url


@pytest.fixture
def url(served: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its address; its token is in the environment."""
    monkeypatch.setenv("NERBERT_TOKEN", TOKEN)
    return served


def same(one: Sequence[Spans], other: Sequence[Spans]) -> bool:
    """Return whether answers are equal, confidences as nearly as a server's rounding and another batch allow."""
    parts = [
        [
            (spans.text, spans.offsets, spans.read, [replace(span, confidence=0.0) for span in spans])
            for spans in answers
        ]
        for answers in (one, other)
    ]
    sure = [[span.confidence for spans in answers for span in spans] for answers in (one, other)]
    return parts[0] == parts[1] and sure[0] == pytest.approx(sure[1], abs=2e-4)


def answers_of(url: str, texts: Sequence[str], labels: Sequence[str] | None = None, **how: Any) -> list[Spans]:
    with Client(url, **how) as client:
        answers = list(client.tag_many(texts, labels))
        assert same([client.tag(texts[0], labels)], answers[:1])
    return answers


@pytest.mark.parametrize("offsets", ["characters", "utf-16", "bytes"])
def test_answers_are_a_local_taggers(url: str, tiny_tagger: Path, offsets: str) -> None:
    answers = answers_of(url, TEXTS, offsets=offsets)
    assert same(answers, list(Tagger.load(tiny_tagger, threads=1, offsets=offsets).tag_many(TEXTS)))
    assert sum(map(len, answers)) > 300
    assert any(span.start > 4 for span in answers[2]), "an entity after a character of several units"


def test_labels_and_thresholds_are_a_local_taggers(url: str, tiny_tagger: Path, local: Tagger) -> None:
    texts = TEXTS[:9]
    label = local.tag(TEXTS[0])[0].type
    assert same(answers_of(url, texts, [label]), list(local.tag_many(texts, [label])))
    surer = Tagger.load(tiny_tagger, threads=1, thresholds=0.9)
    assert same(answers_of(url, texts, thresholds=0.9), list(surer.tag_many(texts)))
    with Client(url) as client:
        narrowed = client.with_labels([label])
        assert [wanted.name for wanted in narrowed.labels] == narrowed.types == [label]
        assert client.labels == ()
        assert same([narrowed.tag(TEXTS[0])], [local.tag(TEXTS[0], [label])])


def test_an_entity_of_an_answer_has_named_fields_and_is_pickled() -> None:
    values: dict[str, Any] = {"text": "Ada", "type": "person", "start": 0, "end": 3, "confidence": 0.5}
    found = answers.FoundEntity(**values)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(TypeError, match="positional"):
        answers.FoundEntity(*values.values())


def test_a_client_says_what_is_served(url: str, local: Tagger) -> None:
    with Client(url, model="tiny") as client:
        assert (client.types, client.fingerprint) == (local.types, local.fingerprint)


@pytest.mark.parametrize(
    ("how", "act", "error", "words"),
    [
        ({}, lambda client: client.tag("Ada", ["no-such"]), InputError, "no-such"),
        ({"model": "tinny"}, lambda client: client.tag("Ada"), SettingsError, "did you mean 'tiny'"),
        ({"model": "tinny"}, lambda client: client.types, SettingsError, "did you mean 'tiny'"),
        ({"fingerprint": "0" * 16}, lambda client: client.tag("Ada"), Unavailable, "another version of the model"),
        ({"token": "another one of some length"}, lambda client: client.tag("Ada"), SettingsError, "(status 401)"),
    ],
)
def test_what_a_server_refuses(
    url: str, how: dict[str, str], act: Callable[[Client], object], error: type[NerbertError], words: str
) -> None:
    with Client(url, **how) as client, raises(error, words):  # type: ignore[arg-type]
        act(client)


def test_texts_before_one_that_is_refused_are_tagged(url: str) -> None:
    texts, before = ["Ada", "Oslo", "a" * 200_000, "Bob"], list[str]()
    with Client(url) as client, raises(InputError, "200,000 characters"):
        before.extend(spans.text for spans in client.tag_many(texts))
    assert before == texts[:2]


class Fake:
    """A server that answers with what it was given, one after the other, and the last one for ever."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()
        self.pauses, self.told = list[float](), list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def how(self) -> dict[str, Any]:
        retries = replace(RETRIES, sleep=self.pauses.append, tell=self.told.append, jitter=0.0)
        return {"retries": retries, "transport": httpx.MockTransport(self)}

    def tag(self, text: str = "Ada", **how: Any) -> Spans:
        """Ask it once."""
        with Client("http://server/under/", **self.how(), **how) as client:
            return client.tag(text)


def answer(text: str = "Ada", read: int | None = None, **entity: Any) -> httpx.Response:
    """Return a server's answer with one entity, the whole text."""
    span = {"text": text, "type": "person", "start": 0, "end": len(text), "confidence": 0.5} | entity
    result = {"spans": [span], "characters": len(text), "read": len(text) if read is None else read}
    return httpx.Response(200, json={"model": "m", "fingerprint": "f", "offsets": "characters", "results": [result]})


def refusal(status: int, message: str = "no place", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"error": message, "status": status, "request_id": "1"}, headers=named)


def test_what_is_busy_is_asked_again_when_it_says() -> None:
    reset = httpx.RemoteProtocolError("Server disconnected without sending a response.")
    fake = Fake(httpx.ConnectError("refused"), refusal(429, Retry_After="7"), refusal(502), reset, answer())
    assert fake.tag()[0].text == "Ada"
    assert fake.pauses == [1.0, 7.0, 4.0, 8.0]
    assert fake.told[1] == "http://server/under: no place (status 429) (try 2 of 8 failed; the next in 7 seconds)"
    assert [str(each.url) for each in fake.asked] == ["http://server/under/tag"] * 5


def test_tries_and_their_time_are_bounded() -> None:
    table: list[tuple[Any, type[NerbertError], str, list[int]]] = [
        (refusal(429, Retry_After="1"), Overloaded, "no place", [1, 2, 4, 8, 16, 30, 30]),
        (refusal(429, Retry_After="31"), Overloaded, "no place", []),
        (httpx.ConnectError("refused"), Unavailable, "can't be reached, or hung up: ConnectError refused", [1, 2]),
    ]
    for given, error, words, pauses in table:
        fake = Fake(given)
        with raises(error, words) as raised:
            fake.tag()
        assert fake.pauses == pauses
        assert getattr(raised.value, "retry_after", 0) == (pauses or [31])[0] * (error is Overloaded)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (refusal(422), InputError, "no place (status 422)"),
        (refusal(400), SettingsError, "no place"),
        (refusal(504), TimedOut, "no place"),
        (refusal(413), InputError, "no place"),
        (refusal(401), SettingsError, "no place"),
        (refusal(429, Retry_After="31"), Overloaded, "no place"),
        (refusal(500, "the\nserver\x1b[31m"), NerbertError, r"the server\x1b[31m (status 500)"),
        (httpx.ReadTimeout("slow"), TimedOut, "no answer within 60 seconds"),
        (httpx.Response(404, text="<html>"), SettingsError, "nerbert server? (status 404)"),
        (httpx.Response(200, text="<html>"), InputError, "not JSON"),
        (httpx.Response(200, json={"results": []}), InputError, "missing; is this the address of a nerbert server"),
        (httpx.Response(307, headers={"Location": "http://other/tag"}), SettingsError, "status 307"),
        (answer("Bob"), InputError, "doesn't fit"),
        (answer(end=2), InputError, "doesn't fit"),
        (answer(start=9, end=10, text=""), InputError, "doesn't fit"),
        (answer(read=4), InputError, "doesn't fit"),
        (answer(start=3), InputError, "empty or negative"),
        (answer(confidence=2), InputError, "confidence = 2"),
        (httpx.Response(200, content=b" " * (65 << 20)), InputError, "is longer than 67,108,864 bytes"),
    ],
)
def test_other_faults_are_raised_at_once(given: Any, error: type[NerbertError], words: str) -> None:
    fake = Fake(given, answer())
    with raises(error, words) as caught:
        fake.tag()
    assert str(caught.value).startswith("http://server/under:")
    assert (len(fake.asked), fake.pauses) == (1, [])


def test_a_request_has_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NERBERT_TOKEN", "of the environment\n")
    fake = Fake(answer())
    fake.tag(model="m", thresholds={"person": 0.5}, nested=True)
    fake.tag(token="given")
    assert json.loads(fake.asked[0].content) == {
        "text": ["Ada"],
        "model": "m",
        "labels": None,
        "thresholds": {"person": 0.5},
        "nested": True,
        "offsets": "characters",
    }
    assert [asked.headers["authorization"] for asked in fake.asked] == ["Bearer of the environment", "Bearer given"]


@pytest.mark.parametrize(
    ("url", "how", "words"),
    [
        ("localhost:8000", {}, "server 'localhost:8000': must be http://"),
        ("http://me:secret@host", {}, "server 'http://host': must be"),
        ("http://host?token=x", {}, "'http://host'"),
        ("http://host:port", {}, "can't be asked"),
        ("http://host", {"token": "a\u00e9"}, "printable ASCII"),
        ("http://host", {"offsets": "words"}, "offsets = 'words'"),
    ],
)
def test_what_no_server_can_be_asked_is_refused(url: str, how: dict[str, Any], words: str) -> None:
    with raises(SettingsError, words):
        Client(url, **how)


def test_what_is_no_text_is_refused() -> None:
    fake = Fake(answer())
    table: list[tuple[Any, str]] = [(b"Ada", "tag bytes"), (nerbert.example("Ada"), "its own words can't be sent")]
    for given, words in table:
        with raises(InputError, words):
            fake.tag(given)
    assert not fake.asked
    with Client("http://server", **fake.how()) as client, raises(InputError, "letter by letter"):
        client.tag_many("Ada")


def echo(sizes: list[tuple[int, int]]) -> httpx.MockTransport:
    """Return a server that finds nothing and keeps how many texts and bytes it is sent."""

    def reply(request: httpx.Request) -> httpx.Response:
        texts = json.loads(request.content)["text"]
        sizes.append((len(texts), len(request.content)))
        results = [{"spans": [], "characters": len(each), "read": len(each)} for each in texts]
        return httpx.Response(200, json={"model": "m", "fingerprint": "f", "offsets": "characters", "results": results})

    return httpx.MockTransport(reply)


def test_lists_are_small_whatever_the_texts_are() -> None:
    sizes, read = list[tuple[int, int]](), 0
    texts = ["x"] * 600 + ["\0" * 50_000] * 5 + ["y" * 300_000, "z"]

    def given() -> Iterator[str]:
        nonlocal read
        for each in texts:
            read += 1
            yield each

    with Client("http://server", transport=echo(sizes)) as client:
        answers = client.tag_many(given())
        assert read == 0
        assert next(answers).text == "x"
        assert read == 257
        assert [each.text for each in answers] == texts[1:]
    assert [count for count, _ in sizes] == [256, 256, 90, 2, 1, 1, 1]
    assert max(size for _, size in sizes) < 1 << 20
    assert list(Client("http://server", transport=echo(sizes)).tag_many([])) == []


def test_a_copy_outlives_its_client() -> None:
    sizes = list[tuple[int, int]]()
    some = Client("http://server", transport=echo(sizes)).with_labels(["ship"])
    assert some.tag("Ada") == []


def tag(*arguments: object) -> int:
    return exit_code("tag", *arguments)


def test_tag_is_as_with_a_local_tagger(
    url: str, local: Tagger, tiny_tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("\n".join(text for text in TEXTS[:9] if text.isprintable() and text))
    label = local.types[0]
    for options in (["--json"], ["--json", "--labels", label], ["--to", "conll"], ["--json", "--offsets", "bytes"]):
        assert tag("tiny", "x.txt", "--server", url, *options) == 0
        remote = capfdbinary.readouterr().out
        assert tag(tiny_tagger, "x.txt", "--threads", 1, *options) == 0
        assert remote == capfdbinary.readouterr().out


def test_a_job_is_resumed_and_its_manifest_has_the_servers_fingerprint(
    url: str, local: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", 40)
    for name in "ab":
        Path(f"{name}.txt").write_text("\n".join(TEXTS[5:25]))
    command = "tiny", "a.txt", "b.txt", "--server", url, "-o"
    assert tag(*command, "whole") == 0
    sent, tag_many = list[list[str]](), RemoteTagger.tag_many

    def stopped(self: RemoteTagger, texts: Any, labels: Any = None) -> Iterator[Spans]:
        sent.append(list(texts))
        if len(sent) == 5:
            raise KeyboardInterrupt
        return tag_many(self, sent[-1], labels)

    monkeypatch.setattr(RemoteTagger, "tag_many", stopped)
    assert [tag(*command, "out"), tag(*command, "out")] == [130, 0]
    first, second = sent[:4], sent[5:]  # which begin with an empty text, to know the model
    assert [text for texts in first for text in texts][1:] + [text for texts in second for text in texts][1:] == (
        TEXTS[5:25] * 2
    )
    for name in ("a.jsonl", "b.jsonl", "manifest.json"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
    made = json.loads(Path("out/manifest.json").read_text())["tagger"]
    assert (made["sha256"], made["backend"]) == (local.fingerprint, f"server: {local.answering}")


def test_what_a_server_cant_do_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("Ada")
    Path("x.conll").write_text("Ada\tO\n\n")
    refused = {
        (
            "tiny",
            "x.txt",
            "--precision",
            "int8",
            "--threads",
            "2",
            "--workers",
            "2",
        ): "nerbert: --precision, --threads, --workers: up to the server; leave this out, or leave out --server\n",
        ("tiny", "x.conll"): "nerbert: x.conll:1: a sentence with its own words can't be sent to a server, which",
        ("other", "x.txt"): f"nerbert: {url}: model 'other': must be one of tiny\n",
    }
    for arguments, words in refused.items():
        assert tag(*arguments, "--server", url) == 1
        assert capsys.readouterr().err.startswith(words)
    monkeypatch.delenv("NERBERT_TOKEN")
    assert tag("tiny", "x.txt", "--server", url, "-o", "y.jsonl") == 1
    assert "a token is needed" in capsys.readouterr().err
    assert not list(tmp_path.glob("*y.jsonl*"))
