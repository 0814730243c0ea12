import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.export import export_corpus, push_corpus
from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError
from nerbert.labels import sentence_example, word_spans
from nerbert.records import ENTITY, Mention, Sentence
from tests.commands import exit_code
from tests.examples import read_examples
from tests.fake_hub import FakeHub
from tests.raised import raises


def test_conll_holds_words_and_categories_of_every_sentence(sample_corpus: Path, tmp_path: Path) -> None:
    sentences = list(read_sentences(sample_corpus))
    assert export_corpus(sample_corpus, tmp_path / "a.conll", "conll") == len(sentences)
    read = read_examples(tmp_path / "a.conll")
    assert len(read) == len(sentences)
    for example, sentence in zip(read, sentences, strict=True):
        assert [example.text[start:end] for start, end in example.words] == [
            sentence.text[start:end] for start, end in sentence.words
        ]
        assert word_spans(example) == word_spans(sentence_example(sentence))
    assert {span.type for each in read for span in each.spans} > {ENTITY, "city"}


def test_json_lines_hold_every_column(sample_corpus: Path, tmp_path: Path) -> None:
    export_corpus(sample_corpus, tmp_path / "a.jsonl", "jsonl")
    for row, sentence in zip(written(tmp_path / "a.jsonl"), read_sentences(sample_corpus), strict=True):
        assert row.pop("id") == sentence.id
        words = tuple(map(tuple, row.pop("words")))
        mentions = (Mention(**(each | {"class_path": tuple(each["class_path"])})) for each in row.pop("mentions"))
        assert row.pop("unknown") == []
        assert Sentence(**row, words=words, mentions=tuple(mentions)) == sentence


def test_stretches_that_conll_cannot_leave_open_are_told(
    sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = shutil.copytree(sample_corpus, tmp_path / "corpus")
    export_corpus(corpus, tmp_path / "plain.conll", "conll")
    assert "may be names" not in capsys.readouterr().err
    manifest = json.loads((corpus / "manifest.json").read_text()) | {"unknown": {"capitalised": 1200, "own": 34}}
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    export_corpus(corpus, tmp_path / "a.conll", "conll")
    assert "words of 1,234 stretches that may be names are O there" in capsys.readouterr().err
    export_corpus(corpus, tmp_path / "a.jsonl", "jsonl")
    assert "may be names" not in capsys.readouterr().err


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_one_split_or_copies(sample_corpus: Path, tmp_path: Path) -> None:
    sentences, out = list(read_sentences(sample_corpus)), tmp_path / "a.jsonl"
    assert {sentence.copies for sentence in sentences} > {0, 1, 2}
    ids = [sentence.id for sentence in sentences for _ in range(sentence.copies)]
    assert export_corpus(sample_corpus, out, "jsonl", copies=True) == len(ids)
    assert [row["id"] for row in written(out)] == ids
    for split in ("train", "validation"):
        ids = [sentence.id for sentence in sentences if sentence.split == split]
        assert export_corpus(sample_corpus, out, "jsonl", split, overwrite=True) == len(ids)
        assert [row["id"] for row in written(out)] == ids


def test_messages(sample_corpus: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.conll"
    target.write_text("mine")
    cases: list[tuple[str, type[NerbertError], Path, dict[str, Any]]] = [
        ("a.conll: exists already; ", OutputExists, target, {}),
        ("is no file; name one", OutputExists, tmp_path, {"overwrite": True}),
        ("none: no such folder; make it first", InputError, tmp_path / "none" / "a", {}),
        ("--format 'tsv': must be one of conll, jsonl", SettingsError, tmp_path / "b", {"name": "tsv"}),
        (
            "has no split 'dev': must be one of train, validation, or left out for all",
            InputError,
            tmp_path / "b",
            {"split": "dev"},
        ),
    ]
    for words, kind, path, more in cases:
        with raises(kind, words):
            export_corpus(sample_corpus, path, more.pop("name", "conll"), **more)
    assert target.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]
    assert export_corpus(sample_corpus, target, "conll", overwrite=True)
    assert target.read_text() != "mine"


def test_standard_output_as_a_pipe_or_a_full_disk(sample_corpus: Path) -> None:
    """A reader that has enough ends it quietly."""
    command = [sys.executable, "-m", "nerbert", "corpus", "export", str(sample_corpus), "-o", "-", "--format", "jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["wiki"] == "samplewiki"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
    if (full := Path("/dev/full")).exists():
        with full.open("wb", buffering=0) as stream:
            done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("nerbert: standard output: can't be written: No space left on device; free space")
        assert done.stderr.count("\n") == 1


def test_standard_output_is_the_file(
    sample_corpus: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    export_corpus(sample_corpus, tmp_path / "a.conll", "conll")
    export_corpus(sample_corpus, Path("-"), "conll")
    assert capsysbinary.readouterr().out == (tmp_path / "a.conll").read_bytes()


def test_a_fault_half_way_leaves_nothing(sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = list(read_sentences(sample_corpus))[:2]
    spaced = replace(second, mentions=(Mention(0, 6, "X", "X", ("Art work",), "mine", "Art work"),))
    monkeypatch.setattr("nerbert.corpus.export.read_sentences", lambda *_: iter([first, spaced]))
    with raises(InputError, f"{second.id}: type 'Art work' holds white space"):
        export_corpus(sample_corpus, tmp_path / "a.conll", "conll")
    assert not list(tmp_path.iterdir())
    assert export_corpus(sample_corpus, tmp_path / "a.jsonl", "jsonl") == 2


def test_a_corpus_is_a_data_set_of_the_hub_with_its_card(
    hub: FakeHub, sample_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("corpus", "push", sample_corpus, "me/ships", "--private") == 0
    assert capsys.readouterr().out == "https://hub/me/ships/commit/1\n"
    shards = list(read_manifest(sample_corpus)["shards"])
    _, made, (_, sent) = hub.calls
    assert made == ("create_repo", {"name": "me/ships", "repo_type": "dataset", "private": True, "exist_ok": True})
    assert sent["repo_type"] == "dataset"
    assert sent["delete_patterns"] == ["sentences/*"]
    pushed = hub.place / "me" / "ships"
    names = {each.relative_to(pushed).as_posix() for each in pushed.rglob("*") if each.is_file()}
    assert names == {"README.md", "manifest.json", "dropped.jsonl", *shards}
    assert list(read_sentences(pushed)) == list(read_sentences(sample_corpus)), "it is a corpus still"


def test_a_corpus_without_a_card_or_a_whole_shard_stays_here(hub: FakeHub, sample_corpus: Path, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(sample_corpus, tmp_path / "corpus"))
    (corpus / "README.md").unlink()
    with raises(InputError, "has no card (README.md)"):
        push_corpus(corpus, "me/ships")
    shutil.copy(sample_corpus / "README.md", corpus)
    shard = corpus / next(iter(read_manifest(corpus)["shards"]))
    shard.write_bytes(shard.read_bytes()[:-1])
    with raises(InputError, "shard is missing or damaged"):
        push_corpus(corpus, "me/ships")
    assert hub.calls == []
