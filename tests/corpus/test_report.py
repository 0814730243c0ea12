import json
from pathlib import Path

import pytest

from nerbert.corpus.report import show_corpus


def test_shows_funnel_categories_and_sentences(sample_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_corpus(sample_corpus, 5, as_json=False)
    shown = capsys.readouterr().out
    for words in ("samplewiki: what came in", "filter 2", "City", "validation", "copies"):
        assert words in shown
    assert shown.count("samplewiki:") >= 5


def test_json_is_the_manifest(sample_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_corpus(sample_corpus, 5, as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads((sample_corpus / "manifest.json").read_text())
