"""The steps of a cell, as a task of an executor: read, fine-tune, tag the test sentences, score the tags.

A task writes its outcome into the store and returns only how it ended, so a process that dies loses nothing of others.
A tagger lives in memory. Only its predictions are kept: they can be scored anew whenever the rules change.
"""

import errno
import gc
import os
import platform
import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import current_process, parent_process
from pathlib import Path
from shutil import rmtree
from statistics import fmean
from typing import Any, NamedTuple

import torch

from nerbert import __version__
from nerbert.errors import InputError, NerbertError, SettingsError, WriteError, may_try_again
from nerbert.evaluation.benchmark.asking import tag_told, type_familiarities
from nerbert.evaluation.benchmark.cells import (
    Cell,
    CellSentences,
    Job,
    Machine,
    Predictions,
    SourceTraining,
    State,
    Task,
)
from nerbert.evaluation.benchmark.external import tags_of_command
from nerbert.evaluation.benchmark.plan import check_unchanged
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.datasets.load import find_duplicates
from nerbert.finetuning.finetune import finetune_examples
from nerbert.finetuning.sampling import SizeUnit, draw_episode, draw_subset, parse_size
from nerbert.formats.data import read_data, split_of
from nerbert.formats.documents import Reading
from nerbert.labels import example_tags
from nerbert.metrics.judging import assess, seen_entities, without_types
from nerbert.metrics.score import Counts, pair_of, score_pair
from nerbert.model.heads import predict_entities
from nerbert.model.linear import tag_both_ways
from nerbert.process import cores
from nerbert.records import Example

OUT_OF_TIME = "no time left"
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "numpy")
_LONGEST_WHY = 500
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Desk(NamedTuple):
    """Where tasks work: the store's folder, the machine, its GPUs by name, and when (`time.time`) none begins."""

    store: Path
    machine: Machine
    gpus: tuple[str, ...] = ()
    until: float | None = None


class End(NamedTuple):
    """How a task ended: why it isn't done, and what that says of others."""

    state: State = State.DONE
    why: str = ""
    try_again: bool = False
    """It may be the machine's fault."""
    full: bool = False
    """The store's disk takes no more, so no other cell can be kept either."""


def run_task(desk: Desk, task: Task) -> End:
    """Make a cell or a source checkpoint, keep it in the store, and return how that ended."""
    if desk.until is not None and time.time() >= desk.until:
        return End(State.NOT_RUN, OUT_OF_TIME)
    if parent_process() is not None:
        _settle(desk.gpus)
    store = Store(desk.store)
    scratch = store.scratch / task.key
    try:
        rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        if isinstance(task, SourceTraining):
            make_source(task, store, scratch)
        else:
            make_cell(task, store, desk.machine)
    except Exception as error:
        return failure(error, scratch, task.folder)
    finally:
        rmtree(scratch, ignore_errors=True)
        gc.collect()  # models hold themselves, and this process makes others
        if desk.machine.device == "cuda":
            _free_gpu()
    return End()


def _free_gpu() -> None:
    """Give cached memory back; end a worker process whose GPU refuses all further work."""
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        if parent_process() is not None:
            os._exit(1)


def _settle(gpus: tuple[str, ...]) -> None:
    """Make a worker process quiet, so that bars and warnings don't mix on one terminal; give it one of several GPUs."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu_of(current_process().name, gpus)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)


def gpu_of(process: str, gpus: tuple[str, ...]) -> str:
    """Return the GPU of a process; Python numbers them in their names, so they take the GPUs in turn."""
    return gpus[int(re.sub(r"\D", "", process) or 0) % len(gpus)]


def failure(error: Exception, scratch: Path, data: Path) -> End:
    """Return an error as an end, in one line without folders, since others may have the same.

    What may be tried again may be the machine's fault: no memory, no file handles, a bad disk, files that changed
    meanwhile.
    """
    said = " ".join(str(error).split())
    why = said if isinstance(error, NerbertError) else f"{type(error).__name__}: {said}"
    why = why.replace(f"{scratch}/", "").replace(f"{data}/", "").replace(f"{data}: ", "")[:_LONGEST_WHY]
    full = isinstance(error, WriteError) or (isinstance(error, OSError) and error.errno in _FULL)
    return End(State.FAILED, why, may_try_again(error), full)


@contextmanager
def _watched(task: Task) -> Iterator[None]:
    """Raise NerbertError if what a task reads isn't what its key holds, whatever else went wrong by that."""
    try:
        yield
    except Exception:
        check_unchanged(task)
        raise
    check_unchanged(task)


def make_source(source: SourceTraining, store: Store, scratch: Path) -> None:
    """Train an encoder on a source domain, unless that is done."""
    if store.source_cost(source.key, whole=True):
        return
    cost: dict[str, Any] = {}
    with _watched(source), _timed(cost, "source"):
        train = read_data(source.folder, ["train"], Reading(from_=source.format)).train
        finetune_examples(source.encoder, train, [], source.settings, scratch, name=str(source.folder))
    store.keep_source(source, scratch, cost["source"])


def make_cell(job: Job, store: Store, machine: Machine) -> None:
    """Make a cell; what has been tagged already is only scored.

    Duplicates of train sentences are left out of a second score. Seen entities are those of the sentences that the cell
    trained on; what a source domain held doesn't count.
    """
    cost: dict[str, Any] = {}
    with _watched(job):
        with _timed(cost, "read"):
            part = read_part(job)
        kept = store.read_predictions(job.tag_key, part.test)
        how = tag_asked if job.asking else tag_outside if job.command else tag_part
        found = kept or how(job, part, store)
    if kept is None:
        found.facts.update(_made_by(machine, job))
        store.write_predictions(job.tag_key, job.place, found)
    with _timed(cost, "score"):
        scores = score_part(part, found, job.else_types)
        if familiar := type_familiarities(job, part):
            scores["familiarity"] = fmean(familiar.values())
            for name in familiar.keys() & scores["by_type"].keys():
                scores["by_type"][name]["familiarity"] = familiar[name]
    seconds = found.facts["seconds"] | cost
    facts = part.facts | found.facts | _made_from(job) | {"duplicates": len(part.duplicates), "seconds": seconds}
    facts |= {f"{kind}_seconds": round(sum(each[kind] for each in seconds.values()), 3) for kind in ("cpu", "wall")}
    store.write_cell(job.key, Cell(job.place, State.DONE, "", scores, facts))


def score_part(part: CellSentences, found: Predictions, else_types: Collection[str] = ()) -> dict[str, Any]:
    """Return the scores of a cell: of what users get, and F1 of the greedy tags beside it.

    There are more where there is more to score: without else types, at the threshold that is best on dev.
    """
    gold = [example_tags(each) for each in part.test]
    judged = assess(
        gold, found.tags, confidences=found.confidences, words=[each.tokens for each in part.test],
        seen=seen_entities(part.train) if part.train else None, without=part.duplicates,
    )  # fmt: skip
    pair = pair_of(gold, found.greedy)
    greedy, strict = (Counts.as_json(score_pair(each)) for each in (pair, pair.strict()))
    more = {"without_else": without_types(gold, found.tags, else_types).as_json()} if else_types else {}
    if found.tuned is not None:
        more["best_on_dev"] = Counts.as_json(score_pair(pair_of(gold, found.tuned)))
    return judged.as_json() | {"greedy": greedy | {"strict": strict}} | more


def read_part(job: Job) -> CellSentences:
    """Read exactly the files that a job's key holds, and draw its sentences."""
    there = read_data(job.folder, [split_of(name) for name in job.sha256], Reading(from_=job.format))
    scored, dev = (there.dev, []) if job.split == "dev" else (there.test, there.dev)
    if not scored:
        raise InputError(f"holds no {job.split} split, so nothing can be scored on it; add one")
    if job.settings.select == "dev" and not dev and not (job.command or job.asking):
        why = "setting select = 'dev': there is no dev split; add one or take select = 'last'"
        raise SettingsError(why, setting="select")
    part = draw_part(there.train, scored, job.place.size, job.place.draw)
    if job.asking:
        return replace(part, dev=dev)
    episode = parse_size(job.place.size).kind is SizeUnit.EPISODE
    duplicates = () if episode else find_duplicates(there.train, scored)
    return CellSentences(part.train, part.test, part.facts, dev, duplicates)


def draw_part(train: Sequence[Example], test: Sequence[Example], size: str, draw: int) -> CellSentences:
    """Return the sentences of a cell: a subset and the scored split, or the two parts of an episode.

    They are the same for every system, seed and protocol.
    """
    wanted = parse_size(size)
    if wanted.kind is SizeUnit.EPISODE:
        episode = draw_episode(test, wanted.ways, wanted.shots, wanted.queries, draw)
        drawn: dict[str, Any] = {
            "types": list(episode.types), "places": list(episode.support), "reached": episode.support_reached,
            "query_places": list(episode.query), "query_reached": episode.query_reached,
        }  # fmt: skip
        chosen, asked = ([test[place] for place in places] for places in (episode.support, episode.query))
    elif wanted.kind is SizeUnit.ZERO:
        return CellSentences([], list(test), {"sentences": 0, "test_sentences": len(test)})
    else:
        subset = draw_subset(train, wanted, draw)
        chosen, asked = [train[place] for place in subset.places], list(test)
        drawn = {"reached": subset.reached, "short": subset.short}
        drawn |= {} if wanted.kind is SizeUnit.ALL else {"places": list(subset.places)}
    trained, tested = ({span.type for each in part for span in each.spans} for part in (chosen, asked))
    facts = {"sentences": len(chosen), "test_sentences": len(asked), "unknown_types": sorted(tested - trained)}
    return CellSentences(chosen, asked, facts | drawn)


def tag_part(job: Job, part: CellSentences, store: Store) -> Predictions:
    """Fine-tune an encoder (or its source checkpoint) on a part's sentences and tag its test sentences.

    Confidences have the temperature that `finetune` fits on the dev split; it is 1 where there is none.
    """
    cost: dict[str, Any] = {}
    facts: dict[str, Any] = {"seconds": cost}
    encoder = job.encoder
    if job.source:
        encoder = str(store.source(job.source.key))
        facts["source_seconds"] = store.source_cost(job.source.key)
        if facts["source_seconds"] is None:
            raise NerbertError("the source checkpoint that it needs is gone; run the benchmark again")
    with _timed(cost, "train"):
        tagger = finetune_examples(encoder, part.train, part.dev, job.settings, name=str(job.folder))
    temperature = 1.0
    if part.dev:
        with _timed(cost, "calibrate"):
            held_out = predict_entities(tagger.head, part.dev)
            temperature = held_out.calibration_json({})["temperature"]
        facts["dev_f1"] = held_out.score.f1
    with _timed(cost, "tag"):
        words, greedy = tag_both_ways(tagger.head, part.test, temperature)
    facts |= {"temperature": temperature, "steps": tagger.log.steps}
    facts |= {name: tagger.card[name] for name in ("best_step", "settings")}
    return Predictions.of(words, facts, greedy=[each.tags for each in greedy])


def tag_outside(job: Job, part: CellSentences, store: Store) -> Predictions:
    """Let the command of a system that is not nerbert train on a part's sentences and tag its test sentences."""
    cost: dict[str, Any] = {}
    with _timed(cost, "command"):
        tags = tags_of_command(job.command, part, job.place.seed, job.timeout_minutes, store.scratch / job.key)
    return Predictions(tags, None, tags, {"seconds": cost})


def tag_asked(job: Job, part: CellSentences, store: Store) -> Predictions:
    """Ask a zero-shot tagger for the types of a part's test sentences."""
    cost: dict[str, Any] = {}
    with _timed(cost, "tag"):
        found = tag_told(job, part)
    found.facts["seconds"] = cost
    return found


@contextmanager
def _timed(cost: dict[str, Any], name: str) -> Iterator[None]:
    """Put what a block takes into `cost`: seconds on the wall, and of CPU (user and system), its commands' too."""
    wall, cpu = time.monotonic(), _cpu()
    yield
    cost[name] = {"wall": round(time.monotonic() - wall, 3), "cpu": round(_cpu() - cpu, 3)}


def _cpu() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _made_by(machine: Machine, job: Job) -> dict[str, Any]:
    """Return what made the predictions: day, machine, versions; of a command its words, for the rest is its own."""
    made = {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {cores()} cores",
    }
    if job.command:
        return made | {"command": list(job.command)}
    return made | {
        "device": torch.cuda.get_device_name() if machine.device == "cuda" else machine.device,
        "precision": job.settings.precision,
        "versions": {"nerbert": __version__, "python": platform.python_version(),
                     **{name: version(name) for name in _LIBRARIES}},
    }  # fmt: skip


def _made_from(job: Job) -> dict[str, Any]:
    """Return what a cell was made from: digests of encoder and data, keys of its steps, seeds."""
    source = job.source
    return {
        "encoder": job.encoder_sha256, "pretrained": job.pretrained, "data": job.sha256, "split": job.split,
        "seed": job.place.seed,
        "keys": {"source": source.key if source else None, "tag": job.tag_key, "score": job.key},
        "source_data": source.data if source else None, "source_seed": source.settings.seed if source else None,
    }  # fmt: skip


def _processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
