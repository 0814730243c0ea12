import re
from pathlib import Path

import pytest

from nerbert.errors import SettingsError
from nerbert.evaluation.datasets.load import load_data
from nerbert.evaluation.datasets.registry import all_names, find_known, known_data, parse_table

ROW = """
[ships]
title = "Ships"
about = "Ships."
split = "ours"
licence = "none stated"
types = ["ship"]
sources = [{repository = "example.org/ships", commit = "abc", paths = ["a"]}]
"""
SPLITS = "".join(
    f'[ships.splits.{split}]\nsentences = 1\ntokens = 2\nentities = 1\nsha256 = "{"0" * 64}"\n'
    for split in ("train", "dev", "test")
)

TWINS = {"harveyner": 148, "jnlpba": 91, "conll2003": 16, "defense_re3d": 8, "crossner_music": 6, "mit_movie": 4,
         "few_tk_supervised": 2, "crossner_science": 1, "ncbi_disease": 1, "few_tk_inter": 456,
         "few_tk_intra": 774}  # fmt: skip


def test_the_papers_names_lead_to_folders() -> None:
    names = "Pol Sci Mus Lit AI Twi BTwi BioCG BioPC Fin Def".split()
    folders = [known.name for name in names if (known := find_known(name))]
    five = [f"crossner_{domain}" for domain in "politics science music literature ai".split()]
    assert folders == [*five, *"twitter2017 btc bionlp13cg bionlp13pc finance_sec defense_re3d".split()]
    assert len(known_data()) == 21
    assert len(set(all_names())) == 21 + 11
    assert [each.name for each in known_data().values() if each.source_domain] == ["conll2003"]
    assert find_known("") is None
    assert find_known("Nope") is None


def test_each_known_set_says_where_it_is_from_and_whose_it_is() -> None:
    for known in known_data().values():
        assert known.types == tuple(sorted(set(known.types)))
        assert known.licence
        assert known.split
        for source in known.sources:
            assert re.fullmatch(r"github\.com/[\w.-]+/[\w.-]+", source.repository)
            assert re.fullmatch(r"[0-9a-f]{40}", source.commit)
            assert source.paths
        if not (known.paper_name or known.source_domain):
            assert not known.fits, "there is no split of the paper's to fit"


@pytest.mark.parametrize("name", list(known_data()))
def test_what_is_claimed_holds_of_the_real_files(shared: Path, name: str) -> None:
    root = shared / "data" / "ner"
    if not (root / name).is_dir():
        pytest.skip(f"no {name} there")
    data = load_data(root, name)
    assert data.notes == ()
    assert data.known is known_data()[name]
    for split, examples in data.splits.items():
        known = data.known.splits[split]
        assert len(examples) == known.sentences
        assert sum(len(each.words) for each in examples) == known.tokens
        assert sum(len(each.spans) for each in examples) == known.entities
    types = {span.type for examples in data.splits.values() for each in examples for span in each.spans}
    assert tuple(sorted(types)) == data.known.types
    assert len(data.twins) == TWINS.get(name, 0)


def test_the_table_is_checked() -> None:
    assert parse_table(ROW + SPLITS)["ships"].splits["dev"].tokens == 2
    with pytest.raises(SettingsError, match=r"datasets\.toml: ships: must have sources, and the splits train, dev"):
        parse_table(ROW)
    with pytest.raises(SettingsError, match=r"ships: unknown setting 'licenc': did you mean 'licence'"):
        parse_table(ROW.replace("licence =", "licenc =") + SPLITS)
    with pytest.raises(SettingsError, match="sha256 '00000"):
        parse_table(ROW + SPLITS.replace("0" * 64, "0" * 63))
    with pytest.raises(SettingsError, match="name must be of small letters"):
        parse_table((ROW + SPLITS).replace("[ships", '["../ships"').replace('"../ships".', '"../ships".'))
    twice = ROW.replace("about", 'paper_name = "Pol"\nabout') + SPLITS
    with pytest.raises(SettingsError, match="is there twice"):
        parse_table(twice + twice.replace("[ships", "[boats"))
