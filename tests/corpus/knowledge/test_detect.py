from pathlib import Path

import pytest

from nerbert.corpus.knowledge.detect import Detected, SourceKind, tell_export, tell_lines
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.errors import InputError
from tests.raised import raises

WIKIDATA = "http://www.wikidata.org/"
BARE = Ontology.of({"Person": ""})
ONTOLOGY = Ontology.of({"Person": ""}, {"Q5": "Person"})
HEADER = '<http://wikiba.se/ontology#Dump> <http://schema.org/softwareVersion> "1.0.0" .\n'
DATA = f"<https://www.wikidata.org/wiki/Special:EntityData/Q31> <http://schema.org/about> <{WIKIDATA}entity/Q31> .\n"
LINK = f"<https://an.wikipedia.org/wiki/Belchica> <http://schema.org/about> <{WIKIDATA}entity/Q31> .\n"
STATEMENT = f"<{WIKIDATA}entity/Q31> <{WIKIDATA}prop/direct/P31> <{WIKIDATA}entity/Q3624078> .\n"
LABEL = f'<{WIKIDATA}entity/Q31> <http://www.w3.org/2000/01/rdf-schema#label> "Belgium"@en .\n'


def tell(folder: Path, text: str, ontology: Ontology = ONTOLOGY) -> Detected:
    path = folder / "file"
    path.write_text(text, encoding="utf-8")
    assert tell_export(path) is None
    return tell_lines(path, ontology, lambda _: False)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + DATA + LABEL * 2000 + LINK, HEADER + DATA + LINK + STATEMENT + LABEL * 5000, STATEMENT + LINK, LINK,
        LABEL, STATEMENT * 5000, "# a comment\n" + HEADER + DATA,
    ],
)  # fmt: skip
def test_triples_of_wikidata_are_told_with_what_to_give_instead(tmp_path: Path, text: str) -> None:
    told = tell(tmp_path, text)
    assert (told.kind, told.unknown) == (None, True)
    assert "latest-all.json.gz" in told.why


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
    for ontology in (BARE, Ontology.of({})):
        with raises(InputError, "file: a dump of Wikidata "):
            tell(tmp_path, text, ontology)


@pytest.mark.parametrize(
    "text",
    [
        f"<http://dbpedia.org/resource/A> <http://www.w3.org/2002/07/owl#sameAs> <{WIKIDATA}entity/Q1> .\n",
        '[{"type":"item"}]\n',
        '[\n{"type":"lexeme","id":"L1"},\n',
        '{"type":"message","id":"Q1"}\n',
        LINK + "something else\n",
        "[]",
    ],
)
def test_what_only_looks_like_wikidata_is_not_told(tmp_path: Path, text: str) -> None:
    told = tell(tmp_path, text, BARE)
    assert told.kind is None
    assert told.why
