"""Corpus → encoder: pre-training as a tagger over its categories (NER-BERT §3), or the control without labels."""

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nerbert import process
from nerbert.artifacts import check_free, draft_of, link_file, publish_folder, publish_job, to_disk
from nerbert.data.splits import data_sum
from nerbert.encoder.data import PretrainData, PretrainSources
from nerbert.encoder.preprocess import tokenizer_hash
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import OutputExists
from nerbert.executors import Executor
from nerbert.model.backbone import Backbone, save_model
from nerbert.model.folder import ModelFolder, read_card, write_card
from nerbert.model.forward import precision_on
from nerbert.model.surgery import fresh_config, train_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer, tell_hidden_entities
from nerbert.rng import Array
from nerbert.terminal import Progress, progress, tell
from nerbert.training.batches import TrainingData, steps_of_epoch
from nerbert.training.checkpoint import BestCheckpoint, Checkpoints, StepLog, TrainLog
from nerbert.training.distributed import ProcessGroup, explain_out_of_memory, make_process_group
from nerbert.training.loop import VERSION, train
from nerbert.training.objective import OBJECTIVES, PRETRAIN, CheckpointScore, Objective, Task
from nerbert.training.run import Run
from nerbert.training.sections import chosen_objective
from nerbert.training.settings import changed_names, plain_settings
from nerbert.training.step import train_step

LOG = "log.jsonl"
"""The file of an encoder that has the figures of each step."""
FRESH = "fresh"
FREE = frozenset(
    {
        "corpus",
        "backbone",
        "label_set",
        "precision",
        "cache",
        "tensorboard",
        "threads",
        "max_tokens_per_batch",
        "save_minutes",
        "save_steps",
        "save_total_limit",
    }
)
"""Settings that may differ when a run resumes: their effect is compared instead, or they change only rounding and
(`max_tokens_per_batch`, with dropout) random variation. The same holds for files and models of a section."""

_NAMES = ("_name_or_path", "transformers_version")
"""Entries of a model's configuration without effect."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """All that a pre-training needs; `identity` is what decides its outcome, so that only the same run is resumed."""

    source: PretrainData
    settings: PretrainSettings
    """With the learning rate of new layers."""
    model: Any
    pieces: SubwordTokenizer
    data: TrainingData
    objective: Objective
    score: Callable[[Any], CheckpointScore]
    identity: dict[str, Any]
    num_frozen_layers: int
    facts: dict[str, Any]
    """The objective's own facts for the card."""


def begin(
    settings: PretrainSettings,
    output: Path,
    *,
    overwrite: bool,
    processes: ProcessGroup | None = None,
    executor: Executor | None = None,
) -> tuple[ProcessGroup, Preparation]:
    """Join the other processes and prepare the training.

    Raise OutputExists first for an output that is taken, or that lies in or around what is read.
    """
    check_free(output, overwrite=overwrite)
    target = output.resolve()
    models = [
        (section.full_name(name), getattr(section, name)) for section in settings.sections for name in section.models
    ]
    files = [
        (section.full_name(name), path)
        for section in settings.sections
        for name in section.reads
        for path in getattr(section, name)
    ]
    corpora = [("corpus", folder) for folder in settings.corpus]
    # Publishing replaces the output's folder: nothing that is read may lie in it.
    for name, read in [*corpora, ("backbone", settings.backbone), *models, *files]:
        there = Path(read or "").resolve()
        inside = target.is_relative_to(there) or there.is_relative_to(target)
        # "minilm" and names on the hub are no paths here.
        if read and inside and (there.is_dir() or (name, read) in files):
            raise OutputExists(f"{output}: lies in, or around, the {name} ({read}); choose another place")
    processes = processes or make_process_group(settings)
    return processes, prepare(settings, processes, executor)


def prepare(settings: PretrainSettings, processes: ProcessGroup, executor: Executor | None = None) -> Preparation:
    """Open the data, load or make the model, open the windows; an `executor` makes missing ones."""
    objective_type = chosen_objective(settings, PRETRAIN)
    if settings.backbone != FRESH:
        # Before the data, which may take hours.
        ModelFolder.open(settings.backbone, "model").check()
    # The order matters: data give types, types the objective, the objective the model and
    # its tokenizer; only then can windows be cut.
    source: PretrainData = objective_type.data(PretrainSources(settings, executor))
    backbone = _open_backbone(source, settings, cut=not objective_type.traits.word_by_word)
    objective = objective_type.of(Task(source.types, settings, backbone, source.concepts, source.concept_texts))
    model = objective.make_model(backbone)
    frozen = objective.freeze(model, settings.num_frozen_layers)
    pieces = objective.subwords(model, backbone, settings)
    examples = source.held_out()
    if processes.is_first:
        tell_hidden_entities(examples, pieces, source.name)
        if source.concepts:
            _tell_unreadable(sorted({concept.name for concept in source.concepts.concepts}), pieces.tokenizer, settings)
    data = source.windows(pieces, objective.labels)
    score = objective.score_on(examples, pieces, settings, processes)
    identity = _identity(settings, model, pieces.tokenizer, processes) | source.identity()
    rate = settings.new_layers_learning_rate or objective.new_layers_rate(model, pieces, examples, settings)
    # After `_identity`: a measured rate follows from what is compared there already.
    settings = replace(settings, new_layers_learning_rate=rate)
    return Preparation(
        source, settings, model, pieces, data, objective, score, identity, frozen, objective.facts(data.windows)
    )


def _tell_unreadable(names: Sequence[str], tokenizer: Any, settings: PretrainSettings) -> None:
    """Print how many names of types the encoder that reads them can't tell apart, if any."""
    models = (getattr(section, name) for section in settings.sections for name in section.models)
    if model := next(filter(None, models), ""):
        tokenizer = Backbone.of(model, settings.seed).tokenizer or tokenizer
    # a name is unreadable if all of its subwords are unknown; a mark of a word's beginning doesn't count
    unknown = {"", tokenizer.unk_token}
    unreadable = [
        name
        for name in names
        if tokenizer.unk_token is not None
        and unknown.issuperset(piece.strip("▁") for piece in tokenizer.tokenize(name))
    ]
    if unreadable:
        tell(
            f"warning: {len(unreadable):,} of {len(names):,} names of types, such as {unreadable[0]!r:.80}: the "
            "encoder's tokenizer knows none of their subwords; use an encoder of their language"
        )


def _open_backbone(source: PretrainData, settings: PretrainSettings, *, cut: bool) -> Backbone:
    """Return the backbone and its tokenizer; that of a fresh one is trained on the data."""
    if settings.backbone != FRESH:
        return Backbone.of(settings.backbone, settings.seed, settings.num_layers, cut=cut)
    # A fresh encoder's tokenizer knows the training texts only: held-out ones stay unseen.
    tokenizer = train_tokenizer(source.texts(), settings.fresh_vocab_size)
    config = fresh_config(len(tokenizer), settings.fresh_num_layers, settings.fresh_hidden_size)
    return Backbone(FRESH, tokenizer, settings.seed, fresh=config)


def _identity(settings: PretrainSettings, model: Any, tokenizer: Any, processes: ProcessGroup) -> dict[str, Any]:
    """Return all that decides a training's outcome but its data, as JSON."""
    weights = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        # Weights by content: a backbone that was trained further under the same name is another start.
        weights.update(f"{name} {tuple(tensor.shape)}\n".encode())
        weights.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    config = {name: value for name, value in model.config.to_dict().items() if name not in _NAMES}
    files = {
        section.full_name(name): [data_sum(path) for path in getattr(section, name)]
        for section in settings.sections
        for name in section.reads
    }
    return {
        "loop": VERSION,
        "files": files,
        "settings": compared_settings(settings),
        "precision": precision_on(processes.device.type, settings.precision),
        "config": config,
        "weights": weights.hexdigest(),
        "tokenizer": tokenizer_hash(tokenizer),
    }


def compared_settings(settings: PretrainSettings) -> dict[str, Any]:
    """Return the settings that decide an outcome by themselves, sections by name."""
    declared = OBJECTIVES.find(settings.objective).settings
    values = plain_settings(settings, declared)
    for section in (settings.of(declared), *settings.sections):
        for name in (*section.reads, *section.models):
            values[section.section].pop(name, None)
    return {name: value for name, value in values.items() if name not in FREE}


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """The facts of an encoder's model card: its `nerbert.json`, its corpora's manifests."""

    card: Mapping[str, Any]
    manifests: Sequence[Mapping[str, Any]]


def pretrain(
    settings: PretrainSettings,
    output: Path,
    *,
    overwrite: bool = False,
    card: Callable[[Path, EncoderFacts], None] | None = None,
    processes: ProcessGroup | None = None,
    executor: Executor | None = None,
) -> TrainLog:
    """Pre-train an encoder and write it to `output`, a Hugging Face folder; return the log.

    A run that was killed resumes from its last checkpoint. `card` writes the model card. The group of `processes` ends
    with the training, unless it is given. An `executor` cuts the corpus into windows.
    """
    group, work = begin(settings, output, overwrite=overwrite, processes=processes, executor=executor)
    first = group.is_first
    publishing = publish_job(output, work.identity, overwrite=overwrite) if first else nullcontext(draft_of(output))
    with publishing as (folder, run_folder):
        # For the first process, which makes the folders.
        group.wait()
        keep = partial(_keep_best, run_folder, work.pieces.tokenizer) if first else lambda *_: None
        best = BestCheckpoint(work.score, keep, last=settings.select == "last")
        checkpoints = Checkpoints(
            run_folder,
            settings.save_total_limit,
            minutes=settings.save_minutes,
            steps=settings.save_steps,
            tokenizer=work.pieces.tokenizer,
        )
        run = Run(
            work.model,
            work.data,
            work.objective,
            work.settings,
            group,
            evaluate=best,
            checkpoints=checkpoints,
            steps=StepLog(run_folder / LOG, settings.tensorboard),
            evaluation_steps=settings.evaluation_steps,
        )
        with progress("pre-training", run.total) if first else nullcontext(Progress()) as run.bar:
            log = train(run)
        if first:
            kept = run_folder / f"best-{log.best_step}"
            for path in _files_in(kept):
                (there := folder / path.relative_to(kept)).parent.mkdir(parents=True, exist_ok=True)
                # Links, not copies: the weights are already on the disk.
                link_file(path, there)
            link_file(run_folder / LOG, folder / LOG)
            _write_json_card(folder, settings, work, log)
            if card:
                card(folder, EncoderFacts(read_card(str(folder)), work.source.manifests))
    group.wait() if processes else group.end()
    return log


def _keep_best(run_folder: Path, tokenizer: Any, model: Any, step: int, before: int) -> None:
    """Keep the best model beside the checkpoints; the one `before` stays until a checkpoint names its successor."""
    for old in run_folder.glob("best-*"):
        # The newest checkpoint still names the one before; a resumed run needs it.
        if old.name != f"best-{before}":
            shutil.rmtree(old)
    with publish_folder(run_folder / f"best-{step}") as folder:
        save_model(folder, model, tokenizer)
        for path in _files_in(folder):
            # A checkpoint that names this model must not outlive it in a power cut.
            to_disk(path)


def _files_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _write_json_card(folder: Path, settings: PretrainSettings, work: Preparation, log: TrainLog) -> None:
    """Write nerbert.json: the settings, the corpus and the figures of the encoder, for programs."""
    facts = {"word_splitter": work.source.word_splitter} | work.facts | (log.best.facts if log.best else {})
    write_card(
        folder,
        "encoder",
        **facts,
        language=work.source.language,
        objective=settings.objective,
        description=asdict(work.objective.describe()),
        **work.source.facts(),
        settings=_plain(work.settings),
        changed=changed_names(settings),
        num_frozen_layers=work.num_frozen_layers,
        precision=precision_on(work.model.device.type, settings.precision),
        log=log.entries,
        best_step=log.best_step,
        validation=log.best.figures if log.best else {},
    )


def _plain(settings: PretrainSettings) -> dict[str, Any]:
    """Return settings as JSON; of paths only the last part, so that no folder of this machine is shown."""
    plain = plain_settings(settings, OBJECTIVES.find(settings.objective).settings)
    paths = {name: Path(plain[name]).name for name in ("label_set", "cache", "tensorboard")}
    backbone = Path(settings.backbone).resolve().name if Path(settings.backbone).is_dir() else settings.backbone
    corpora = [folder.resolve().name for folder in settings.corpus]
    corpus = corpora if len(corpora) > 1 else "".join(corpora)
    return plain | paths | {"backbone": backbone, "corpus": corpus}


_TIMED = 3
"""Steps that are timed."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a pre-training would take: `tokens` of all its steps, padding not counted, and seconds.

    `peak_memory` is that of the first process, in bytes, on a GPU what torch held there; `speed` is in tokens a second
    of all processes; `scoring` are the seconds of one evaluation. `max_tokens_per_batch` is 0, or, where memory ran
    out, the size that fitted.
    """

    steps: int
    tokens: int
    evaluations: int
    parameters: int
    trained: int
    device: str
    precision: str
    processes: int
    peak_memory: int
    speed: float
    scoring: float
    max_tokens_per_batch: int = 0

    @property
    def seconds(self) -> float:
        """Return the time of all steps and evaluations."""
        return self.tokens / self.speed + self.evaluations * self.scoring


def dry_run(
    settings: PretrainSettings, output: Path, *, overwrite: bool = False, executor: Executor | None = None
) -> DryRun:
    """Run a few steps of `pretrain` and return its figures; write nothing but the cache of windows."""
    processes, work = begin(settings, output, overwrite=overwrite, executor=executor)
    figures = measure(work, settings, processes)
    processes.end()
    return figures


@explain_out_of_memory()
def measure(work: Preparation, settings: PretrainSettings, processes: ProcessGroup) -> DryRun:
    """Return the figures of a prepared pre-training; its model is moved to the device and takes steps of rate 0."""
    windows = work.data.windows
    numbers = work.data.numbers_of(0)
    device = processes.device
    lengths = windows.lengths_of(numbers)
    steps = steps_of_epoch(numbers, lengths, settings.batch_size, settings.seed, 0)
    run = Run(work.model, work.data, work.objective, settings, processes, evaluation_steps=settings.evaluation_steps)
    model = work.model.train()
    fitted = list[float]()

    def take(*steps: Array) -> None:
        for number, step in enumerate(steps, 1):
            done = train_step(run, step, 0.0, number)
            if "max_tokens_per_batch" in done:
                fitted.append(done["max_tokens_per_batch"])

    # The step that needs the most memory, twice: the second time the optimiser's state is there as well.
    longest = max(steps, key=lambda step: int(windows.lengths_of(step).max()))
    take(longest, longest)
    timed = [steps[index * len(steps) // _TIMED] for index in range(_TIMED)]
    training = _seconds(device, lambda: take(*timed))
    model.eval()
    scoring = _seconds(device, lambda: work.score(model))

    return DryRun(
        steps=run.total,
        tokens=round(int(lengths.sum()) * run.total / len(steps)),
        evaluations=math.ceil(run.total / run.every),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        trained=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        device=device.type,
        precision=precision_on(device.type, settings.precision),
        processes=processes.count,
        peak_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else process.peak_memory(),
        speed=sum(int(windows.lengths_of(step).sum()) for step in timed) / training,
        scoring=scoring,
        max_tokens_per_batch=int(min(fitted, default=0)),
    )


def _seconds(device: torch.device, run: Callable[[], Any]) -> float:
    """Return the time of a call, until the device is done."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        # A GPU's calls return before it is done.
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
