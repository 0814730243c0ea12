"""Each protocol, asked by its own client where that can be installed, and by the JSON that it sends."""

import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from nerbert.records import Span
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger
from tests.serve.servers import LABELS, Server, assert_fault, serving
from tests.tagger.batches import TEXTS

SHIP = "a ship, a SHIP in Port"
FOUND = [("ship", "ship", 2, 6, 0.6), ("SHIP", "ship", 10, 14, 0.9), ("Port", "port", 18, 22, 0.9)]
ADA = "👩‍🔬 Ada Lovelace came to London."


def rows(spans: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """The spans of an answer, their confidence in two digits."""
    return [tuple(round(each[name], 2) if isinstance(each[name], float) else each[name] for name in names)
            for each in spans]  # fmt: skip


@pytest.fixture(scope="module")
def exported(tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tagger of fixed types, exported; read only."""
    import shutil

    folder = shutil.copytree(tiny_tagger, tmp_path_factory.mktemp("exported") / "sea")
    export(folder)
    return folder


@pytest.fixture(scope="module")
def trained(exported: Path) -> Iterator[Server]:
    """A server of it, which cuts long sentences off, and reads few subwords at once."""
    with serving(exported, "--on-too-long", "truncate", "--threads", 1, "--batch", 256, head=False) as found:
        yield found


@pytest.fixture(scope="module")
def tagger(exported: Path) -> Tagger:
    return Tagger.load(exported, on_too_long="truncate", threads=1)


# --- Hugging Face ---


def test_hugging_faces_client(server: Server) -> None:
    hub = pytest.importorskip("huggingface_hub")
    ask = hub.InferenceClient(model=f"{server.url}/models/told?labels=ship,port", token="none").token_classification
    whole = [(each.entity_group, each.word, each.start, each.end, round(each.score, 1)) for each in ask(SHIP)]
    assert whole == [(type_, text, start, end, sure) for text, type_, start, end, sure in FOUND]
    for how in ("simple", "first", "average", "max"):
        assert [each.word for each in ask(SHIP, aggregation_strategy=how)] == ["ship", "SHIP", "Port"]
    words = ask(SHIP, aggregation_strategy="none", ignore_labels=["B-port"], stride=3)
    assert [(each.entity, each.entity_group, each.word) for each in words] == [
        ("B-ship", None, "ship"), ("B-ship", None, "SHIP")]  # fmt: skip
    assert [each.word for each in ask(SHIP, aggregation_strategy="max", ignore_labels=["ship"])] == ["Port"]
    sure = hub.InferenceClient(model=f"{server.url}/models/told?labels=ship&threshold=0.7", token="none")
    assert [each.word for each in sure.token_classification(SHIP)] == ["SHIP"]
    nobody = hub.InferenceClient(model=f"{server.url}/models/nobody?labels=ship", token="none")
    with pytest.raises(hub.errors.HfHubHTTPError, match="model 'nobody'"):
        nobody.token_classification(SHIP)


def test_words_of_an_entity_are_b_and_i(trained: Server, tagger: Tagger) -> None:
    text = TEXTS[0]
    words = trained.clients[0].post(
        "/models/sea", json={"inputs": text, "parameters": {"aggregation_strategy": "none"}}
    )
    found = [(each["entity"], each["word"], each["start"]) for each in words.json()]
    spans = tagger.tag(text)
    assert [place for tag, _, place in found if tag.startswith("B-")] == [each.start for each in spans]
    assert any(tag.startswith("I-") for tag, _, _ in found)
    assert all(text[place:].startswith(word) for _, word, place in found)


def test_a_list_of_inputs_has_a_list_of_answers(client: httpx.Client) -> None:
    found = client.post("/models/told?labels=ship", json={"inputs": ["a ship", "", "none"]}).json()
    assert [[each["word"] for each in some] for some in found] == [["ship"], [], []]
    assert client.post("/models/told?labels=ship", json={"inputs": []}).json() == []
    assert_fault(client.post("/models/told", json={"inputs": SHIP}), 422, "give labels")
    strange = {"inputs": SHIP, "parameters": {"aggregation_strategy": "median"}}
    assert_fault(client.post("/models/told?labels=ship", json=strange), 422, "parameters.aggregation_strategy")
    assert_fault(client.post("/models/told?labels=ship&threshold=2", json={"inputs": SHIP}), 422, "threshold")


# --- GLiNER ---


def gliner_client() -> ModuleType:
    """GLiNER's client by its file: the package's own modules import torch and more."""
    try:
        package = importlib.metadata.distribution("gliner")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package gliner isn't installed; the JSON that its client sends is tested all the same")
    spec = importlib.util.spec_from_file_location("gliner_client", package.locate_file("gliner/serve/client.py"))  # type: ignore[arg-type]
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_gliners_client(server: Server) -> None:
    module = gliner_client()
    client = module.GLiNERClient(server.url, "/gliner")
    found = client.predict(SHIP, LABELS)
    assert rows(found["entities"], "text", "label", "start", "end", "score") == FOUND
    several = client.predict([SHIP, "no names"], {"ship": "a vessel"}, threshold=0.7)
    assert [[each["text"] for each in one["entities"]] for one in several] == [["SHIP"], []]
    each_its_own = client.predict(["a ship in port"] * 2, [["ship"], ["port"]])
    assert [one["entities"][0]["label"] for one in each_its_own] == ["ship", "port"]
    for refused in ({"relations": ["r"]}, {"multi_label": True}, {"adapter_id": "x"}):
        with pytest.raises(module.GLiNERClientError, match="400"):
            client.predict(SHIP, LABELS, **refused)


def test_what_gliners_client_sends(client: httpx.Client) -> None:
    """As gliner 0.2.29 makes it."""

    def ask(**more: Any) -> httpx.Response:
        return client.post("/gliner", json={"text": SHIP, "labels": LABELS, "flat_ner": True, "multi_label": False,
                                            **more})  # fmt: skip

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
        (type_.upper(), start, end, sure) for _, type_, start, end, sure in FOUND]  # fmt: skip
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


def test_presidios_names_of_fixed_types(trained: Server, tagger: Tagger) -> None:
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


def test_a_text_and_a_list(server: Server) -> None:
    one = server.tag(SHIP).json()
    assert {name: one[name] for name in ("model", "offsets")} == {"model": "told", "offsets": "characters"}
    (result,) = one["results"]
    assert rows(result["spans"], "text", "type", "start", "end", "confidence") == FOUND
    assert (result["characters"], result["read"]) == (len(SHIP), len(SHIP))
    several = server.tag([SHIP, "", SHIP]).json()
    assert several["results"] == [result, {"spans": [], "characters": 0, "read": 0}, result]
    assert server.tag([]).json()["results"] == []


def test_labels_and_thresholds(server: Server) -> None:
    def texts(labels: object, **more: Any) -> list[str]:
        return [each["text"] for each in server.tag(SHIP, labels, **more).json()["results"][0]["spans"]]

    assert texts(["port: where ships call"]) == ["Port"]
    assert texts(LABELS, thresholds=0.7) == ["SHIP", "Port"]
    assert texts(LABELS, thresholds={"ship": 0.95}) == ["Port"]
    assert texts(LABELS, thresholds={"ship": 0.95, "port": 1}) == []
    assert_fault(server.tag(SHIP, thresholds={"shp": 0.5}), 400, "shp")
    assert_fault(server.tag(SHIP, thresholds=1.5), 400, "must be a number, at least 0, at most 1")
    assert_fault(server.tag(SHIP, ["ship", "Ship"]), 422, "differ only in case")
    assert_fault(server.tag(SHIP, None), 422, "give labels")
    assert_fault(server.tag(SHIP, offsets="graphemes"), 422, "offsets")
    assert_fault(server.tag(SHIP, tresholds=0.5), 422, "tresholds")
    assert_fault(server.tag(SHIP, model="tould"), 400, "did you mean 'told'?")
    assert_fault(server.clients[0].post("/tag?model=told", json={"text": SHIP, "model": "told"}), 400, "leave one out")
    assert server.clients[0].post("/tag?model=told", json={"text": SHIP, "labels": LABELS}).status_code == 200


def test_entities_inside_others(server: Server, trained: Server) -> None:
    asked, inner = ["whole", "ship"], ("a ship in port", "whole")
    found = [
        server.tag("a ship in port", asked, nested=nested).json()["results"][0]["spans"] for nested in (True, False)
    ]
    assert [rows(spans, "text", "type") for spans in found] == [[inner, ("ship", "ship")], [("ship", "ship")]]
    body = {"text": "a ship in port", "labels": asked}
    answers = [server.clients[0].post("/gliner", json={**body, "flat_ner": flat}).json() for flat in (True, False)]
    assert [len(each["entities"]) for each in answers] == [1, 2]
    assert_fault(trained.tag(SHIP, None, nested=True), 400, "decoding")


def test_places_in_three_units(server: Server) -> None:
    encoded: dict[str, tuple[str, str | bytes]] = {
        "characters": ("", ADA), "utf-16": ("utf-16-le", ADA.encode("utf-16-le")), "bytes": ("utf-8", ADA.encode())
    }  # fmt: skip
    for unit, (coding, content) in encoded.items():
        answer = server.tag(ADA, ["lovelace", "london"], offsets=unit).json()
        assert answer["offsets"] == unit
        (result,) = answer["results"]
        wide = 2 if unit == "utf-16" else 1
        parts = [content[each["start"] * wide : each["end"] * wide] for each in result["spans"]]
        found = [each if isinstance(each, str) else each.decode(coding) for each in parts]
        assert found == ["Lovelace", "London"]
        assert (result["characters"], result["read"]) == (len(ADA), len(ADA))


def test_what_was_not_read_is_told(trained: Server, tagger: Tagger) -> None:
    long = " ".join(f"Margarethe {number}" for number in range(400))
    read = tagger.tag(long).read
    assert 0 < read < len(long)
    (result,) = trained.tag(long, None).json()["results"]
    assert (result["characters"], result["read"]) == (len(long), read)
    assert_fault(trained.tag(long, None, strict=True), 422, f"read {read:,} of {len(long):,} characters")
    assert_fault(trained.tag(["", long], None, strict=True), 422, "text 1: the model read")
    assert trained.tag(TEXTS[0], None, strict=True).status_code == 200


def test_models_and_states(trained: Server, tagger: Tagger) -> None:
    client = trained.clients[0]
    (model,) = client.get("/models").json()["models"]
    assert model == {
        "name": "sea", "fingerprint": tagger.fingerprint, "types": tagger.types, "takes_labels": False,
        "language": "en", "answering": f"{tagger.answering}, on_too_long truncate", "word_splitter": tagger.splitter,
    }  # fmt: skip
    assert trained.tag(TEXTS[0], None).json()["fingerprint"] == tagger.fingerprint
    assert [client.get(path).text for path in ("/healthz", "/ready")] == ["ok", "ready"]
    counts = client.get("/metrics")
    assert counts.headers["content-type"].startswith("text/plain; version=")
    lines = dict(line.rsplit(" ", 1) for line in counts.text.splitlines() if not line.startswith("#"))
    assert float(lines['nerbert_requests_total{path="/tag",status="200"}']) >= 1
    assert float(lines['nerbert_words_total{model="sea"}']) >= len(TEXTS[0].split())
    assert lines["nerbert_waiting_texts"] == "0.0"
    assert_fault(client.post("/models/sea/reload"), 404)


def test_each_example_of_the_description_is_answered(server: Server, trained: Server) -> None:
    """Those without labels by a tagger that has types."""
    description = server.clients[0].get("/openapi.json").json()
    asked = 0
    for path, operations in description["paths"].items():
        for operation in operations.values():
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                assert content["examples"], path
                for example in content["examples"].values():
                    types = "labels" in json.dumps(example) or "entities" in example["value"]
                    one = server if types else trained
                    name = one.folder.name
                    body = json.dumps(example["value"])
                    found = one.clients[0].post(
                        path.replace("{model}", name), content=body, headers={"content-type": media}
                    )
                    assert found.status_code == 200, (path, found.text)
                    assert "error" not in found.text
                    asked += 1
    assert asked >= 6


def test_each_answer_is_that_of_the_text_alone(trained: Server, tagger: Tagger) -> None:
    """Of many requests at once, with several lists of labels."""
    types = tagger.types
    label_sets = [None, types[:2], types[2:], [types[-1], types[0]]]
    asked = [(text, labels) for text in [*TEXTS, *(f"{number} {TEXTS[0]}" for number in range(8))]
             for labels in label_sets]  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: trained.tag(each[0], each[1]).json()["results"][0]["spans"], asked))
    count = 0
    for (text, labels), spans in zip(asked, answers, strict=True):
        wanted = tagger.tag(text, labels)
        got = [Span(each["start"], each["end"], each["type"], each["text"], each["confidence"]) for each in spans]
        assert [(each.start, each.end, each.type) for each in got] == [
            (each.start, each.end, each.type) for each in wanted
        ]
        assert [each.confidence for each in got] == pytest.approx([each.confidence for each in wanted], abs=2e-4)
        count += len(got)
    assert count > len(asked)
