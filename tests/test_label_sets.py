"""Label sets: the paper's names on today's classes, the coarse sets, the user's map."""

import lzma
from pathlib import Path

import pytest

from nerbert.corpus.knowledge.ontology import Ontology, read_ontology
from nerbert.errors import InputError, SettingsError
from nerbert.label_sets import LabelSet, open_label_set
from nerbert.records import ENTITY
from nerbert.tables import read_columns

ROWS = list(read_columns("paper315.tsv", "label", "classes", "root", "label212"))
CLASSES = [name for _, names, _, _ in ROWS for name in names.split()]


@pytest.fixture(scope="module")
def ontology(shared: Path) -> Ontology:
    path = shared / "data" / "dbpedia" / "ontology.xml.xz"
    with lzma.open(path) as stream:
        return read_ontology(stream, path)


def label(name: str, path: tuple[str, ...]) -> str:
    return open_label_set(name).label(path)


@pytest.mark.parametrize(("name", "size"), [("paper315", 315), ("212types", 212), ("4types", 4), ("1type", 1)])
def test_sizes_with_entity(name: str, size: int) -> None:
    labels = open_label_set(name).labels
    assert len(labels) == len(set(labels)) == size
    assert ENTITY in labels


def test_the_papers_names_are_all_there(shared: Path) -> None:
    names = (shared / "labels" / "ner_bert_315.txt").read_text().split()
    assert set(open_label_set("paper315").labels) == set(names)


def test_every_class_of_the_table_is_a_class_and_stands_below_its_root(ontology: Ontology) -> None:
    below = {name: root for _, names, root, _ in ROWS for name in names.split()}
    wrong = {name for name, root in below.items() if not ontology.knows(name) or root not in ontology.path(name)}
    assert not wrong
    assert len(CLASSES) == len(set(CLASSES))


def test_no_person_is_a_species_and_no_structure_is_rootless(ontology: Ontology) -> None:
    paths = [ontology.path(name) for name in ontology.parents]
    assert [path for path in paths if "Person" in path and path[:2] != ("Agent", "Person")] == []
    assert [path for path in paths if "ArchitecturalStructure" in path and path[0] != "Place"] == []


@pytest.mark.parametrize("name", ["Airport", "Hospital", "Bridge", "Road", "Stadium", "River", "Country", "Church"])
def test_locations(ontology: Ontology, name: str) -> None:
    assert label("4types", ontology.path(name)) == "location"
    assert label("4types", (name,) if name != "Church" else ("ReligiousBuilding", name)) == "location"


@pytest.mark.parametrize(
    ("name", "coarse"),
    [
        ("SoccerPlayer", "person"), ("OfficeHolder", "person"), ("Cardinal", "person"), ("University", "organisation"),
        ("Band", "organisation"), ("Airline", "organisation"), ("Deity", ENTITY), ("Film", ENTITY), ("Dog", ENTITY),
        ("FictionalCharacter", ENTITY), ("EthnicGroup", ENTITY), ("Family", ENTITY), ("Place", "location"),
    ],
)  # fmt: skip
def test_four_types(ontology: Ontology, name: str, coarse: str) -> None:
    assert label("4types", ontology.path(name)) == coarse


@pytest.mark.parametrize(
    ("name", "fine", "merged"),
    [
        ("TennisTournament", "tennistournament", "sportstournament"), ("SoccerPlayer", "soccerplayer", "athlete"),
        ("Tournament", "sportsevent", "sportstournament"), ("Road", "road", "routeoftransportation"),
        ("Single", "song", "song"), ("Place", "location", "location"), ("OfficeHolder", "person", "person"),
        ("AmericanFootballPlayer", "footballplayer", "athlete"), ("CanadianFootballTeam", "footballteam", "sportsteam"),
        ("Novel", "writtenwork", "writtenwork"), ("Surname", ENTITY, ENTITY), ("Biathlete", "athlete",
        "wintersportplayer"),
    ],
)  # fmt: skip
def test_the_papers_set_and_its_merged_one(ontology: Ontology, name: str, fine: str, merged: str) -> None:
    assert label("paper315", ontology.path(name)) == fine
    assert label("212types", ontology.path(name)) == merged


def test_the_merged_set_follows_its_rule(ontology: Ontology) -> None:
    """The rule that paper315.tsv states, run anew on the ontology."""
    first = {names.split()[0]: merged for _, names, _, merged in ROWS}
    now, joined = {name: name for name in first}, set[str]()
    while True:
        labels = set(now.values())
        inner = {above for name in labels - joined for above in ontology.path(name)[:-1]}
        families: dict[str, set[str]] = {}
        for name in labels - joined - inner:
            families.setdefault((ontology.path(name)[:-1] or ("",))[-1], set()).add(name)
        fits = [
            (-len(ontology.path(parent)), -saved, parent)
            for parent, leaves in families.items()
            if parent and (saved := len(leaves) - (parent not in labels)) > 0 and len(labels) - saved >= 211
        ]
        if not fits:
            break
        parent = min(fits)[2]
        now = {name: parent if to in families[parent] else to for name, to in now.items()}
        joined.add(parent)
    groups: dict[str, set[str]] = {}
    for name, to in now.items():
        groups.setdefault(to, set()).add(name)
    ours: dict[str, set[str]] = {}
    for name, merged in first.items():
        ours.setdefault(merged, set()).add(name)
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, ours.values()))


def test_one_type_types_nothing() -> None:
    one = open_label_set("1type")
    assert not one.typed
    assert one.label(("Agent", "Person")) == one.label(()) == ENTITY


def test_dbpedia_knows_the_ontologys_classes_and_any_without_one() -> None:
    known = open_label_set("dbpedia", ["Person", "SoccerPlayer"])
    assert known.label(("Person", "SoccerPlayer")) == "SoccerPlayer"
    assert known.label(("Person", "Spam")) == "Person"
    assert known.label(("Spam",)) == ENTITY
    anything = open_label_set("dbpedia")
    assert anything.label(("Spam",)) == "Spam"
    assert anything.label(()) == ENTITY


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
    ("text", "message"),
    [
        ("Ship vessel\n", r"mine.tsv:1: 'Ship vessel': must be class<TAB>label"),
        ("Ship\tvessel\nPersn\tx\n", r"mine.tsv:2: class 'Persn' is not in the ontology: did you mean 'Person'\?"),
        ("Ship\ta\nship\tb\n", r"mine.tsv:2: class 'ship' has two labels, 'a' and 'b'"),
        ("Ship\tbig ship\n", r"mine.tsv:1: label 'big ship': must be one word"),
        ("Ship\t\n", r"mine.tsv:1: .*must be class<TAB>label"),
        ("", r"mine.tsv: gives no class a label"),
        ("Ship\tENTITY\n", r"mine.tsv: gives no class a label"),
    ],
)
def test_a_broken_map_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        open_label_set(str(tmp_path / "mine.tsv"), ["Ship", "Person"])


def test_a_map_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        open_label_set(str(tmp_path / "m"))


def test_a_map_may_not_pass_for_a_set_of_ours(tmp_path: Path) -> None:
    (tmp_path / "4types").write_text("Person\tper\n")
    with pytest.raises(SettingsError, match="has the name of a built-in set"):
        open_label_set(str(tmp_path / "4types"))


def test_digests_tell_sets_apart(tmp_path: Path) -> None:
    names = ["paper315", "212types", "4types", "1type", "dbpedia"]
    assert len({open_label_set(name).digest for name in names}) == len(names)


def test_a_long_name_is_cut_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text("x" * 10_000 + "\tlabel\n")
    with pytest.raises(InputError) as caught:
        open_label_set(str(tmp_path / "m.tsv"), ["Ship"])
    assert len(str(caught.value)) < 400


def test_a_name_that_is_no_set() -> None:
    with pytest.raises(SettingsError, match=r"label_set = 'paper351'.*did you mean 'paper315'"):
        open_label_set("paper351")


def test_nearest_ancestor_wins() -> None:
    some = LabelSet("x", {"a": "A", "c": "C"})
    assert some.label(("a", "b", "c", "d")) == "C"
    assert some.label(("a", "b")) == "A"
    assert some.label(("b",)) == ENTITY
