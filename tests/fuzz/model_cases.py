"""Model folders of which one file is hostile, and what holds for any reader of them."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st

from nerbert.errors import NerbertError
from nerbert.records import Document
from nerbert.tagger.tagger import Tagger
from tests.fuzz.json_values import json_files
from tests.fuzz.model_seeds import LABELS, TEXT
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer, check_documents, check_message

T = TypeVar("T")
KEYS = (
    "auto_map",
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "quantization_config",
    "dtype",
    "torch_dtype",
    "architectures",
    "model_type",
    "tokenizer_class",
    "head",
    "kind",
    "types",
    "labels",
    "decoding",
    "on_too_long",
    "threshold",
    "thresholds",
    "calibration",
    "id2label",
    "num_labels",
    "num_hidden_layers",
    "vocab_size",
    "max_position_embeddings",
    "hidden_act",
    "pruned_heads",
    "base_model_name_or_path",
    "sub_configs",
    "per_layer_config",
    "added_tokens_decoder",
    "model_max_length",
    "pad_token",
    "extra_special_tokens",
    "chat_template",
    "transformers_weights",
    "joined_layer",
    "architecture",
    "labels_encoder",
    "span_mode",
    "words_splitter_type",
    "boundaries",
    "pooling",
)
"""Entries of configurations that decide much, or may name code."""


@dataclass(frozen=True)
class HostileFile:
    """A file of a folder, by the names of both, and what it holds instead."""

    folder: str
    file: str
    content: bytes


class HostileFolders:
    """Folders by name, of which one file at a time is another."""

    def __init__(self, root: Path, folders: dict[str, Path]) -> None:
        self.root, self._folders = root, folders

    @property
    def names(self) -> list[str]:
        """The names of the folders."""
        return [*self._folders]

    def files(self, pattern: str, only: Sequence[str] = (), without: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Return the names of folders and files that a pattern finds, of some folders only."""
        found = [
            (name, path.relative_to(folder).as_posix())
            for name, folder in self._folders.items()
            for path in sorted(folder.rglob(pattern))
            if not only or name in only
        ]
        return [each for each in found if Path(each[1]).name not in without]

    def content(self, folder: str, file: str) -> bytes:
        """Return a valid file."""
        return (self._folders[folder] / file).read_bytes()

    def cases(
        self, files: Sequence[tuple[str, str]], strategy: Callable[[bytes], st.SearchStrategy[bytes]]
    ) -> st.SearchStrategy[HostileFile]:
        """Return a strategy for one of the files with what a strategy makes of its valid content."""

        def made(place: tuple[str, str]) -> st.SearchStrategy[HostileFile]:
            return strategy(self.content(*place)).map(lambda content: HostileFile(*place, content))

        return st.one_of([made(each) for each in files])

    @contextmanager
    def with_file(self, case: HostileFile) -> Iterator[Path]:
        """Give the folder with the hostile file in it, which is valid again afterwards."""
        folder = self._folders[case.folder]
        path, kept = folder / case.file, folder.parent / "kept"
        existed = path.exists()
        if existed:
            path.replace(kept)  # what is mapped stays whole
        try:
            path.write_bytes(case.content)
            before = self._state(folder)
            yield folder
            assert self._state(folder) == before, "the folder was written to"
        finally:
            path.unlink(missing_ok=True)
            if existed:
                kept.replace(path)

    @staticmethod
    def _state(folder: Path) -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def hostile_json(content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for a JSON file: most have hostile values, some aren't JSON any more."""
    keys = tuple(dict.fromkeys((*KEYS, *json.loads(content))))
    values = json_files([content], keys)
    return st.one_of(values, values, values, mutated([content]))


def hostile_weights(content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for a file of weights: of another header, of a length that lies, or cut and mixed up."""
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], content[8 + size :]
    names = [*json.loads(header)]
    values = [
        "F64",
        "BF16",
        "I64",
        "BOOL",
        "F8_E4M3",
        "C64",
        "X",
        [0, 4],
        [2**63, 2**64],
        [4, 0],
        [0, 2**40],
        [2**40],
        [2**21] * 3,
    ]
    headers = json_files([header], [*names, "__metadata__", "dtype", "shape", "data_offsets"], values)
    lengths = st.one_of(st.just(0), st.sampled_from([-1, 1, -size, 7, 2**20, 2**27, 2**40, 2**63, -(2**62)]))
    twice = st.just(header[:-1] + b"," + header[1:])
    lied = st.builds(_weights, st.one_of(headers, headers, mutated([header]), twice), lengths, st.just(data))
    return st.one_of(lied, lied, mutated([content]))


def _weights(header: bytes, more: int, data: bytes) -> bytes:
    return ((len(header) + more) % 2**64).to_bytes(8, "little") + header + data


def named(call: Callable[[], T], folder: Path) -> T | None:
    """Return what a call gives, or None if it refuses the folder in a line that names it or a setting."""
    try:
        return call()
    except NerbertError as error:
        message, setting = str(error), error.setting
    check_message(message)
    assert str(folder) in message or setting or "setting" in message, message
    return None


def tag(folder: Path, backend: str) -> str:
    """Load a folder and tag a text with it; return what happened."""
    tagger = named(lambda: Tagger.load(folder, backend=backend, device="cpu", threads=1), folder)
    if tagger is None:
        return "refused"
    spans = answer(lambda: tagger.tag(TEXT, None if tagger.types else LABELS))
    if spans is None:
        return "refused its text"
    check_documents([Document(TEXT, tuple(spans))])
    assert all(0 <= each.confidence <= 1 for each in spans), spans
    assert json.dumps([each.type for each in spans])
    return "tagged"
