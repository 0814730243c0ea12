"""The whole road, command by command, on the sample; and what commands say to bad input."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import exit_code

TINY = ["fresh_num_layers=1", "fresh_hidden_size=64", "fresh_vocab_size=500", "max_steps=4", "threads=1"]
KNOWLEDGE = ("titles.tsv", "ontology.xml", "mapping_en.xml")


def run(*command: object, sets: tuple[str, ...] | list[str] = ()) -> None:
    """Run a command with these settings; raise AssertionError if it fails."""
    assert exit_code(*command, *(word for each in sets for word in ("--set", each))) == 0


@pytest.fixture(scope="module")
def road(sample: Path, sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus (in place of another one), encoder and tagger made by the commands."""
    folder = tmp_path_factory.mktemp("road")
    knowledge = [word for name in KNOWLEDGE for word in ("--knowledge", sample / "knowledge" / name)]
    corpus, encoder, tagger = folder / "corpus", folder / "encoder", folder / "tagger"
    shutil.copytree(sample_corpus, corpus)
    build = ["corpus", "build", sample / "wiki.xml", *knowledge, "-o", corpus, "--workers", 2, "--overwrite"]
    run(*build, sets=["min_mentions=5"])
    (folder / "pre.toml").write_text(f'corpus = "{corpus}"\n')
    run("pretrain", folder / "pre.toml", "-o", encoder, sets=TINY)
    run("finetune", encoder, "--data", sample / "domain", "-o", tagger, sets=["max_steps=20", "threads=1"])
    return folder


def test_the_corpus_is_shown_and_not_overwritten(road: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((road / "corpus" / "manifest.json").read_text())
    assert manifest["mention_sources"]["titles.tsv"] > 0
    assert manifest["mention_sources"]["infobox"] > 0
    run("corpus", "show", road / "corpus", "--sentences", "2")
    assert "what came in, went out, was dropped" in capsys.readouterr().out
    build = ["corpus", "build", sample / "wiki.xml", "--knowledge", sample / "knowledge", "-o", road / "corpus"]
    assert exit_code(*build) == 1
    assert capsys.readouterr().err == (
        f"nerbert: {road / 'corpus'}: exists already; choose another place or pass --overwrite (overwrite=True)\n"
    )


def test_evaluate_and_tag(
    road: Path, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = json.loads((road / "tagger" / "nerbert.json").read_text())
    assert card["word_splitter"] in ("unicode-words-2", "joined-words-2")
    assert (card["kind"], card["encoder"]["kind"]) == ("tagger", "encoder")
    run("evaluate", road / "tagger", sample / "domain" / "test.conll")
    assert "CoNLL script's rules" in capsys.readouterr().out
    run("evaluate", road / "tagger", sample / "domain" / "test.conll", "--json")
    figures = json.loads(capsys.readouterr().out)
    assert 0 <= figures["f1"] <= 1
    assert figures["sentences"] > 70
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Ada was in Paris.\n\nx\n")))
    run("tag", road / "tagger", "-", "--json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["Ada was in Paris.", "", "x"]
    for line in lines:
        assert all(line["text"][span["start"] : span["end"]] == span["text"] for span in line["spans"])


def _data(folder: Path, text: str) -> Path:
    (folder / "train.conll").write_text(text)
    return folder


def _settings(folder: Path, more: str = "") -> Path:
    (folder / "corpus" / "sentences").mkdir(parents=True)
    (folder / "pre.toml").write_text(f'corpus = "{folder / "corpus"}"\n{more}')
    return folder / "pre.toml"


def _pickled(folder: Path) -> Path:
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return folder


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (lambda at: ["finetune", "embedded", "--data", _data(at, "a\tO\nbroken\n"), "-o", at / "out"],
         "train.conll:2: broken line 'broken'"),
        (lambda at: ["evaluate", "embedded", _data(at, "a\tX-y\n") / "train.conll"],
         "train.conll:1: tag 'X-y': must be O, B-TYPE or I-TYPE"),
        (lambda at: ["pretrain", _settings(at), "-o", at / "out"], "has no manifest.json: not a corpus, or unfinished"),
        (lambda at: ["tag", at, at / "text.txt"], "text.txt: no such file"),
        (lambda at: ["evaluate", _pickled(at), _data(at, "a\tO\n") / "train.conll"], "pickled weights are refused"),
        (lambda at: ["pretrain", _settings(at, "lerning_rate = 1.0\n"), "-o", at / "out"],
         "unknown setting 'lerning_rate': did you mean 'learning_rate'?"),
        # of two paths after `--knowledge`, the second is knowledge too, and no dump
        (lambda at: ["corpus", "build", "{sample}/wiki.xml", "--knowledge", "{sample}/knowledge", at / "none",
                     "-o", at / "out"], "none: no such file or folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_1(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: Callable[[Path], list[object]], message: str
) -> None:
    assert exit_code(*(str(part).format(sample=sample) for part in case(tmp_path))) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nerbert: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))
