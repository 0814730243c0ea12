"""Prepare a pre-training from its settings: corpus, label set, model, windows, objective."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nerbert.artifacts import check_free, sha256_of
from nerbert.corpus.shards import read_manifest, shard_hashes
from nerbert.encoder.corpus_labels import CorpusLabels, held_out, read_label_set, training_texts
from nerbert.encoder.dataset import open_training_data
from nerbert.encoder.objectives.mlm import Mlm, score_mlm
from nerbert.encoder.preprocess import tokenizer_hash
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import OutputExists
from nerbert.labels import sentence_example, tag_names
from nerbert.model.backbone import check_model_folder, load_mlm_model, load_tagging_model, load_tokenizer
from nerbert.model.forward import precision_on
from nerbert.model.fresh import fresh_model, train_tokenizer
from nerbert.model.layers import freeze, keep_layers, renew_head
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows
from nerbert.records import ENTITY
from nerbert.training.distributed import ProcessGroup, make_process_group
from nerbert.training.early_stopping import Score, TagScore, most_tokens, span_figures, typed_figures
from nerbert.training.loop import VERSION, TrainingData
from nerbert.training.memory import out_of_memory
from nerbert.training.objective import Objective, Tagging

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
    tags: list[str]
    model: Any
    pieces: SubwordTokenizer
    data: TrainingData
    objective: Objective
    score: Score
    held_out: int
    identity: dict[str, Any]


def begin(settings: PretrainSettings, output: Path, *, overwrite: bool) -> tuple[ProcessGroup, Preparation]:
    """Check the output's place, then join the other processes and prepare the training."""
    _check_place(settings, output, overwrite=overwrite)
    processes = make_process_group(settings)
    with out_of_memory(settings):
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
    tags = tag_names(labels.categories)
    model, tokenizer = make_model(manifest, settings, tags)
    freeze(model, settings.num_frozen_layers)
    pieces = SubwordTokenizer(tokenizer, model.config, settings.max_length, further=settings.label_all_tokens)
    mlm = (
        Mlm.of(tokenizer, model.config, settings.seed, settings.mlm_probability)
        if settings.objective == "mlm"
        else None
    )
    data = open_training_data(manifest, labels, pieces, settings)
    examples = [sentence_example(each) for each in held_out(manifest, labels, settings)]
    score: Score
    if mlm:
        windows = Windows.pack(pieces.windows(examples))
        score = partial(_mlm_figures, windows=windows, mlm=mlm, pad_id=pieces.pad_id, settings=settings)
    else:
        figures = span_figures if labels.categories == (ENTITY,) else typed_figures
        score = TagScore(
            SubwordTokenizer(tokenizer, model.config, settings.max_length), examples, tags, settings, figures, processes
        )
    objective: Objective = mlm or Tagging(settings.label_smoothing, settings.outside_weight)
    return Preparation(
        manifest, labels, tags, model, pieces, data, objective, score, len(examples),
        _identity(settings, manifest, labels, model, tokenizer, processes),
    )  # fmt: skip


def make_model(manifest: Mapping[str, Any], settings: PretrainSettings, tags: list[str]) -> tuple[Any, Any]:
    """Return the model to train, with a new head for its objective, and its tokenizer."""
    is_mlm = settings.objective == "mlm"
    if settings.backbone == FRESH:
        tokenizer = train_tokenizer(training_texts(manifest, settings), settings.fresh_vocab_size)
        size = (len(tokenizer), settings.fresh_num_layers, settings.fresh_hidden_size)
        return fresh_model(*size, None if is_mlm else tags, settings.seed), tokenizer
    tokenizer = load_tokenizer(settings.backbone)
    if is_mlm:
        model = load_mlm_model(settings.backbone, settings.seed)
    else:
        model = load_tagging_model(settings.backbone, tags)
        renew_head(model, settings.seed)
    keep_layers(model, settings.num_layers)
    return model, tokenizer


def _mlm_figures(model: Any, windows: Windows, mlm: Mlm, pad_id: int, settings: PretrainSettings) -> dict[str, float]:
    return score_mlm(model, windows, mlm, pad_id, max_tokens=most_tokens(settings), precision=settings.precision)


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
