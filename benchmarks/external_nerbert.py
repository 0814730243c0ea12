"""nerbert's commands in a row as a system of `nerbert benchmark` (docs/extending/external-system.md).

`python benchmarks/external_nerbert.py --encoder FOLDER [--texts FILE --student embedded] [--int8] TRAIN DEV TEST OUTPUT
SEED [--keep FOLDER]` fine-tunes, then distils the tagger into a student on the raw sentences of --texts, then exports
it to int8 graphs, and tags. DEV isn't read.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from external import run


def train(options: Any, folder: Path) -> None:
    """Fine-tune, distil and export into a folder."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "train.conll").write_bytes(options.train.read_bytes())
    _nerbert(
        "finetune",
        options.encoder,
        "--data",
        data,
        "-o",
        folder / "tagger",
        "--set",
        f"seed={options.seed}",
        "--set",
        "threads=1",
    )
    tagger = folder / "tagger"
    if options.texts:
        _nerbert(
            "distil",
            tagger,
            options.texts,
            "--encoder",
            options.student,
            "--data",
            data,
            "-o",
            folder / "student",
            "--set",
            f"seed={options.seed}",
            "--set",
            "threads=1",
        )
        tagger = folder / "student"
    if options.int8:
        _nerbert("export", tagger, "--int8", "-o", folder / "int8")
        tagger = folder / "int8"
    (folder / "last").unlink(missing_ok=True)
    (folder / "last").symlink_to(tagger.name)


def tag(options: Any, folder: Path) -> None:
    """Tag the sentences to score."""
    how = ["--backend", "onnx", "--precision", "int8"] if options.int8 else []
    _nerbert("tag", folder / "last", options.test, "-o", options.output, "--to", "jsonl", "--overwrite", *how)


def _nerbert(*words: str | Path) -> None:
    """Run a command with one thread; end with its exit code if it fails."""
    one = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([sys.executable, "-m", "nerbert", *map(str, words)], env=os.environ | one, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    own = argparse.ArgumentParser()
    own.add_argument("--encoder", required=True)
    own.add_argument("--texts", type=Path)
    own.add_argument("--student", default="embedded")
    own.add_argument("--int8", action="store_true")
    run(train, tag, own)
