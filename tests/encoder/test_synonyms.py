"""The table of synonyms."""

from nerbert.encoder.data import digest_of_synonyms, read_synonyms
from nerbert.formats.open_types import normalised
from nerbert.tables import read_columns


def test_a_word_is_in_one_set() -> None:
    sets = [[*map(normalised, cell.split(","))] for (cell,) in read_columns("synonyms.tsv", "names")]
    words = [word for each in sets for word in each]
    assert len(words) == len({*words})
    assert all(len(each) > 1 and all(each) for each in sets)


def test_some_sets() -> None:
    found = read_synonyms()
    assert {"human", "people", "individual"} <= found["person"]
    assert "person" in found["human"]
    pairs = [("gene", "human gene"), ("race track", "racecourse"), ("presenter", "television host"),
             ("jockey", "horse rider"), ("grand prix", "motor race"), ("aircraft", "airplane")]  # fmt: skip
    assert not [pair for pair in pairs if pair[1] in found.get(pair[0], ())], "one is broader than the other"
    assert len(digest_of_synonyms()) == 64
