"""The table of recipes: complete, in step with the registry, and true to what the publishers' files look like."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.evaluation.datasets.fetch import convert_data
from nerbert.evaluation.datasets.recipes import find_addresses, find_recipe, known_recipes, parse_recipes
from nerbert.evaluation.datasets.registry import known_data
from tests.evaluation.datasets.published import published, read_splits, undraw

SIZES = {
    "crossner_politics": {"train": 97_200, "dev": 300_808, "test": 325_682},
    "crossner_science": {"train": 78_678},
    "crossner_music": {"test": 208_279},
    "crossner_literature": {"dev": 142_411},
    "crossner_ai": {"train": 40_182, "test": 134_437},
    "bionlp13cg": {"train": 943_120, "dev": 316_312},
    "bionlp13pc": {"dev": 267_181},
    "ncbi_disease": {"dev": 200_352},
    "mit_movie": {"train": 999_248, "dev": 111_994, "test": 277_066},
    "few_tk_supervised": {"train": 849_127, "dev": 127_846},
    "few_tk_inter": {"test": 368_058},
    "few_tk_intra": {"train": 1_373_041},
    "ecommerce_zh": {"train": 578_294, "dev": 72_487, "test": 72_010},
    "defense_re3d": {"train": 215_348, "test": 56_026},
    "wikigold": {"train": 318_333},
}
"""Characters of the publishers' files, as told by stored copies of the repositories."""
FETCHED = [name for name, recipe in known_recipes().items() if not recipe.unfetched]


def test_every_known_data_set_has_a_recipe_and_no_other() -> None:
    assert set(known_recipes()) == set(known_data())
    assert set(known_recipes()) - set(FETCHED) == {"jnlpba"}


@pytest.mark.parametrize("name", FETCHED)
def test_recipes_name_files_that_the_registry_names(name: str) -> None:
    data, recipe = find_recipe(name, known_data(), known_recipes())
    told = data.sources[0].paths
    assert all(any(fnmatchcase(path, each) for each in told) for path in recipe.paths.values())
    assert all(any(fnmatchcase(path, each) for path in recipe.paths.values()) for each in told)
    assert len(data.sources) == 1
    assert {**recipe.paths, **recipe.draws}.keys() == data.splits.keys()
    assert all(recipe.draws[split] == data.splits[split].sentences for split in recipe.draws)


def test_addresses_are_of_a_commit() -> None:
    data, recipe = find_recipe("Pol", known_data(), known_recipes())
    found = find_addresses(data, recipe)
    root = (
        "https://raw.githubusercontent.com/zliucr/CrossNER/2e7ba2a7798c961e3f29fbc51252c5a8d40224bf/ner_data/politics"
    )
    assert {split: each.address for split, each in found.items()} == {
        split: f"{root}/{split}.txt" for split in ("train", "dev", "test")
    }


@pytest.mark.parametrize("name", FETCHED)
def test_what_publishers_have_becomes_what_is_known(name: str, shared: Path, tmp_path: Path) -> None:
    """Their files made back from the known ones have their sizes, and give the known bytes again."""
    folder, recipe = shared / "data" / "ner" / name, known_recipes()[name]
    for split, sentences in undraw(read_splits(folder), recipe).items():
        text = published(name, sentences, recipe.scheme)
        assert len(text) == SIZES.get(name, {}).get(split, len(text)), split
        (tmp_path / f"{split}.raw").write_text(text, encoding="utf-8", newline="")
    made = convert_data(tmp_path, recipe)
    assert {split: made[split] == (folder / f"{split}.conll").read_bytes() for split in made} == dict.fromkeys(
        known_data()[name].splits, True
    )


def test_a_name_that_is_unknown_or_has_no_address() -> None:
    with pytest.raises(SettingsError, match="did you mean 'conll2003'"):
        find_recipe("conll-2003", known_data(), known_recipes())
    with pytest.raises(InputError, match="no public address in this form: its train part was rebuilt"):
        find_recipe("jnlpba", known_data(), known_recipes())
    with pytest.raises(InputError, match="never looked for"):
        find_recipe("btc", known_data(), {})


@pytest.mark.parametrize(
    "text",
    [
        'reader = "column"', 'scheme = "iob3"', 'train = "a"', 'train = "a"\ndev = "b"\ntest = "c"\ndraw_dev = 3',
        'train = "a"\nunfetched = "so"', 'colour = "red"', "",
    ],
)  # fmt: skip
def test_faults_in_the_table_are_told(text: str) -> None:
    with pytest.raises(SettingsError, match=r"datasets_raw\.toml: made_up: "):
        parse_recipes(f"[made_up]\n{text}\n")
