"""The model card: front matter for the hub, figures that are nerbert.json's, code that runs, nothing that acts."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.shards import read_manifest
from nerbert.encoder.objectives.mlm import Mlm
from nerbert.errors import visible
from nerbert.model.backbone import load_tokenizer, save_model
from nerbert.render.cards import encoder_card
from nerbert.render.escape import code
from nerbert.training.tagging import TokenClassification
from tests.pages import front_of, markdown_tables_of, said, section

EVIL = "---\n# x | y ``<script>`` [a](http://b) *c* \u202e\x1b &amp; \ud83d"


@pytest.fixture(scope="module")
def manifest(sample_corpus: Path) -> dict[str, Any]:
    return read_manifest(sample_corpus)


@pytest.fixture(scope="module")
def facts(manifest: dict[str, Any]) -> dict[str, Any]:
    """What nerbert.json holds."""
    label_set = {"name": manifest["label_set"]["name"], "sha256": manifest["label_set"]["sha256"]}
    return {
        "format": 1, "kind": "encoder", "made_by": "nerbert 0.1.0", "word_splitter": "unicode-words-1",
        "language": "en", "objective": "tagging",
        "description": asdict(TokenClassification(["x"]).describe()), "precision": "bf16", "best_step": 1234,
        "label_set": label_set | {"typed_mentions": 1000, "made_entity": 125},
        "corpus": {"wiki": "enwiki", "manifest_sha256": "ab" * 32},
        "settings": {"corpus": "corpus", "backbone": "google-bert/bert-base-cased", "epochs": 3.0, "batch_size": 960},
        "log": [{"step": 600, "epoch": 1.0, "loss": 0.5, "typed_f1": 0.25, "span_f1": 0.5},
                {"step": 1234, "epoch": 2.06, "loss": 0.25, "typed_f1": 0.4321, "span_f1": 0.6}],
        "validation": {"typed_f1": 0.4321, "span_f1": 0.6},
    }  # fmt: skip


MLM = {"objective": "mlm", "label_set": {}, "description": asdict(Mlm(1, 0.15, 4, 60, ()).describe())}


def snippets(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_front_matter(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    front = front_of(encoder_card(facts, manifest))
    assert (front.license, front.language, front.library_name) == ("other", ["en"], "transformers")
    assert front.pipeline_tag == "token-classification"
    assert front.base_model == "google-bert/bert-base-cased"
    assert {"nerbert", "named-entity-recognition"} <= set(front.tags)
    mlm = front_of(encoder_card(facts | MLM | {"licence": "apache-2.0"}, manifest))
    assert (mlm.pipeline_tag, mlm.license) == ("fill-mask", "apache-2.0")
    gliner = front_of(encoder_card(facts | {"objective": "zero_shot", "head": "gliner"}, manifest))
    assert (gliner.library_name, gliner.pipeline_tag) == ("gliner", "token-classification")


@pytest.mark.parametrize("objective", ["zero_shot", "concepts"])
def test_the_threshold(facts: dict[str, Any], manifest: dict[str, Any], objective: str) -> None:
    card = encoder_card(facts | {"objective": objective, "threshold": 0.25}, manifest)
    assert "at least 0.250, the best on the held-out texts of its training" in said(section(card, "Use"))
    assert "threshold" not in encoder_card(facts | {"objective": objective}, manifest).split("## What")[0]


@pytest.mark.parametrize("backbone", ["fresh", "minilm", "../a/b", "a/b c", "a/b/c", ""])
def test_only_a_hubs_name_is_a_base_model(facts: dict[str, Any], manifest: dict[str, Any], backbone: str) -> None:
    card = encoder_card(facts | {"settings": {"backbone": backbone}}, manifest)
    assert front_of(card).base_model is None
    licence = section(card, "Licence")
    assert ("- the backbone" in licence) is (backbone not in ("fresh", ""))


def test_what_it_is(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    card, count = said(encoder_card(facts, manifest)), len(manifest["categories"])
    assert f"{count} categories with `ENTITY`, so {2 * count + 1} classes" in card
    assert "weights are those of step 1,234, the best on validation" in card
    last = facts | {"settings": facts["settings"] | {"select": "last"}}
    assert "weights are those of step 1,234, the last" in said(encoder_card(last, manifest))
    assert "initialised from `google-bert/bert-base-cased`" in card
    assert "11 categories with `ENTITY`, so 23 classes" in encoder_card(facts | {"categories": 11}, manifest)
    other = facts | {"label_set": {"name": "1type", "sha256": "0"}}
    assert "categories with" not in section(f"\n## x\n{encoder_card(other, manifest)}", "x")
    mlm = encoder_card(facts | MLM, manifest)
    assert "masked subwords" in mlm
    assert "categories with" not in mlm.split("## Use")[0]
    assert "`ENTITY` is" not in mlm


def test_what_it_was_trained_on(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    data = section(encoder_card(facts, manifest), "What it was trained on")
    for name, counts in manifest["splits"].items():
        cells = [f"{counts[each]:,}" for each in ("sentences", "words", "mentions", "copies")]
        assert [f"`{name}`", *cells] in markdown_tables_of(data)[0]
    for each in (*manifest["inputs"], *manifest["knowledge"]["used"]):
        assert each["sha256"] in data
    assert "ab" * 32 in data
    assert "Of 1,000 mentions with a type, 12.50 % are `ENTITY` here" in data


def test_settings_that_differ_come_first(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    changed, whole = section(encoder_card(facts, manifest), "Settings").split("<details>")
    assert "`batch_size` | `960`" in changed
    assert '`backbone` | `"google-bert/bert-base-cased"`' in changed
    assert "epochs" not in changed
    assert "`epochs` | `3.0`" in whole
    assert "`batch_size` | `960`" in whole
    assert "Computed in `bf16`" in changed


def test_figures_and_log(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    told = section(encoder_card(facts, manifest), "Validation")
    best, log = markdown_tables_of(told)
    assert [row[:2] for row in best[1:]] == [["`typed_f1`", "43.21"], ["`span_f1`", "60.00"]]
    assert log[0] == ["step", "epoch", "loss", "`span_f1`", "`typed_f1`"]
    assert log[-1] == ["1,234", "2.06", "0.2500", "60.00", "43.21"]
    mlm = facts | MLM | {"validation": {"mlm_loss": 2.5, "mlm_accuracy": 0.5}, "log": []}
    (best,) = markdown_tables_of(section(encoder_card(mlm, manifest), "Validation"))
    assert [row[:2] for row in best[1:]] == [["`mlm_loss`", "2.5000"], ["`mlm_accuracy`", "50.00"]]
    bare = encoder_card(facts | {"validation": {}, "log": []}, manifest)
    assert "Nothing was scored." in section(bare, "Validation")


def test_a_long_log_is_cut_at_its_start(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    log = [{"step": step, "epoch": 1.0, "loss": 0.5} for step in range(1, 1001)]
    told = section(encoder_card(facts | {"log": log}, manifest), "Validation")
    assert "| 1,000 | 1.00 |" in told
    assert "| 900 | 1.00 |" not in told


def test_limits_and_licence(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    card = encoder_card(facts, manifest | {"excluded": [{"file": "test.conll", "not_judged_share": 0.0891}]})
    assert "`test.conll` (8.91 % too short to be judged)." in section(card, "Limits")
    assert "`ENTITY` is no label in this set" in section(card, "Limits")
    assert "CC BY-SA 4.0" in section(card, "Licence")
    assert "isn't known here" in section(card, "Licence")
    assert "No text was excluded" in section(encoder_card(facts, manifest | {"excluded": []}), "Limits")
    told = section(encoder_card(facts | {"licence": "mit"}, manifest), "Licence")
    assert "as its maker says: `mit`." in told
    assert "is not set" not in told


def test_the_tagging_code_runs(
    facts: dict[str, Any], manifest: dict[str, Any], tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = encoder_card(facts, manifest)
    found = snippets(text)
    assert len(found) == 1
    for each in found:
        exec(each.replace("FOLDER", str(tiny_encoder)), {})
    assert "Warsaw" in capsys.readouterr().out
    assert "nerbert finetune FOLDER --data DATA --output TAGGER" in text


def test_the_masking_code_runs(
    facts: dict[str, Any], manifest: dict[str, Any], tiny_encoder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = load_tokenizer(str(tiny_encoder))
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=1, num_attention_heads=1,
                        intermediate_size=64)  # fmt: skip
    save_model(tmp_path, BertForMaskedLM(config), tokenizer)
    (snippet,) = snippets(encoder_card(facts | MLM, manifest))
    capsys.readouterr()
    exec(snippet.replace("FOLDER", str(tmp_path)), {})
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_nothing_from_outside_acts(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    yaml = pytest.importorskip("yaml")
    evil = json.loads(json.dumps(manifest)) | {
        "wiki": EVIL, "licence": EVIL, "made_by": EVIL, "excluded": [{"file": EVIL, "not_judged_share": EVIL}],
        "splits": {EVIL: {"sentences": EVIL, "words": 1, "mentions": 1, "copies": None}},
        "inputs": [{"file": EVIL, "sha256": EVIL}],
        "knowledge": {"used": [{"path": EVIL, "kind": EVIL, "sha256": EVIL}], "passed_over": []},
    }  # fmt: skip
    told = facts | {
        "language": EVIL, "made_by": EVIL, "precision": EVIL, "licence": EVIL, "corpus": {"manifest_sha256": EVIL},
        "label_set": {"name": EVIL}, "settings": {"backbone": EVIL, EVIL: EVIL, "corpus": [EVIL]},
        "validation": {EVIL: 0.5}, "log": [{"step": 1, EVIL: 0.5, "loss": EVIL}],
    }  # fmt: skip
    card = encoder_card(told, evil)
    front, body = card.split("\n---\n", 1)
    read = yaml.safe_load(front.removeprefix("---\n"))
    assert (read["language"], read["license"]) == ([visible(EVIL)], visible(EVIL))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", card)
    outside = re.sub(r"(?<![`\\])(`+)(?!`).*?(?<!`)\1(?!`)", "", body)
    assert not re.search(r"(?<!\\)<script", outside)
    assert not re.search(r"(?<!\\)\[a", outside)
    assert "http://" not in outside
    heading = f"# An encoder of {code(EVIL)}'s names"
    assert [line for line in card.splitlines() if line.startswith("# ")] == [heading]
    tables = [line.count(" | ") for line in outside.splitlines() if line.startswith("|")]
    assert tables


def test_little_is_needed(manifest: dict[str, Any]) -> None:
    bare = {key: manifest[key] for key in ("wiki", "splits", "categories")} | {"knowledge": {}}
    card = encoder_card({}, bare)
    assert "## Limits" in card
    assert "Nothing was scored." in card


def test_concepts_of_a_corpus(facts: dict[str, Any], manifest: dict[str, Any]) -> None:
    text = encoder_card(facts | {"objective": "concepts", "categories": 11}, manifest)
    assert "Its label set is" in text
    assert "11 categories with `ENTITY`." in said(text)
    for word in ("classes (O, and B and I", "typed_f1`.", "It is a class like"):
        assert word not in said(text)
    assert "\n- `ENTITY` is no label in this set (class unknown, outside the set, or rare). Its words are of" in text


def test_open_types_alone(facts: dict[str, Any]) -> None:
    open_types = {"files": [{"file": "a|b.jsonl", "sha256": "cd" * 32}], "texts": 841, "mentions": 2476,
                  "concepts": 466, "dropped": {"not_in_text": 3, "bad_type": 2}}  # fmt: skip
    left = {name: value for name, value in facts.items() if name not in ("corpus", "label_set", "description")}
    text = encoder_card(left | {"open_types": open_types, "objective": "concepts"}, {"wiki": "", "language": "en"})
    assert "# An encoder of open types" in text
    told = said(section(text, "What it was trained on"))
    dropped = "dropped beside them: 3 `not_in_text`, 2 `bad_type`."
    assert f"841 texts with 2,476 entities of 466 open types; {dropped}" in told
    assert "cd" * 32 in told
    assert "a|b.jsonl" not in told.replace("a\\|b.jsonl", "")
    for word in ("ikipedia", "corpus it was trained on", "manifest"):
        assert word not in text
