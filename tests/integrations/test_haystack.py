"""Haystack: documents get the tagger's entities, and a pipeline's YAML comes back as the same pipeline."""

from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.tagger.tagger import Tagger
from tests.raised import raises

pytestmark = pytest.mark.extras
TEXTS = [f"The brig Margarethe {number} was built by Larsen & Holm in Tromsø." for number in range(5)]


@pytest.fixture(autouse=True)
def haystack(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Haystack, which sends nothing home."""
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
    return pytest.importorskip("haystack")


def pipeline(haystack: Any, *arguments: Any, **options: Any) -> Any:
    from nerbert.integrations.haystack import EntityTagger

    made = haystack.Pipeline()
    made.add_component("ner", EntityTagger(*arguments, **options))
    return made


def entities(made: Any, documents: list[Any], **run: Any) -> list[list[dict[str, Any]]]:
    done = made.run({"ner": {"documents": documents, **run}})["ner"]["documents"]
    assert [(each.id, each.content) for each in done] == [(each.id, each.content) for each in documents]
    return [each.meta["named_entities"] for each in done]


def test_documents_have_the_taggers_entities_and_stay_themselves(haystack: Any, tiny_tagger: Path) -> None:
    documents = [haystack.Document(content=text, meta={"page": 7}) for text in TEXTS]
    wanted = [each.to_dicts() for each in Tagger.load(tiny_tagger, precision="fp32").tag_many(TEXTS)]
    made = pipeline(haystack, tiny_tagger, precision="fp32")
    assert entities(made, documents) == wanted
    assert any(wanted)
    assert [each.meta for each in documents] == [{"page": 7}] * 5
    assert made.run({"ner": {"documents": documents}})["ner"]["documents"][0].meta["page"] == 7
    assert entities(made, [haystack.Document(content=None), haystack.Document(content="")]) == [[], []]
    assert entities(made, []) == []


def test_a_pipeline_comes_back_from_its_yaml(haystack: Any) -> None:
    made = pipeline(haystack, "embedded-open", ["person: a human being", "city"], thresholds={"city": 0.3})
    # Since 3.0, a pipeline's own modules have to be named
    named = "allowed_modules" in signature(haystack.Pipeline.loads).parameters
    options = {"allowed_modules": ["nerbert.integrations.haystack"]} if named else {}
    again = haystack.Pipeline.loads(made.dumps(), **options)
    assert again.to_dict() == made.to_dict()
    assert again.get_component("ner").loading == {"thresholds": {"city": 0.3}}
    documents = [haystack.Document(content="Marie Curie was born in Warsaw.")]
    (found,) = entities(again, documents)
    assert [(each["text"], each["type"]) for each in found] == [("Marie Curie", "person"), ("Warsaw", "city")]
    assert entities(made, documents) == [found]
    assert {each["type"] for each in entities(made, documents, labels=["city"])[0]} == {"city"}
    assert entities(made, documents, labels=None) == [found]


def test_what_cant_work_is_told(haystack: Any) -> None:
    document = haystack.Document(content=TEXTS[0])
    with raises(InputError, f"document {document.id}: this tagger takes its labels at run time: give labels"):
        pipeline(haystack, "embedded-open").get_component("ner").run([document])
