"""Corpus → encoder: pre-training as a tagger over the corpus's categories (NER-BERT §3), or the control without labels.

The language-model head gives way to a linear one over BIO tags of all categories, each word is predicted from its first
piece, and the checkpoint with the best validation F1 on typed entities is kept. ENTITY is an ordinary class in
training; it is left out of the score that chooses, since most links are untyped and it would drown the rest. A run that
is killed goes on from its last checkpoint when the same command is given again. Several processes (`torchrun`) need the
output's folder in common.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nerbert.artifacts import (
    RESUME,
    check_free,
    link_file,
    partial_folder,
    publish_folder,
    read_json,
    sha256_of,
    to_disk,
)
from nerbert.corpus.shards import read_manifest
from nerbert.encoder.corpus_labels import read_label_set
from nerbert.encoder.plan import Plan, needed_memory, plan_pretraining
from nerbert.encoder.prepare import Preparation, make_model, prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import OutputExists
from nerbert.labels import tag_names
from nerbert.model.backbone import CARD, save_model, write_card
from nerbert.model.forward import precision_on
from nerbert.terminal import Progress, progress
from nerbert.training.checkpoint import Checkpoints
from nerbert.training.distributed import ProcessGroup, make_team
from nerbert.training.early_stopping import BestCheckpoint
from nerbert.training.log import StepLog, TrainLog
from nerbert.training.loop import total_steps, train
from nerbert.training.memory import check_fits, out_of_memory

LOG = "log.jsonl"
"""The file of an encoder that has the figures of each step."""


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """What an encoder's model card is made of: what its `nerbert.json` holds, and its corpus's manifest."""

    card: Mapping[str, Any]
    manifest: Mapping[str, Any]


def pretrain(
    settings: PretrainSettings, output: Path, *, overwrite: bool = False,
    card: Callable[[Path, EncoderFacts], None] | None = None,
) -> TrainLog:  # fmt: skip
    """Pre-train an encoder and write it to `output`, a Hugging Face folder; return the log.

    A run that was killed resumes from its last checkpoint. `card` writes the model card.
    """
    team, work = _begun(settings, output, overwrite=overwrite)
    numbers = work.feed.numbers_of(0)
    check_fits(
        *needed_memory(work.model, work.feed.windows, numbers, settings, work.objective, team.device, team.count)
    )
    with _common_folder(team, output, work.identity, overwrite=overwrite) as folder:
        best = _Best(folder / RESUME, work.pieces.tokenizer, team)
        keeper = BestCheckpoint(work.score, best.save)
        checkpoints = Checkpoints(
            folder / RESUME, settings.save_total_limit, minutes=settings.save_minutes,
            steps=settings.save_steps, dress=lambda place: _dress(place, work),
        )  # fmt: skip
        steps = StepLog(folder / RESUME / LOG, settings.tensorboard)
        with _bar(team, total_steps(len(numbers), settings)) as bar, out_of_memory(settings):
            log = train(work.model, work.feed, work.objective, settings, bar, evaluate=keeper,
                        checkpoints=checkpoints, steps=steps, team=team)  # fmt: skip
        if team.is_first:
            best.put_into(folder, keeper.best_step)
            link_file(folder / RESUME / LOG, folder / LOG)
            _write_json_card(folder, settings, work, keeper, log)
            if card:
                card(folder, EncoderFacts(read_json(folder / CARD), work.manifest))
    team.end()
    return log


def plan(settings: PretrainSettings, output: Path, *, overwrite: bool = False) -> Plan:
    """Return what `pretrain` would do, and what that would take; write nothing but the corpus's pieces."""
    team, work = _begun(settings, output, overwrite=overwrite)
    found = plan_pretraining(
        work.model, work.feed.windows, work.feed.numbers_of(0), settings, work.objective, work.feed.pad_id,
        work.held_out, team.device, team.count,
    )  # fmt: skip
    team.end()
    return found


def write_fresh(settings: PretrainSettings, output: Path, *, overwrite: bool = False) -> None:
    """Write the fresh encoder that `pretrain` would start from, untrained: the other side of a comparison."""
    manifest = read_manifest(settings.corpus)
    tags = tag_names(read_label_set(manifest, settings).categories)
    with publish_folder(output, overwrite=overwrite) as folder:
        save_model(folder, *make_model(manifest, settings, tags))
        write_card(folder, "untrained", word_splitter=manifest["word_splitter"], language=manifest["language"])


def _begun(settings: PretrainSettings, output: Path, *, overwrite: bool) -> tuple[ProcessGroup, Preparation]:
    """Check the output and prepare what a pre-training and its plan start from."""
    _check_place(settings, output, overwrite=overwrite)
    team = make_team(settings)
    with out_of_memory(settings):
        return team, prepare(settings, team)


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


class _Best:
    """The best model so far, a folder beside the checkpoints; the one before it stays until the next but one.

    By then a checkpoint knows of the one that took its place, so a kill in between loses neither.
    """

    def __init__(self, place: Path, tokenizer: Any, team: ProcessGroup) -> None:
        self._place, self._tokenizer, self._team = place, tokenizer, team

    def save(self, model: Any, step: int, before: int) -> None:
        """Keep `model` as the best; `before` is the step of the one that was."""
        if not self._team.is_first:
            return
        for old in self._place.glob("best-*"):
            if old != self._of(before):
                shutil.rmtree(old)
        with publish_folder(self._of(step)) as folder:
            save_model(folder, model, self._tokenizer)
            for path in folder.iterdir():
                to_disk(path)

    def put_into(self, folder: Path, step: int) -> None:
        """Give `folder` the files of the best model."""
        for path in self._of(step).iterdir():
            link_file(path, folder / path.name)

    def _of(self, step: int) -> Path:
        return self._place / f"best-{step}"


@contextmanager
def _common_folder(team: ProcessGroup, output: Path, identity: Any, *, overwrite: bool) -> Iterator[Path]:
    """Give all processes the folder that the first process makes; it exists when they get it."""
    if not team.is_first:
        team.wait()
        yield partial_folder(output)
        return
    with publish_folder(output, overwrite=overwrite, resume=identity) as folder:
        team.wait()
        yield folder


@contextmanager
def _bar(team: ProcessGroup, total: int) -> Iterator[Progress]:
    if not team.is_first:
        yield Progress()
        return
    with progress("pre-training", total) as bar:
        yield bar


def _dress(folder: Path, work: Preparation) -> None:
    """Add config and tokenizer to a checkpoint's folder, so that it can be used as a model."""
    work.model.config.save_pretrained(folder)
    work.pieces.tokenizer.save_pretrained(folder)


def _write_json_card(
    folder: Path, settings: PretrainSettings, work: Preparation, keeper: BestCheckpoint, log: TrainLog
) -> None:
    """Write what made the encoder, for programs (nerbert.json)."""
    manifest = work.manifest
    told = {"label_set": work.labels.told, "categories": len(work.labels.categories)}
    labels: dict[str, Any] = told if settings.objective == "tagging" else {}
    write_card(
        folder, "encoder", word_splitter=manifest["word_splitter"], language=manifest["language"],
        objective=settings.objective, **labels,
        corpus={"wiki": manifest["wiki"], "manifest_sha256": sha256_of(settings.corpus / "manifest.json")},
        settings=_plain(settings), precision=precision_on(work.model.device.type, settings.precision), log=log.entries,
        best_step=keeper.best_step, validation=keeper.best,
    )  # fmt: skip


def _plain(settings: Any) -> dict[str, Any]:
    """Return settings as JSON; of paths only the last part, so that no folder of this machine is shown."""
    plain = {name: value.name if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    paths = {name: Path(plain[name]).name for name in ("label_set", "cache", "tensorboard")}
    backbone = Path(settings.backbone).resolve().name if Path(settings.backbone).is_dir() else settings.backbone
    return plain | paths | {"backbone": backbone, "corpus": settings.corpus.resolve().name}
