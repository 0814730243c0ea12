from pathlib import Path

import pytest

from nerbert.entity_labels import as_learnt, entity_labels, parse_labels, read_type_labels
from nerbert.errors import InputError, SettingsError
from nerbert.records import EntityLabel
from tests.raised import raises

SHIP, PORT = EntityLabel("ship"), EntityLabel("port", "where ships call")


def test_labels_are_names_with_or_without_descriptions() -> None:
    found = entity_labels([" ship ", "port:  where ships\tcall", PORT.__class__("U.S. state")])
    assert found == (SHIP, PORT, EntityLabel("U.S. state"))
    assert [each.text for each in found] == ["ship", "port: where ships call", "U.S. state"]
    assert entity_labels(["time 10:30"]) == (EntityLabel("time 10:30"),)
    assert entity_labels("судно 船 سفينة".split())[1].name == "船"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "labels: none given; give at least one"),
        ("ship", "labels 'ship': must be a list of texts"),
        (["ship", ""], "label '': must be printable, and its name not empty"),
        (["ship", " : x"], "name not empty"),
        (["ship", "port", "ship: it floats"], "label 'ship' is given twice; leave one out"),
        (["Ship", "port", "ship"], "labels 'Ship' and 'ship' differ only in case"),
        (["ship" + " of the line" * 500], ": its name has 6,004 characters, more than 200"),
        (["ship: " + "it floats " * 500], "label 'ship': its description has 4,999 characters, more than 1,000"),
        (["sh\x1b[31mip"], "must be printable"),
        (["ship", "\u200b"], "label '': must be printable, and its name not empty"),
        (["\u200d\ufe0f\u00ad\u2060: it floats"], "its name not empty"),
        (["\u3164\u2800"], "its name not empty"),
        ([3], "label 3: must be a text"),
        ([EntityLabel(" ")], "its name not empty"),
    ],
)
def test_messages(given: list[str], words: str) -> None:
    with raises(InputError, words):
        entity_labels(given)


def test_a_command_line_names_labels_or_a_file_of_them(tmp_path: Path) -> None:
    assert parse_labels("ship, port: where ships call,") == (SHIP, PORT)
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbf# what the harbour office asks for\r\nship\r\n\r\nport\twhere ships call\r\n")
    assert parse_labels(str(path)) == (SHIP, PORT)
    path.write_text("ship:\nport:  where ships call\n")
    assert parse_labels(str(path)) == (SHIP, PORT)
    assert entity_labels([EntityLabel(" ship ")]) == (SHIP,)
    with raises(InputError, "absent.txt: no such file of labels"):
        parse_labels(str(tmp_path / "absent.txt"))
    path.write_text("ship\nSHIP\n")
    with raises(InputError, "labels.txt: labels 'ship' and 'SHIP' differ only in case"):
        parse_labels(str(path))


@pytest.mark.parametrize(
    "given",
    [
        "ship: a vessel, large",
        "ship: a vessel,large",
        "port,ship: holds 10,000 people",
        "ship: a, b, c: d",
        "ship\tvessel, large",
    ],
)
def test_a_comma_that_may_be_part_of_a_description_is_refused(given: str) -> None:
    with raises(InputError, "may be part of the description, or end it; "):
        parse_labels(given)


def test_lines_keep_the_commas_of_descriptions() -> None:
    vessel = EntityLabel("ship", "a vessel, large")
    assert parse_labels("ship: a vessel, large\nport\twhere ships call\n# no more\n") == (vessel, PORT)
    assert parse_labels("port: where ships call, ship: a vessel") == (PORT, EntityLabel("ship", "a vessel"))
    assert entity_labels(["ship: a vessel, large"]) == (vessel,)


def test_labels_that_look_alike_are_one() -> None:
    with raises(InputError, "label 'person' is given twice"):
        parse_labels("person,per\u200bson")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("PER", "person"),
        ("per", "person"),
        ("name", "person"),
        ("WORK_OF_ART", "work of art"),
        ("CREDITCARDNUMBER", "credit card number"),
        ("creditCardNumber", "credit card number"),
        ("US_SSN", "social security number"),
        ("ship", "ship"),
        ("organization", "organization"),
        ("HMS vessel", "HMS vessel"),
    ],
)
def test_codes_are_read_as_words_and_keep_their_names(name: str, read: str) -> None:
    (label,) = as_learnt([name], {})
    assert (label.name, label.text) == (name, read)


def test_what_a_tagger_learnt_wins_over_a_codes_words() -> None:
    (label,) = as_learnt(["PER"], {"words_of_types": {"PER": "passenger"}})
    assert label.text == "passenger"


def test_types_may_have_no_label_where_that_is_allowed() -> None:
    assert read_type_labels("person, ORG=company", plain=True) == {"person": "", "ORG": "company"}
    with raises(SettingsError, "--labels 'person': write TYPE=label"):
        read_type_labels("person,ORG=company")


def test_a_described_label_and_one_whose_words_are_taken_are_read_as_they_are() -> None:
    given = ["name: the name of a ship", "PER", "person", "iban", "bank account number", "DNA"]
    assert [label.text for label in as_learnt(given, {})] == given
