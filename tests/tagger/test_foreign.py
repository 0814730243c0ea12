import pytest

from nerbert.records import Document
from nerbert.tagger.foreign import is_foreign, tell_foreign, with_notes
from nerbert.tagger.tagger import Tagger

GERMAN = "Der Vertrag wurde am Montag in Kiel von der Kanzlei geprüft, und die Firma hat ihn nicht unterschrieben."


@pytest.mark.parametrize(
    ("text", "language", "foreign"),
    [
        (GERMAN, "en", True),
        (GERMAN, "de", False),
        (GERMAN, "mul", False),
        (
            "The contract was signed in Kiel by the firm Der Blaue Anker and the office of Die Welt on Monday.",
            "en",
            False,
        ),
        ("Kiel, Lübeck, Husum", "en", False),
        ("I don't remember. I've tried, and I don't remember.", "en", False),
        ("Уговор је потписан у Београду у понедељак, а фирма га није оверила.", "sr", False),
        (GERMAN, "", False),
        ("Договор был подписан в Киеве в понедельник.", "en", True),
        ("The city of 北京大学北京大学北京大学 is a place in China, and the firm is at home there.", "en", False),
        ("合同于周一在北京签署，公司代表和律师都在场。双方还约定下个月在上海再次会面。", "en", True),
        ("合同于周一在北京签署，公司代表和律师都在场。双方还约定下个月在上海再次会面。", "zh", False),
    ],
)
def test_another_language_is_seen(text: str, language: str, foreign: bool) -> None:
    assert is_foreign(text, language) == foreign


def test_a_text_of_unknown_characters_is_told(tagger: Tagger, capsys: pytest.CaptureFixture[str]) -> None:
    burmese = "မြန်မာ ရန်ကုန် \ud800"
    for some in (tagger, tagger.with_labels(tagger.types[:1])):
        assert with_notes(Document(burmese), some).fields == {"foreign_text": True}
        assert with_notes(Document("Tromsø – Ada", fields={"foreign_text": True}), some).fields == {}
        tell_foreign([burmese], some)
    assert capsys.readouterr().err.count("note: the tagger's vocabulary lacks most of a text; how to train one: ") == 1
