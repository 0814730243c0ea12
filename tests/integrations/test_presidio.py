"""Presidio: its engines find the tagger's entities, under Presidio's names, from Python and from registry files."""

import pickle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("presidio_analyzer")

from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, RecognizerResult
from presidio_analyzer.nlp_engine import NlpEngineProvider
from presidio_analyzer.predefined_recognizers import CreditCardRecognizer
from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

from nerbert.entity_labels import asked_types, label_of, presidio_name
from nerbert.errors import InputError, SettingsError
from nerbert.integrations.presidio import NerbertRecognizer
from nerbert.records import Span
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger
from tests.raised import raises

pytestmark = pytest.mark.extras
CURIE = "Marie Curie was born in Warsaw."
CARD = "Anna of Oslo paid with 4111 1111 1111 1111."
REGISTRY = """
supported_languages: [en]
recognizers:
  - name: CreditCardRecognizer
  - name: people
    class_name: NerbertRecognizer
    type: predefined
    model: embedded-open
    labels: ["person: a human being", city]
    thresholds: {city: 0.3}
    threads: 1
    score_thresholds: {CITY: 0.999}
"""


class ScriptedTagger:
    """A tagger with fixed types that finds words: `Anna`, a PER, and `Oslo`, a GPE."""

    types: tuple[str, ...] = ("GPE", "LOC", "PER")
    language = "en"

    def for_labels(self, labels: list[str]) -> "ScriptedTagger":
        made = ScriptedTagger()
        made.types = tuple(labels) or self.types
        return made

    def tag_many(self, texts: list[str]) -> None:
        assert texts == []

    def tag(self, text: str) -> Spans:
        known = (("Anna", "PER", 0.8), ("Oslo", "GPE", 0.4))
        return Spans(
            text,
            [
                Span(start, start + len(word), type_, word, sure)
                for word, type_, sure in known
                if (start := text.find(word)) >= 0 and type_ in self.types
            ],
        )


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.tagger.tagger.Tagger.load", lambda *_, **__: ScriptedTagger())


def engine(*recognizers: Any) -> AnalyzerEngine:
    none = {"nlp_engine_name": "no_op", "models": [{"lang_code": "en", "model_name": "none"}]}
    nlp = NlpEngineProvider(nlp_configuration=none).create_engine()
    return AnalyzerEngine(RecognizerRegistry(list(recognizers)), nlp)


def found(results: list[RecognizerResult]) -> list[tuple[str, int, int, float]]:
    return sorted(((each.entity_type, each.start, each.end, each.score) for each in results), key=lambda each: each[1])


def test_the_engine_gives_the_taggers_entities(tiny_tagger: Path) -> None:
    text = "The brig Margarethe was built by Larsen & Holm in Tromsø."
    wanted = Tagger.load(tiny_tagger).tag(text)
    assert wanted
    recognizer = NerbertRecognizer(str(tiny_tagger))
    results = recognizer.analyze(text)
    assert found(results) == [(each.type.upper(), each.start, each.end, each.confidence) for each in wanted]
    assert found(pickle.loads(pickle.dumps(recognizer)).analyze(text)) == found(results)
    assert {each[0] for each in found(engine(recognizer).analyze(text, "en"))} == {each[0] for each in found(results)}


@pytest.mark.usefixtures("scripted")
def test_entities_have_presidios_names_and_what_they_are_based_on() -> None:
    recognizer = NerbertRecognizer("mine", name="places")
    assert recognizer.supported_entities == ["LOCATION", "PERSON"]
    analyzer = engine(recognizer, CreditCardRecognizer())
    results = analyzer.analyze(CARD, "en", return_decision_process=True)
    card = ("CREDIT_CARD", 23, 42, 1.0)
    assert found(results) == [("PERSON", 0, 4, 0.8), ("LOCATION", 8, 12, 0.4), card]
    ours = next(each for each in results if each.entity_type == "PERSON")
    assert ours.recognition_metadata == {"recognizer_name": "places", "recognizer_identifier": recognizer.id}
    assert (ours.analysis_explanation.recognizer, ours.analysis_explanation.original_score) == ("places", 0.8)
    assert ours.analysis_explanation.textual_explanation == "mine found the type 'PER'"


@pytest.mark.usefixtures("scripted")
def test_only_what_is_asked_for_at_or_above_the_threshold() -> None:
    analyzer = engine(NerbertRecognizer("mine"), CreditCardRecognizer())
    person, place = ("PERSON", 0, 4, 0.8), ("LOCATION", 8, 12, 0.4)
    asked: list[tuple[dict[str, Any], list[tuple[str, int, int, float]]]] = [
        ({"entities": ["LOCATION"]}, [place]),
        ({"entities": ["PERSON", "LOCATION"], "score_threshold": 0.5}, [person]),
        ({"entities": ["PERSON"], "allow_list": ["Anna"]}, []),
    ]
    for how, wanted in asked:
        assert found(analyzer.analyze(CARD, "en", **how)) == wanted
    assert found(NerbertRecognizer("mine").analyze(CARD, ["PHONE_NUMBER"], None)) == []
    assert found(engine(NerbertRecognizer("mine", supported_entities=["PERSON"])).analyze(CARD, "en")) == [person]


def test_labels_at_run_time_by_presidios_names() -> None:
    recognizer = NerbertRecognizer("embedded-open", supported_entities=["PERSON", "CITY"])
    assert recognizer.supported_entities == ["CITY", "PERSON"]
    assert [each[:3] for each in found(recognizer.analyze(CURIE))] == [("PERSON", 0, 11), ("CITY", 24, 30)]


def test_a_registry_file_loads_it_with_its_parameters(tmp_path: Path) -> None:
    (tmp_path / "recognizers.yaml").write_text(REGISTRY)
    registry = RecognizerRegistryProvider(conf_file=tmp_path / "recognizers.yaml").create_recognizer_registry()
    ours = next(each for each in registry.recognizers if isinstance(each, NerbertRecognizer))
    assert (ours.name, ours.supported_language, ours.supported_entities) == ("people", "en", ["CITY", "PERSON"])
    assert ours._tagger.thresholds["city"] == 0.3
    results = engine(*registry.recognizers).analyze(CURIE + CARD, "en")
    assert {each.entity_type for each in results} == {"CREDIT_CARD", "PERSON"}, "CITY is below Presidio's threshold"


def test_what_cant_work_is_refused_at_once(tiny_tagger: Path) -> None:
    with raises(InputError, "give labels"):
        NerbertRecognizer("embedded-open")
    with raises(SettingsError, "PERSN: did you mean 'PERSON'"):
        NerbertRecognizer(str(tiny_tagger), supported_entities=["PERSN"])
    recognizer = NerbertRecognizer(str(tiny_tagger))
    assert recognizer.analyze("") == []
    with raises(InputError, "can't tag NoneType"):
        recognizer.analyze(None)  # type: ignore[arg-type]


def test_names() -> None:
    names = [presidio_name(each) for each in ("per", "GPE", "date time", "Ship")]
    assert names == ["PERSON", "LOCATION", "DATE_TIME", "SHIP"]
    assert label_of("DATE_TIME") == "date time"
    types = ["PER", "LOC", "GPE", "ship"]
    wanted = {"LOC": "LOCATION", "GPE": "LOCATION", "ship": "Ship"}
    assert asked_types(types, ["LOCATION", "Ship", "CREDIT_CARD"]) == wanted
    assert asked_types(types, ["gpe"]) == {"GPE": "gpe"}
