"""Keys of steps: a SHA-256 of everything that a step's outcome depends on.

Code counts by a number that is raised by hand: `TRAINING` if the same data, settings and seed draw, train or tag
otherwise, `SCORING` if the same tags get other scores. Tests tie these numbers to draws, and to the losses, logits,
spans and scores of the golden files. So an edit of a comment, a message or the dump's reader trains nothing anew. The
price: a change that no golden file notices, and for which nobody raises a number, leaves old cells in place. The
versions of libraries are stored with every cell, and are no part of the key.
"""

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, NerbertError, StaleOutput
from nerbert.evaluation.benchmark.cells import Task

FORMAT = 2
"""Raise it to run everything again."""
TRAINING = 1
"""Version of what draws sentences, fine-tunes and tags."""
SCORING = 1
"""Version of what scores."""
_MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.tiktoken")
"""What is loaded of a model's folder."""


def key_of(step: str, **facts: Any) -> str:
    """Return the key of a step: the SHA-256 of all that its outcome depends on, in canonical JSON."""
    text = json.dumps({"format": FORMAT, "step": step, **facts}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def encoder_digest(folder: Path) -> str:
    """Return one digest over the names and contents of the files that are loaded of a model's folder."""
    files = {path for pattern in _MODEL_FILES for path in folder.glob(pattern) if path.is_file()}
    names = "".join(f"{path.name} {file_digest(path)}\n" for path in sorted(files) if not path.name.startswith("."))
    return hashlib.sha256(names.encode()).hexdigest()


def data_digest(path: Path) -> str:
    """Return the digest of a data file; "" for one that isn't there, which is for its reader to say."""
    try:
        return file_digest(path) if path.is_file() else ""
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; one that didn't change while this process lives is read once."""
    state = path.stat()
    return _digest(path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, *_state: int) -> str:
    return sha256_of(path)


def check_unchanged(task: Task) -> None:
    """Raise StaleOutput if a task's encoder or data aren't those of its key any more; call it when they were read.

    A file that wasn't there then must not be there now.
    """
    for name, digest in task.sha256.items():
        _check_same(data_digest, task.folder / name, digest)
    _check_same(encoder_digest, Path(task.encoder), task.encoder_sha256)


def _check_same(digest_of: Callable[[Path], str], path: Path, digest: str) -> None:
    try:
        same = digest_of(path) == digest
    except (OSError, NerbertError):
        same = False
    if not same:
        raise StaleOutput(f"{path}: changed while the benchmark ran; run it again")


def local_encoder(name: str) -> Path:
    """Return the folder of an encoder: `name` itself, or the local copy of a model on the hub."""
    from nerbert.model.backbone import check_model_folder, embedded

    name = embedded(name)
    check_model_folder(name)
    folder = Path(name) if Path(name).exists() else _from_hub(name)
    check_model_folder(str(folder))
    return folder


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_MODEL_FILES)))
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")[:300] or type(error).__name__
        raise InputError(f"{name}: no folder of that name, and not to be had from the hub: {reason}") from error
