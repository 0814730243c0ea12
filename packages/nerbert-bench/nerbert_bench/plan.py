"""Plan a suite: each cell as a job, a system with its data and the keys of its steps; draw and score its sentences.

A cell's key identifies its predictions, and includes the key of its source domain's checkpoint; the key of its scores
follows from it. Planning doesn't read or draw sentences. Cost: a size that can't be drawn fails when its cells run.
"""

import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from nerbert.config import refuse
from nerbert.data.catalogue import find_duplicates, find_folder
from nerbert.data.sampling import SizeUnit, draw_subset, parse_size
from nerbert.errors import InputError, NerbertError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import check_head, objective_for
from nerbert.labels import WordSpan, bio_from_spans, example_tags, types_of_examples
from nerbert.metrics.judging import assess, seen_entities, without_types
from nerbert.metrics.score import Counts, pair_of, score_boundaries, score_pair
from nerbert.model.folder import ModelFolder
from nerbert.model.forward import best_precision
from nerbert.model.head_kinds import labels_at_run_time
from nerbert.process import cores
from nerbert.records import Example
from nerbert.training.distributed import best_device
from nerbert.training.objective import FINETUNE, OBJECTIVES
from nerbert.training.sections import chosen_objective
from nerbert_bench import keys
from nerbert_bench.cells import (
    Cell,
    CellKey,
    CellSentences,
    FoundEntities,
    Machine,
    Predictions,
    State,
    System,
    time_step,
)
from nerbert_bench.datasets.episodes import draw_episode, episodes_name, read_episode
from nerbert_bench.keys import DataFiles, encoder_digest, key_of
from nerbert_bench.suite import Suite, SystemSettings, Target
from nerbert_bench.systems.external import Command, command_digest
from nerbert_bench.systems.finetuned import Encoder, FineTuned
from nerbert_bench.systems.zero_shot import ZeroShotTagger

_Out = TypeVar("_Out")


def this_machine() -> Machine:
    """Return this machine's device for training, and its best precision."""
    device = best_device()
    return Machine(device, best_precision(device))


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to run: a system, its data, and the keys of its steps."""

    place: CellKey
    system: System
    data: DataFiles
    split: str
    """The split that is scored."""
    else_types: tuple[str, ...]
    """Types of the target that only mean "none of the others"; there is a second score without them."""
    key: str
    """The key of the predictions, and the name of the cell's file."""
    score_key: str

    @classmethod
    def of(cls, place: CellKey, system: System, data: DataFiles, split: str, else_types: tuple[str, ...]) -> "Job":
        """Return the job with the keys that follow from the rest."""
        # All of train, or nothing of it, is the same for every draw: its cells share one key.
        undrawn = parse_size(place.size).unit in (SizeUnit.ALL, SizeUnit.ZERO)
        drawn = "" if undrawn else f"{place.size}, draw {place.draw}"
        key = key_of("tag", **data.key, drawn=drawn, split=split, **system.facts)
        score_key = key_of("score", code=keys.SCORING, tagged=key, else_types=sorted(else_types))
        return cls(place, system, data, split, else_types, key, score_key)

    def read_digests(self) -> "Job":
        """Return the job for the current files; raise NerbertError if they differ from those in its key."""
        with suppress(NerbertError):
            system = self.system.read_digests()
            data = self.data.read_digests()
            job = Job.of(self.place, system, data, self.split, self.else_types)
            if job.key == self.key:
                return job
        raise NerbertError(keys.CHANGED)

    def run(self, sources: Path, stored: Predictions | None = None) -> tuple[Cell, Predictions]:
        """Read its sentences, predict, and score; stored predictions are only scored."""
        cost: dict[str, Any] = {}
        with time_step(cost, "read"):
            part = self.read()
        # After a change of the rules alone (`keys.SCORING`), nothing is trained again.
        predictions = stored or self.system.predict(part, sources)
        with time_step(cost, "score"):
            scores = score_part(part, predictions, self.else_types)
        seconds = predictions.facts["seconds"] | cost
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        machine = f"{_processor()}, {cores()} cores"
        facts = (
            {"finished": finished, "machine": machine}
            | predictions.facts
            | part.facts
            | {
                "data": self.data.sha256,
                "split": self.split,
                "seed": self.place.seed,
                "duplicates": len(part.duplicates),
                "keys": {"tag": self.key, "score": self.score_key},
                "seconds": seconds,
                **{
                    f"{name}_seconds": round(sum(step[name] for step in seconds.values()), 3)
                    for name in ("cpu", "wall")
                },
            }
        )
        return Cell(self.place, State.DONE, "", scores, facts), predictions

    def read(self) -> CellSentences:
        """Read exactly the files of the key, and draw the sentences."""
        data = self.data.read()
        # Dev can't be held out for confidences while it is scored.
        scored, dev = (data.dev, []) if self.split == "dev" else (data.test, data.dev)
        episodes = self.data.folder / self.data.episodes if self.data.episodes else None
        if not (scored or episodes):
            raise InputError(f"holds no {self.split} split, so nothing can be scored on it; add one")
        part = draw_part(data.train, scored, self.place.size, self.place.draw, episodes)
        episode = parse_size(self.place.size).unit is SizeUnit.EPISODE
        duplicates = () if episode else find_duplicates(data.train, scored)
        return replace(part, dev=dev, duplicates=duplicates, name=str(self.data.folder))


class _NotRunError(NerbertError):
    """The reason why a cell of the suite's tables is not run."""


class Planner:
    """Plans cells; inspects each encoder and data set once, and remembers failures too."""

    def __init__(self, suite: Suite, data: Path, machine: Machine) -> None:
        self._suite, self._data, self._machine = suite, data, machine
        # Finding an encoder's or a data set's files and digests takes time, and hundreds of cells share them.
        self._known = dict[Any, Any]()
        self._first_with = dict[tuple[str, str], str]()
        """(system, digest of weights) → that system's pre-trained encoder with these weights."""
        self._target_of = {(target.data, size): target for target in suite.targets for size in target.sizes}

    def plan(self, key: CellKey) -> Job | Cell:
        """Return the job of a cell; or a cell that isn't run, or has failed already, with its reason."""
        try:
            return self._job(key, self._target_of[key.target, key.size])
        # A cell that can't apply is no failure: the table shows a dash, and the run succeeds.
        except _NotRunError as why:
            return Cell(key, State.NOT_RUN, str(why))
        except NerbertError as error:
            return Cell(key, State.FAILED, str(error))

    def _job(self, key: CellKey, target: Target) -> Job:
        size = parse_size(key.size)
        split = self._suite.split
        system = self._make_zero_shot(key, target) if size.unit is SizeUnit.ZERO else self._make_trained(key, target)
        splits = system.splits(split, episode=size.unit is SizeUnit.EPISODE)
        episodes = episodes_name(split, size) if target.episodes == "published" else ""
        # Published episodes hold their own sentences, so the split that others are drawn from isn't read.
        splits = tuple(name for name in splits if not episodes or name != split)
        data = self._files(key.target, target.format, splits, episodes)
        return Job.of(key, system, data, split, target.else_types)

    def _files(self, name: str, format_: str, splits: tuple[str, ...], episodes: str = "") -> DataFiles:
        return self._once(DataFiles.find, self._once(find_folder, self._data, name), format_, splits, episodes)

    def _once(self, make: Callable[..., _Out], *names: Any) -> _Out:
        """Return the result of `make`, called only once for the same arguments, even if it fails."""
        if (make, names) not in self._known:
            try:
                self._known[make, names] = make(*names)
            except NerbertError as error:
                # A missing data set would be looked for once per cell otherwise.
                self._known[make, names] = error
        result: _Out | NerbertError = self._known[make, names]
        if isinstance(result, NerbertError):
            raise result
        return result

    def _settings(self, key: CellKey) -> FinetuneSettings:
        settings = self._suite.settings_of(key.system, key.protocol)
        # "auto" is resolved here, since the key must say what the cell computes in.
        precision = self._machine.precision if settings.precision == "auto" else settings.precision
        # Several cells run at once, one core each.
        return replace(settings, threads=1, precision=precision, seed=key.seed)

    def _make_trained(self, key: CellKey, target: Target) -> System:
        """Return a system that learns from the target."""
        system = self._suite.systems[key.system]
        # Protocols don't apply to a command, so it runs once for all of them.
        if system.command:
            digest = self._once(command_digest, system.command)
            return Command(system.command, digest, system.version, system.timeout_minutes, key.seed)
        encoder = self._encoder(key, system)
        settings = _startable(encoder.folder, self._settings(key))
        source = None
        name = system.source.replace("{target}", key.target)
        if name:
            splits = ("train", "dev") if OBJECTIVES.find(settings.objective).traits.joins_source else ("train",)
            source = self._files(name, system.source_format, splits)
        return FineTuned(encoder, settings, self._machine.device, source, name, target.labels)

    def _make_zero_shot(self, key: CellKey, target: Target) -> System:
        """Return a system that isn't trained on the target; of the settings only the precision applies, and no seed."""
        system = self._suite.systems[key.system]
        # A source domain has fixed types, which aren't the target's.
        if system.command or system.source:
            raise _NotRunError("zero-shot: a command, or a checkpoint of a source domain, takes no labels at run time")
        # Without training, such a row would repeat that of the unchanged system.
        if system.settings.keys() - {"precision"}:
            raise _NotRunError("zero-shot: this system differs only by settings of fine-tuning")
        encoder = self._encoder(key, system)
        folder = ModelFolder(encoder.folder)
        if not labels_at_run_time(folder) and folder.card["kind"] != "tagger":
            raise _NotRunError("zero-shot: its encoder takes no labels at run time")
        precision = self._settings(key).precision
        return ZeroShotTagger(encoder=encoder, precision=precision, device=self._machine.device, labels=target.labels)

    def _encoder(self, key: CellKey, system: SystemSettings) -> Encoder:
        """Return the encoder of a cell; raise InputError if another encoder of the system has the same weights."""
        if not system.encoders:
            raise _NotRunError(f"no encoder given: --encoder {key.system!r}=FOLDER")
        name = self._suite.encoder_of(key)
        encoder = self._once(Encoder.find, name)
        # The weights of two folders are equal if one was copied: that would fake independent runs.
        if encoder.pretrained:
            weights = self._once(encoder_digest, Path(encoder.folder), "weights")
            if (other := self._first_with.setdefault((key.system, weights), name)) != name:
                why = f"has the same weights as {other}; pre-train each encoder with a seed of its own"
                raise InputError(f"{name}: {why}")
        return encoder


def _startable(encoder: str, settings: FinetuneSettings) -> FinetuneSettings:
    """Return the settings with the encoder's objective; raise SettingsError for settings that don't fit it."""
    for section in settings.sections:
        for name in section.reads:
            for path in getattr(section, name):
                refuse(not path.is_file(), f"{section.section}.{name}", str(path), "existing files")
    settings = objective_for(encoder, settings)
    check_head(chosen_objective(settings, FINETUNE), settings)
    return settings


def _processor() -> str:
    """Return the processor's name."""
    # Only Linux has this file; elsewhere the architecture's name must do.
    lines = list[str]()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def draw_part(
    train: Sequence[Example], test: Sequence[Example], size: str, draw: int, episodes: Path | None = None
) -> CellSentences:
    """Return a cell's sentences, the same for all systems: a subset and the scored split, or an episode's two parts.

    An episode is drawn from `test`, or read from a published file of `episodes`.
    """
    drawn_size = parse_size(size)
    if episodes:
        chosen, tested, types = read_episode(episodes, draw)
        drawn: dict[str, Any] = {"types": types, "episodes": episodes.name}
    elif drawn_size.unit is SizeUnit.EPISODE:
        episode = draw_episode(test, drawn_size.ways, drawn_size.shots, drawn_size.queries, draw)
        drawn = {
            "types": list(episode.types),
            "places": list(episode.support),
            "reached": episode.support_reached,
            "query_places": list(episode.query),
            "query_reached": episode.query_reached,
        }
        chosen, tested = ([test[index] for index in indices] for indices in (episode.support, episode.query))
    elif drawn_size.unit is SizeUnit.ZERO:
        return CellSentences([], list(test), {"sentences": 0, "test_sentences": len(test)})
    else:
        subset = draw_subset(train, drawn_size, draw)
        chosen = [train[index] for index in subset.places]
        tested = list(test)
        drawn = {"reached": subset.reached, "short": subset.short}
        # The indices of a whole split would say nothing, and fill a large cell file.
        drawn |= {} if drawn_size.unit is SizeUnit.ALL else {"places": list(subset.places)}
    unknown = sorted(set(types_of_examples(tested)) - set(types_of_examples(chosen)))
    facts = {"sentences": len(chosen), "test_sentences": len(tested), "unknown_types": unknown}
    return CellSentences(chosen, tested, facts | drawn)


def score_part(part: CellSentences, predictions: Predictions, else_types: Collection[str] = ()) -> dict[str, Any]:
    """Return the scores of a cell: for the tags that users get, then further ones, if they apply.

    Seen entities are those that the cell trained on; `type_accuracy` counts entities with the right words.
    """
    gold = [example_tags(example) for example in part.test]
    tags, sure = _tags(part.test, predictions.entities)
    judged = assess(
        gold,
        tags,
        confidences=sure if predictions.sure else None,
        words=[example.tokens for example in part.test],
        seen=seen_entities(part.train) if part.train else None,
        without=part.duplicates,
    )
    others = {"without_else": without_types(gold, tags, else_types).as_json()} if else_types else {}
    # A system without tags of its own is scored by its entities here, so that all cells have the same keys.
    pair = pair_of(gold, predictions.greedy or tags)
    greedy, strict = (Counts.as_json(score_pair(scored)) for scored in (pair, pair.strict()))
    for name, entities in predictions.others.items():
        pair = pair_of(gold, _tags(part.test, entities)[0])
        typed = Counts.as_json(score_pair(pair))
        spans = score_boundaries(pair).as_json()
        others[name] = {**typed, "span": spans, **_type_accuracy(typed, spans)}
    scores = judged.as_json() | {"greedy": greedy | {"strict": strict}} | others
    return scores | _type_accuracy(scores["micro"], scores["span"])


def _type_accuracy(typed: Mapping[str, Any], spans: Mapping[str, Any]) -> dict[str, float]:
    """Return the share of right spans whose type is right; empty without a right span."""
    return {"type_accuracy": typed["right"] / spans["right"]} if spans["right"] else {}


def _tags(examples: Sequence[Example], predicted: FoundEntities) -> tuple[list[list[str]], list[list[float]]]:
    """Return the words' tags from the outermost entities, and confidences, 1 where a system gives none."""
    tags = []
    sure = [[1.0] * len(example.words) for example in examples]
    for number, entities in enumerate(predicted):
        outer = list[WordSpan]()
        for start, end, type_, confidence in entities:
            # Nested entities ("Bank of [England]") have no BIO tags, so the outer one, which comes first, is kept.
            if not outer or outer[-1][1] <= start:
                outer.append((start, end, type_))
                sure[number][start:end] = [1.0 if confidence is None else confidence] * (end - start)
        tags.append(bio_from_spans(len(examples[number].words), outer))
    return tags, sure
