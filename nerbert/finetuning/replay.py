"""Texts of open types that are replayed beside a fine-tuning's data, and what the model forgets of their types.

F1 on a tenth of them is measured before and after. Cost: two evaluations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Annotated, Any, ClassVar

from nerbert.config import Bounds, Section, refuse
from nerbert.encoder.open_texts import OpenExample, OpenTexts, OpenTypes, OpenTypesSettings
from nerbert.errors import at
from nerbert.model.gliner.trainee import with_gliner_words
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.rng import uniform
from nerbert.terminal import tell
from nerbert.training.distributed import make_process_group
from nerbert.training.objective import Objective
from nerbert.training.settings import TrainSettings

_SCORED = 200
"""Held-out texts on which forgetting is measured, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings(Section):
    """Files of open types beside the data of a fine-tuning."""

    section: ClassVar[str] = "replay"
    formerly: ClassVar[Mapping[str, str]] = {"replay": "files", "replay_share": "share"}
    reads: ClassVar[tuple[str, ...]] = ("files",)
    files: tuple[Path, ...] = ()
    """Files of open types. How much a model forgets of types that the data lacks is measured on a tenth of their texts,
    and the rest may be mixed in (`share`). Source: ours."""
    share: Annotated[float, Bounds(at_least=0, below=1)] = 0.0
    """Share of the sentences trained on that are texts of `files`, beside the data's own; each epoch has others.
    Source: ours."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Files of open types beside a fine-tuning's data: how they are read, and what they hold."""

    source: OpenTexts
    data: OpenTypes

    def texts(self, count: int, seed: int) -> list[OpenExample]:
        """Return so many of the texts that may be trained on, drawn by seed; fewer if there are not so many."""
        drawn = nsmallest(count, self.source.examples(), key=lambda each: uniform(seed, "replay", each.text))
        return list(map(with_gliner_words, drawn))


def open_replay(settings: TrainSettings, *, descriptions: bool = False) -> Replay | None:
    """Return the files that are replayed; None if there are none. Raise InputError for one that can't be read."""
    own = settings.of(ReplaySettings)
    refuse(own.share > 0 and not own.files, "replay.share", own.share, "0 without replay.files")
    if not own.files:
        return None
    reading = OpenTypesSettings(files=own.files)
    source = OpenTexts(reading, descriptions=descriptions, seed=settings.seed, most=_SCORED)
    with at(setting="setting replay.files"):
        return Replay(source, source.read())


class Forgetting:
    """Measures F1 on held-out texts of what may be replayed, for types that the data lacks, before and after."""

    def __init__(self, score: Any, texts: int, device: Any) -> None:
        self._score, self._texts, self._device = score, texts, device
        self._before = 0.0

    @classmethod
    def of(
        cls, replay: Replay, types: Sequence[str], objective: Objective, pieces: SubwordTokenizer,
        settings: TrainSettings,
    ) -> "Forgetting | None":  # fmt: skip
        """Return it for an objective that can leave types out of its score; None for any other."""
        processes, held_out = make_process_group(settings), list(map(with_gliner_words, replay.data.held_out))
        with at(setting="setting replay.files"):
            score = objective.score_without(types, held_out, pieces, processes)
        return cls(score, len(held_out), processes.device) if score else None

    def measure(self, model: Any) -> None:
        """Measure the model as it is before."""
        self._before = self._score(model.to(self._device)).value

    def facts(self, model: Any) -> dict[str, Any]:
        """Measure it again; say so, and return what its card says."""
        after = self._score(model).value
        tell(f"types that the data lacks: F1 {100 * self._before:.1f} before, {100 * after:.1f} after, on "
             f"{self._texts:,} held-out texts of replay")  # fmt: skip
        return {"forgetting": {"before": self._before, "after": after, "texts": self._texts}}
