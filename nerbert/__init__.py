"""nerbert: a Wikipedia dump goes in; a tagger that learns new entity types from a handful of examples comes out.

The names below are loaded when first used, so that `import nerbert` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerbert.corpus.build import BuiltCorpus, CorpusPlan
    from nerbert.corpus.settings import CorpusSettings
    from nerbert.encoder.pretrain import pretrain
    from nerbert.encoder.settings import PretrainSettings
    from nerbert.errors import NerbertError
    from nerbert.evaluation.evaluate import evaluate
    from nerbert.finetuning.finetune import finetune
    from nerbert.finetuning.settings import FinetuneSettings
    from nerbert.metrics import score_tags
    from nerbert.records import Example, Span
    from nerbert.tagger.tagger import Tagger

__version__ = "0.1.0"

_HOMES = {
    "CorpusPlan": "corpus.build",
    "CorpusSettings": "corpus.settings",
    "Example": "records",
    "FinetuneSettings": "finetuning.settings",
    "NerbertError": "errors",
    "PretrainSettings": "encoder.settings",
    "Span": "records",
    "Tagger": "tagger.tagger",
    "evaluate": "evaluation.evaluate",
    "finetune": "finetuning.finetune",
    "pretrain": "encoder.pretrain",
    "score_tags": "metrics",
}

__all__ = [
    "CorpusPlan",
    "CorpusSettings",
    "Example",
    "FinetuneSettings",
    "NerbertError",
    "PretrainSettings",
    "Span",
    "Tagger",
    "__version__",
    "build_corpus",
    "evaluate",
    "finetune",
    "pretrain",
    "score_tags",
]


def build_corpus(plan: "CorpusPlan", settings: "CorpusSettings") -> "BuiltCorpus":
    """Build a corpus with its data card and return its folder and manifest."""
    from nerbert.corpus import build
    from nerbert.render.corpus.card import write_corpus_card

    return build.build_corpus(plan, settings, write_corpus_card)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nerbert' has no attribute {name!r}")
    try:
        return getattr(import_module(f"nerbert.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        from nerbert.errors import missing_extra

        raise missing_extra(error) or error from error
