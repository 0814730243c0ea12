"""The stages with their cards, as the commands run them, on plans and settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nerbert.corpus import build
from nerbert.corpus.build import BuiltCorpus, CorpusPlan
from nerbert.corpus.settings import CorpusSettings
from nerbert.executors import HERE, Executor
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.data import AnyData
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
    seeds: Sequence[int] = (),
    **more: Any,
) -> list[Path]:
    """Fine-tune taggers with their cards; return their folders."""
    from nerbert.finetuning.finetune import finetune as stage  # loads torch
    from nerbert.tagger.self_check import checking

    return stage(str(encoder), data, output, settings, seeds=seeds, card=checking(write_tagger_card), **more)
