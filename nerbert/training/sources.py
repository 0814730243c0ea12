"""The data of a training, for pre-training and fine-tuning.

A command offers its sources: a corpus with gazetteers or files of open types, or annotated sentences with texts to
replay. An objective asks them for the kind of data that it learns from (`Objective.data`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.records import Example
from nerbert.training.settings import TrainSettings

if TYPE_CHECKING:
    from nerbert.model.concept_table import ConceptTable
    from nerbert.training.batches import TrainingData


class TaskData(Protocol):
    """Sentences and their types; `concepts` and `concept_texts` are those of types that are known by name."""

    @property
    def types(self) -> Sequence[str]:
        """Return the entity types."""

    @property
    def concepts(self) -> "ConceptTable | None":
        """Return the table of concepts; None where types have no names."""

    @property
    def concept_texts(self) -> Mapping[str, str]:
        """Return the text of each type's concept."""

    def texts(self) -> Iterator[str]:
        """Yield the texts that are trained on, for a tokenizer of their own."""

    def held_out(self) -> list[Example]:
        """Return the sentences that choose the checkpoint."""

    def windows(self, pieces: SubwordTokenizer, labels: WordLabels | None) -> "TrainingData":
        """Return labelled windows, and those of each epoch."""


Data_co = TypeVar("Data_co", bound=TaskData, covariant=True)


class Sources(Protocol[Data_co]):
    """The sources that a command offers its objective; all raise SettingsError for settings that don't fit."""

    @property
    def settings(self) -> TrainSettings:
        """Return the settings of the training."""

    def labelled(self) -> Data_co:
        """Return sentences whose entities have one of some fixed types."""

    def unlabelled(self, texts: Sequence[Path] = ()) -> Data_co:
        """Return the same sentences, or `texts` in their place, for an objective that reads no labels."""

    def named(self, *, descriptions: bool = False) -> Data_co:
        """Return texts whose entities have types known by name, with descriptions of them if wanted."""
