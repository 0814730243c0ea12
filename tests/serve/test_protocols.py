"""Each protocol, asked by the JSON that its clients send, Hugging Face's by its own client."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub as hub
import pytest

from nerbert.sentences import SEVERAL_LANGUAGES
from nerbert.tagger.tagger import Tagger
from tests.serve.servers import LABELS, Inside, assert_fault, inside
from tests.tagger.batches import TEXTS

SHIP = "a ship, a SHIP in Port"
FOUND = [("ship", "ship", 2, 6, 0.6), ("SHIP", "ship", 10, 14, 0.9), ("Port", "port", 18, 22, 0.9)]
ADA = "👩‍🔬 Ada Lovelace came to London."


def rows(spans: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return the spans of an answer, their confidence in two digits."""
    return [
        tuple(round(span[name], 2) if isinstance(span[name], float) else span[name] for name in names) for span in spans
    ]


def tag(server: Inside, text: object = SHIP, labels: object = LABELS, **more: Any) -> list[dict[str, Any]]:
    """Return the entities of one text in nerbert's own protocol."""
    (result,) = server.tag(text, labels, **more).json()["results"]
    spans: list[dict[str, Any]] = result["spans"]
    return spans


@pytest.fixture(scope="module")
def tagger(tiny_tagger: Path) -> Tagger:
    """A trained tagger of fixed types, which cuts long sentences off."""
    return Tagger.load(tiny_tagger, on_too_long="truncate", threads=1)


@pytest.fixture(scope="module")
def trained(tagger: Tagger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A server of it, which reads few subwords at once."""
    folder = tmp_path_factory.mktemp("trained") / "sea"
    with inside(folder, lambda _: tagger, name="sea", batch=256) as running:
        yield running


# --- Hugging Face ---


def test_hugging_faces_client(server: Inside) -> None:
    ask = hub.InferenceClient(model=f"{server.url}/models/told?labels=ship,port", token="none").token_classification
    whole = [(each.entity_group, each.word, each.start, each.end, round(each.score, 1)) for each in ask(SHIP)]
    assert whole == [(type_, text, start, end, sure) for text, type_, start, end, sure in FOUND]
    for how in ("simple", "first", "average", "max"):
        assert [each.word for each in ask(SHIP, aggregation_strategy=how)] == ["ship", "SHIP", "Port"]
    words = ask(SHIP, aggregation_strategy="none", ignore_labels=["B-port"], stride=3)
    assert [(each.entity, each.entity_group, each.word) for each in words] == [
        ("B-ship", None, "ship"),
        ("B-ship", None, "SHIP"),
    ]
    assert [each.word for each in ask(SHIP, aggregation_strategy="max", ignore_labels=["ship"])] == ["Port"]
    sure = hub.InferenceClient(model=f"{server.url}/models/told?labels=ship&threshold=0.7", token="none")
    assert [each.word for each in sure.token_classification(SHIP)] == ["SHIP"]
    endpoint = hub.InferenceClient(model=f"{server.url}/?labels=ship,port", token="none")  # the first model's
    assert [each.word for each in endpoint.token_classification(SHIP)] == ["ship", "SHIP", "Port"]
    nobody = hub.InferenceClient(model=f"{server.url}/models/nobody?labels=ship", token="none")
    with pytest.raises(hub.errors.HfHubHTTPError, match="model 'nobody'"):
        nobody.token_classification(SHIP)


def test_words_of_an_entity_are_b_and_i(trained: Inside, tagger: Tagger) -> None:
    text = TEXTS[0]
    words = trained.clients[0].post(
        "/models/sea", json={"inputs": text, "parameters": {"aggregation_strategy": "none"}}
    )
    tags = [(word["entity"], word["word"], word["start"]) for word in words.json()]
    assert [start for name, _, start in tags if name.startswith("B-")] == [span.start for span in tagger.tag(text)]
    assert any(name.startswith("I-") for name, _, _ in tags)
    assert all(text[start:].startswith(word) for _, word, start in tags)


def test_a_list_of_inputs_has_a_list_of_answers(client: httpx.Client) -> None:
    found = client.post("/models/told?labels=ship", json={"inputs": ["a ship", "", "none"]}).json()
    assert [[each["word"] for each in some] for some in found] == [["ship"], [], []]
    assert client.post("/models/told?labels=ship", json={"inputs": []}).json() == []
    assert_fault(client.post("/models/told", json={"inputs": SHIP}), 422, "give labels")
    strange = {"inputs": SHIP, "parameters": {"aggregation_strategy": "median"}}
    assert_fault(client.post("/models/told?labels=ship", json=strange), 422, "parameters.aggregation_strategy")
    assert_fault(client.post("/models/told?labels=ship&threshold=2", json={"inputs": SHIP}), 422, "threshold")


# --- GLiNER ---


def test_what_gliners_client_sends(client: httpx.Client) -> None:
    """As gliner 0.2.29 makes it."""

    def ask(**more: Any) -> httpx.Response:
        return client.post(
            "/gliner", json={"text": SHIP, "labels": LABELS, "flat_ner": True, "multi_label": False, **more}
        )

    assert rows(ask().json()["entities"], "text", "label", "start", "end", "score") == FOUND
    assert [each["text"] for each in ask(threshold=0.7).json()["entities"]] == ["SHIP", "Port"]
    prompts = ask(labels={"ship": "a vessel", "port": "where ships call"})
    assert prompts.json() == ask().json()
    assert_fault(ask(relations=["serves"]), 400, "relations = ['serves']")
    assert_fault(ask(adapter_id="mine"), 400, "adapter_id = 'mine'")
    assert_fault(ask(multi_label=True), 400, "multi_label = True")
    assert_fault(ask(labels=[]), 422, "labels: none given")
    assert_fault(client.post("/gliner", json={"text": SHIP}), 422, "labels is missing")


# --- Presidio ---


def test_presidios_shapes(client: httpx.Client) -> None:
    def ask(text: Any = SHIP, **more: Any) -> httpx.Response:
        return client.post("/analyze", json={"text": text, "language": "en", **more})

    found = ask(entities=["SHIP", "PORT"]).json()
    assert rows(found, "entity_type", "start", "end", "score") == [
        (type_.upper(), start, end, sure) for _, type_, start, end, sure in FOUND
    ]
    assert {each["analysis_explanation"] for each in found} == {None}
    several = ask([SHIP, "", "port"], entities=["PORT"]).json()
    assert [[each["start"] for each in one] for one in several] == [[18], [], [0]]
    assert ask([], entities=["PORT"]).json() == []
    assert [each["start"] for each in ask(entities=["SHIP"], score_threshold=0.7).json()] == [10]
    assert [each["start"] for each in ask(entities=["SHIP"], allow_list=["ship"]).json()] == [10]
    litellm = ask(entities=["SHIP"], ad_hoc_recognizers=None, correlation_id="7", return_decision_process=False)
    assert len(litellm.json()) == 2
    assert_fault(ask(ad_hoc_recognizers=[{"name": "mine"}], entities=["SHIP"]), 400, "ad_hoc_recognizers")
    regex = {"allow_list": ["s.*"], "allow_list_match": "regex"}
    assert_fault(ask(entities=["SHIP"], **regex), 400, "allow_list_match")
    assert_fault(client.post("/analyze", json={"text": SHIP}), 422, "language is missing")
    assert_fault(ask(language="de", entities=["SHIP"]), 422, "language 'de': the models here are for en")
    named = client.post("/analyze?model=told", json={"text": SHIP, "language": "de", "entities": ["PORT"]})
    assert len(named.json()) == 1
    assert client.get("/health").text == "Presidio Analyzer service is up"
    assert client.get("/supportedentities?language=en").json() == []


def test_a_model_of_several_languages_answers_presidio_in_each(
    trained: Inside, tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tagger, "language", SEVERAL_LANGUAGES)
    client = trained.clients[0]
    assert client.post("/analyze", json={"text": TEXTS[0], "language": "de"}).json()
    assert client.get("/supportedentities?language=de").json()


def test_presidios_names_of_fixed_types(trained: Inside, tagger: Tagger) -> None:
    def ask(**more: Any) -> httpx.Response:
        return trained.clients[0].post("/analyze", json={"text": TEXTS[0], "language": "en", **more})

    spans = tagger.tag(TEXTS[0])
    every = rows(ask().json(), "entity_type", "start")
    assert every == [(each.type.upper(), each.start) for each in spans]
    one = next(each for each in spans if each.type == "person")
    for names in (["PERSON"], ["person"], ["PERSON", "CREDIT_CARD"]):
        found = ask(entities=names).json()
        assert one.start in [each["start"] for each in found]
        assert {each["entity_type"] for each in found} == {names[0]}, "as the caller calls it"
    assert_fault(ask(entities=["CREDIT_CARD"]), 422, "the model sea finds none of")
    assert ask(entities=[]).json() == ask().json()
    assert trained.clients[0].get("/supportedentities").json() == [each.upper() for each in tagger.types]


# --- nerbert's own ---


def test_a_text_and_a_list(server: Inside) -> None:
    one = server.tag(SHIP).json()
    (result,) = one["results"]
    assert (one["model"], one["offsets"], result["characters"], result["read"]) == ("told", "characters", 22, 22)
    assert rows(result["spans"], "text", "type", "start", "end", "confidence") == FOUND
    several = server.tag([SHIP, "", SHIP]).json()
    assert several["results"] == [result, {"spans": [], "characters": 0, "read": 0}, result]
    assert server.tag([]).json()["results"] == []


def test_labels_and_thresholds(server: Inside) -> None:
    table: list[tuple[Any, dict[str, Any], list[str]]] = [
        (["port: where ships call"], {}, ["Port"]),
        (LABELS, {"thresholds": 0.7}, ["SHIP", "Port"]),
        (LABELS, {"thresholds": {"ship": 0.95}}, ["Port"]),
        (LABELS, {"thresholds": {"ship": 0.95, "port": 1}}, []),
    ]
    for labels, more, texts in table:
        assert [span["text"] for span in tag(server, SHIP, labels, **more)] == texts
    asked = {"text": SHIP, "labels": LABELS}
    assert server.clients[0].post("/tag?model=told", json=asked).status_code == 200
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"thresholds": {"shp": 0.5}}, 400, "shp"),
        ({"labels": ["ship", "Ship"]}, 422, "differ only in case"),
        ({"thresholds": 1.5}, 400, "must be a number, at least 0, at most 1"),
        ({"labels": None}, 422, "give labels"),
        ({"offsets": "graphemes"}, 422, "offsets"),
        ({"tresholds": 0.5}, 422, "tresholds"),
        ({"model": "told"}, 400, "leave one out"),
    ]
    for body, status, words in refused:
        assert_fault(server.clients[0].post("/tag?model=told", json={**asked, **body}), status, words)
    assert_fault(server.tag(SHIP, model="tould"), 400, "did you mean 'told'?")
    nan = b'{"text": "a", "labels": ["ship"], "thresholds": {"ship": NaN}}'
    assert_fault(server.clients[0].post("/tag", content=nan), 400, "threshold")


def test_entities_inside_others(server: Inside, trained: Inside) -> None:
    text, labels = "a ship in port", ["whole", "ship"]
    assert rows(tag(server, text, labels, nested=True), "text", "type") == [(text, "whole"), ("ship", "ship")]
    assert rows(tag(server, text, labels, nested=False), "text", "type") == [("ship", "ship")]
    body = {"text": text, "labels": labels}
    answers = [server.clients[0].post("/gliner", json={**body, "flat_ner": flat}).json() for flat in (True, False)]
    assert [len(answer["entities"]) for answer in answers] == [1, 2]
    assert_fault(trained.tag(SHIP, None, nested=True), 400, "decoding")


@pytest.mark.parametrize(
    ("unit", "coding", "wide"), [("characters", "utf-32-le", 4), ("utf-16", "utf-16-le", 2), ("bytes", "utf-8", 1)]
)
def test_places_in_three_units(server: Inside, unit: str, coding: str, wide: int) -> None:
    answer, content = server.tag(ADA, ["lovelace", "london"], offsets=unit).json(), ADA.encode(coding)
    (result,) = answer["results"]
    parts = [content[span["start"] * wide : span["end"] * wide].decode(coding) for span in result["spans"]]
    assert (answer["offsets"], parts) == (unit, ["Lovelace", "London"])
    assert (result["characters"], result["read"]) == (len(ADA), len(ADA))


def test_what_was_not_read_is_told(trained: Inside, tagger: Tagger) -> None:
    long = " ".join(f"Margarethe {number}" for number in range(400))
    read = tagger.tag(long).read
    assert 0 < read < len(long)
    (result,) = trained.tag(long, None).json()["results"]
    assert (result["characters"], result["read"]) == (len(long), read)
    words = f"the model read {read:,} of {len(long):,} characters"
    assert_fault(trained.clients[0].post("/v1/extract", json={"text": long}), 422, words)


def test_models_and_states(trained: Inside, tagger: Tagger) -> None:
    client = trained.clients[0]
    (model,) = client.get("/models").json()["models"]
    assert model == {
        "name": "sea",
        "fingerprint": tagger.fingerprint,
        "types": tagger.types,
        "takes_labels": False,
        "language": "en",
        "answering": f"{tagger.answering}, on_too_long truncate",
        "word_splitter": tagger.splitter,
        "threshold": 0.0,
    }
    assert trained.tag(TEXTS[0], None).json()["fingerprint"] == tagger.fingerprint
    assert [client.get(path).text for path in ("/healthz", "/ready")] == ["ok", "ready"]
    counts = client.get("/metrics")
    assert counts.headers["content-type"].startswith("text/plain; version=")
    lines = dict(line.rsplit(" ", 1) for line in counts.text.splitlines() if not line.startswith("#"))
    assert float(lines['nerbert_requests_total{path="/tag",status="200"}']) >= 1
    assert float(lines['nerbert_words_total{model="sea"}']) >= len(TEXTS[0].split())
    assert lines["nerbert_waiting_texts"] == "0.0"


def test_each_example_of_the_description_is_answered(server: Inside, trained: Inside) -> None:
    """Those without labels by a tagger that has types."""
    asked, models = 0, {True: (server, "told"), False: (trained, "sea")}
    for path, operations in server.clients[0].get("/openapi.json").json()["paths"].items():
        bodies = [operation["requestBody"] for operation in operations.values() if "requestBody" in operation]
        for media, content in (entry for body in bodies for entry in body["content"].items()):
            assert content["examples"], path
            for example in content["examples"].values():
                body, headers = json.dumps(example["value"]), {"content-type": media}
                if "xmi" in body and not find_spec("cassis"):
                    continue
                one, name = models["labels" in body or "entities" in example["value"]]
                answer = one.clients[0].post(path.replace("{model}", name), content=body, headers=headers)
                assert answer.status_code == 200, (path, answer.text)
                assert "error" not in answer.text
                asked += 1
    assert asked >= 6
