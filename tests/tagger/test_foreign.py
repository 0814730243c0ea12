import pytest

from nerbert.records import Document
from nerbert.tagger.foreign import tell_foreign, with_notes
from nerbert.tagger.tagger import Tagger


def test_a_text_of_unknown_characters_is_told(tagger: Tagger, capsys: pytest.CaptureFixture[str]) -> None:
    burmese = "မြန်မာ ရန်ကုန် \ud800"
    for some in (tagger, tagger.with_labels(tagger.types[:1])):
        assert with_notes(Document(burmese), some).fields == {"foreign_text": True}
        assert with_notes(Document("Tromsø – Ada", fields={"foreign_text": True}), some).fields == {}
        tell_foreign([burmese], some)
    assert capsys.readouterr().err.count("note: the tagger's vocabulary lacks most of a text; how to train one: ") == 1
