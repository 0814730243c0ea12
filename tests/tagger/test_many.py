"""The model `many`, where it is installed: in both back ends, and on text that is written in unusual ways."""

from unicodedata import normalize

import pytest

from nerbert.tagger.tagger import Tagger

pytest.importorskip("nerbert_many")  # an sdist has none
pytestmark = pytest.mark.extras
LABELS = ["person", "company", "city"]


@pytest.fixture(scope="module", params=["torch", "onnx"])
def many(request: pytest.FixtureRequest) -> Tagger:
    return Tagger.load("many", backend=request.param)


def found(tagger: Tagger, text: str, labels: list[str]) -> list[tuple[str, str]]:
    spans = tagger.tag(text, labels)
    assert all(text[span.start : span.end] == span.text for span in spans)
    return [(span.text, span.type) for span in spans]


@pytest.mark.parametrize(
    ("text", "labels", "entities"),
    [
        ("Angela Merkel besuchte am Montag Siemens in München.", LABELS, ["Angela Merkel", "Siemens", "München"]),
        (
            "Angela Merkel besuchte am Montag Siemens in München.",
            ["Person", "Firma", "Stadt"],
            ["Angela Merkel", "Siemens", "München"],
        ),
        ("马云在杭州工作。", LABELS, ["马云", "杭州"]),
        ("삼성전자는 서울에서 이재용 회장을 만났다.", ["person"], ["이재용"]),
        ("Владимир Набоков родился в Петербурге.", LABELS, ["Владимир Набоков", "Петербурге"]),
    ],
)
def test_it_finds_what_it_is_asked_for(many: Tagger, text: str, labels: list[str], entities: list[str]) -> None:
    assert [entity for entity, _ in found(many, text, labels)] == entities


@pytest.mark.parametrize(
    "text",
    [
        normalize("NFD", "Angela Müller lebt in Zürich."),  # combining marks
        "Angela Müller\u200e lebt in \u200fZürich\u200f.",  # marks of direction
        "Angela Müller （チューリッヒ） lebt in Zürich.",  # mixed scripts, wide brackets
        "Angela Müller lebt in Ｚürich, nicht in ﾄｳｷｮｳ.",  # wide and half-width forms
    ],
)
def test_unusual_forms_of_letters_hide_no_person(many: Tagger, text: str) -> None:
    persons = [normalize("NFC", entity) for entity, type_ in found(many, text, LABELS) if type_ == "person"]
    assert persons == ["Angela Müller"]


@pytest.mark.parametrize(
    "text", ["ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ⵜⴰⵎⴰⵣⵉⵖⵜ", "𓀀𓂀 𓃭", "🙂🙃 \ufe0f\u20e3", "a\u0301\u0301\u0301\u0301", "\u200f\u200e"]
)
def test_scripts_that_the_vocabulary_lacks_are_no_error(many: Tagger, text: str) -> None:
    found(many, text, LABELS)
    found(many, "Angela Merkel", [text if text.strip("\u200f\u200e") else "x"])
