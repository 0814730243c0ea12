from pathlib import Path

import pytest

from nerbert.corpus.knowledge.detect import Detected, SourceKind, tell_export, tell_lines, tell_together
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.errors import InputError
from nerbert.sources.files import FoundFile

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
        HEADER + DATA + LABEL * 2000 + LINK,
        HEADER + DATA + LINK + STATEMENT + LABEL * 5000,
        STATEMENT + LINK,
        LINK,
        LABEL,
        "# a comment\n" + HEADER + DATA,
    ],
)
def test_triples_of_wikidata_are_told(tmp_path: Path, text: str) -> None:
    assert tell(tmp_path, text) == Detected(SourceKind.WIKIDATA_TRIPLES)


@pytest.mark.parametrize("text", [HEADER + DATA + STATEMENT, STATEMENT * 5000 + LINK])
def test_a_truthy_dump_is_told(tmp_path: Path, text: str) -> None:
    assert tell(tmp_path, text) == Detected(SourceKind.WIKIDATA_TRUTHY)


@pytest.mark.parametrize(
    "text",
    [
        "-- MySQL dump\n--\nDROP TABLE IF EXISTS `wb_items_per_site`;\nCREATE TABLE `wb_items_per_site` (\n",
        "INSERT INTO `wb_items_per_site` VALUES (1,2,'enwiki','A\tPerson\nB\tPerson');\n",
        "/*!999999\\- enable the sandbox mode */ \nINSERT INTO `wb_items_per_site` VALUES\n(1,2,'dewiki','A');\n",
        "INSERT INTO wb_items_per_site VALUES " + "(1,2,'enwiki','A')," * 50_000,
    ],
)
def test_links_of_wikidata_are_told(tmp_path: Path, text: str) -> None:
    assert tell(tmp_path, text, BARE) == Detected(SourceKind.WIKIDATA_SITELINKS)


@pytest.mark.parametrize("name", ["page", "wb_items_per_site_old"])
def test_other_tables_of_the_database_are_not(tmp_path: Path, name: str) -> None:
    told = tell(tmp_path, f"-- `wb_items_per_site`\nCREATE TABLE `{name}` (\n  `page_id` int(8)\n);\n")
    assert (told.kind, told.unknown) == (None, True)


TRUTHY, LINKS, TABLE = (
    Detected(kind) for kind in (SourceKind.WIKIDATA_TRUTHY, SourceKind.WIKIDATA_SITELINKS, SourceKind.TABLE)
)


def together(*tolds: Detected, ontology: Ontology = ONTOLOGY) -> list[Detected]:
    files = [(FoundFile(Path(f"f{place}"), f"f{place}", direct=True), told) for place, told in enumerate(tolds)]
    settled = tell_together(files, ontology)
    assert [found for found, _ in settled] == [found for found, _ in files]
    return [told for _, told in settled]


def test_a_truthy_dump_and_links_are_of_use_together() -> None:
    for tolds in ([TRUTHY, LINKS], [LINKS, TABLE, TRUTHY], [TABLE], []):
        assert together(*tolds) == tolds
    (alone,) = together(TRUTHY)
    assert (alone.kind, alone.unknown) == (None, True)
    assert "truthy" in alone.why
    assert "wb_items_per_site.sql.gz" in alone.why
    assert "latest-all.json.gz" in alone.why
    for others in ([], [Detected(SourceKind.WIKIDATA_JSON)], [Detected(SourceKind.WIKIDATA_TRIPLES)]):
        *same, links = together(*others, LINKS)
        assert same == others
        assert (links.kind, links.unknown) == (None, False)
        assert "latest-truthy.nt.gz" in links.why
    first, truthy, second = together(LINKS, TRUTHY, LINKS)
    assert [first, truthy] == [LINKS, TRUTHY]
    assert "named first" in second.why


def test_a_truthy_dump_with_links_needs_an_ontology_that_names_items() -> None:
    with pytest.raises(InputError, match=r"f1: a dump of Wikidata .*give that export"):
        together(LINKS, TRUTHY, ontology=BARE)
    assert together(TRUTHY, ontology=BARE)[0].why


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


@pytest.mark.parametrize("text", [LINK + STATEMENT, '[\n{"type":"item","id":"Q31"}\n]\n'])
def test_wikidata_without_an_ontology_that_names_its_items_is_an_error(tmp_path: Path, text: str) -> None:
    for ontology in (BARE, Ontology.of({})):
        with pytest.raises(InputError, match=r"file: a dump of Wikidata .*DBpedia's ontology.*give that export"):
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


@pytest.mark.parametrize(("host", "language"), [("dbpedia.org", "en"), ("de.dbpedia.org", "de")])
def test_disambiguations_are_told_with_their_language(tmp_path: Path, host: str, language: str) -> None:
    triple = (
        f"<http://{host}/resource/A> <http://dbpedia.org/ontology/wikiPageDisambiguates> <http://{host}/resource/B> ."
    )
    assert tell(tmp_path, f"# started\n{triple}\n") == Detected(SourceKind.DISAMBIGUATIONS, language)


def test_instance_types_and_tables_are_told_as_before(tmp_path: Path) -> None:
    rdf_type = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
    triple = f"<http://it.dbpedia.org/resource/A> <{rdf_type}> <http://dbpedia.org/ontology/Person> .\n"
    assert tell(tmp_path, triple) == Detected(SourceKind.TRIPLES, "it")
    assert tell(tmp_path, "Ada Lovelace\tPerson\n") == Detected(SourceKind.TABLE)
