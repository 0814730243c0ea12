"""The tagger's model card: figures that are nerbert.json's, code that runs, nothing that acts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import visible
from nerbert.model.folder import TaggerFacts
from nerbert.render.cards import tagger_card, write_tagger_card
from nerbert.render.escape import code
from tests.pages import front_of, markdown_tables_of, said, section

EVIL = "---\n# x | y ``<script>`` [a](http://b) *c* \u202e\x1b &amp; \ud83d"


def counts(right: int, predicted: int, gold: int) -> dict[str, Any]:
    return {"right": right, "predicted": predicted, "gold": gold,
            "precision": right / predicted, "recall": right / gold, "f1": 2 * right / (predicted + gold)}  # fmt: skip


@pytest.fixture
def facts() -> dict[str, Any]:
    """What nerbert.json holds."""
    return {
        "format": 1, "kind": "tagger", "made_by": "nerbert 0.1.0", "word_splitter": "unicode-words-1",
        "max_length": 256, "types": ["person", "ship"], "language": "en", "precision": "bf16",
        "encoder": {"kind": "encoder", "corpus": {"wiki": "enwiki"}, "name": "some/encoder"},
        "data": {"name": "ships", "sentences": 110, "sha256": {"train.conll": "ab" * 32, "dev.conll": "cd" * 32}},
        "source_data": {"name": "news", "sentences": 9000, "sha256": {"train.conll": "ef" * 32, "dev.conll": "0" * 64}},
        "settings": {"epochs": 20.0, "learning_rate": 2e-4, "select": "dev"}, "log": [], "best_step": 3,
        "dev": {"sentences": 50, "decoding": "legal", **counts(3, 4, 6),
                "by_type": {"person": counts(1, 2, 2), "ship": counts(2, 2, 4)}},
        "calibration": {"temperature": 1.3037, "ece_before": 0.1409, "ece_after": 0.0793, "bins": 10, "folds": 5,
                        "entities": 226, "sentences": 50, "data": {"name": "dev.conll", "sha256": "cd" * 32}},
    }  # fmt: skip


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


def test_a_tagger_that_reads_two_layers_is_for_nerbert_alone(facts: dict[str, Any]) -> None:
    plain, joined = tagger_card(facts), tagger_card(facts | {"joined_layer": 6})
    assert "from transformers import pipeline" in plain
    assert "transformers import" not in joined
    assert front_of(joined).library_name == "nerbert"
    use = said(section(joined, "Use"))
    assert "Only nerbert loads it: its head reads the states of layer 6 joined with those of the last one" in use
    assert "Only nerbert" not in plain


def test_a_tagger_of_gliners_kind_is_for_that_package_too(facts: dict[str, Any]) -> None:
    card = tagger_card(facts | {"head": "gliner"})
    assert (front_of(card).library_name, front_of(card).pipeline_tag) == ("gliner", "token-classification")
    assert "transformers import" not in card
    use = section(card, "Use")
    assert 'tagger.tag("Marie Curie was born in Warsaw.")' in use
    assert "nerbert tag FOLDER text.txt\n" in use
    assert "finds the types above; other types can be given at run time" in said(use)


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


def test_what_it_lost_when_it_learnt_types_is_told(facts: dict[str, Any]) -> None:
    lost = {"f1_before": 0.5, "f1_after": 0.49, "sentences": 1234, "labelled": True}
    limits = said(section(tagger_card(facts | {"old_types": lost, "added_types": {"own": ["ship"]}}), "Limits"))
    assert "On its 1 older ones F1 was 50.00 before and is 49.00, on 1,234 sentences" in limits
    agrees = said(section(tagger_card(facts | {"old_types": lost | {"labelled": False}, "added_types": {"own": ["x"]}}),
                          "Limits"))  # fmt: skip
    assert "it agrees to 49.00 % with the tagger before" in agrees


def test_what_it_is(facts: dict[str, Any]) -> None:
    card = said(tagger_card(facts))
    assert "# A named-entity tagger of 2 types" in card
    assert "It finds `person`, `ship` in text of the language `en`" in card
    assert "an encoder that `nerbert pretrain` made of `enwiki` (`some/encoder`)" in card
    assert "tagger of 1 type\n" in tagger_card(facts | {"types": ["x"]})


def test_what_it_was_trained_on(facts: dict[str, Any]) -> None:
    (table,) = markdown_tables_of(section(tagger_card(facts), "What it was trained on"))
    assert table[1:] == [
        ["`news`", "`train.conll`", "source domain, before", "9,000", f"`{'ef' * 32}`"],
        ["`ships`", "`train.conll`", "training", "110", f"`{'ab' * 32}`"],
        ["`ships`", "`dev.conll`", "held out: scores, confidences", "50", f"`{'cd' * 32}`"],
    ]


def test_the_cut_of_a_file_is_said(facts: dict[str, Any]) -> None:
    facts["data"] = {"name": "s.json", "sentences": 9, "sha256": {"s.json": "ab"}, "split": "80/10/10", "split_seed": 3}
    (table,) = markdown_tables_of(section(tagger_card(facts), "What it was trained on"))
    use = "training, the part of `--split 80/10/10 --split-seed 3`"
    assert table[-1] == ["`s.json`", "`s.json`", use, "9", "`ab`"]


def test_scores(facts: dict[str, Any]) -> None:
    told = section(tagger_card(facts), "Scores")
    assert "On the 50 sentences of the dev split" in told
    (table,) = markdown_tables_of(told)
    assert table[2:] == [
        ["`ship`", "100.00", "50.00", "66.67", "2", "2", "4"], ["all", "75.00", "50.00", "60.00", "3", "4", "6"],
    ]  # fmt: skip
    assert "chose the checkpoint" in told
    assert "chose the checkpoint" not in tagger_card(facts | {"settings": {"select": "last"}})
    del facts["dev"]
    assert "nothing was scored" in section(tagger_card(facts), "Scores")


def test_confidences(facts: dict[str, Any], bounds: dict[str, Any]) -> None:
    told = said(section(tagger_card(facts), "Confidences"))
    assert "at a temperature of 1.304 (Guo et al. 2017)" in told
    assert f"226 entities that the tagger finds in 50 sentences: `dev.conll`, SHA-256 `{'cd' * 32}`" in told
    assert "(10 bins), in percent: 14.09 without the temperature, 7.93 with it" in told
    assert "5 parts of the sentences" in told
    assert "threshold" not in told
    facts["calibration"] |= bounds["told"]
    told = section(tagger_card(facts | {"thresholds": bounds["thresholds"]}), "Confidences")
    assert "precision reached 90.00" in told
    assert markdown_tables_of(told)[0][1:] == [
        ["`person`", "none: never reached", "25", "25", "52.00", "100.00"],
        ["`ship`", "0.500", "30", "20", "90.00", "75.00"],
    ]


def test_the_threshold_and_its_origin(facts: dict[str, Any]) -> None:
    kept = said(section(tagger_card(facts | {"threshold": 0.3}), "Confidences"))
    assert "less sure than 0.300 are left out" in kept
    assert "That value is that of the model it was fine-tuned from;" in kept
    facts["calibration"]["threshold_f1"] = 0.5
    fitted = said(section(tagger_card(facts | {"threshold": 0.3}), "Confidences"))
    assert "That value is the best on `dev.conll`, with F1 50.00;" in fitted


@pytest.mark.parametrize(
    ("calibration", "why"),
    [(None, "no held-out sentences were given"), ({"temperature": 1.0, "entities": 0}, "nothing was found")],
)
def test_not_calibrated(facts: dict[str, Any], calibration: object, why: str) -> None:
    told = said(section(tagger_card(facts | {"calibration": calibration}), "Confidences"))
    assert f"Not calibrated: {why}" in told
    assert "`nerbert calibrate FOLDER DATA`" in told


def test_settings_and_licence(facts: dict[str, Any]) -> None:
    changed, whole = section(tagger_card(facts), "Settings").split("<details>")
    assert "`learning_rate` | `0.0002`" in changed
    assert "epochs" not in changed
    assert "`epochs` | `20.0`" in whole
    assert "Computed in `bf16`" in changed
    assert "(not known here)" in section(tagger_card(facts), "Licence")
    assert "(Apache-2.0)" in section(tagger_card(facts | {"encoder": {"name": "embedded"}}), "Licence")
    assert "as its maker says: `mit`." in section(tagger_card(facts | {"licence": "mit"}), "Licence")


def test_the_code_runs(facts: dict[str, Any], tiny_tagger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tagger_card(facts).replace("FOLDER", str(tiny_tagger))
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(found) == 2
    for each in found:
        exec(each.replace("Marie Curie was born in Warsaw.", "The brig Margarethe was built in Bergen."), {})
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_nothing_from_outside_acts(facts: dict[str, Any], bounds: dict[str, Any]) -> None:
    yaml = pytest.importorskip("yaml")
    by_type = {EVIL: {"predicted": EVIL, "kept": 10**400, "kept_precision": "1", "recall_kept": float("nan")}}
    told = facts | {
        "language": EVIL, "made_by": EVIL, "precision": EVIL, "licence": EVIL, "types": [EVIL],
        "encoder": {"kind": EVIL, "name": EVIL, "corpus": {"wiki": EVIL}},
        "data": {"name": EVIL, "sentences": EVIL, "sha256": {EVIL: EVIL}}, "settings": {EVIL: EVIL},
        "dev": {"sentences": EVIL, "by_type": {EVIL: {"precision": EVIL}}}, "thresholds": {EVIL: 0.5},
        "calibration": facts["calibration"] | {"data": {"name": EVIL, "sha256": EVIL}, "by_type": by_type,
                                               "threshold_f1": 0.5},
        "threshold": 0.5,
    }  # fmt: skip
    card = tagger_card(told)
    front, body = card.split("\n---\n", 1)
    read = yaml.safe_load(front.removeprefix("---\n"))
    assert (read["language"], read["license"]) == ([visible(EVIL)], visible(EVIL))
    assert "base_model" not in read
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", card)
    outside = re.sub(r"(?<![`\\])(`+)(?!`).*?(?<!`)\1(?!`)", "", body)
    assert not re.search(r"(?<!\\)<script", outside)
    assert not re.search(r"(?<!\\)\[a", outside)
    assert "http://" not in outside
    assert code(EVIL) in section(card, "Confidences")
    assert [line for line in card.splitlines() if line.startswith("# ")] == ["# A named-entity tagger of 1 type"]


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


def test_a_distilled_tagger_says_who_taught_it(facts: dict[str, Any]) -> None:
    told = {"teacher": {"name": "some/teacher"}, "silver": {"kept": 40, "sentences": 120}}
    page = section(tagger_card(facts | {"distilled": told}), "What it was trained on")
    assert "`silver.jsonl` in this folder holds what another tagger (`some/teacher`) found in 40 sentences" in page
    assert "silver sentences, before" in page
    assert "another tagger found" in tagger_card(facts | {"distilled": told | {"teacher": {"name": None}}})
    assert "silver" not in tagger_card(facts)


def test_the_comparison_with_the_start_is_told(facts: dict[str, Any]) -> None:
    compared = {"start_f1": 0.41, "finetuned_f1": 0.605, "parts": 3, "sentences": 20}
    text = " ".join(tagger_card(facts | {"compared_with_start": compared}).split())
    assert "In 3-fold cross-validation on its 20 training sentences F1 is 60.5" in text
    assert "The model that it was fine-tuned from has 41.0" in text
    assert "cross-validation" not in tagger_card(facts)
