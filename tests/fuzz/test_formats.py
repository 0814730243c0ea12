"""Readers of annotated sentences, each with broken files of its format."""

import pytest
from hypothesis import strategies as st

from tests.fuzz.annotation_checks import Desk
from tests.fuzz.annotation_seeds import JSON_SEEDS, seeds_of, words_of
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_cases import mutated_json
from tests.fuzz.mutator import mutated

pytestmark = pytest.mark.fuzz
TEXT_FORMATS = ("conll", "csv", "marked", "webanno", *JSON_SEEDS)
FOUND: dict[str, list[tuple[bytes, str]]] = {"marked": [("[é|x]\n[".encode(), "")]}
"""What was found before: files, and the formats into which they were converted."""


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_broken_bytes(desk: Desk, fuzz: Fuzz, name: str) -> None:
    cases = st.tuples(mutated(seeds_of(name), words_of(name)), st.sampled_from(["", "", name, "jsonl"]))
    fuzz(cases, lambda case: desk.check(case[0], name, to=case[1]), found=FOUND.get(name, ()))


@pytest.mark.parametrize("name", JSON_SEEDS)
def test_broken_values(desk: Desk, fuzz: Fuzz, name: str) -> None:
    cases = st.tuples(mutated_json(JSON_SEEDS[name]), st.sampled_from(["", "", name, "jsonl"]))
    fuzz(cases, lambda case: desk.check(case[0], name, to=case[1]))


def test_any_file_under_any_name(desk: Desk, fuzz: Fuzz) -> None:
    """The format is found by content; what is found is a document or a line."""
    every = tuple(dict.fromkeys(seed for name in TEXT_FORMATS for seed in seeds_of(name)[:8]))
    words = tuple(word for name in ("conll", "csv", "json", "marked") for word in words_of(name))
    names = (".json", ".jsonl", ".csv", ".tsv", ".conll", ".txt", ".marked", ".ann", ".parquet", ".spacy", "")

    def check(case: tuple[bytes, str]) -> None:
        path = desk.emptied() / f"a{case[1]}"
        path.write_bytes(case[0])
        desk.read(path)
        desk.check_left(path)

    fuzz(st.tuples(mutated(every, words), st.sampled_from(names)), check, share=2)
