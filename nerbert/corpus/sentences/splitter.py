"""Sentences from clean text: which splitter, by the settings, and no border inside a link.

The paper splits with Punkt (NER-BERT §2.1); it is here (`punkt`), but rules of ours (`rules`) make fewer errors and are
many times as fast (docs/results/2026-11-20-sentences.md), so they are the default. The price: a corpus made by default
has other sentence ends than the paper's; its manifest names the splitter.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from nerbert.corpus.sentences.punkt import PunktSplitter
from nerbert.corpus.sentences.rules import RuleSplitter, Span
from nerbert.corpus.settings import CorpusSettings


class Splitter(Protocol):
    """Cuts clean text, whose paragraphs are lines, into sentences."""

    @property
    def name(self) -> str:
        """Name and version, kept in the manifest; a changed rule is a new name."""

    def spans(self, text: str) -> list[Span]:
        """Return the sentences in order: none crosses a line's end, none is empty or has white space outside."""


def open_splitter(settings: CorpusSettings, language: str) -> Splitter:
    """Return the splitter that the settings name, made once per process; raise InputError for a damaged model."""
    return _open(settings.sentence_splitter, settings.punkt_model, language)


def join_in_links(spans: Sequence[Span], starts: Sequence[int], ends: Sequence[int]) -> list[Span]:
    """Merge sentences whose border falls inside a link; links, as starts and ends, are in order and disjoint."""
    if not len(starts):
        return list(spans)
    joined: list[Span] = []
    link, links = 0, len(starts)
    for span in spans:
        while link < links and ends[link] <= span[0]:
            link += 1
        if joined and link < links and starts[link] < span[0]:
            joined[-1] = (joined[-1][0], span[1])
        else:
            joined.append(span)
    return joined


@cache
def _open(name: str, model: str, language: str) -> Splitter:
    return RuleSplitter(language) if name == "rules" else PunktSplitter(Path(model), language)
