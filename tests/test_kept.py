"""What commit d6d2b6dd made loads and gives the same answers, or one line names what to use instead.

`kept` has one of each: corpus, encoder, taggers (one with temperatures by label and an export, one that takes labels at
run time), settings, results of a benchmark. `answers.json` is what that commit answered, without the temperatures by
label, which are ignored now.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nerbert import Tagger
from nerbert.config import read_toml
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import OutputExists, SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.training.sections import make_settings
from nerbert_bench.cells import check_folder
from nerbert_bench.suite import read_suite
from tests.raised import raises

KEPT = Path(__file__).parent / "kept"
ANSWERS: dict[str, Any] = json.loads((KEPT / "answers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("answers", "folder", "backend", "labels"),
    [
        ("tagger", "tagger", "torch", None),
        ("onnx", "tagger", "onnx", None),
        ("encoder", "encoder", "torch", None),
        ("names-tagger", "names-tagger", "torch", ["vessel", "port", "date"]),
    ],
)
def test_models_find_the_same(answers: str, folder: str, backend: str, labels: list[str] | None) -> None:
    tagger = Tagger.load(KEPT / folder, backend=backend, precision="fp32", threads=1)
    for text, expected in zip(ANSWERS["texts"], ANSWERS[answers], strict=True):
        spans = tagger.tag(text, labels)
        assert [(span.start, span.end, span.type) for span in spans] == [tuple(span[:3]) for span in expected]
        assert [span.confidence for span in spans] == pytest.approx([span[3] for span in expected], abs=2e-3)


def test_a_corpus_is_read() -> None:
    sentences = [*read_sentences(KEPT / "corpus")]
    assert (len(sentences), sentences[0].text) == (ANSWERS["sentences"], ANSWERS["first"])
    assert read_manifest(KEPT / "corpus")["wiki"] == "samplewiki"


def test_settings_are_read_or_name_what_to_use() -> None:
    files = {path.stem: read_toml(path) for path in (KEPT / "settings").iterdir()}
    with raises(SettingsError, "'no link', 'typing', 'unknown'", setting="steps"):
        make_settings(CorpusSettings, files["corpus"])
    assert make_settings(PretrainSettings, files["pretrain"]).max_steps == 2
    with raises(SettingsError, "nerbert report", setting="compare_parts"):
        make_settings(FinetuneSettings, files["finetune"])


def test_a_suite_is_read_and_a_folder_of_its_results_is_refused(tmp_path: Path) -> None:
    assert read_suite(KEPT / "settings" / "suite.toml").title == "Kept"
    shutil.copytree(KEPT / "results", tmp_path / "results")
    with raises(OutputExists, "name a new"):
        check_folder(tmp_path / "results")
