"""Prepare a pre-training from its settings: corpus, label set, model, windows, objective."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nerbert.artifacts import check_free, sha256_of
from nerbert.corpus.shards import read_manifest, shard_hashes
from nerbert.encoder.corpus_labels import CorpusLabels, held_out, read_label_set, training_texts
from nerbert.encoder.dataset import open_training_data, tokenizer_hash
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import OutputExists
from nerbert.labels import sentence_example
from nerbert.model.backbone import Backbone, check_model_folder, load_tokenizer
from nerbert.model.forward import precision_on
from nerbert.model.fresh import fresh_config, train_tokenizer
from nerbert.model.layers import freeze
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.registry import OBJECTIVES
from nerbert.training.distributed import ProcessGroup, make_process_group
from nerbert.training.loop import VERSION, TrainingData
from nerbert.training.objective import CheckpointScore, Objective, Task

FRESH = "fresh"
_FREE = frozenset(
    {
        "corpus", "backbone", "label_set", "precision", "cache", "tensorboard", "threads", "max_tokens_per_batch",
        "save_minutes", "save_steps", "save_total_limit",
    }
)  # fmt: skip
"""Settings that a run may go on with others of: what they lead to is compared instead, or they change rounding and
(`max_tokens_per_batch`, with dropout) luck, never what is computed."""

_NAMES = ("_name_or_path", "transformers_version")
"""What a model's configuration says that changes nothing."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """All that a pre-training needs; `identity` is what decides its outcome, so that only the same run is resumed."""

    manifest: Mapping[str, Any]
    labels: CorpusLabels
    model: Any
    pieces: SubwordTokenizer
    data: TrainingData
    objective: Objective
    score: Callable[[Any], CheckpointScore]
    held_out: int
    identity: dict[str, Any]


def begin(settings: PretrainSettings, output: Path, *, overwrite: bool) -> tuple[ProcessGroup, Preparation]:
    """Check the output's place, then join the other processes and prepare the training."""
    _check_place(settings, output, overwrite=overwrite)
    processes = make_process_group(settings)
    return processes, prepare(settings, processes)


def _check_place(settings: PretrainSettings, output: Path, *, overwrite: bool) -> None:
    """Raise OutputExists for an output that is taken, or that lies in or around what is read."""
    check_free(output, overwrite=overwrite)
    place = output.resolve()
    for name in ("corpus", "backbone"):
        read = Path(getattr(settings, name)).resolve()
        if read.is_dir() and (place.is_relative_to(read) or read.is_relative_to(place)):
            raise OutputExists(
                f"{output}: lies in, or around, the {name} ({getattr(settings, name)}); choose another place"
            )


def prepare(settings: PretrainSettings, processes: ProcessGroup) -> Preparation:
    """Read the corpus, load or make the model, open the windows."""
    manifest = read_manifest(settings.corpus)
    if settings.backbone != FRESH:
        check_model_folder(settings.backbone)
    labels = read_label_set(manifest, settings)
    backbone = open_backbone(manifest, settings)
    objective = OBJECTIVES.find(settings.objective).of(Task(labels.categories, settings, backbone))
    model = objective.make_model(backbone)
    freeze(model, settings.num_frozen_layers)
    pieces = SubwordTokenizer(backbone.tokenizer, model.config, settings.max_length, further=settings.label_all_tokens)
    examples = [sentence_example(each) for each in held_out(manifest, labels, settings)]
    data = open_training_data(manifest, labels, pieces, settings, own=objective.labels)
    score = objective.score_on(examples, pieces, settings, processes)
    identity = _identity(settings, manifest, labels, model, backbone.tokenizer, processes)
    return Preparation(manifest, labels, model, pieces, data, objective, score, len(examples), identity)


def open_backbone(manifest: Mapping[str, Any], settings: PretrainSettings) -> Backbone:
    """Return what the training starts from, with its tokenizer; for a fresh one it is trained on the corpus."""
    if settings.backbone != FRESH:
        tokenizer = load_tokenizer(settings.backbone)
        return Backbone(settings.backbone, tokenizer, settings.seed, settings.num_layers)
    tokenizer = train_tokenizer(training_texts(manifest, settings), settings.fresh_vocab_size)
    config = fresh_config(len(tokenizer), settings.fresh_num_layers, settings.fresh_hidden_size)
    return Backbone(FRESH, tokenizer, settings.seed, fresh=config)


def _identity(
    settings: PretrainSettings, manifest: Mapping[str, Any], labels: CorpusLabels, model: Any, tokenizer: Any,
    processes: ProcessGroup,
) -> dict[str, Any]:  # fmt: skip
    """Return all that decides a training's outcome, as JSON."""
    compared = {name: value for name, value in asdict(settings).items() if name not in _FREE}
    weights = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        weights.update(f"{name} {tuple(tensor.shape)}\n".encode())
        weights.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    config = {name: value for name, value in model.config.to_dict().items() if name not in _NAMES}
    return {
        "loop": VERSION,
        "settings": compared,
        "precision": precision_on(processes.device.type, settings.precision),
        "config": config,
        "corpus": sha256_of(settings.corpus / "manifest.json"),
        "shards": shard_hashes(settings.corpus, manifest),
        "label_set": labels.facts,
        "weights": weights.hexdigest(),
        "tokenizer": tokenizer_hash(tokenizer),
    }
