"""A head whose worker process is killed by a text, once: as the system does when memory runs out."""

import os
import signal
from collections.abc import Sequence
from multiprocessing import parent_process
from pathlib import Path

from nerbert.model.folder import ModelFolder
from nerbert.model.heads import Entities, Head
from nerbert.records import Example
from nerbert.tagger.backends import HeadKind, Wanted


class Deadly(Head):
    """Finds words that begin with A–Z; in a worker a text `deadly FILE` kills, unless that file is there."""

    @property
    def types(self) -> list[str]:
        """One type."""
        return ["name"]

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Find each such word."""
        for each in examples:
            _, deadly, file = each.text.partition("deadly ")
            if deadly and parent_process() is not None and not Path(file).exists():
                Path(file).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return Entities.of([
            [((place, place + 1, "name"), 2.0) for place, word in enumerate(each.tokens) if word[0].isupper()]
            for each in examples
        ])  # fmt: skip


class DeadlyKind(HeadKind):
    """The kind of that head."""

    @classmethod
    def open(cls, source: ModelFolder, wanted: Wanted) -> Head:
        """Return the head, whatever the folder holds."""
        return Deadly()
