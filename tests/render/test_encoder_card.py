"""The model card: front matter for the hub, figures that are nerbert.json's, code that runs, nothing that acts."""

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.shards import read_manifest
from nerbert.encoder.objectives.mlm import Mlm
from nerbert.errors import visible
from nerbert.model.backbone import load_tokenizer, save_model
from nerbert.render import code
from nerbert.render.cards import encoder_card
from nerbert.training.tagging import TokenClassification
from tests.pages import front_of, markdown_tables_of, section
from tests.render.checks import EVIL, check_card, part_of

Output = pytest.CaptureFixture[str]

FACTS = {
    "format": 1,
    "kind": "encoder",
    "made_by": "nerbert 0.1.0",
    "word_splitter": "unicode-words-1",
    "language": "en",
    "objective": "tagging",
    "description": asdict(TokenClassification(["x"]).describe()),
    "precision": "bf16",
    "best_step": 1234,
    "corpus": {"wiki": "enwiki", "manifest_sha256": "ab" * 32},
    "settings": {"corpus": "corpus", "backbone": "google-bert/bert-base-cased", "epochs": 3.0, "batch_size": 960},
    "log": [
        {"step": 600, "epoch": 1.0, "loss": 0.5, "typed_f1": 0.25, "span_f1": 0.5},
        {"step": 1234, "epoch": 2.06, "loss": 0.25, "typed_f1": 0.4321, "span_f1": 0.6},
    ],
    "validation": {"typed_f1": 0.4321, "span_f1": 0.6},
}
"""What nerbert.json holds, but for the label set."""
MLM = {"objective": "mlm", "label_set": {}, "description": asdict(Mlm(1, 0.15, 4, 60, ()).describe())}
CONCEPTS = {"objective": "concepts", "categories": 11}
LONG_LOG = [{"step": step, "epoch": 1.0, "loss": 0.5} for step in range(1, 1001)]
Card = Callable[..., str]
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def manifest(sample_corpus: Path) -> Facts:
    return read_manifest(sample_corpus)


@pytest.fixture(scope="module")
def card(manifest: Facts) -> Card:
    """Make the card with changed facts, and with a changed manifest."""
    label_set = {name: manifest["label_set"][name] for name in ("name", "sha256")}
    facts = FACTS | {"label_set": label_set | {"typed_mentions": 1000, "made_entity": 125}}
    return lambda changed={}, **of_corpus: encoder_card(facts | changed, manifest | of_corpus)


def snippets(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, ("other", "transformers", "token-classification")),
        (MLM | {"licence": "apache-2.0"}, ("apache-2.0", "transformers", "fill-mask")),
        ({"objective": "zero_shot", "head": "gliner"}, ("other", "gliner", "token-classification")),
    ],
)
def test_front_matter(card: Card, changed: Facts, wanted: tuple[str, str, str]) -> None:
    front = front_of(card(changed))
    assert (front.license, front.library_name, front.pipeline_tag) == wanted
    assert (front.language, front.base_model) == (["en"], "google-bert/bert-base-cased")
    assert {"nerbert", "named-entity-recognition"} <= set(front.tags)


@pytest.mark.parametrize("backbone", ["fresh", "minilm", "../a/b", "a/b c", "a/b/c", ""])
def test_only_a_hubs_name_is_a_base_model(card: Card, backbone: str) -> None:
    text = card({"settings": {"backbone": backbone}})
    assert front_of(text).base_model is None
    assert ("- the backbone" in part_of(text, "Licence")) is (backbone not in ("fresh", ""))


@pytest.mark.parametrize(
    ("changed", "heading", "told"),
    [
        (
            {},
            "",
            [
                "weights are those of step 1,234, the best on validation",
                "initialised from `google-bert/bert-base-cased`",
            ],
        ),
        ({"settings": {"select": "last"}}, "", ["weights are those of step 1,234, the last"]),
        ({"categories": 11}, "", ["11 categories with `ENTITY`, so 23 classes"]),
        (CONCEPTS, "", ["11 categories with `ENTITY`.", "Its label set is"]),
        (MLM, "", ["masked subwords"]),
        ({}, "Use", ["nerbert finetune FOLDER --data DATA --output TAGGER"]),
        *(
            (
                {"objective": name, "threshold": 0.25},
                "Use",
                ["at least 0.250, the best on the held-out texts of its training"],
            )
            for name in ("zero_shot", "concepts")
        ),
        ({}, "What it was trained on", ["Of 1,000 mentions with a type, 12.50 % are `ENTITY` here"]),
        ({}, "Settings", ["Computed in `bf16`"]),
        ({"validation": {}, "log": []}, "Validation", ["Nothing was scored."]),
        ({"log": LONG_LOG}, "Validation", ["| 1,000 | 1.00 |"]),
        ({}, "Limits", ["`test.conll` (8.91 % too short to be judged).", "`ENTITY` means no label in this set"]),
        (CONCEPTS, "Limits", ["`ENTITY` means no label in this set (class unknown, outside the set, or rare). Its"]),
        ({}, "Licence", ["CC BY-SA 4.0", "isn't known here"]),
        ({"licence": "mit"}, "Licence", ["as stated by its maker: `mit`."]),
    ],
)
def test_what_is_told(card: Card, changed: Facts, heading: str, told: list[str]) -> None:
    part = part_of(card(changed, excluded=[{"file": "test.conll", "not_judged_share": 0.0891}]), heading)
    assert [words for words in told if words not in part] == []


@pytest.mark.parametrize(
    ("changed", "headings", "words"),
    [
        ({"label_set": {"name": "1type", "sha256": "0"}}, [""], "categories with"),
        (MLM, ["", "Limits"], "`ENTITY` means"),
        (MLM, [""], "categories with"),
        *((CONCEPTS, ["", "Use", "Limits"], words) for words in ("classes (O, and B", "typed_f1`.", "It is a class")),
        *(({"objective": name}, ["", "Use"], "threshold") for name in ("zero_shot", "concepts")),
        ({"log": LONG_LOG}, ["Validation"], "| 900 | 1.00 |"),
        ({"licence": "mit"}, ["Licence"], "is not set"),
    ],
)
def test_what_is_not_told(card: Card, changed: Facts, headings: list[str], words: str) -> None:
    assert not [heading for heading in headings if words in part_of(card(changed), heading)]


def test_what_it_was_trained_on(card: Card, manifest: Facts) -> None:
    count = len(manifest["categories"])
    assert f"{count} categories with `ENTITY`, so {2 * count + 1} classes" in part_of(card(), "")
    data = section(card(), "What it was trained on")
    for name, counts in manifest["splits"].items():
        cells = [f"{counts[each]:,}" for each in ("sentences", "words", "mentions", "copies")]
        assert [f"`{name}`", *cells] in markdown_tables_of(data)[0]
    assert all(each["sha256"] in data for each in (*manifest["inputs"], *manifest["knowledge"]["used"]))
    assert "ab" * 32 in data
    assert "No text was excluded" in part_of(card(excluded=[]), "Limits")


def test_settings_that_differ_come_first(card: Card) -> None:
    changed, whole = section(card(), "Settings").split("<details>")
    assert "`batch_size` | `960`" in changed
    assert '`backbone` | `"google-bert/bert-base-cased"`' in changed
    assert "epochs" not in changed
    assert "`epochs` | `3.0`" in whole
    assert "`batch_size` | `960`" in whole


def test_figures_and_log(card: Card) -> None:
    best, log = markdown_tables_of(section(card(), "Validation"))
    assert [row[:2] for row in best[1:]] == [["`typed_f1`", "43.21"], ["`span_f1`", "60.00"]]
    assert log[0] == ["step", "epoch", "loss", "`span_f1`", "`typed_f1`"]
    assert log[-1] == ["1,234", "2.06", "0.2500", "60.00", "43.21"]
    mlm = MLM | {"validation": {"mlm_loss": 2.5, "mlm_accuracy": 0.5}, "log": []}
    (best,) = markdown_tables_of(section(card(mlm), "Validation"))
    assert [row[:2] for row in best[1:]] == [["`mlm_loss`", "2.5000"], ["`mlm_accuracy`", "50.00"]]


def test_the_tagging_code_runs(card: Card, tiny_encoder: Path, capsys: Output) -> None:
    (snippet,) = snippets(card())
    exec(snippet.replace("FOLDER", str(tiny_encoder)), {})
    assert "Warsaw" in capsys.readouterr().out


def test_the_masking_code_runs(card: Card, tiny_encoder: Path, tmp_path: Path, capsys: Output) -> None:
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = load_tokenizer(str(tiny_encoder))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64
    )
    save_model(tmp_path, BertForMaskedLM(config), tokenizer)
    (snippet,) = snippets(card(MLM))
    capsys.readouterr()
    exec(snippet.replace("FOLDER", str(tmp_path)), {})
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_nothing_from_outside_acts(card: Card) -> None:
    evil = {
        "wiki": EVIL,
        "licence": EVIL,
        "made_by": EVIL,
        "excluded": [{"file": EVIL, "not_judged_share": EVIL}],
        "splits": {EVIL: {"sentences": EVIL, "words": 1, "mentions": 1, "copies": None}},
        "inputs": [{"file": EVIL, "sha256": EVIL}],
        "knowledge": {"used": [{"path": EVIL, "kind": EVIL, "sha256": EVIL}], "passed_over": []},
    }
    told = {
        "language": EVIL,
        "made_by": EVIL,
        "precision": EVIL,
        "licence": EVIL,
        "corpus": {"manifest_sha256": EVIL},
        "label_set": {"name": EVIL},
        "settings": {"backbone": EVIL, EVIL: EVIL, "corpus": [EVIL]},
        "validation": {EVIL: 0.5},
        "log": [{"step": 1, EVIL: 0.5, "loss": EVIL}],
    }
    text = card(told, **evil)
    front = check_card(text, f"An encoder of {code(EVIL)}'s names")
    assert (front["language"], front["license"]) == ([visible(EVIL)], visible(EVIL))
    assert markdown_tables_of(text)


def test_little_is_needed(manifest: Facts) -> None:
    bare = {key: manifest[key] for key in ("wiki", "splits", "categories")} | {"knowledge": {}}
    text = encoder_card({}, bare)
    assert "## Limits" in text
    assert "Nothing was scored." in text


def test_open_types_alone() -> None:
    open_types = {
        "files": [{"file": "a|b.jsonl", "sha256": "cd" * 32}],
        "texts": 841,
        "mentions": 2476,
        "concepts": 466,
        "dropped": {"not_in_text": 3, "bad_type": 2},
    }
    left = {name: value for name, value in FACTS.items() if name not in ("corpus", "description")}
    text = encoder_card(left | {"open_types": open_types, "objective": "concepts"}, {"wiki": "", "language": "en"})
    assert "# An encoder of open types" in text
    told = part_of(text, "What it was trained on")
    dropped = "also dropped: 3 `not_in_text`, 2 `bad_type`."
    assert f"841 texts with 2,476 entities of 466 open types; {dropped}" in told
    assert "cd" * 32 in told
    assert "a|b.jsonl" not in told.replace("a\\|b.jsonl", "")
    assert not [word for word in ("ikipedia", "corpus it was trained on", "manifest") if word in text]
