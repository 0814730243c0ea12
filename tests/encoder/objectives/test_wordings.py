"""Names of types in other words, as objectives read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert.encoder.objectives.concepts import Concepts
from nerbert.encoder.objectives.zero_shot import ZeroShot
from nerbert.encoder.pretrain import Preparation
from nerbert.encoder.settings import PretrainSettings
from nerbert.training.sections import make_settings
from tests.encoder.open_rows import marked
from tests.encoder.preparing import prepared, written

SMALL: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 16,
    "precision": "fp32",
    "threads": 1,
    "fresh_num_layers": 1,
    "fresh_hidden_size": 64,
    "fresh_vocab_size": 300,
    "max_length": 128,
}


@pytest.fixture
def open_file(tmp_path: Path) -> Path:
    named = (("Ada Byron", "person", "somebody"), ("Oslo", "town", ""))
    rows = (marked(f"Ada Byron {number} wrote to Oslo.", *named, asked=["movie"]) for number in range(60))
    return written(tmp_path / "open.jsonl", rows)


def prepared_on(path: Path, objective: str, **more: Any) -> Preparation:
    sections = {"open_types": {"files": [path]}, "cache": str(path.parent / "cache")}
    return prepared(make_settings(PretrainSettings, {**SMALL, **sections, "objective": objective, **more}))


PEOPLE = {"person", "human", "people", "individual", "person name", "human being"}


def test_a_step_of_concepts_reads_one_wording(open_file: Path) -> None:
    work = prepared_on(open_file, "concepts", concepts={"descriptions": True})
    assert isinstance(work.objective, Concepts)
    steps = [work.objective.begin_step(work.data.windows, np.arange(8), step).texts for step in range(1, 60)]
    read = {text for texts in steps for text in texts if "town" not in text}
    assert read >= PEOPLE
    assert {f"{name}: somebody" for name in PEOPLE} & read
    assert {"movie", "film"} <= read
    assert steps == [work.objective.begin_step(work.data.windows, np.arange(8), step).texts for step in range(1, 60)]


@pytest.mark.parametrize("architecture", ["zero_span", "bi_encoder"])
def test_prompts_have_room_for_the_longest_wording(open_file: Path, architecture: str) -> None:
    work = prepared_on(open_file, "zero_shot", zero_shot={"architecture": architecture, "descriptions": True})
    assert isinstance(work.objective, ZeroShot)
    table, read = work.objective._table, set[str]()
    for step in range(1, 60):
        shared = work.objective.begin_step(work.data.windows, np.arange(8), step)
        assert shared.texts.keys() == {*shared.used.tolist()}
        read |= {*shared.texts.values()}
    assert len(PEOPLE & read) > 3
    if architecture == "zero_span":
        pieces = work.model.loaded.pieces
        for number, size in enumerate(work.objective._sizes.tolist()):
            assert size == max(pieces.sizes(table.texts_of(number)))
