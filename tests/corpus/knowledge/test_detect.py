from pathlib import Path

import pytest

from nerbert.corpus.knowledge.detect import Detected, SourceKind, detect_export, detect_lines
from nerbert.corpus.knowledge.exports import Ontology
from nerbert.errors import InputError
from tests.raised import raises

BARE = Ontology({"Person": ""})
ONTOLOGY = Ontology({"Person": ""}, {"Q5": "Person"})


def tell(folder: Path, text: str, ontology: Ontology = ONTOLOGY) -> Detected:
    path = folder / "file"
    path.write_text(text, encoding="utf-8")
    assert detect_export(path) is None
    return detect_lines(path, ontology)


@pytest.mark.parametrize(
    "text",
    [
        '[\n{"type":"item","id":"Q31","labels":{}},\n{"type":"item","id":"Q8"}\n]\n',
        '[\n{"id":"Q31","type":"item","labels":{}}\n]',
        '[\n{"type":"property","datatype":"wikibase-item","id":"P31","labels":{}},\n',
        '{"type":"item","id":"Q31","labels":{}}\n',
        '\ufeff[\r\n{"type": "item", "id": "Q31", "labels": {"en": "' + "x" * (1 << 19),
    ],
)
def test_json_of_wikidata_is_told(tmp_path: Path, text: str) -> None:
    assert tell(tmp_path, text) == Detected(SourceKind.WIKIDATA_JSON)


def test_wikidata_without_an_ontology_that_names_its_items_is_an_error(tmp_path: Path) -> None:
    text = '[\n{"type":"item","id":"Q31"}\n]\n'
    for ontology in (BARE, Ontology({})):
        with raises(InputError, "file: a dump of Wikidata "):
            tell(tmp_path, text, ontology)


@pytest.mark.parametrize(
    "text",
    [
        "<http://dbpedia.org/resource/A> <http://www.w3.org/2002/07/owl#sameAs> <http://x/Q1> .\n",
        '[{"type":"item"}]\n',
        '[\n{"type":"lexeme","id":"L1"},\n',
        '{"type":"message","id":"Q1"}\n',
        "[]",
    ],
)
def test_what_only_looks_like_wikidata_is_not_told(tmp_path: Path, text: str) -> None:
    told = tell(tmp_path, text, BARE)
    assert told.kind is None
    assert told.why
