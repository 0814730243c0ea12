"""The stages with their cards, as the commands run them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nerbert.corpus import build
from nerbert.corpus.build import BuiltCorpus, CorpusPlan
from nerbert.corpus.settings import CorpusSettings
from nerbert.data.splits import AnyData
from nerbert.executors import HERE, Executor
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.documents import Reading
from nerbert.render.cards import write_tagger_card
from nerbert.render.corpus import write_corpus_card

__all__ = ["CorpusPlan", "build_corpus", "finetune"]


def build_corpus(plan: CorpusPlan, settings: CorpusSettings, executor: Executor = HERE) -> BuiltCorpus:
    """Build a corpus with its card."""
    return build.build_corpus(plan, settings, write_corpus_card, executor)


def finetune(
    encoder: str | Path,
    data: AnyData,
    output: Path,
    settings: FinetuneSettings,
    *,
    source: AnyData | None = None,
    reading: Reading | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
    **more: Any,
) -> list[Path]:
    """Fine-tune taggers with their cards, `more` are fields of their output; return their folders."""
    from nerbert.finetuning.domains import Domains
    from nerbert.finetuning.finetune import TaggerOutput  # loads torch
    from nerbert.finetuning.finetune import finetune as stage
    from nerbert.tagger.self_check import add_check

    to = TaggerOutput(output, **{"card": add_check(write_tagger_card), **more})
    return stage(str(encoder), Domains(data, source, labels, reading=reading), to, settings)
