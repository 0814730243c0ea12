"""Kinds of heads: how taggers with a head are opened and exported, and what they may start from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

from nerbert.config import check
from nerbert.errors import InputError, SettingsError
from nerbert.model.export_task import ExportedHead, ExportTask
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import Head
from nerbert.registry import Registry

LONGEST = 256
"""Pieces of a window where the card says nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a tagger computes, handles long sentences and chooses tags."""

    backend: str = "auto"
    precision: str = "auto"
    device: str = ""
    threads: int = 0
    longest: int = LONGEST
    on_too_long: str = "window"
    decoding: str = ""
    """"": what is usual for the head."""

    def __post_init__(self) -> None:
        check("backend", self.backend, Literal["auto", "torch", "onnx"])
        check("precision", self.precision, Literal["auto", "bf16", "fp32", "int8"])
        check("threads", self.threads, Annotated[int, Interval(ge=0, le=4096)])


class HeadKind:
    """A kind of head, an entry of `HEADS`: how its taggers are opened and exported, and what they may start from."""

    labels_at_run_time: ClassVar[bool] = False
    """Whether its taggers take labels at run time, and have no fixed types."""
    starts: ClassVar[frozenset[str]] = frozenset()
    """What a new head may start from in a fine-tuning: the types of an earlier head (`shared`)."""

    @classmethod
    def open(cls, folder: ModelFolder, wanted: Wanted) -> Head:
        """Return the head of a tagger's folder, ready to predict as wanted."""
        raise SettingsError(f"head {cls.__name__}: opens no tagger: the class has no `open` of its own")

    @classmethod
    def check_export(cls, source: str) -> None:
        """Raise InputError if its taggers can't be exported."""
        if cls.export.__func__ is HeadKind.export.__func__:  # type: ignore[attr-defined]
            raise InputError(f"{source}: its head can't be exported: {cls.__name__} has no `export`")

    @classmethod
    def export(cls, task: ExportTask) -> ExportedHead:
        """Write the graphs of a tagger; return what its export's card says, and the head on each back end."""
        raise NotImplementedError

    @classmethod
    def rename_types(cls, folder: Path, names: Mapping[str, str]) -> None:
        """Give the types of a tagger's folder other names, "" for no entity; raise InputError where none can be.

        The card is written apart: labels at run time stand there alone.
        """
        if not cls.labels_at_run_time:
            raise InputError(f"the types of a tagger with a head {cls.__name__} can't be renamed, merged or dropped")


HEADS: Registry[type[HeadKind]] = Registry(
    "head",
    "nerbert.heads",
    {
        "linear": "nerbert.tagger.backends:LinearHeadKind",
        "concepts": "nerbert.tagger.concept_backends:ConceptHeadKind",
        "gliner": "nerbert.tagger.gliner_backends:GlinerHeadKind",
        "cdlm": "nerbert.tagger.backends:CdlmHeadKind",
    },
    HeadKind,
)


def head_kind(folder: ModelFolder, chosen: str = "") -> type[HeadKind]:
    """Return the kind of a folder's head; `chosen` is the user's choice of it.

    Raise SettingsError where the folder names code outside of nerbert, which only its user may do.
    """
    name = folder.head_name
    if chosen or name in HEADS:
        return HEADS.find(chosen or name)
    hint = f": if you trust it, name it (head, --head {name})" if HEADS.contains(name) else ", no head's name"
    raise SettingsError(f"{folder}: its head is {name!r:.80}, code outside of nerbert{hint}")


def labels_at_run_time(folder: ModelFolder) -> bool:
    """Return whether a folder's head takes labels at run time, and has no fixed types."""
    return folder.head_name in HEADS and HEADS.find(folder.head_name).labels_at_run_time
