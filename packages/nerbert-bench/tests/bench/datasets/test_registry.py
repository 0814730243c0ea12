"""The tables of known data sets: complete, and true to the real files and to what the publishers' files look like."""

import re
import tomllib
from dataclasses import fields
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path

import pytest

from nerbert.data.catalogue import (
    KnownData,
    Recipe,
    all_names,
    find_duplicates,
    find_known,
    find_known_files,
    known_data,
    open_data,
)
from nerbert_bench.datasets.fetch import convert_data, find_addresses, find_public
from tests.bench.datasets.published import published, read_splits, undraw

DUPLICATES = {
    "harveyner": 148,
    "jnlpba": 91,
    "conll2003": 16,
    "defense_re3d": 8,
    "crossner_music": 6,
    "mit_movie": 4,
    "few_tk_supervised": 2,
    "crossner_science": 1,
    "ncbi_disease": 1,
    "few_tk_inter": 456,
    "few_tk_intra": 774,
}
RELEASED = {name for name, known in known_data().items() if known.recipe.release}
FETCHED = [name for name, known in known_data().items() if not known.recipe.unfetched and name not in RELEASED]


def test_the_papers_names_lead_to_folders() -> None:
    names = "Pol Sci Mus Lit AI Twi BTwi BioCG BioPC Fin Def".split()
    folders = [known.name for name in names if (known := find_known(name))]
    five = [f"crossner_{domain}" for domain in "politics science music literature ai".split()]
    assert folders == [*five, *"twitter2017 btc bionlp13cg bionlp13pc finance_sec defense_re3d".split()]
    assert len(known_data()) == 23
    assert len(set(all_names())) == 23 + 11
    assert [each.name for each in known_data().values() if each.source_domain] == ["conll2003"]
    assert not any(known_data()[name].fits for name in ("bionlp13cg", "bionlp13pc"))  # other types than the paper's
    assert find_known("") is None
    assert find_known("Nope") is None


def test_the_table_is_sound() -> None:
    """It is the package's own, so a test checks it in place of code."""
    table = tomllib.loads(files("nerbert.tables").joinpath("datasets.toml").read_text(encoding="utf-8"))
    names = {each.name for each in fields(KnownData)} - {"name"}
    assert len(set(all_names())) == len(all_names())
    for name, values in table.items():
        assert re.fullmatch(r"[a-z0-9_]+|open-types(-languages)?", name)
        assert values.keys() <= names
        assert values["recipe"].keys() <= {each.name for each in fields(Recipe)}
        known = known_data()[name]
        assert list(known.splits) == ["train", "dev", "test"]
        assert all(re.fullmatch(r"[0-9a-f]{64}", each.sha256) for each in known.splits.values())
        assert known.types == tuple(sorted(set(known.types)))
        assert known.licence
        assert known.split
        for source in known.sources:
            assert re.fullmatch(r"github\.com/[\w.-]+/[\w.-]+", source.repository)
            assert re.fullmatch(r"[0-9a-f]{40}", source.commit)
            assert source.paths
        if not (known.paper_name or known.source_domain):
            assert not known.fits, "there is no split of the paper's to fit"


@pytest.mark.nightly
@pytest.mark.parametrize("name", list(known_data()))
def test_what_is_claimed_holds_of_the_real_files(shared: Path, name: str) -> None:
    root = shared / "data" / "ner"
    if not (root / name).is_dir():
        pytest.skip(f"no {name} there")
    data = open_data(name, root)
    assert find_known_files(name, data.sha256) == (known_data()[name], ())
    for split, examples in data.splits.items():
        known = known_data()[name].splits[split]
        assert len(examples) == known.sentences
        assert sum(len(each.words) for each in examples) == known.tokens
        assert sum(len(each.spans) for each in examples) == known.entities
    types = {span.type for examples in data.splits.values() for each in examples for span in each.spans}
    assert tuple(sorted(types)) == known_data()[name].types
    assert len(find_duplicates(data.train, data.test)) == DUPLICATES.get(name, 0)


@pytest.mark.parametrize("name", FETCHED)
def test_recipes_name_files_that_the_registry_names(name: str) -> None:
    data = known_data()[name]
    recipe = data.recipe
    told = data.sources[0].paths
    assert all(any(fnmatchcase(path, each) for each in told) for path in recipe.paths.values())
    assert all(any(fnmatchcase(path, each) for path in recipe.paths.values()) for each in told)
    assert len(data.sources) == 1
    assert {**recipe.paths, **recipe.draws}.keys() == data.splits.keys()
    assert all(recipe.draws[split] == data.splits[split].sentences for split in recipe.draws)


def test_the_project_s_own_set_is_a_release() -> None:
    assert {"open-types", "open-types-languages"} == RELEASED
    known = find_public("open-types")
    root = "https://github.com/nerbert/nerbert/releases/download/open-types-3.0"
    assert find_addresses(known) == {split: f"{root}/{split}.jsonl" for split in ("train", "dev", "test")}
    assert convert_data({"train": b"as it is"}, known.recipe) == {"train": b"as it is"}
    assert known.licence == "CC0-1.0"


@pytest.mark.parametrize("name", FETCHED)
def test_what_publishers_have_becomes_what_is_known(name: str, shared: Path) -> None:
    """Their files made back from the known ones give the known bytes again."""
    folder, recipe = shared / "data" / "ner" / name, known_data()[name].recipe
    parts = undraw(read_splits(folder), recipe)
    made = convert_data({split: published(name, parts[split], recipe.scheme).encode() for split in parts}, recipe)
    assert made.keys() == known_data()[name].splits.keys()
    assert all(made[split] == (folder / f"{split}.conll").read_bytes() for split in made)
