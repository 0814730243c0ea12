"""The data card: front matter that a hub reads, figures that are the manifest's, nothing that acts as Markdown."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.build import BuiltCorpus
from nerbert.corpus.shards import read_manifest
from nerbert.errors import visible
from nerbert.render import code, escape, quote
from nerbert.render.corpus import card_of, write_corpus_card
from tests.pages import front_of, markdown_tables_of
from tests.render.checks import EVIL, check_card

yaml = pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def manifest(sample_corpus: Path) -> dict[str, Any]:
    return read_manifest(sample_corpus)


@pytest.fixture(scope="module")
def card(manifest: dict[str, Any]) -> str:
    return card_of(manifest)


def test_front_matter(card: str) -> None:
    front = front_of(card).to_dict()
    assert {name: front[name] for name in ("language", "license", "task_categories", "size_categories")} == {
        "language": ["en"],
        "license": ["cc-by-sa-4.0", "cc-by-sa-3.0"],
        "task_categories": ["token-classification"],
        "size_categories": ["1K<n<10K"],
    }
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "sentences/*.parquet"}]


@pytest.mark.parametrize(
    ("sentences", "size"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (16_300_000, "10M<n<100M"), (10**12, "n>1B")],
)
def test_size_categories(manifest: dict[str, Any], sentences: int, size: str) -> None:
    split = next(iter(manifest["splits"].values())) | {"sentences": sentences}
    assert front_of(card_of(manifest | {"splits": {"train": split}})).size_categories == [size]


def test_figures_are_the_manifests(card: str, manifest: dict[str, Any]) -> None:
    told = set(re.findall(r"\d[\d,]*", card))
    counts = [count for split in manifest["splits"].values() for count in split.values()]
    counts += [step[key] for step in manifest["steps"] for key in ("in", "out")]
    counts += [count for step in manifest["steps"] for count in step["dropped"].values()]
    counts += list(manifest["mention_sources"].values())
    counts += [each["mentions"] for each in list(manifest["categories"].values())[:10]]
    assert {f"{count:,}" for count in counts} <= told
    for each in (*manifest["inputs"], *manifest["knowledge"]["used"]):
        assert each["sha256"] in card
    assert "`min_mentions = 5`" in card
    assert "index.php?oldid" in card
    assert "`ENTITY`, no label in this set (class unknown, outside the set, or rare), is " in card
    (topics,) = [rows for rows in markdown_tables_of(card) if rows[0][0] == "topic"]
    assert [row[:2] for row in topics[1:]] == [
        [name, f"{counts['mentions']:,}"] for name, counts in manifest["topics"].items()
    ]


@pytest.mark.parametrize(
    ("folded", "kept", "words"),
    [
        (1234, 56, ["1,234 mentions of rare categories became ENTITY; 56 categories"]),
        (0, 0, []),
        (None, None, []),
        (0, 2, ["0 mentions of rare categories became ENTITY; 2 categories"]),
    ],
)
def test_what_filter_1_folded(manifest: dict[str, Any], folded: int, kept: int, words: list[str]) -> None:
    notes = {} if folded is None else {"mentions_made_entity": folded, "categories_kept": kept}
    card = card_of(manifest | {"notes": {"filter 1": notes}})
    assert re.findall(r"^[\d,]+ mentions of rare categories became ENTITY; \d+ categories", card, re.MULTILINE) == words


def test_an_empty_line_is_before_each_title_and_paragraph(manifest: dict[str, Any]) -> None:
    for excluded in ([], [{"file": "test.conll"}]):
        card = card_of(manifest | {"excluded": excluded})
        assert "Expected exponents" in card
        assert not re.search(r"[^\n]\n(?:#|Left out)", card.split("\n---\n", 1)[1])
        assert "too short" not in card


def test_what_the_manifest_says_or_lacks(manifest: dict[str, Any]) -> None:
    files = [{"file": "a.conll", "not_judged_share": 0.0891}, {"file": "b.conll", "not_judged_share": 0.0}]
    card = card_of(manifest | {"excluded": files, "scanner": None, "balance": manifest["balance"] | {"method": "fit"}})
    assert "`a.conll` (8.91 % too short to be judged), `b.conll`.\n" in card
    assert re.search(r"`literal` \d\.\d\d, `fit` \d\.\d\d \(drew this corpus\)", card)
    assert "Versions: scanner –, sentence" in card_of({key: manifest[key] for key in manifest if key != "scanner"})


@pytest.mark.extras
def test_written_and_read_by_datasets(
    sample_corpus: Path, manifest: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    corpus = tmp_path / "corpus"
    shutil.copytree(sample_corpus, corpus)
    write_corpus_card(corpus, BuiltCorpus(corpus, manifest))
    loaded = datasets.load_dataset(str(corpus), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == sum(manifest["shards"].values())
    once = (corpus / "README.md").read_bytes()
    write_corpus_card(corpus, BuiltCorpus(corpus, manifest))
    assert (corpus / "README.md").read_bytes() == once


def test_nothing_from_outside_acts(manifest: dict[str, Any]) -> None:
    evil = json.loads(json.dumps(manifest)) | {
        "wiki": EVIL,
        "language": EVIL,
        "licence": EVIL,
        "made_by": EVIL,
        "scanner": EVIL,
        "settings": {EVIL: EVIL},
        "steps": [{"step": EVIL, "in": 2, "out": 1, "dropped": {EVIL: 1}}],
        "mention_sources": {EVIL: 3},
        "mention_origins": {EVIL: 3, "link": 1},
        "unknown": {EVIL: 2},
        "categories": {EVIL: {"mentions": 1, "with_copies": 1}},
        "unresolved": [{"title": EVIL, "links": 9}],
        "inputs": [{"file": EVIL, "bytes": EVIL, "sha256": EVIL}],
        "label_set": {"name": EVIL},
        "knowledge": {"used": [{"path": EVIL, "kind": EVIL}], "passed_over": [{"path": EVIL}]},
        "excluded": [{"file": EVIL, "not_judged_share": EVIL}],
    }
    front = check_card(card_of(evil), f"{code(EVIL)}: named entities from Wikipedia's links")
    assert front["language"] == [visible(EVIL)]


def test_little_is_needed(manifest: dict[str, Any]) -> None:
    needed = ("wiki", "language", "label_set", "steps", "splits", "mention_sources", "categories", "shards")
    bare = {key: manifest[key] for key in needed} | {"knowledge": {"passed_over": []}}
    assert "## Known noise" in card_of(bare)


@given(st.text())
def test_any_text_is_one_yaml_scalar(text: str) -> None:
    assert yaml.safe_load(quote(text)) == visible(text)
    assert quote(text).isascii()


@given(st.text())
def test_a_code_span_ends_where_it_should(text: str) -> None:
    span = code(text)
    fence = re.match(r"`*", span)
    assert fence is not None
    inner = span[len(fence[0]) : len(span) - len(fence[0])]
    assert "\n" not in span
    assert not re.search(r"(?<!\\)\|", span)
    assert not fence[0] or (fence[0] not in re.findall(r"`+", inner) and span.endswith(fence[0]))


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_words_keep_their_letters(text: str) -> None:
    kept = escape(text).replace("\\\\", "\0")
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", kept).replace("\0", "\\") == visible(text)
