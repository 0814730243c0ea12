"""Tools that ask a server for suggestions: Label Studio, doccano, INCEpTION, NeMo Guardrails."""

import asyncio
import json
import threading
from base64 import b64encode
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from nerbert.cli import app
from nerbert.errors import InputError
from nerbert.serve.app import Access
from nerbert.tagger.tagger import Tagger
from tests.serve.conftest import Serve
from tests.serve.servers import Inside, assert_fault

TEXT = "👩‍🔬 a ship, a SHIP in Port"
INTERFACE = """<View>
  <Header value="Ships"/>
  <Labels name="kind" toName="words"><Label value="Ship"/><Label value="port"/><Label value="crew"/></Labels>
  <Text name="words" value="$note"/>
</View>"""
ONE_LABEL = '<View><Labels name="k" toName="t"><Label value="{}"/></Labels><Text name="t" value="$note"/></View>'
TOKEN = "0123456789abcdef-token"
START = {"action": "START_TRAINING", "project": {"id": 12, "title": "Ships", "label_config": INTERFACE}}


def predict(client: httpx.Client, *texts: object, interface: str = INTERFACE, **more: Any) -> httpx.Response:
    """Ask for predictions, as Label Studio does."""
    tasks = [{"id": number, "data": {"note": text}} for number, text in enumerate(texts)]
    body = {"tasks": tasks, "project": "3.1700000000", "label_config": interface, "params": {"login": None}}
    return client.post("/label-studio/predict", json={**body, **more})


def happens(client: httpx.Client, event: object, **headers: str) -> httpx.Response:
    """Say what happened, as Label Studio does."""
    return client.post("/label-studio/webhook", json=event, headers=headers)


# --- Label Studio ---


def test_label_studio_gets_predictions(client: httpx.Client) -> None:
    setup = client.post("/label-studio/setup", json={"project": "3.17", "schema": INTERFACE}).json()
    ships, nothing = predict(client, TEXT, "").json()["results"]
    assert ships["model_version"] == nothing["model_version"] == setup["model_version"]
    assert {(region["from_name"], region["to_name"], region["type"]) for region in ships["result"]} == {
        ("kind", "words", "labels")
    }
    values = [region["value"] for region in ships["result"]]
    assert [(value["text"], value["labels"]) for value in values] == [
        ("ship", ["Ship"]),
        ("SHIP", ["Ship"]),
        ("Port", ["port"]),
    ]
    assert all(TEXT[value["start"] : value["end"]] == value["text"] for value in values)
    assert nothing["result"] == []
    assert [len(task["result"]) for task in predict(client, None, "a ship", 7, ["a ship"]).json()["results"]] == [
        0,
        1,
        0,
        0,
    ], "a task without a text has no entities"
    assert predict(client).json() == {"results": []}
    assert_fault(predict(client, None, 7), 422, "none has a text under 'note'")


@pytest.mark.parametrize(
    ("interface", "why"),
    [
        ("<View></View>", "no <Labels>"),
        ("", "the labelling interface: "),
        ('<View><Labels name="a" toName="t"/><Text name="t" value="$note"/></View>', "no <Labels>"),
        ('<View><Labels name="a" toName="u"><Label value="ship"/></Labels><Text name="t" value="$n"/></View>', "no <L"),
        (f'<View><Image name="words" value="$note"/>{INTERFACE[7:80]}</View>', "the labelling interface: "),
        (INTERFACE.replace('value="$note"', 'value="$note" valueType="url"'), "no <Labels>"),
        ('<!DOCTYPE v [<!ENTITY a "aaaa">]><View>&a;</View>', "DOCTYPE"),
        ("<View>" * 50_000, "the labelling interface: "),
    ],
)
def test_a_project_without_labels_is_refused_and_the_log_says_why(server: Inside, interface: str, why: str) -> None:
    client = server.clients[0]
    before = server.log().count("Label Studio: ")
    assert_fault(client.post("/label-studio/setup", json={"project": "1.2", "schema": interface}), 422, why)
    assert_fault(predict(client, "a ship", interface=interface), 422, why)
    server.logged("Label Studio: ", before + 2)


def test_a_tagger_of_fixed_types_finds_those_that_a_project_has(tiny_tagger: Path, serve: Serve) -> None:
    known, text = Tagger.load(tiny_tagger), "The Ingeborg left Bergen with Anna."
    one, *others = known.types
    client = serve(lambda _: known, name="tiny").clients[0]
    (answer,) = predict(client, text, interface=ONE_LABEL.format(one.upper())).json()["results"]
    values = [region["value"] for region in answer["result"]]
    assert [(value["start"], value["end"], value["labels"]) for value in values] == [
        (span.start, span.end, [one.upper()]) for span in known.with_labels([one]).tag(text)
    ]
    refused = predict(client, text, interface=ONE_LABEL.format("gravy"))
    assert_fault(refused, 422, f"finds {', '.join([one, *others])}, and none of gravy")


def test_a_token_is_the_password(serve: Serve) -> None:
    client = serve(access=Access(token=TOKEN)).clients[0]
    assert client.get("/label-studio/health").json()["status"] == "UP"
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}
    for header in ("Basic ?", "Basic " + b64encode(b"anyone:wrong").decode()):
        assert_fault(happens(client, event, authorization=header), 401, "a token is needed")
    right = "Basic " + b64encode(f"anyone:{TOKEN}".encode()).decode()
    assert happens(client, event, authorization=right).json()["status"] == "ok"


class LabelStudioServer:
    """What a server fetches annotations from: `tasks`, for those who send a key that it knows; it waits for `ready`."""

    def __init__(self) -> None:
        self.ready, self.asked = threading.Event(), list[str]()
        spans = [("The brig Ida left.", "Ida"), ("We saw the Clara.", "Clara"), ("The Ingeborg sank.", "Ingeborg")]
        self.tasks = [
            {
                "id": number,
                "data": {"note": text},
                "annotations": [
                    {
                        "id": number,
                        "result": [
                            {
                                "from_name": "kind",
                                "to_name": "words",
                                "type": "labels",
                                "id": "a",
                                "value": {
                                    "start": text.index(name),
                                    "end": text.index(name) + len(name),
                                    "labels": ["Ship"],
                                },
                            }
                        ],
                    }
                ],
            }
            for number, (text, name) in enumerate(spans)
        ]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            known = json.loads(request.content) == {"refresh": "a.b.c"}
            return httpx.Response(200 if known else 401, json={"access": "short"})
        while not self.ready.is_set():
            await asyncio.sleep(0.01)
        self.asked.append(str(request.url))
        known = request.headers["Authorization"] in ("Bearer short", "Token old")
        return httpx.Response(200 if known else 401, json=self.tasks)


@pytest.fixture
def label_studio(monkeypatch: pytest.MonkeyPatch) -> LabelStudioServer:
    found, client = LabelStudioServer(), httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", partial(client, transport=httpx.MockTransport(found)))
    return found


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The trainings that a server asked for, by their arguments; none fine-tunes anything."""
    asked = list[dict[str, Any]]()

    async def run_command(*arguments: str) -> bytes:
        function, bound, *_ = app.parse_args(arguments, exit_on_error=False, print_error=False)
        assert function.__name__ == "finetune"
        asked.append(dict(bound.arguments))
        if not json.loads(bound.arguments["data"].read_text()):
            raise InputError("no sentence")
        return b""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://label-studio")
    monkeypatch.setattr("nerbert.serve.protocols.label_studio.run_command", run_command)
    return asked


@pytest.mark.parametrize("key", ["a.b.c", "old"])
def test_label_studio_starts_a_training(
    serve: Serve, label_studio: LabelStudioServer, key: str, training: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", key)
    server = serve(allow_training=True)
    client = server.clients[0]
    begun = happens(client, START).json()
    assert_fault(happens(client, START), 409, "in training already")
    assert happens(client, {"action": "TASKS_CREATED"}).status_code == 200
    label_studio.ready.set()
    server.logged(f"is now {begun['result']}/tagger")
    assert label_studio.asked == ["http://label-studio/api/projects/12/export?exportType=JSON"]
    (arguments,) = training
    data, output = Path(begun["result"], "annotations.json"), Path(begun["result"], "tagger")
    assert (arguments["encoder"], arguments["data"], arguments["output"]) == ("nowhere", data, output)
    assert json.loads(data.read_text()) == label_studio.tasks
    assert server.service.find().source == str(output)


def test_a_training_that_fails_leaves_the_tagger(
    serve: Serve, label_studio: LabelStudioServer, training: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    label_studio.ready.set()
    server = serve(allow_training=True)
    client, before = server.clients[0], server.service.find()
    for number, key in enumerate(("wrong", "old"), 1):
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", key)
        assert happens(client, {"action": "START_TRAINING", "project": {"id": number}}).status_code == 200
        server.logged(f"no training in label-studio/{number}-")
        label_studio.tasks = []
    assert len(training) == 1
    assert "401" in server.log()
    assert "wrong" not in server.log()
    assert server.service.find() is before
    assert_fault(happens(client, {"action": "START_TRAINING"}), 422, "project is missing")
    monkeypatch.setenv("LABEL_STUDIO_URL", "file:///etc")
    assert_fault(happens(client, START), 400, "LABEL_STUDIO_API_KEY")


def test_nothing_is_trained_unless_it_is_allowed(client: httpx.Client) -> None:
    assert_fault(happens(client, START), 403, "--allow-training")
    assert happens(client, {"action": "MADE_UP", "more": 1}).status_code == 200


# --- doccano ---


def test_doccanos_template_reads_the_answer(server: Inside) -> None:
    from jinja2 import Template

    page = (Path(__file__).parents[2] / "docs/how-to/annotation-servers.md").read_text(encoding="utf-8")
    template = Template(page.partition("```jinja\n")[2].partition("```")[0])
    for text, expected in ((TEXT, ["ship", "SHIP", "Port"]), ("nothing", [])):
        labels = json.loads(template.render(input=server.tag(text).json()))
        assert [text[label["start_offset"] : label["end_offset"]] for label in labels] == expected
        assert all(label["label"] in ("ship", "port") for label in labels)


# --- INCEpTION (deploy/inception_recommender.py) ---

LAYER = "webanno.custom.Ships"


@pytest.fixture
def recommender(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    """A client of a server with the protocol."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "deploy")
    return serve(protocols=["inception_recommender:operations"]).clients[0]


@pytest.fixture
def document() -> Any:
    """A document of INCEpTION's: tokens, of which one is longer than an entity, and a layer."""
    import cassis

    types = cassis.load_dkpro_core_typesystem()
    layer = types.create_type(LAYER, "uima.tcas.Annotation")
    for name, kind in (("kind", "String"), ("kind_score", "Double"), ("inception_internal_predicted", "Boolean")):
        types.create_feature(layer, name, f"uima.cas.{kind}")
    cas = cassis.Cas(typesystem=types)
    cas.sofa_string, cas.sofa_mime = "👩‍🔬 a ship-yard", "text/plain"
    token = types.get_type("de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Token")
    cas.add_all([token(begin=0, end=3), token(begin=4, end=5), token(begin=6, end=15)])
    return cas


def recommend(client: httpx.Client, cas: Any, path: str = "?labels=ship", **metadata: str) -> httpx.Response:
    """Ask as INCEpTION does, whose client offers HTTP/2."""
    meta = {"layer": LAYER, "feature": "kind", "projectId": 1, "anchoringMode": "tokens", "crossSentence": False}
    body = {
        "metadata": {**meta, **metadata},
        "typeSystem": cas.typesystem.to_xml(),
        "document": {"xmi": cas.to_xmi(), "documentId": 2, "userId": "anna"},
    }
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    return client.post(f"/inception/predict{path}", json=body, headers=headers)


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore:open_binary is deprecated")
@pytest.mark.parametrize(("mode", "covered"), [("tokens", "ship-yard"), ("characters", "ship")])
def test_inception_gets_annotations(recommender: httpx.Client, document: Any, mode: str, covered: str) -> None:
    import cassis

    answer = recommend(recommender, document, anchoringMode=mode)
    assert answer.status_code == 200, answer.text
    again = cassis.load_cas_from_xmi(answer.json()["document"], document.typesystem)
    (entity,) = again.select(LAYER)
    assert (entity.get_covered_text(), entity.kind, entity.inception_internal_predicted) == (covered, "ship", True)
    assert 0 < entity.kind_score <= 1
    assert 'begin="8"' in answer.json()["document"], "UTF-16 units"
    assert len(again.select("de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Token")) == 3


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore:open_binary is deprecated")
def test_inceptions_bad_documents_are_refused(recommender: httpx.Client, document: Any) -> None:
    assert_fault(recommend(recommender, document, layer="no.such.Layer"), 422, "no.such.Layer")
    assert_fault(recommend(recommender, document, feature="colour"), 422, "has no feature colour")
    assert_fault(recommend(recommender, document, anchoringMode="words"), 422, "anchoringMode")
    body = {"metadata": {"layer": LAYER, "feature": "kind"}, "typeSystem": document.typesystem.to_xml()}
    for xmi in ("", "<xmi", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "<a/>"):
        answer = recommender.post("/inception/predict?labels=ship", json={**body, "document": {"xmi": xmi}})
        assert answer.status_code in (200, 422), answer.text
        assert ("error" in answer.json()) == (answer.status_code == 422)


# --- NeMo Guardrails ---


def test_both_forms_of_nemo_guardrails(client: httpx.Client) -> None:
    asked = {"labels": ["ship", "port"], "threshold": 0.3, "chunk_length": 384, "overlap": 128, "flat_ner": False}
    plain = client.post("/v1/extract", json={"text": TEXT, **asked}).json()
    rows = [
        (entity["value"], entity["suggested_label"], TEXT[entity["start_position"] : entity["end_position"]])
        for entity in plain["entities"]
    ]
    assert rows == [("ship", "ship", "ship"), ("SHIP", "ship", "SHIP"), ("Port", "port", "Port")]
    tagged = "👩‍🔬 a [ship](ship), a [SHIP](ship) in [Port](port)"
    assert (plain["total_entities"], plain["tagged_text"]) == (3, tagged)
    for content in (TEXT, [{"type": "text", "text": TEXT}]):
        messages = [{"role": "system", "content": "a ship"}, {"role": "user", "content": content}]
        body = {"model": "nvidia/gliner-pii", "messages": messages, **asked}
        choices = client.post("/v1/chat/completions", json=body).json()["choices"]
        answer = json.loads(choices[0]["message"]["content"])
        names = ("text", "label", "start", "end", "score")
        assert [tuple(entity[name] for name in names) for entity in answer["entities"]] == [
            tuple(entity.values()) for entity in plain["entities"]
        ]
        assert (answer["total_entities"], answer["tagged_text"]) == (3, tagged)
    assert_fault(client.post("/v1/chat/completions", json={"messages": []}), 422, "messages")
    assert_fault(client.post("/v1/extract", json={"text": None}), 422, "text")
