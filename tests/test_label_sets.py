"""Label sets: the paper's names on today's classes, the coarse sets, the user's map."""

import lzma
from pathlib import Path

import pytest

from nerbert.corpus.knowledge.exports import Ontology, read_ontology
from nerbert.errors import InputError, SettingsError
from nerbert.label_sets import LabelSet, open_label_set
from nerbert.records import ENTITY
from nerbert.tables import read_columns
from tests.raised import raises

ROWS = list(read_columns("paper315.tsv", "label", "classes", "root", "label212"))
CLASSES = [name for _, names, _, _ in ROWS for name in names.split()]


@pytest.fixture(scope="module")
def ontology(shared: Path) -> Ontology:
    path = shared / "data" / "dbpedia" / "ontology.xml.xz"
    with lzma.open(path) as stream:
        return read_ontology(stream, path)


def label(name: str, path: tuple[str, ...]) -> str:
    return open_label_set(name).label(path)


def test_sizes_with_entity_and_digests() -> None:
    sets = [open_label_set(name) for name in ("paper315", "212types", "4types", "1type", "dbpedia")]
    assert [len(each.labels) for each in sets[:4]] == [315, 212, 4, 1]
    assert all(len(set(each.labels)) == len(each.labels) and ENTITY in each.labels for each in sets)
    assert len({each.digest for each in sets}) == 5


def test_the_papers_names_are_all_there(shared: Path) -> None:
    names = (shared / "labels" / "ner_bert_315.txt").read_text().split()
    assert set(open_label_set("paper315").labels) == set(names)


def test_no_person_is_a_species_and_no_structure_is_rootless(ontology: Ontology) -> None:
    paths = [ontology.path(name) for name in ontology.parents]
    assert [path for path in paths if "Person" in path and path[:2] != ("Agent", "Person")] == []
    assert [path for path in paths if "ArchitecturalStructure" in path and path[0] != "Place"] == []


def test_every_class_of_the_table_is_a_class_and_stands_below_its_root(ontology: Ontology) -> None:
    below = {name: root for _, names, root, _ in ROWS for name in names.split()}
    wrong = {name for name, root in below.items() if not ontology.knows(name) or root not in ontology.path(name)}
    assert not wrong
    assert len(CLASSES) == len(set(CLASSES))


@pytest.mark.parametrize(
    ("coarse", "names"),
    [
        ("person", "SoccerPlayer OfficeHolder Cardinal"),
        ("organisation", "University Band Airline"),
        ("location", "Place Airport Hospital Bridge Road Stadium River Country Church"),
        (ENTITY, "Deity Film Dog FictionalCharacter EthnicGroup Family"),
    ],
)
def test_four_types(ontology: Ontology, coarse: str, names: str) -> None:
    assert {name: label("4types", ontology.path(name)) for name in names.split()} == dict.fromkeys(
        names.split(), coarse
    )


@pytest.mark.parametrize(
    ("name", "fine", "merged"),
    [
        ("TennisTournament", "tennistournament", "sportstournament"),
        ("SoccerPlayer", "soccerplayer", "athlete"),
        ("Tournament", "sportsevent", "sportstournament"),
        ("Road", "road", "routeoftransportation"),
        ("Single", "song", "song"),
        ("Place", "location", "location"),
        ("OfficeHolder", "person", "person"),
        ("AmericanFootballPlayer", "footballplayer", "athlete"),
        ("CanadianFootballTeam", "footballteam", "sportsteam"),
        ("Novel", "writtenwork", "writtenwork"),
        ("Surname", ENTITY, ENTITY),
        ("Biathlete", "athlete", "wintersportplayer"),
    ],
)
def test_the_papers_set_and_its_merged_one(ontology: Ontology, name: str, fine: str, merged: str) -> None:
    path = ontology.path(name)
    assert (label("paper315", path), label("212types", path)) == (fine, merged)


@pytest.mark.parametrize(
    ("labels", "path", "expected"),
    [
        (open_label_set("1type"), "Agent/Person", ENTITY),
        (open_label_set("1type"), "", ENTITY),
        (open_label_set("4types"), "Airport", "location"),
        (open_label_set("4types"), "ReligiousBuilding/Church", "location"),
        (open_label_set("dbpedia", ["Person", "SoccerPlayer"]), "Person/SoccerPlayer", "SoccerPlayer"),
        (open_label_set("dbpedia", ["Person", "SoccerPlayer"]), "Person/Spam", "Person"),
        (open_label_set("dbpedia", ["Person", "SoccerPlayer"]), "Spam", ENTITY),
        (open_label_set("dbpedia"), "Spam", "Spam"),
        (open_label_set("dbpedia"), "", ENTITY),
        (LabelSet("x", {"a": "A", "c": "C"}), "a/b/c/d", "C"),
        (LabelSet("x", {"a": "A", "c": "C"}), "a/b", "A"),
        (LabelSet("x", {"a": "A", "c": "C"}), "b", ENTITY),
    ],
)
def test_the_nearest_ancestor_with_a_label_wins(labels: LabelSet, path: str, expected: str) -> None:
    assert labels.label(tuple(filter(None, path.split("/")))) == expected
    assert labels.typed == (labels.name != "1type")


def test_the_users_map(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(
        "\ufeff# mine\n\nclass\tlabel\n  # ships\ndbo:Ship\tvessel\n<http://dbpedia.org/ontology/Person>\tseafarer\r\n"
        "Rocket\tENTITY\nSki jumper\tjumper\n",
        "utf-8",
    )
    mine = open_label_set(str(path), ["Ship", "Person", "Rocket", "Ski_jumper", "MeanOfTransportation"])
    assert mine.name == "mine.tsv"
    assert mine.labels == (ENTITY, "jumper", "seafarer", "vessel")
    assert mine.label(("MeanOfTransportation", "ship")) == "vessel"
    assert mine.label(("MeanOfTransportation", "Rocket")) == ENTITY
    assert mine.label(("MeanOfTransportation",)) == ENTITY


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("Ship vessel\n", 1, "mine.tsv:1: 'Ship vessel': must be class<TAB>label"),
        ("Ship\tvessel\nPersn\tx\n", 2, "mine.tsv:2: class 'Persn' is not in the ontology: did you mean 'Person'?"),
        ("Ship\ta\nship\tb\n", 2, "mine.tsv:2: class 'ship' has two labels, 'a' and 'b'"),
        ("Ship\tbig ship\n", 1, "mine.tsv:1: label 'big ship': must be one word"),
        ("Ship\t\n", 1, "must be class<TAB>label"),
        ("x" * 10_000 + "\tlabel\n", 1, "is not in the ontology"),
        ("", None, "mine.tsv: gives no class a label"),
        ("Ship\tENTITY\n", None, "mine.tsv: gives no class a label"),
        ("\udcff\udcfe\0", None, "UTF-8"),
    ],
)
def test_messages_of_a_map(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    (tmp_path / "mine.tsv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with raises(InputError, words) as caught:
        open_label_set(str(tmp_path / "mine.tsv"), ["Ship", "Person"])
    assert caught.value.line in (line, 1 if line is None else line)
    assert len(str(caught.value)) < 400


def test_messages_of_names(tmp_path: Path) -> None:
    (tmp_path / "4types").write_text("Person\tper\n")
    with raises(SettingsError, "has the name of a built-in set"):
        open_label_set(str(tmp_path / "4types"))
    with raises(SettingsError, "label_set = 'paper351'") as caught:
        open_label_set("paper351")
    assert "did you mean 'paper315'" in str(caught.value)
