"""nerbert: a Wikipedia dump goes in; a tagger that learns new entity types from a handful of examples comes out.

The functions here join a stage with the page or card that shows its result. Everything is imported when it is first
used, so that `import nerbert` costs nothing.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerbert.annotate.annotate import annotate_texts
    from nerbert.annotate.settings import AnnotateSettings
    from nerbert.corpus.build import BuiltCorpus, CorpusPlan
    from nerbert.corpus.settings import CorpusSettings
    from nerbert.errors import NerbertError
    from nerbert.evaluation.evaluate import Evaluation
    from nerbert.executors import Executor
    from nerbert.metrics.score import score_tags
    from nerbert.records import Example, Span
    from nerbert.tagger.tagger import Tagger
    from nerbert.training.log import TrainLog
    from nerbert.training.settings import FinetuneSettings, PretrainSettings

__version__ = "0.1.0"
HOMEPAGE = "https://github.com/nerbert/nerbert"
DOCS = f"{HOMEPAGE}/blob/main/docs"
"""Where the documentation is; the package has none of it."""

_HOMES = {
    "AnnotateSettings": "annotate.settings",
    "CorpusPlan": "corpus.build",
    "CorpusSettings": "corpus.settings",
    "Example": "records",
    "FinetuneSettings": "training.settings",
    "LocalExecutor": "executors",
    "NerbertError": "errors",
    "PretrainSettings": "training.settings",
    "Span": "records",
    "Tagger": "tagger.tagger",
    "annotate_texts": "annotate.annotate",
    "score_tags": "metrics.score",
}

__all__ = [
    "AnnotateSettings",
    "CorpusPlan",
    "CorpusSettings",
    "Example",
    "FinetuneSettings",
    "LocalExecutor",
    "NerbertError",
    "PretrainSettings",
    "Span",
    "Tagger",
    "__version__",
    "annotate_texts",
    "build_corpus",
    "evaluate",
    "finetune",
    "pretrain",
    "score_tags",
]


def build_corpus(
    plan: "CorpusPlan", settings: "CorpusSettings", executor: "Executor | None" = None
) -> "BuiltCorpus":  # fmt: skip
    """Build a corpus with its data card and return its folder and manifest.

    Its tasks run in this process, or where `executor` says: `with LocalExecutor(workers=8) as executor: …`.
    """
    from nerbert.corpus import build
    from nerbert.executors import HERE
    from nerbert.render.corpus import write_corpus_card

    return build.build_corpus(plan, settings, write_corpus_card, executor or HERE)


def pretrain(settings: "PretrainSettings", output: str | Path, *, overwrite: bool = False) -> "TrainLog":
    """Pre-train an encoder on a corpus and write it to `output`, a Hugging Face folder; return the log.

    A run that was killed resumes from its last checkpoint when it is called again with the same settings.
    """
    _need_torch()
    from nerbert.encoder.pretrain import pretrain as stage
    from nerbert.render.cards import write_encoder_card

    return stage(settings, Path(output), overwrite=overwrite, card=write_encoder_card)


def finetune(
    encoder: str | Path, data: str | Path, output: str | Path, settings: "FinetuneSettings", *,
    source: str | Path | None = None, seeds: Sequence[int] = (), overwrite: bool = False, calibrate: bool = True,
    format_: str = "",
) -> list[Path]:  # fmt: skip
    """Fine-tune `encoder` (a folder or a hub name) on annotated sentences, once for each seed; return the taggers.

    `data` is a folder with a train split (train.conll, and perhaps dev.conll) or one file; `source` is data of another
    domain to train on first. With `seeds`, even one, `output` holds a folder `seed-N` for each. Confidences are
    calibrated on the dev split, if there is one, unless `calibrate` is false. `format_` names the format of the data;
    by default it is recognised.
    """
    _need_torch()
    from nerbert.finetuning.finetune import finetune as stage
    from nerbert.render.cards import write_tagger_card
    from nerbert.tagger.self_check import checking

    return stage(
        str(encoder), Path(data), Path(output), settings, source=Path(source) if source is not None else None,
        seeds=seeds, overwrite=overwrite, calibrate=calibrate, card=checking(write_tagger_card),
        format_=format_,
    )  # fmt: skip


def evaluate(
    tagger: str | Path, file: str | Path, *, train: str | Path | None = None, decoding: str = "", head: str = "",
    format_: str = "",
) -> "Evaluation":  # fmt: skip
    """Score a tagger's folder, or a folder of several seeds, on a gold file (or a data folder's test split).

    With `train` (a data folder or a file), entities seen in training are told from the rest, and test sentences
    of at least eight words that occur there are left out of a second score. `decoding` and `head` are as in
    `Tagger.load`, `format_` as in `finetune`.
    """
    from nerbert.evaluation.evaluate import evaluate as stage

    return stage(
        tagger, Path(file), train=Path(train) if train is not None else None, decoding=decoding, head=head,
        format_=format_,
    )  # fmt: skip


def _need_torch() -> None:
    from nerbert.errors import need

    need("train", "torch", "transformers")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nerbert' has no attribute {name!r}")
    try:
        return getattr(import_module(f"nerbert.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        from nerbert.errors import missing_extra

        raise missing_extra(error) or error from error


def __dir__() -> list[str]:
    return sorted(__all__)
