import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.export import export_corpus
from nerbert.corpus.shards import read_sentences
from nerbert.errors import InputError, OutputExists, SettingsError
from nerbert.formats.conll import conll_block
from nerbert.formats.examples import read_examples
from nerbert.labels import sentence_example, word_spans
from nerbert.records import ENTITY, Mention, Sentence
from nerbert.words import split_words


def test_conll_holds_words_and_categories_of_every_sentence(sample_corpus: Path, tmp_path: Path) -> None:
    sentences = list(read_sentences(sample_corpus))
    assert export_corpus(sample_corpus, tmp_path / "a.conll", "conll") == len(sentences)
    read = read_examples(tmp_path / "a.conll")
    assert len(read) == len(sentences)
    for example, sentence in zip(read, sentences, strict=True):
        assert example.text.split(" ") == [sentence.text[start:end] for start, end in sentence.words]
        assert word_spans(example) == word_spans(sentence_example(sentence))
    assert {span.type for each in read for span in each.spans} > {ENTITY, "city"}


def test_json_lines_hold_every_column(sample_corpus: Path, tmp_path: Path) -> None:
    export_corpus(sample_corpus, tmp_path / "a.jsonl", "jsonl")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    for row, sentence in zip(rows, read_sentences(sample_corpus), strict=True):
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


@pytest.mark.parametrize("split", ["train", "validation"])
def test_one_split(sample_corpus: Path, tmp_path: Path, split: str) -> None:
    written = export_corpus(sample_corpus, tmp_path / "a.jsonl", "jsonl", split)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert written == len(rows) == len(list(read_sentences(sample_corpus, split)))
    assert {row["split"] for row in rows} == {split}


def test_copies_repeat_and_leave_out(sample_corpus: Path, tmp_path: Path) -> None:
    sentences = list(read_sentences(sample_corpus))
    assert {each.copies for each in sentences} > {0, 1, 2}
    written = export_corpus(sample_corpus, tmp_path / "a.jsonl", "jsonl", copies=True)
    ids = [json.loads(line)["id"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert ids == [each.id for each in sentences for _ in range(each.copies)]
    assert written == len(ids)


def test_standard_output_is_the_file(
    sample_corpus: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    export_corpus(sample_corpus, tmp_path / "a.conll", "conll")
    export_corpus(sample_corpus, Path("-"), "conll")
    assert capsysbinary.readouterr().out == (tmp_path / "a.conll").read_bytes()


def test_a_reader_that_has_enough_ends_it_quietly(sample_corpus: Path) -> None:
    command = [sys.executable, "-m", "nerbert", "corpus", "export", str(sample_corpus), "-o", "-", "--format", "jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["wiki"] == "samplewiki"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line(sample_corpus: Path) -> None:
    command = [sys.executable, "-m", "nerbert", "corpus", "export", str(sample_corpus), "-o", "-"]
    with Path("/dev/full").open("wb", buffering=0) as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr
        == "nerbert: standard output: can't be written: No space left on device; free space or choose another place\n"
    )


def test_what_is_there_is_kept_unless_told(sample_corpus: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.conll"
    target.write_text("mine")
    with pytest.raises(OutputExists, match=r"a\.conll: exists already; .*--overwrite"):
        export_corpus(sample_corpus, target, "conll")
    assert target.read_text() == "mine"
    assert export_corpus(sample_corpus, target, "conll", overwrite=True)
    assert target.read_text() != "mine"
    with pytest.raises(OutputExists, match="is no file; name one"):
        export_corpus(sample_corpus, tmp_path, "conll", overwrite=True)
    with pytest.raises(InputError, match="none: no such folder; make it first"):
        export_corpus(sample_corpus, tmp_path / "none" / "a", "conll")


@pytest.mark.parametrize(
    ("format_", "split", "error", "message"),
    [
        ("tsv", "", SettingsError, "--format 'tsv': must be one of conll, jsonl"),
        ("conll", "dev", InputError, "has no split 'dev': must be one of train, validation, or left out for all"),
    ],
)
def test_wrong_words_are_refused(
    sample_corpus: Path, tmp_path: Path, format_: str, split: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        export_corpus(sample_corpus, tmp_path / "a", format_, split)
    assert not list(tmp_path.iterdir())


def test_a_fault_half_way_leaves_nothing(sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = list(read_sentences(sample_corpus))[:2]
    spaced = replace(second, mentions=(Mention(0, 6, "X", "X", ("Art work",), "mine", "Art work"),))
    monkeypatch.setattr("nerbert.corpus.export.read_sentences", lambda *_: iter([first, spaced]))
    with pytest.raises(InputError, match=rf"{second.id}: type 'Art work' holds white space.*choose jsonl"):
        export_corpus(sample_corpus, tmp_path / "a.conll", "conll")
    assert not list(tmp_path.iterdir())
    assert export_corpus(sample_corpus, tmp_path / "a.jsonl", "jsonl") == 2


@given(st.lists(st.text(min_size=1, max_size=20).filter(split_words), min_size=1, max_size=4))
def test_any_text_comes_back_from_conll(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conll"
    sentences = [Sentence("w", 1, 1, "T", 0, text, split_words(text), ()) for text in texts]
    path.write_bytes("".join(conll_block(sentence_example(each)) for each in sentences).encode("utf-8"))
    tokens = [[s.text[start:end] for start, end in s.words] for s in sentences]
    assert [[e.text[start:end] for start, end in e.words] for e in read_examples(path)] == tokens
    assert all(len(token.split()) == 1 for each in tokens for token in each)
