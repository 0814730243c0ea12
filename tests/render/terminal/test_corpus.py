import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from nerbert.render.corpus import make_overview, print_summary, show_corpus
from tests.commands import exit_code

Output = pytest.CaptureFixture[str]


def test_shows_funnel_categories_and_sentences(sample_corpus: Path, capsys: Output) -> None:
    show_corpus(sample_corpus, 5, as_json=False)
    shown = capsys.readouterr().out
    for words in ("samplewiki: what came in", "16,300,000", "filter 2", "ENTITY", "validation", "copies"):
        assert words in shown
    assert shown.count("samplewiki:") >= 5


def test_terminal_tells_what_entity_is_what_was_folded_and_what_drew(sample_corpus: Path, capsys: Output) -> None:
    manifest = json.loads((sample_corpus / "manifest.json").read_text())
    manifest["notes"]["filter 1"] = {"mentions_made_entity": 1234, "categories_kept": 56}
    manifest["notes"]["exclude"] = {"by_ngram": 4321, "by_equality": 5, "not_judged": 6}
    print_summary(manifest, sample_corpus, Console(width=200))
    shown = capsys.readouterr().out
    assert "no link has a type" not in shown
    assert "4,321 compared by words in a row, 5 as a whole, 6 too short to be judged\n" in shown
    assert "label set: paper315; ENTITY: no label in this set (class unknown, outside the set, or rare)" in shown
    assert "filter 1: 1,234 mentions of rare categories became ENTITY; 56 categories are left" in shown
    assert re.search(r"exponent: literal \d\.\d\d \(this corpus\), fit \d\.\d\d$", shown, re.MULTILINE)
    print_summary(manifest | {"mention_sources": {"untyped": 5}}, sample_corpus, Console(width=200))
    assert "no link has a type: give tables" in capsys.readouterr().out


def test_json_is_the_manifest_and_what_the_page_shows(sample_corpus: Path, capsys: Output) -> None:
    show_corpus(sample_corpus, as_json=True)
    told = json.loads(capsys.readouterr().out)
    manifest = json.loads((sample_corpus / "manifest.json").read_text())
    assert {key: told[key] for key in manifest} == manifest
    assert told == json.loads(json.dumps(make_overview(sample_corpus)))
    assert set(told) - set(manifest) == {
        "table1",
        "concentration",
        "slope",
        "sentences_by_category",
        "dropped_sentences",
    }
    assert told["table1"]["ours"]["examples"] == sum(manifest["shards"].values())
    assert told["table1"]["ours"]["bytes"] == sum((sample_corpus / name).stat().st_size for name in manifest["shards"])


def test_the_command_writes_a_page(sample_corpus: Path, tmp_path: Path, capsys: Output) -> None:
    page = tmp_path / "page.html"
    assert exit_code("corpus", "show", sample_corpus, "--html", page) == 0
    assert capsys.readouterr() == ("", f"page: {page}\n")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert exit_code("corpus", "show", sample_corpus, "--html", page) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert exit_code("corpus", "show", sample_corpus, "--json", "--html", page, "--overwrite") == 0
    assert json.loads(capsys.readouterr().out)["wiki"] == "samplewiki"


def test_data_is_neither_markup_nor_control(sample_corpus: Path, tmp_path: Path, capsys: Output) -> None:
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
