"""What a step's outcome hangs on, as one key: change a byte of any of it and the key is another.

The code's version is the bytes of the step's own source files and of all that they import from nerbert, found in the
source itself, so nobody has to raise a number. The choice: whole files count, so a changed comment runs a step again;
what is imported by a name made at run time isn't seen. The libraries' versions are written down with every cell, and
are no part of the key.
"""

import ast
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import nerbert
from nerbert.artifacts import sha256_of
from nerbert.errors import InputError

FORMAT = 1
"""Raise it to run everything again."""
TALKERS = frozenset(
    {
        "nerbert",  # names for `import nerbert`, all loaded elsewhere
        "nerbert.errors",  # words
        "nerbert.artifacts",  # how files get their names
        "nerbert.locks",  # who may write
        "nerbert.terminal",  # bars and colours
        "nerbert.training.checkpoint",  # where a killed training goes on; fine-tuning begins anew
        "nerbert.training.log",  # what is written down of it
        "nerbert.training.memory",  # what is said when it runs out
        "nerbert.executors",  # processes and signals
    }
)
"""Modules that no figure hangs on."""
_MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.tiktoken")
"""What is loaded of a model's folder."""
_MOST_FILES = 1000


def key_of(step: str, **facts: Any) -> str:
    """The key of a step: the SHA-256 of all that its outcome hangs on, in canonical JSON."""
    text = json.dumps({"format": FORMAT, "step": step, **facts}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def code_files(
    modules: Iterable[str], leave_out: Collection[str] = TALKERS, root: Path = Path(nerbert.__file__).parent
) -> dict[str, Path]:
    """The source of modules, and of all that they import of the package at `root`, however far; by name, sorted."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in found or _is_left_out(name, leave_out) else _source_of(name, root)
        if path is not None:
            found[name] = path
            waiting += _imports_of(name, path)
    return dict(sorted(found.items()))


def code_version(files: Mapping[str, Path]) -> str:
    """One digest over names and bytes of source files."""
    lines = "".join(f"{name} {sha256_of(path)}\n" for name, path in files.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def model_files(folder: Path) -> list[Path]:
    """The files of a model's folder that are loaded, by name; hidden ones aren't."""
    files = {path for pattern in _MODEL_FILES for path in folder.glob(pattern) if path.is_file()}
    if len(files) > _MOST_FILES:
        raise InputError(f"{folder}: {len(files)} files of a model are too many; is it a model's folder?")
    return sorted(path for path in files if not path.name.startswith("."))


def encoder_digest(folder: Path) -> str:
    """One digest over the names and contents of a model's files."""
    names = "".join(f"{path.name} {file_digest(path)}\n" for path in model_files(folder))
    return hashlib.sha256(names.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file; one that didn't change while this process lives is read once."""
    state = path.stat()
    return _digest(path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def local_encoder(name: str) -> Path:
    """The folder of an encoder: `name` itself, or the local copy of a model on the hub."""
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


@lru_cache(maxsize=4096)
def _digest(path: Path, *_state: int) -> str:
    return sha256_of(path)


def _is_left_out(name: str, leave_out: Collection[str]) -> bool:
    """Whether a module is named there, or lies in a package other than the whole that is."""
    return name in leave_out or any("." in each and name.startswith(f"{each}.") for each in leave_out)


def _source_of(name: str, root: Path) -> Path | None:
    """The source file of a module of the package; None for what is no module of it."""
    first, *rest = name.split(".")
    if first != root.name:
        return None
    place = root.joinpath(*rest)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


def _imports_of(name: str, path: Path) -> Iterator[str]:
    """Names that a module imports, with the packages above them; what is no module is found out later."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _run_nodes(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            targets = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            parts = target.split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one but those for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (each for other in child.orelse for each in (other, *_run_nodes(other)))
        else:
            yield child
            yield from _run_nodes(child)
