"""The whole road, command by command, on the sample; and what every command says to bad input."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., int]
TINY = ["--set", "fresh_num_layers=1", "--set", "fresh_hidden_size=64", "--set", "epochs=1", "--set", "threads=1"]


@pytest.fixture(scope="module")
def road(nerbert: Run, sample: Path, sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus, encoder and tagger made by the commands."""
    folder = tmp_path_factory.mktemp("road")
    shutil.copytree(sample_corpus, folder / "corpus")
    (folder / "pre.toml").write_text(f'corpus = "{folder / "corpus"}"\nfresh_vocab_size = 1000\n')
    encoder, tagger = folder / "encoder", folder / "tagger"
    assert nerbert("pretrain", folder / "pre.toml", "-o", encoder, *TINY) == 0
    assert (
        nerbert(
            "finetune",
            encoder,
            "--data",
            sample / "domain",
            "-o",
            tagger,
            "--set",
            "max_steps=20",
            "--set",
            "min_steps=0",
        )
        == 0
    )
    return folder


def test_corpus_build_and_show(nerbert: Run, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = ["corpus", "build", sample / "wiki.xml", "--knowledge", sample / "knowledge", "-o", tmp_path / "corpus"]
    assert nerbert(*build, "--set", "min_mentions=5", "--workers", "2") == 0
    assert nerbert("corpus", "show", tmp_path / "corpus", "--sentences", "2") == 0
    assert "what came in, went out, was dropped" in capsys.readouterr().out
    assert nerbert(*build) == 1
    assert capsys.readouterr().err == (
        f"nerbert: {tmp_path / 'corpus'}: exists already; choose another place or pass --overwrite (overwrite=True)\n"
    )
    assert nerbert(*build, "--overwrite", "--set", "min_mentions=5") == 0


def test_knowledge_may_be_named_several_times(nerbert: Run, sample: Path, tmp_path: Path) -> None:
    knowledge = sample / "knowledge"
    build = ["corpus", "build", sample / "wiki.xml", "-o", tmp_path / "corpus", "--set", "min_mentions=5"]
    for name in ("titles.tsv", "ontology.xml", "mapping_en.xml"):
        build += ["--knowledge", str(knowledge / name)]
    assert nerbert(*build) == 0
    manifest = json.loads((tmp_path / "corpus" / "manifest.json").read_text())
    assert manifest["mention_sources"]["titles.tsv"] > 0
    assert manifest["mention_sources"]["infobox"] > 0


def test_evaluate_and_tag(
    nerbert: Run, road: Path, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nerbert("evaluate", road / "tagger", sample / "domain" / "test.conll") == 0
    assert "CoNLL script's rules" in capsys.readouterr().out
    assert nerbert("evaluate", road / "tagger", sample / "domain" / "test.conll", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert 0 <= figures["f1"] <= 1
    assert figures["sentences"] > 70
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Ada was in Paris.\n\nx\n")))
    assert nerbert("tag", road / "tagger", "-", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["Ada was in Paris.", "", "x"]
    for line in lines:
        for span in line["spans"]:
            assert line["text"][span["start"] : span["end"]] == span["text"]


def test_the_card_tells_the_word_splitter(road: Path) -> None:
    card = json.loads((road / "tagger" / "nerbert.json").read_text())
    assert card["word_splitter"] in ("unicode-words-2", "joined-words-2")
    assert card["kind"] == "tagger"
    assert card["encoder"]["kind"] == "encoder"


def _bad_conll(folder: Path) -> list[str]:
    (folder / "train.conll").write_text("a\tO\nbroken\n")
    return ["finetune", "{road}/encoder", "--data", str(folder), "-o", str(folder / "out")]


def _bad_tag(folder: Path) -> list[str]:
    (folder / "test.conll").write_text("a\tX-y\n")
    return ["evaluate", "{road}/tagger", str(folder / "test.conll")]


def _half_corpus(folder: Path) -> list[str]:
    (folder / "corpus" / "sentences").mkdir(parents=True)
    (folder / "pre.toml").write_text(f'corpus = "{folder / "corpus"}"\n')
    return ["pretrain", str(folder / "pre.toml"), "-o", str(folder / "out")]


def _no_model(folder: Path) -> list[str]:
    (folder / "model").mkdir()
    return ["tag", str(folder / "model"), str(folder / "text.txt")]


def _pickled_model(folder: Path) -> list[str]:
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (folder / "test.conll").write_text("a\tO\n")
    return ["evaluate", str(folder), str(folder / "test.conll")]


def _unknown_setting(folder: Path) -> list[str]:
    (folder / "pre.toml").write_text('corpus = "x"\nlerning_rate = 1.0\n')
    return ["pretrain", str(folder / "pre.toml"), "-o", str(folder / "out")]


def _no_knowledge(folder: Path) -> list[str]:
    """Of two paths after `--knowledge`, the second is knowledge too, and no dump."""
    knowledge = ["--knowledge", "{sample}/knowledge", str(folder / "none")]
    return ["corpus", "build", "{sample}/wiki.xml", *knowledge, "-o", str(folder / "out")]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (_bad_conll, "train.conll:2: broken line 'broken'"),
        (_bad_tag, "test.conll:1: tag 'X-y': must be O, B-TYPE or I-TYPE"),
        (_half_corpus, "has no manifest.json: not a corpus, or unfinished"),
        (_no_model, "text.txt: no such file"),
        (_pickled_model, "pickled weights are refused"),
        (_unknown_setting, "unknown setting 'lerning_rate': did you mean 'learning_rate'?"),
        (_no_knowledge, "none: no such file or folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(
    nerbert: Run, road: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    case: Callable[[Path], list[str]], message: str,
) -> None:  # fmt: skip
    arguments = [part.format(road=road, sample=sample) for part in case(tmp_path)]
    capsys.readouterr()
    assert nerbert(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nerbert: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))
