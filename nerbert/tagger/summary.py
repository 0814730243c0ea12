"""A summary of a model's folder, from its small files only: card, configuration, headers of its weights, exports.

Neither torch nor the weights are loaded. Limitation: only loading shows whether the weights fit.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from nerbert.errors import InputError, refused
from nerbert.labels import check_tags, types_of
from nerbert.model.folder import ModelFolder, seed_folders
from nerbert.model.head_kinds import labels_at_run_time
from nerbert.model.onnx import Exported, read_exported
from nerbert.schema import parse_json, read_json

_MEASURED = ("f1", "share", "loss", "low", "high")
_LONGEST_HEADER = 100_000_000
"""Maximum bytes, the format's own limit."""


@dataclass(frozen=True, slots=True)
class ExportedGraph:
    """An exported graph: its bytes, and if measured its F1 and the share (0–1) of torch's entities that it finds.

    `loss` is the F1 lost against torch, between `low` and `high` (95 %).
    """

    bytes: int
    f1: float | None
    share: float | None
    loss: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """The summary of a model; `card` is its `nerbert.json`, or the defaults of its kind.

    `types` are those that it was trained on; with `labels_at_run_time` it takes any; `scoring` describes their cost.
    `layers` and `width` are 0 if the configuration lacks them, and `parameters` is None if weights are pickled or only
    exported.
    """

    name: str
    head: str
    types: list[str]
    labels_at_run_time: bool
    scoring: str
    architecture: str
    layers: int
    width: int
    parameters: int | None
    bytes: int
    exports: dict[str, ExportedGraph]
    card: dict[str, Any]


def summarise(source: str) -> list[ModelSummary]:
    """Return the summary of a model (a folder, a hub name, a name of the package), or of each seed in a folder."""
    return [_summary(name) for name in [*map(str, seed_folders(source))] or [source]]


def _summary(source: str) -> ModelSummary:
    folder = ModelFolder.open(source, "tagger").check()
    card = folder.card
    exported = read_exported(folder.name)
    config = read_json(folder.path / folder.kind.config, dict[str, Any])
    body = folder.kind.encoder(folder.path)
    head = folder.head_name
    weights = [path for path in folder.files("weights") if path.suffix == ".safetensors"]
    return ModelSummary(
        name=source,
        head=head,
        types=_types(folder, config, exported),
        labels_at_run_time=labels_at_run_time(folder),
        scoring=folder.kind.describe_scoring(folder.path),
        architecture=str(body.get("model_type") or "unknown"),
        layers=_number(body, "num_hidden_layers", "n_layers"),
        width=_number(body, "hidden_size", "dim"),
        parameters=sum(map(_parameters, weights)) if weights else None,
        bytes=sum(path.stat().st_size for path in weights),
        card=card,
        exports={
            name: ExportedGraph(
                path.stat().st_size, *map(exported.card.agreement.get(f"onnx {name}", {}).get, _MEASURED)
            )
            for name, path in exported.graphs.items()
        }
        if exported
        else {},
    )


def _types(folder: ModelFolder, config: dict[str, Any], exported: Exported | None) -> list[str]:
    """Return the types that a model was trained on: those of its card, or of its tags if they are BIO tags."""
    learnt = folder.card.get("types")
    if learnt or folder.head_name != "linear":
        return [str(type_) for type_ in learnt or ()]
    labels = config.get("id2label")
    tags = exported.card.tags if exported else [*map(str, labels.values())] if isinstance(labels, dict) else []
    try:
        check_tags(tags)
    except InputError:
        return []
    return types_of(tags)


def _number(config: dict[str, Any], *names: str) -> int:
    return next((config[name] for name in names if isinstance(config.get(name), int)), 0)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor's entry in the header of a file of weights."""

    shape: list[Annotated[int, Field(ge=0)]] = field(default_factory=list)


def _parameters(path: Path) -> int:
    """Return the number of values in a safetensors file, by its header."""
    with refused(f"{path}: can't be read", of=OSError), path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        head = stream.read(length) if length <= min(_LONGEST_HEADER, path.stat().st_size) else b""
    stored = parse_json(head, dict[str, _Stored], path, remedy="the file is damaged")
    return sum(math.prod(entry.shape) for name, entry in stored.items() if name != "__metadata__")
