"""Tools that ask a server for suggestions: Label Studio, doccano, INCEpTION, NeMo Guardrails; each by its own code."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.conftest import Serve
from tests.serve.heads import DEADLINE
from tests.serve.servers import Server, assert_fault, serving

TEXT = "👩‍🔬 a ship, a SHIP in Port"
INTERFACE = """<View>
  <Header value="Ships"/>
  <Labels name="kind" toName="words"><Label value="Ship"/><Label value="port"/><Label value="crew"/></Labels>
  <Text name="words" value="$note"/>
</View>"""
TOKEN = "0123456789abcdef-token"


def predict(client: httpx.Client, *texts: object, interface: str = INTERFACE, **more: Any) -> httpx.Response:
    """Ask for predictions, as Label Studio does."""
    tasks = [{"id": number, "data": {"note": text}} for number, text in enumerate(texts)]
    body = {"tasks": tasks, "project": "3.1700000000", "label_config": interface, "params": {"login": None}}
    return client.post("/label-studio/predict", json={**body, **more})


# --- Label Studio ---


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_label_studio_takes_the_predictions(client: httpx.Client) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="pip install 'nerbert[label-studio-test]'")
    interface = sdk.LabelInterface(INTERFACE)
    answer = predict(client, TEXT, "").json()["results"]
    assert [each["model_version"] for each in answer] == [
        client.post("/label-studio/setup", json={"project": "3.17", "schema": INTERFACE}).json()["model_version"]
    ] * 2
    for each in answer:
        assert interface.validate_prediction(each, return_errors=True) == []
    values = [each["value"] for each in answer[0]["result"]]
    assert [(each["text"], each["labels"]) for each in values] == [
        ("ship", ["Ship"]), ("SHIP", ["Ship"]), ("Port", ["port"])]  # fmt: skip
    assert all(TEXT[each["start"] : each["end"]] == each["text"] for each in values)
    assert answer[1]["result"] == []


def test_a_task_without_a_text_has_no_entities(client: httpx.Client) -> None:
    found = predict(client, None, "a ship", 7, ["a ship"]).json()["results"]
    assert [len(each["result"]) for each in found] == [0, 1, 0, 0]
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
def test_a_project_without_labels_is_refused_and_the_log_says_why(server: Server, interface: str, why: str) -> None:
    client = server.clients[0]
    before = server.log().count("Label Studio: ")
    assert_fault(client.post("/label-studio/setup", json={"project": "1.2", "schema": interface}), 422, why)
    assert_fault(predict(client, "a ship", interface=interface), 422, why)
    server.logged("Label Studio: ", before + 2)


def test_a_tagger_of_fixed_types_finds_those_that_a_project_has(tiny_tagger: Path) -> None:
    from nerbert.tagger.tagger import Tagger

    known, text = Tagger.load(tiny_tagger), "The Ingeborg left Bergen with Anna."
    one, *others = known.types
    some = '<View><Labels name="k" toName="t"><Label value="{}"/></Labels><Text name="t" value="$note"/></View>'
    with serving(tiny_tagger, head=False) as server:
        result = predict(server.clients[0], text, interface=some.format(one.upper())).json()["results"][0]["result"]
        assert [(each["value"]["start"], each["value"]["end"], each["value"]["labels"]) for each in result] == [
            (each.start, each.end, [one.upper()]) for each in known.with_labels([one]).tag(text)]  # fmt: skip
        refused = predict(server.clients[0], text, interface=some.format("gravy"))
        assert_fault(refused, 422, f"finds {', '.join([one, *others])}, and none of gravy")


def test_a_token_is_the_password(serve: Serve) -> None:
    server = serve(NERBERT_TOKEN=TOKEN)
    client = server.clients[0]
    assert client.get("/label-studio/health").json()["status"] == "UP"
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}
    for header in ("", "Basic ?", "Basic " + b64encode(b"anyone:wrong").decode(), f"Bearer {TOKEN[1:]}", TOKEN):
        answer = client.post("/label-studio/webhook", json=event, headers={"Authorization": header})
        assert_fault(answer, 401, "a token is needed")
    for header in ("Basic " + b64encode(f"anyone:{TOKEN}".encode()).decode(), f"Bearer {TOKEN}"):
        answer = client.post("/label-studio/webhook", json=event, headers={"Authorization": header})
        assert answer.json()["status"] == "ok"


def test_nothing_is_trained_unless_it_is_allowed(client: httpx.Client) -> None:
    start = {"action": "START_TRAINING", "project": {"id": 1}}
    assert_fault(client.post("/label-studio/webhook", json=start), 403, "--allow-training")
    assert client.post("/label-studio/webhook", json={"action": "MADE_UP", "more": 1}).status_code == 200


class LabelStudioServer(ThreadingHTTPServer):
    """What a server fetches annotations from: `tasks`, for those who send `key`; it waits for `ready`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exports)
        self.ready, self.asked = threading.Event(), list[str]()
        spans = [("The brig Ida left.", "Ida"), ("We saw the Clara.", "Clara"), ("The Ingeborg sank.", "Ingeborg")]
        self.tasks = [
            {"id": number, "data": {"note": text}, "annotations": [{"id": number, "result": [
                {"from_name": "kind", "to_name": "words", "type": "labels", "id": "a",
                 "value": {"start": text.index(name), "end": text.index(name) + len(name), "labels": ["Ship"]}}]}]}
            for number, (text, name) in enumerate(spans)
        ]  # fmt: skip

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Exports(BaseHTTPRequestHandler):
    server: LabelStudioServer

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200 if given == {"refresh": "a.b.c"} else 401, {"access": "short"})

    def do_GET(self) -> None:
        self.server.ready.wait(DEADLINE)
        self.server.asked.append(self.path)
        known = self.headers["Authorization"] in ("Bearer short", "Token old")
        self._answer(200 if known else 401, self.server.tasks)

    def _answer(self, status: int, value: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def label_studio() -> Iterator[LabelStudioServer]:
    with LabelStudioServer() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.ready.set()
        found.shutdown()
        thread.join(DEADLINE)


@pytest.mark.parametrize("key", ["a.b.c", "old"])
def test_label_studio_starts_a_training(
    tiny_tagger: Path, label_studio: LabelStudioServer, key: str, tmp_path: Path
) -> None:
    variables = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": key}
    with serving(tiny_tagger, "--allow-training", head=False, cwd=tmp_path, **variables) as server:
        client = server.clients[0]
        start = {"action": "START_TRAINING", "project": {"id": 12, "title": "Ships", "label_config": INTERFACE}}
        begun = client.post("/label-studio/webhook", json=start).json()
        assert_fault(client.post("/label-studio/webhook", json=start), 409, "in training already")
        assert client.post("/label-studio/webhook", json={"action": "TASKS_CREATED"}).status_code == 200
        label_studio.ready.set()
        server.logged(f"is now {begun['result']}/tagger", seconds=5 * DEADLINE)
        assert label_studio.asked == ["/api/projects/12/export?exportType=JSON"]
        assert client.get("/models").json()["models"][0]["types"] == ["Ship"]
        assert predict(client, "The Ingeborg sank.").status_code == 200
    assert (tmp_path / begun["result"] / "annotations.json").exists()


def test_a_training_that_fails_leaves_the_tagger(label_studio: LabelStudioServer, serve: Serve, tmp_path: Path) -> None:
    label_studio.ready.set()
    server = serve("--allow-training", cwd=tmp_path, LABEL_STUDIO_URL=label_studio.url, LABEL_STUDIO_API_KEY="wrong")
    client, start = server.clients[0], {"action": "START_TRAINING", "project": {"id": 5}}
    for count in (1, 2):
        assert client.post("/label-studio/webhook", json=start).status_code == 200
        server.logged("no training on project 5", count)
        label_studio.tasks = []
    assert "401" in server.log()
    assert "wrong" not in server.log()
    assert server.tag("a ship").status_code == 200
    assert_fault(client.post("/label-studio/webhook", json={"action": "START_TRAINING"}), 422, "project is missing")


def test_a_training_needs_an_address_and_a_key(serve: Serve) -> None:
    server = serve("--allow-training", LABEL_STUDIO_URL="file:///etc", LABEL_STUDIO_API_KEY="key")
    start = {"action": "START_TRAINING", "project": {"id": 5}}
    assert_fault(server.clients[0].post("/label-studio/webhook", json=start), 400, "LABEL_STUDIO_API_KEY")


# --- doccano ---


@pytest.mark.filterwarnings("ignore:Support for class-based `config`", "ignore:.*Pydantic V", "ignore:The `dict`")
def test_doccano_labels_by_itself(server: Server) -> None:
    models = pytest.importorskip("auto_labeling_pipeline.models")
    from auto_labeling_pipeline.labels import SequenceLabels
    from auto_labeling_pipeline.mappings import MappingTemplate
    from auto_labeling_pipeline.pipeline import pipeline
    from auto_labeling_pipeline.postprocessing import PostProcessor

    page = (Path(__file__).parents[2] / "docs/how-to/annotation-servers.md").read_text(encoding="utf-8")
    template = page.partition("```jinja\n")[2].partition("```")[0]
    mapping = MappingTemplate(label_collection=SequenceLabels, template=template)
    for text, expected in ((TEXT, ["ship", "SHIP", "Port"]), ("nothing", [])):
        request = models.CustomRESTRequestModel(
            url=f"{server.url}/tag", method="POST", params={}, headers={},
            body={"text": "{{ text }}", "labels": ["ship", "port"]},
        )  # fmt: skip
        found = pipeline(text, request, mapping, PostProcessor({})).dict()
        assert [text[each["start_offset"] : each["end_offset"]] for each in found] == expected
        assert all(each["label"] in ("ship", "port") for each in found)


# --- INCEpTION ---

LAYER = "webanno.custom.Ships"


@pytest.fixture
def document() -> Any:
    """A document of INCEpTION's: tokens, of which one is longer than an entity, and a layer."""
    cassis = pytest.importorskip("cassis")
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
        "metadata": {**meta, **metadata}, "typeSystem": cas.typesystem.to_xml(),
        "document": {"xmi": cas.to_xmi(), "documentId": 2, "userId": "anna"},
    }  # fmt: skip
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    return client.post(f"/inception/predict{path}", json=body, headers=headers)


@pytest.mark.filterwarnings("ignore:open_binary is deprecated")
@pytest.mark.parametrize(("mode", "covered"), [("tokens", "ship-yard"), ("characters", "ship")])
def test_inception_gets_annotations(client: httpx.Client, document: Any, mode: str, covered: str) -> None:
    import cassis

    answer = recommend(client, document, anchoringMode=mode)
    assert answer.status_code == 200, answer.text
    again = cassis.load_cas_from_xmi(answer.json()["document"], document.typesystem)
    (found,) = again.select(LAYER)
    assert (found.get_covered_text(), found.kind, found.inception_internal_predicted) == (covered, "ship", True)
    assert 0 < found.kind_score <= 1
    assert 'begin="8"' in answer.json()["document"], "UTF-16 units"
    assert len(again.select("de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Token")) == 3


@pytest.mark.filterwarnings("ignore:open_binary is deprecated")
def test_inceptions_bad_documents_are_refused(client: httpx.Client, document: Any) -> None:
    assert_fault(recommend(client, document, layer="no.such.Layer"), 422, "no.such.Layer")
    assert_fault(recommend(client, document, feature="colour"), 422, "has no feature colour")
    assert_fault(recommend(client, document, anchoringMode="words"), 422, "anchoringMode")
    body = {"metadata": {"layer": LAYER, "feature": "kind"}, "typeSystem": document.typesystem.to_xml()}
    for xmi in ("", "<xmi", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "<a/>"):
        answer = client.post("/inception/predict?labels=ship", json={**body, "document": {"xmi": xmi}})
        assert answer.status_code in (200, 422), answer.text
        assert ("error" in answer.json()) == (answer.status_code == 422)


# --- NeMo Guardrails ---


@pytest.mark.parametrize("path", ["/v1/extract", "/v1/chat/completions"])
def test_nemo_guardrails_asks(server: Server, path: str) -> None:
    request = pytest.importorskip("nemoguardrails.library.gliner.request")
    import asyncio

    ask = request.gliner_request(TEXT, server.url + path, enabled_entities=["ship", "port"], threshold=0.3)
    assert_extracted(asyncio.run(ask))


def test_both_forms_of_nemo_guardrails(client: httpx.Client) -> None:
    wanted = {"labels": ["ship", "port"], "threshold": 0.3, "chunk_length": 384, "overlap": 128, "flat_ner": False}
    plain = client.post("/v1/extract", json={"text": TEXT, **wanted}).json()
    assert_extracted(plain)
    for content in (TEXT, [{"type": "text", "text": TEXT}]):
        messages = [{"role": "system", "content": "a ship"}, {"role": "user", "content": content}]
        answer = client.post(
            "/v1/chat/completions", json={"model": "nvidia/gliner-pii", "messages": messages, **wanted}
        )
        found = json.loads(answer.json()["choices"][0]["message"]["content"])
        names = ("text", "label", "start", "end", "score")
        assert [tuple(each[name] for name in names) for each in found["entities"]] == [
            tuple(each.values()) for each in plain["entities"]]  # fmt: skip
        assert (found["total_entities"], found["tagged_text"]) == (3, plain["tagged_text"])
    assert_fault(client.post("/v1/chat/completions", json={"messages": []}), 422, "messages")
    assert_fault(client.post("/v1/extract", json={"text": None}), 422, "text")


def assert_extracted(found: dict[str, Any]) -> None:
    """Check the entities of the text, and the text with them."""
    rows = [(each["value"], each["suggested_label"], TEXT[each["start_position"] : each["end_position"]])
            for each in found["entities"]]  # fmt: skip
    assert rows == [("ship", "ship", "ship"), ("SHIP", "ship", "SHIP"), ("Port", "port", "Port")]
    assert found["total_entities"] == 3
    assert found["tagged_text"] == "👩‍🔬 a [ship](ship), a [SHIP](ship) in [Port](port)"


def test_what_a_model_does_not_read_is_no_answer(tiny_tagger: Path) -> None:
    with serving(tiny_tagger, "--on-too-long", "truncate", head=False) as server:
        answer = server.clients[0].post("/v1/extract", json={"text": "a b c d e f g h " * 400})
        assert_fault(answer, 422, "the model read")
