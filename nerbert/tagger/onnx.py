"""onnxruntime as a back end, and the folder `onnx/` that `nerbert export` writes: read as hostile.

The choice: what a tagger needs beside the graph stands in `nerbert-onnx.json` as plain numbers, so neither torch nor
`transformers` is loaded. A graph that names another file for its weights is refused, whatever file, and its classes
must be as many as the labels. The price: weights must fit into one file (2 GB).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.artifacts import read_json
from nerbert.errors import InputError, at, need
from nerbert.labels import check_tags
from nerbert.model.light_tokenizer import light_config, light_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded
from nerbert.rng import Array

FOLDER, CARD, TOKENIZER, FORMAT = "onnx", "nerbert-onnx.json", "tokenizer.json", 1
GRAPHS = {"fp32": "model.onnx", "int8": "model_int8.onnx"}
MAX_TOKENS = 256
"""Padded pieces of a batch: beyond, activations leave the cache (docs/results/2026-11-21-tagger.md)."""
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTSIDE = b"location"
"""The key of a weight's file, without which onnxruntime reads none; no graph of ours holds these bytes otherwise."""
_SLOW = ("SkipLayerNormFusion",)
"""Left out: its kernel takes four times as long as the addition and the norm that it joins (onnxruntime 1.31)."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A folder `onnx/`: its graphs by precision, the head's labels, and what cuts text into the model's pieces."""

    folder: Path
    graphs: Mapping[str, Path]
    tags: list[str]
    before: list[int]
    after: list[int]
    pad_id: int
    room: int
    vocabulary: int
    made_from: Mapping[str, Any]

    def pieces(self, longest: int, on_too_long: str) -> SubwordTokenizer:
        """Return the tokenizer that cuts examples into windows of at most `longest` pieces."""
        tokenizer = light_tokenizer(
            self.folder / TOKENIZER, before=self.before, after=self.after, pad_id=self.pad_id, room=self.room
        )
        return SubwordTokenizer(tokenizer, light_config(self.room, self.vocabulary), longest, on_too_long=on_too_long)


def read_exported(source: str) -> Exported | None:
    """Return what `nerbert export` left in a tagger's folder, or None; raise InputError for a broken one."""
    folder = Path(source) / FOLDER
    if not (folder / CARD).is_file():
        return None
    card = read_json(folder / CARD, limit=16 << 20)
    with at(folder / CARD):
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            raise InputError(f"not an export that this version reads (format {FORMAT}); export the tagger again")
        tags = _strings(card, "tags")
        check_tags(tags)
        before, after = _numbers(card, "before"), _numbers(card, "after")
        pad_id, room = _whole(card, "pad_id", least=0), _whole(card, "room", least=1)
        vocabulary = _whole(card, "vocabulary", least=1)
        made_from = card.get("made_from")
    graphs = {precision: folder / name for precision, name in GRAPHS.items() if (folder / name).is_file()}
    told = made_from if isinstance(made_from, dict) else {}
    return Exported(folder, graphs, tags, before, after, pad_id, room, vocabulary, told)


class OnnxScorer:
    """Logits of an exported graph on the CPU."""

    def __init__(self, path: Path, classes: int, *, threads: int = 0) -> None:
        self._session, self._path, self._classes = _session(path, threads), path, classes
        self._inputs = [each.name for each in self._session.get_inputs()]
        outputs = {each.name: each.shape for each in self._session.get_outputs()}
        if list(outputs) != ["logits"] or not {"input_ids"} <= set(self._inputs) <= set(_INPUTS):
            raise InputError(
                f"{path}: takes {', '.join(self._inputs)} and gives {', '.join(outputs)}: no graph that nerbert made"
            )
        if outputs["logits"][-1:] != [classes]:
            raise InputError(
                f"{path}: its logits have the shape {outputs['logits']}, its labels are {classes}: they don't belong "
                "together"
            )

    def __call__(self, batch: Padded, /) -> Array:
        """Return (terms, classes) fp32."""
        feed = {
            "input_ids": batch.ids.astype(np.int64, copy=False), "attention_mask": batch.mask.astype(np.int64),
            "token_type_ids": np.zeros(batch.ids.shape, np.int64),
        }  # fmt: skip
        with _refused(self._path, "can't be run"):
            (logits,) = self._session.run(["logits"], {name: feed[name] for name in self._inputs})
        if logits.dtype != np.float32 or logits.shape != (*batch.ids.shape, self._classes):
            raise InputError(f"{self._path}: gives {logits.dtype} logits of the shape {logits.shape} for windows of "
                             f"{batch.ids.shape}: no tagger that nerbert exported")  # fmt: skip
        found: Array = logits[batch.rows, batch.columns]
        return found


def _session(path: Path, threads: int) -> Any:
    need("onnx", "onnxruntime")
    import onnxruntime

    if not path.is_file():
        raise InputError(f"{path}: no such file; export the tagger again")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads:
        options.intra_op_num_threads = threads
    with _refused(path, "can't be loaded"):
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as graph:
            if graph.find(_OUTSIDE) >= 0:
                raise InputError(f"{path}: names files outside itself, which are not read; export the tagger again")
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(_SLOW)
        )


@contextmanager
def _refused(path: Path, what: str) -> Iterator[None]:
    """Turn what onnxruntime raises into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"{path}: {what} by onnxruntime: {reason:.300}") from error


def _strings(card: Mapping[str, Any], name: str) -> list[str]:
    value = card.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise InputError(f"{name}: must be a list of texts; export the tagger again")
    return value


def _numbers(card: Mapping[str, Any], name: str) -> list[int]:
    value = card.get(name)
    if not isinstance(value, list) or len(value) > 16 or not all(type(each) is int and each >= 0 for each in value):
        raise InputError(f"{name}: must be a short list of whole numbers; export the tagger again")
    return value


def _whole(card: Mapping[str, Any], name: str, *, least: int) -> int:
    value = card.get(name)
    if type(value) is not int or not least <= value < 1 << 31:
        raise InputError(f"{name} = {value!r}: must be a whole number of at least {least}; export the tagger again")
    return value
