"""The tagger's model card: figures that are nerbert.json's, code that runs, nothing that acts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import visible
from nerbert.model.folder import TaggerFacts
from nerbert.render import code
from nerbert.render.cards import tagger_card, write_tagger_card
from tests.pages import front_of, markdown_tables_of, section
from tests.render.checks import EVIL, check_card, part_of


def counts(right: int, predicted: int, gold: int) -> dict[str, Any]:
    return {
        "right": right,
        "predicted": predicted,
        "gold": gold,
        "precision": right / predicted,
        "recall": right / gold,
        "f1": 2 * right / (predicted + gold),
    }


@pytest.fixture
def facts() -> dict[str, Any]:
    """What nerbert.json holds."""
    return {
        "format": 1,
        "kind": "tagger",
        "made_by": "nerbert 0.1.0",
        "word_splitter": "unicode-words-1",
        "max_length": 256,
        "types": ["person", "ship"],
        "language": "en",
        "precision": "bf16",
        "encoder": {"kind": "encoder", "corpus": {"wiki": "enwiki"}, "name": "some/encoder"},
        "data": {"name": "ships", "sentences": 110, "sha256": {"train.conll": "ab" * 32, "dev.conll": "cd" * 32}},
        "source_data": {"name": "news", "sentences": 9000, "sha256": {"train.conll": "ef" * 32, "dev.conll": "0" * 64}},
        "settings": {"epochs": 20.0, "learning_rate": 2e-4, "select": "dev"},
        "log": [],
        "best_step": 3,
        "changed": ["learning_rate", "select"],
        "dev": {
            "sentences": 50,
            "decoding": "legal",
            **counts(3, 4, 6),
            "by_type": {"person": counts(1, 2, 2), "ship": counts(2, 2, 4)},
        },
        "calibration": {
            "temperature": 1.3037,
            "ece_before": 0.1409,
            "ece_after": 0.0793,
            "bins": 10,
            "folds": 5,
            "entities": 226,
            "sentences": 50,
            "data": {"name": "dev.conll", "sha256": "cd" * 32},
        },
    }


@pytest.fixture
def bounds() -> dict[str, Any]:
    """What `nerbert calibrate --precision` adds."""
    by_type = {
        "person": {"confidence": None, "predicted": 25, "kept": 25, "kept_precision": 0.52, "recall_kept": 1.0},
        "ship": {"confidence": 0.5, "predicted": 30, "kept": 20, "kept_precision": 0.9, "recall_kept": 0.75},
    }
    return {"thresholds": {"ship": 0.5}, "told": {"precision": 0.9, "by_type": by_type}}


def test_front_matter(facts: dict[str, Any]) -> None:
    front = front_of(tagger_card(facts))
    assert (front.license, front.language, front.library_name) == ("other", ["en"], "transformers")
    assert (front.pipeline_tag, front.base_model) == ("token-classification", "some/encoder")
    assert {"nerbert", "named-entity-recognition"} <= set(front.tags)
    told = front_of(tagger_card(facts | {"licence": "mit", "encoder": {"name": "embedded"}}))
    assert (told.license, told.base_model) == ("mit", None)


@pytest.mark.parametrize(
    ("changed", "library", "words"),
    [
        ({}, "transformers", "from transformers import pipeline"),
        (
            {"joined_layer": 6},
            "nerbert",
            "Only nerbert loads it: its head reads the hidden states of layer 6 joined with those of the last one",
        ),
        ({"head": "gliner"}, "gliner", "finds the types above; other types can be given at run time"),
    ],
)
def test_which_library_loads_it(facts: dict[str, Any], changed: dict[str, Any], library: str, words: str) -> None:
    card = tagger_card(facts | changed)
    front, use = front_of(card), part_of(card, "Use")
    assert (front.library_name, front.pipeline_tag) == (library, "token-classification")
    assert words in use
    assert 'tagger.tag("Marie Curie was born in Warsaw.")' in use
    assert "nerbert tag FOLDER text.txt " in use
    assert ("transformers import" in card) == (library == "transformers")
    assert ("Only nerbert" in card) == (library == "nerbert")


LOST = {"f1_before": 0.5, "f1_after": 0.49, "sentences": 1234, "labelled": True}
TAUGHT = {"teacher": {"name": "some/teacher"}, "silver": {"kept": 40, "sentences": 120}}


@pytest.mark.parametrize(
    ("changed", "heading", "told"),
    [
        (
            {},
            "",
            [
                "# A named-entity tagger of 2 types",
                "It finds `person`, `ship` in text of the language `en`",
                "an encoder that `nerbert pretrain` made of `enwiki` (`some/encoder`)",
            ],
        ),
        ({"types": ["x"]}, "", ["tagger of 1 type "]),
        (
            {"distilled": TAUGHT},
            "What it was trained on",
            [
                "silver sentences, before",
                "in this folder holds the entities that another tagger (`some/teacher`) found in 40 sentences",
            ],
        ),
        ({"distilled": TAUGHT | {"teacher": {"name": None}}}, "What it was trained on", ["another tagger found"]),
        ({}, "Scores", ["On the 50 sentences of the dev split", "chose the checkpoint"]),
        (
            {},
            "Confidences",
            [
                "at a temperature of 1.304 (Guo et al. 2017)",
                "5 parts of the sentences",
                f"226 entities that the tagger finds in 50 sentences: `dev.conll`, SHA-256 `{'cd' * 32}`",
                "(10 bins), in percent: 14.09 before, 7.93 after",
            ],
        ),
        (
            {"threshold": 0.3},
            "Confidences",
            ["a confidence below 0.300 are left out", "That value is that of the model it was fine-tuned from;"],
        ),
        (
            {"calibration": None},
            "Confidences",
            ["Not calibrated: no held-out sentences were given", "`nerbert calibrate FOLDER DATA`"],
        ),
        ({"calibration": {"temperature": 1.0, "entities": 0}}, "Confidences", ["Not calibrated: nothing was found"]),
        (
            {"old_types": LOST, "added_types": {"own": ["ship"]}},
            "Limits",
            ["On its 1 older ones F1 was 50.00 before and is 49.00, on 1,234 sentences"],
        ),
        (
            {"old_types": LOST | {"labelled": False}, "added_types": {"own": ["x"]}},
            "Limits",
            ["it agrees to 49.00 % with the tagger before"],
        ),
        (
            {},
            "Settings",
            [
                "Computed in `bf16`",
                "`epochs` | `20.0`",
                '|---|---| | `learning_rate` | `0.0002` | | `select` | `"dev"` | <details>',
            ],
        ),
        ({}, "Licence", ["(not known here)"]),
        ({"encoder": {"name": "embedded"}}, "Licence", ["(Apache-2.0)"]),
        ({"licence": "mit"}, "Licence", ["as stated by its maker: `mit`."]),
    ],
)
def test_what_is_told(facts: dict[str, Any], changed: dict[str, Any], heading: str, told: list[str]) -> None:
    part = part_of(tagger_card(facts | changed), heading)
    assert [words for words in told if words not in part] == []


def test_the_hub_reads_its_scores(facts: dict[str, Any]) -> None:
    front = front_of(tagger_card(facts))
    assert front.model_name == "tagger of ships"
    found = {(each.metric_type, each.metric_value) for each in front.eval_results}
    assert found == {("f1", 0.6), ("precision", 0.75), ("recall", 0.5)}
    assert {(each.task_type, each.dataset_name, each.dataset_split) for each in front.eval_results} == {
        ("token-classification", "ships", "dev")
    }
    del facts["dev"]
    assert front_of(tagger_card(facts)).eval_results is None


def test_hostile_names_stay_names_in_what_the_hub_reads(facts: dict[str, Any]) -> None:
    facts["data"]["name"] = 'ships"\nlicense: mit\n# <b>'
    front = front_of(tagger_card(facts))
    assert front.license == "other"
    assert front.eval_results[0].dataset_name == facts["data"]["name"].replace("\n", "\\n")


def test_what_it_was_trained_on(facts: dict[str, Any]) -> None:
    (table,) = markdown_tables_of(section(tagger_card(facts), "What it was trained on"))
    assert table[1:] == [
        ["`news`", "`train.conll`", "source domain, before", "9,000", f"`{'ef' * 32}`"],
        ["`ships`", "`train.conll`", "training", "110", f"`{'ab' * 32}`"],
        ["`ships`", "`dev.conll`", "held out: scores, confidences", "50", f"`{'cd' * 32}`"],
    ]
    assert "silver" not in tagger_card(facts)
    facts["data"] = {"name": "s.json", "sentences": 9, "sha256": {"s.json": "ab"}, "split": "80/10/10", "split_seed": 3}
    (table,) = markdown_tables_of(section(tagger_card(facts), "What it was trained on"))
    use = "training, the part of `--split 80/10/10 --split-seed 3`"
    assert table[-1] == ["`s.json`", "`s.json`", use, "9", "`ab`"]


def test_scores(facts: dict[str, Any]) -> None:
    (table,) = markdown_tables_of(section(tagger_card(facts), "Scores"))
    assert table[2:] == [
        ["`ship`", "100.00", "50.00", "66.67", "2", "2", "4"],
        ["all", "75.00", "50.00", "60.00", "3", "4", "6"],
    ]
    assert "chose the checkpoint" not in tagger_card(facts | {"settings": {"select": "last"}})
    del facts["dev"]
    assert "nothing was scored" in section(tagger_card(facts), "Scores")


def test_confidences(facts: dict[str, Any], bounds: dict[str, Any]) -> None:
    assert "threshold" not in section(tagger_card(facts), "Confidences")
    facts["calibration"] |= bounds["told"]
    told = section(tagger_card(facts | {"thresholds": bounds["thresholds"]}), "Confidences")
    assert "precision reached 90.00" in told
    assert markdown_tables_of(told)[0][1:] == [
        ["`person`", "none: never reached", "25", "25", "52.00", "100.00"],
        ["`ship`", "0.500", "30", "20", "90.00", "75.00"],
    ]

    facts["calibration"]["threshold_f1"] = 0.5
    fitted = part_of(tagger_card(facts | {"threshold": 0.3}), "Confidences")
    assert "That value is the best on `dev.conll`, with F1 50.00;" in fitted


def test_the_code_runs(facts: dict[str, Any], tiny_tagger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tagger_card(facts).replace("FOLDER", str(tiny_tagger))
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(found) == 2
    for each in found:
        exec(each.replace("Marie Curie was born in Warsaw.", "The brig Margarethe was built in Bergen."), {})
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_nothing_from_outside_acts(facts: dict[str, Any], bounds: dict[str, Any]) -> None:
    by_type = {EVIL: {"predicted": EVIL, "kept": 10**400, "kept_precision": "1", "recall_kept": float("nan")}}
    told = facts | {
        "language": EVIL,
        "made_by": EVIL,
        "precision": EVIL,
        "licence": EVIL,
        "types": [EVIL],
        "encoder": {"kind": EVIL, "name": EVIL, "corpus": {"wiki": EVIL}},
        "data": {"name": EVIL, "sentences": EVIL, "sha256": {EVIL: EVIL}},
        "settings": {EVIL: EVIL},
        "dev": {"sentences": EVIL, "by_type": {EVIL: {"precision": EVIL}}},
        "thresholds": {EVIL: 0.5},
        "calibration": facts["calibration"]
        | {"data": {"name": EVIL, "sha256": EVIL}, "by_type": by_type, "threshold_f1": 0.5},
        "threshold": 0.5,
    }
    card = tagger_card(told)
    read = check_card(card, "A named-entity tagger of 1 type")
    assert (read["language"], read["license"]) == ([visible(EVIL)], visible(EVIL))
    assert "base_model" not in read
    assert code(EVIL) in section(card, "Confidences")


def test_little_is_needed() -> None:
    card = tagger_card({})
    assert "Not calibrated" in card
    assert "Not known." in section(card, "What it was trained on")


def test_a_readme_that_was_changed_by_hand_stays(facts: dict[str, Any], tmp_path: Path) -> None:
    old, new = facts, facts | {"licence": "mit"}
    readme = tmp_path / "README.md"
    assert write_tagger_card(tmp_path, TaggerFacts(old))
    assert readme.read_text() == tagger_card(old)
    assert write_tagger_card(tmp_path, TaggerFacts(json.loads(json.dumps(new)), before=old))
    assert readme.read_text() == tagger_card(new)
    assert write_tagger_card(tmp_path, TaggerFacts(new, before=old)), "a run that was killed in between is made again"
    readme.write_text("mine")
    assert not write_tagger_card(tmp_path, TaggerFacts(new, before=old))
    assert readme.read_text() == "mine"
    readme.unlink()
    assert write_tagger_card(tmp_path, TaggerFacts(new, before=old))
