"""The commands that take an executor, on small inputs: they make the same wherever their tasks run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.shards import read_sentences
from tests.commands import exit_code

TINY = ("--set", "threads=1", "--set", "fresh_num_layers=1", "--set", "fresh_hidden_size=64", "--set", "epochs=1")
FEW = (
    "--set",
    "source_epochs=0.1",
    "--set",
    "epochs=0.1",
    "--set",
    "threads=1",
    "--set",
    "precision=fp32",
    "--set",
    "min_f1_share=0",
)
COMMANDS = {
    "corpus": (
        "corpus",
        "build",
        "sample/wiki.xml",
        "--knowledge",
        "sample/knowledge",
        "--set",
        "min_mentions=5",
        "--set",
        "split_bytes=9000",
    ),
    "pretrain": ("pretrain", "pretrain.toml", *TINY),
    "tag": ("tag", "tagger", "texts.txt", "--to", "jsonl"),
    "distil": ("distil", "tagger", "texts.txt", "--encoder", "encoder", *FEW),
    "benchmark": ("benchmark", "suite.toml", "--data", "data"),
}


@pytest.fixture
def desk(
    name: str,
    sample: Path,
    sample_corpus: Path,
    tiny_encoder: Path,
    tiny_tagger: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A working folder with what the commands read; jobs have many parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", 4000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for source, target in ((sample, "sample"), (tiny_tagger, "tagger"), (tiny_encoder, "encoder")):
        shutil.copytree(source, target)
    if name == "pretrain":
        assert exit_code(*COMMANDS["corpus"], "-o", "several") == 0
    Path("pretrain.toml").write_text('corpus = "several"\nfresh_vocab_size = 1000\n')
    Path("texts.txt").write_text("".join(f"{each.text}\n" for each in read_sentences(sample_corpus)))
    shutil.copytree("sample/domain", "data/domain")
    Path("suite.toml").write_text(
        'seeds = [1, 2, 3, 4]\n[systems.tiny]\nencoder = "encoder"\n[protocols.fast]\nmax_steps = 2\nmin_steps = 0\n'
        'precision = "fp32"\n[[targets]]\ndata = "domain"\nsizes = ["all", 5, 10]\ndraw_by_seed = true\n'
    )


def outcome(name: str, *options: str) -> dict[str, Any]:
    """Run a command with these options; return what must be the same: rows, weights, and a benchmark's scores."""
    output = Path("with-options" if options else "plain").with_suffix(".jsonl" if name == "tag" else "")
    shutil.rmtree("cache", ignore_errors=True)  # windows that an earlier run cut
    assert exit_code(*COMMANDS[name], "-o", output, *options) == 0
    files = {str(each.relative_to(output)): each for each in (*output.rglob("*"), output) if each.is_file()}
    kept = {
        place: path.read_bytes()
        for place, path in files.items()
        if path.suffix in (".parquet", ".jsonl", ".safetensors") and path.name != "log.jsonl"
    }
    cells = {place: json.loads(path.read_bytes())["scores"] for place, path in files.items() if place[:6] == "cells/"}
    assert kept or cells
    return kept | cells | {"names": sorted(files)}
