"""nerbert: a Wikipedia dump goes in; a tagger that learns new entity types from a handful of examples comes out."""

import os
import shutil
import weakref
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Literal

from nerbert.about import __version__
from nerbert.errors import bad_path, refused

if TYPE_CHECKING:
    from nerbert.corpus.build import BuiltCorpus
    from nerbert.corpus.settings import CorpusSettings
    from nerbert.data.splits import AnyData, DataSet
    from nerbert.distillation.settings import DistilSettings
    from nerbert.encoder.settings import PretrainSettings
    from nerbert.errors import NerbertError
    from nerbert.evaluation.evaluate import Evaluation
    from nerbert.evaluation.report.report import Report
    from nerbert.executors import Executor
    from nerbert.finetuning.settings import FinetuneSettings
    from nerbert.formats.documents import Reading, Units
    from nerbert.metrics.score import score_tags
    from nerbert.records import EntityLabel, Example, Span
    from nerbert.serve.client import Client
    from nerbert.tagger.calibrate import Calibrated
    from nerbert.tagger.pending import TagRequest
    from nerbert.tagger.retype import TypeChanges
    from nerbert.tagger.spans import Spans
    from nerbert.tagger.tagger import Tagger
    from nerbert.training.checkpoint import TrainLog

if "OMP_WAIT_POLICY" not in os.environ:
    # torch's idle threads spin for a long time before they sleep, and block the cores for a second training
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("KMP_BLOCKTIME", "1")
_HOMES = {
    "Client": "serve.client",
    "CorpusSettings": "corpus.settings",
    "DataSet": "data.splits",
    "DistilSettings": "distillation.settings",
    "Evaluation": "evaluation.evaluate",
    "Example": "records",
    "FinetuneSettings": "finetuning.settings",
    "LocalExecutor": "executors",
    "NerbertError": "errors",
    "PretrainSettings": "encoder.settings",
    "Span": "records",
    "Spans": "tagger.spans",
    "TagRequest": "tagger.pending",
    "Tagger": "tagger.tagger",
    "score_tags": "metrics.score",
}
"""The module of each public name."""
_MOVED = dict.fromkeys(("AnnotateSettings", "annotate_texts"), "nerbert_annotate")
"""The packages of public names that were here."""

__all__ = [
    "Client",
    "CorpusSettings",
    "DataSet",
    "DistilSettings",
    "Evaluation",
    "Example",
    "FinetuneSettings",
    "LocalExecutor",
    "NerbertError",
    "PretrainSettings",
    "Span",
    "Spans",
    "TagRequest",
    "Tagger",
    "__version__",
    "add_types",
    "build_corpus",
    "calibrate",
    "distil",
    "evaluate",
    "example",
    "finetune",
    "pretrain",
    "pretrain_stages",
    "read_data",
    "rename_types",
    "report",
    "score_tags",
]


@refused(bad_path)
def build_corpus(
    dumps: str | Path | Sequence[str | Path],
    knowledge: str | Path | Sequence[str | Path],
    output: str | Path,
    settings: "CorpusSettings | None" = None,
    *,
    exclude: Sequence[str | Path] = (),
    executor: "Executor | None" = None,
    overwrite: bool = False,
    **keywords: Any,
) -> "BuiltCorpus":
    """Build a corpus from Wikipedia dumps, with its data card; return its folder and manifest.

    `dumps` are files or URLs, `knowledge` files or folders with the types of titles. `exclude` is annotated data:
    sentences that share runs of words with it are left out. Keywords are settings (docs/settings.md) and override
    `settings`. Tasks run in this process, or in `executor`: `with LocalExecutor(workers=8) as executor: …`. Call it
    again to resume a build that was killed.
    """
    from nerbert.errors import need

    need("corpus", "pyarrow", "duckdb", "lxml")
    from nerbert.corpus import build
    from nerbert.corpus.settings import CorpusSettings as Known
    from nerbert.executors import HERE
    from nerbert.render.corpus import write_corpus_card

    plan = build.CorpusPlan(
        tuple(_several(dumps)),
        tuple(map(Path, _several(knowledge))),
        Path(output),
        tuple(map(Path, exclude)),
        overwrite,
    )
    return build.build_corpus(plan, _make_settings(Known, settings, keywords), write_corpus_card, executor or HERE)


@refused(bad_path)
def pretrain(
    output: str | Path,
    settings: "PretrainSettings | None" = None,
    *,
    executor: "Executor | None" = None,
    overwrite: bool = False,
    **keywords: Any,
) -> "TrainLog":
    """Pre-train an encoder and write it to `output`, a Hugging Face folder; return the log.

    Keywords are settings (docs/settings.md) and override `settings`: `pretrain("encoder", corpus="corpus", epochs=1)`.
    The `executor` cuts the corpus into windows (default: processes on all cores). Call it again with the same settings
    to resume a killed run from its last checkpoint.
    """
    _need_torch()
    from nerbert.encoder.pretrain import pretrain as stage
    from nerbert.encoder.settings import PretrainSettings as Known
    from nerbert.render.cards import write_encoder_card

    made = _make_settings(Known, settings, keywords)
    return stage(made, Path(output), overwrite=overwrite, card=write_encoder_card, executor=executor)


@refused(bad_path)
def pretrain_stages(
    output: str | Path,
    config: str | Path,
    changes: Sequence[str] = (),
    *,
    executor: "Executor | None" = None,
    overwrite: bool = False,
) -> "dict[str, TrainLog]":
    """Pre-train in the stages of a settings file, each with an encoder folder in `output`; return the logs by stage.

    `changes` have the syntax of `--set`: `["seed=2", "NEE.epochs=3"]`. Finished stages are skipped and have no log.
    `executor` is as in `pretrain`.
    """
    _need_torch()
    from nerbert.encoder.stages import pretrain_stages as run
    from nerbert.encoder.stages import read_stages
    from nerbert.errors import SettingsError
    from nerbert.render.cards import write_encoder_card

    if not (stages := read_stages(Path(config), changes, Path(output))):
        raise SettingsError(f"{config}: has no tables [[stages]]; use `pretrain` for a single training")
    logs = run(stages, overwrite=overwrite, card=write_encoder_card, executor=executor)
    return {stage.name: log for stage, log in logs}


def example(
    text: str, entities: "Sequence[tuple[int, int, str] | Span]" = (), tokens: Sequence[str] | None = None
) -> "Example":
    """Return a sentence with entities, as (start, end, type) in characters or as spans, to train or score on.

    `tokens` are its words; without them nerbert splits the text. Entities are extended to whole words. Raise InputError
    for entities that overlap or lie outside the text.
    """
    from nerbert.formats.documents import example_of_spans

    return example_of_spans(text, entities, tokens)


@refused(bad_path)
def read_data(
    data: str | Path,
    splits: Collection[str] = ("train", "dev", "test"),
    *,
    from_: str = "",
    split: str = "",
    split_seed: int = 0,
    overlaps: Literal["error", "longest", "first"] = "error",
    tag_types: Literal["keep", "merge"] = "keep",
    cut_words: Literal["grow", "error"] = "grow",
    units: "Units" = "auto",
    tag_column: str = "",
    type_: str = "",
    language: str = "",
    word_splitter: str = "",
) -> "DataSet":
    """Read annotated data in any format: a folder with a file for each split, or one file.

    `from_` names the format; by default it is detected. `split` cuts one file into train, dev and test (`"80/10/10"`).
    `overlaps` and `cut_words` choose how to treat entities that overlap or cut a word, `units` is the unit of offsets,
    and `tag_types` chooses whether to merge spans whose types are tags such as `B-PER`.
    `tag_column` selects the tags of CoNLL, and `type_` is the type of entities without one. Texts without words are cut
    into sentences by the rules of `language`, and into words by `word_splitter`. The splits are lists of `Example`. Of
    the requested splits, only train must exist.
    """
    from nerbert.data import splits as stage
    from nerbert.formats.documents import Reading

    reading = Reading(
        from_=from_,
        split=split,
        split_seed=split_seed,
        overlaps=overlaps,
        tag_types=tag_types,
        cut_words=cut_words,
        units=units,
        tag_column=tag_column,
        type_=type_,
        language=language,
        word_splitter=word_splitter,
    )
    return stage.read_data(data, splits, reading)


@refused(bad_path)
def finetune(
    encoder: str | Path,
    data: "AnyData",
    output: str | Path | None = None,
    settings: "FinetuneSettings | None" = None,
    *,
    source: "AnyData | None" = None,
    overwrite: bool = False,
    calibrate: bool = True,
    **keywords: Any,
) -> "Tagger":
    """Fine-tune `encoder` (a folder, a hub name, or `embedded`) on annotated sentences, and return the tagger.

    `data` is a folder with a train split (and optionally dev), one file, a `DataSet` from `read_data`, or examples: a
    list, or a list per split (`{"train": […], "dev": […]}`). `source` is data of another domain to train on first.
    Keywords are settings (docs/settings.md) that override `settings`: `finetune("embedded", "a.jsonl", "out", seed=2)`.
    Confidences are calibrated on the dev split, if there is one, unless `calibrate` is false.

    The tagger is written to the folder `output`, by default to a temporary folder that is deleted with the object.
    Copies and pickles of the tagger need that folder; `save_pretrained` saves it permanently.
    """
    _need_torch()
    from nerbert.finetuning.domains import Domains
    from nerbert.finetuning.finetune import TaggerOutput
    from nerbert.finetuning.finetune import finetune as stage
    from nerbert.finetuning.settings import FinetuneSettings as Known
    from nerbert.render.cards import finish_tagger
    from nerbert.tagger.tagger import Tagger as Opened

    made = _make_settings(Known, settings, keywords)
    scratch = mkdtemp(prefix="nerbert-") if output is None else ""
    folder = Path(scratch, "tagger") if output is None else Path(output)
    to = TaggerOutput(folder, overwrite=overwrite, calibrate=calibrate, card=finish_tagger)
    try:
        stage(str(encoder), Domains(data, source), to, made)
        tagger = Opened.load(folder)
    except BaseException:
        _remove(scratch, os.getpid())
        raise
    weakref.finalize(tagger, _remove, scratch, os.getpid())
    return tagger


@refused(bad_path)
def add_types(
    tagger: str | Path,
    data: "AnyData",
    output: str | Path,
    settings: "FinetuneSettings | None" = None,
    *,
    old: "AnyData | None" = None,
    labels: Mapping[str, str] | None = None,
    same_types: bool = False,
    seeds: Sequence[int] = (),
    reading: "Reading | None" = None,
    overwrite: bool = False,
    **keywords: Any,
) -> list[Path]:
    """Fine-tune a tagger on sentences of new types so that it keeps its own; return the new tagger's folder.

    It also learns its own entities in the new sentences, and trains again on `old` ones of its own types. `labels` are
    what a model with labels at run time reads for types. With `same_types`, types of both mean the same. With `seeds`
    there are several taggers, in folders of `output`. The other parameters are as in `finetune`; `reading` says how
    files are read.
    """
    _need_torch()
    from nerbert.finetuning.add_types import add_types as stage
    from nerbert.finetuning.domains import Domains
    from nerbert.finetuning.finetune import TaggerOutput
    from nerbert.finetuning.settings import FinetuneSettings as Known
    from nerbert.render.cards import finish_tagger

    made = _make_settings(Known, settings, keywords)
    domains = Domains(data, labels=labels or {}, reading=reading)
    to = TaggerOutput(Path(output), seeds, overwrite=overwrite, card=finish_tagger)
    return stage(str(tagger), domains, to, made, old=old, same_types=same_types)


@refused(bad_path)
def calibrate(
    tagger: str | Path,
    data: "AnyData",
    *,
    precision: float | None = None,
    head: str = "",
    reading: "Reading | None" = None,
    dry_run: bool = False,
) -> "list[Calibrated]":
    """Calibrate a tagger's folder, or those of several seeds, on sentences it wasn't trained on; return the results.

    `data` is a file, a list of `Example`, or the dev split of a folder. With `precision` (0–1), each type gets the
    lowest threshold that reaches it. `head` is as in `Tagger.load`; `reading` says how files are read; `dry_run` writes
    nothing.
    """
    from nerbert.render.cards import write_tagger_card
    from nerbert.tagger.calibrate import calibrate as stage

    return stage(tagger, data, precision=precision, head=head, card=write_tagger_card, reading=reading, dry_run=dry_run)


@refused(bad_path)
def rename_types(
    tagger: str | Path, output: str | Path, names: "Mapping[str, str] | TypeChanges", *, overwrite: bool = False
) -> dict[str, str]:
    """Write a copy of a tagger whose types have other `names`, by their old ones; return each type's new name.

    Types of the same new name become one, and a type of the name "" is dropped: `{"PER": "person", "MISC": ""}`.
    """
    from nerbert.render.cards import write_tagger_card
    from nerbert.tagger.retype import TypeChanges, change_types

    changes = names if isinstance(names, TypeChanges) else TypeChanges.merge_equal(names)
    return change_types(tagger, Path(output), changes, overwrite=overwrite, card=write_tagger_card)


@refused(bad_path)
def distil(
    teacher: str | Path,
    texts: str | Path | Sequence[str | Path],
    output: str | Path,
    settings: "DistilSettings | None" = None,
    *,
    labels: "Sequence[str | EntityLabel] | None" = None,
    encoder: str | Path = "embedded",
    data: "AnyData | None" = None,
    exclude: Sequence[str | Path] = (),
    thresholds: float | Mapping[str, float] | None = None,
    decoding: str = "",
    device: str = "",
    head: str = "",
    from_: str = "",
    field: str = "text",
    errors: str = "strict",
    executor: "Executor | None" = None,
    overwrite: bool = False,
    **keywords: Any,
) -> "Tagger":
    """Train a student tagger on the entities that a `teacher` (a tagger's folder or hub name) finds; return it.

    `texts` are files or folders, as `nerbert tag` reads them. The teacher looks for entities of `labels` (default: the
    types of `data`, else all types of the teacher) with at least the confidence in `thresholds`; it is loaded with
    `decoding`, `device` and `head` as in `Tagger.load`. The student starts from `encoder`, and learns from the labelled
    sentences of `data` last. No silver sentence shares eight words in a row with a file of `exclude`. Keywords are
    settings (docs/settings.md) and override `settings`.

    The teacher tags in this process, or in `executor`. The student's training sentences are saved in `output` too, as
    silver.jsonl. If the call is killed, repeat it to resume the tagging.
    """
    _need_torch()
    from nerbert.distillation.distil import distil as stage
    from nerbert.distillation.settings import DistilSettings as Known
    from nerbert.model.folder import ModelFolder
    from nerbert.model.loading import Loading
    from nerbert.render.cards import finish_tagger
    from nerbert.tagger.jobs.job import TagJob
    from nerbert.tagger.tagger import Tagger as Opened

    tag = TagJob(
        tagger=str(teacher),
        inputs=tuple(map(str, _several(texts))),
        labels=labels,
        min_confidence=thresholds,
        from_=from_,
        field=field,
        errors=errors,
        overwrite=overwrite,
        loading=Loading(decoding=decoding, device=device, head=head),
    )
    stage(
        tag,
        Path(output),
        _make_settings(Known, settings, keywords),
        encoder=str(encoder),
        data=data,
        exclude=[*map(Path, exclude)],
        executor=executor,
        card=finish_tagger,
    )
    # The settings named the head, so it may be code of the user's.
    return Opened.load(output, head=ModelFolder.open(output).head_name)


@refused(bad_path)
def evaluate(
    tagger: "str | Path | Tagger",
    data: "AnyData",
    *,
    train: "AnyData | None" = None,
    decoding: str = "",
    head: str = "",
    backend: str = "auto",
    precision: str = "auto",
    thresholds: float | Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
) -> "Evaluation":
    """Score a tagger, its folder, a folder of several seeds, or a file of predictions, on annotated sentences.

    `data` is a file, a list of `Example`, or the test split of a data folder or of a `DataSet` from `read_data`.
    With `train`, entities seen in training are scored separately, and a second score omits test sentences of at least
    eight words that occur in `train`. `decoding`, `head`, `backend`, `precision` and `thresholds` are as in
    `Tagger.load`, for folders; a loaded tagger keeps its own. The score is that of the tagger's output.
    `labels` maps types of the data to labels of the tagger: `{"Restaurant_Name": "restaurant name"}`; other types keep
    their names.
    """
    from dataclasses import replace

    from nerbert.evaluation.evaluate import evaluate as stage
    from nerbert.render.terminal import evaluation_html

    evaluation = stage(
        tagger,
        data,
        train=train,
        decoding=decoding,
        head=head,
        backend=backend,
        precision=precision,
        thresholds=thresholds,
        labels=labels,
    )
    return replace(evaluation, html=evaluation_html)


@refused(bad_path)
def report(
    tagger: "str | Path | Tagger",
    data: "AnyData",
    output: str | Path,
    *,
    against: "str | Path | Tagger | None" = None,
    train: "AnyData | None" = None,
    decoding: str = "",
    head: str = "",
    backend: str = "auto",
    precision: str = "auto",
    thresholds: float | Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> "Report":
    """Write a page about a tagger on annotated sentences to the file `output`; return its content.

    The page is one HTML file that loads nothing else: scores with intervals, mistakes in their sentences, calibration,
    effects of thresholds, speed, origin. `against` is a second tagger for comparison. The other parameters are as in
    `evaluate`, and hold for both taggers; of several seeds name one.
    """
    from nerbert.artifacts import check_free
    from nerbert.evaluation.report.report import make_report
    from nerbert.render.report import write_report

    check_free(Path(output), overwrite=overwrite, file=True)
    facts = make_report(
        tagger,
        data,
        against=against,
        train=train,
        decoding=decoding,
        head=head,
        backend=backend,
        precision=precision,
        thresholds=thresholds,
        labels=labels,
    )
    write_report(facts, Path(output))
    return facts


def _several(paths: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return [paths] if isinstance(paths, str | Path) else paths


def _remove(scratch: str, maker: int) -> None:
    """Remove a tagger's temporary folder, if there is one; a forked process leaves its parent's folder alone."""
    if scratch and os.getpid() == maker:
        shutil.rmtree(scratch, ignore_errors=True)


def _make_settings(cls: type[Any], settings: Any, keywords: Mapping[str, Any]) -> Any:
    """Return settings, overridden by keywords; raise SettingsError for settings of another class."""
    from nerbert.errors import SettingsError
    from nerbert.training.sections import make_settings

    if settings is not None and not isinstance(settings, cls):
        raise SettingsError(f"settings: {type(settings).__name__} is not a {cls.__name__}; pass one, or keywords")
    return make_settings(cls, keywords, settings)


def _need_torch() -> None:
    from nerbert.errors import need

    need("train", "torch", "transformers")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        moved = _MOVED.get(name)
        remedy = moved and f"; it is in {moved}: pip install {moved.replace('_', '-')}"
        raise AttributeError(f"module 'nerbert' has no attribute {name!r}{remedy or ''}")
    try:
        return getattr(import_module(f"nerbert.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        from nerbert.errors import missing_extra

        raise missing_extra(error) or error from error


def __dir__() -> list[str]:
    return sorted(__all__)
