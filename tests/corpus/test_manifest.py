"""The manifest's words and sums."""

from nerbert.corpus.build import licence_of
from nerbert.corpus.funnel import Funnel
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.errors import NerbertError
from tests.raised import raises


def licence(*kinds: str) -> str:
    return licence_of({"used": [{"kind": kind} for kind in kinds]}).partition(" Types: ")[2]


def test_licences_name_what_was_used_and_nothing_else() -> None:
    for kind in SourceKind:
        assert licence(kind.value), f"{kind}: say in nerbert/corpus/build.py whose it is"
    assert licence("wikidata json") == "Wikidata: CC0 1.0."
    assert licence("ontology", "title table", "disambiguations", "wikidata json") == (
        "DBpedia (ontology, disambiguations): CC BY-SA 3.0 and GFDL; Wikidata: CC0 1.0; "
        "title tables: see their sources."
    )
    assert licence("title table", "title table") == "title tables: see their sources."
    assert licence() == ""
    assert licence_of({"used": []}).endswith("as attribution.")


def test_a_step_whose_sum_is_off_stops_the_build() -> None:
    with raises(NerbertError, "step 'x': 3 in, 1 out, 1 dropped: a bug"):
        Funnel().step("x", 3, 1, {"r": 1})
