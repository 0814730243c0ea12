"""Which cells of a benchmark one of several runs makes, on machines that share a file system."""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from nerbert.errors import SettingsError
from nerbert.locks import held

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Share:
    """What one run of a command does: all tasks, a part of them, or the rest of the job after the parts."""

    number: int = 0
    """Of the part, from 1 on; 0 for all."""
    of: int = 1
    merge: bool = False

    @classmethod
    def parse(cls, part: str, *, merge: bool = False) -> Self:
        """Return the share that `--part 3/8` or `--merge` names; raise SettingsError for anything else."""
        if not part:
            return cls(merge=merge)
        if merge:
            raise SettingsError(f"--part {part}: is done before --merge; leave one out", setting="part")
        found = _FORM.fullmatch(part)
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            raise SettingsError(f"--part {part:.80}: must be 1/8, 2/8, … or 8/8 for eight parts", setting="part")
        return cls(number, of)

    @property
    def partial(self) -> bool:
        """Whether the run only does some tasks."""
        return self.number > 0

    def of_items(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield every `of`-th item, from the `number`-th on, so that neighbours, of similar cost, are shared out."""
        return islice(items, max(0, self.number - 1), None, self.of)

    @property
    def name(self) -> str:
        """What its files are called, as `PARTS` finds them."""
        return f"part-{self.number}-of-{self.of}"

    def held(self, folder: Path, target: Path) -> AbstractContextManager[None]:
        """Return the lock of a part in a job's folder; raise OutputExists if another run is doing this part."""
        taken = f"{target}: another run is doing part {self} now; give each run a part of its own"
        return held(folder / f"{self.name}.lock", taken)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Share()
