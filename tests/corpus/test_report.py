import json
from pathlib import Path

import pytest
from rich.console import Console

from nerbert.corpus.report import print_summary, show_corpus


def test_shows_funnel_categories_and_sentences(sample_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_corpus(sample_corpus, 5, as_json=False)
    shown = capsys.readouterr().out
    for words in ("samplewiki: what came in", "filter 2", "City", "validation", "copies"):
        assert words in shown
    assert shown.count("samplewiki:") >= 5


def test_json_is_the_manifest(sample_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_corpus(sample_corpus, 5, as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads((sample_corpus / "manifest.json").read_text())


def test_data_is_neither_markup_nor_control(
    sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((sample_corpus / "manifest.json").read_text())
    evil = "[/red]\x1b[31m\x9b"
    manifest["wiki"] = evil
    manifest["steps"][0] = {"step": evil, "in": 1, "out": 0, "dropped": {evil: 1}}
    for name in ("mention_sources", "splits", "categories"):
        manifest[name] = {evil: next(iter(manifest[name].values()))}
    manifest["knowledge"]["passed_over"] = [{"path": evil}]
    print_summary(manifest, tmp_path / "[/red]\x1b", Console(width=200))
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x9b")
    assert shown.count(r"[/red]\x1b[31m\x9b") == 7
