"""Divide a job among several runs of a command: each does a part of its tasks, and one run merges them.

For any batch system whose machines share a file system. The finished tasks lie in the job's work folder, as after a
kill, and the run that merges finds them there. Cost: each run reads the whole input, to know which tasks are its own.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from nerbert.artifacts import (
    LOCK,
    PARTS,
    PLAN,
    Draft,
    check_own,
    check_plan,
    check_target,
    draft_of,
    making,
    publish_job,
    write_json,
    writing,
)
from nerbert.errors import InputError, SettingsError, few
from nerbert.locks import held
from nerbert.terminal import tell

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_MARKS = re.compile(r"part-([0-9]+)-of-([0-9]+)\.json")
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

    def check_lasting(self, place: object, *, lasting: bool) -> None:
        """Raise InputError for an input that the runs of a job can't each read."""
        if self.partial and not lasting:
            raise InputError(f"{place}: can't be divided among runs, which each read it; name a file")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Share()


@contextmanager
def shared_job(
    target: Path, fingerprint: object, share: Share, *, overwrite: bool = False, file: bool = False
) -> Iterator[Path]:  # fmt: skip
    """Yield the work folder of a job for a run that does a part of its tasks; `target` is made by the run that merges.

    Other parts may run at the same time. Raise StaleOutput if parts were made from something else, and OutputExists
    if the same part, or the run that merges, is at work.
    """
    check_target(target, overwrite=overwrite, file=file)
    work = draft_of(target).work
    with making(target):
        check_own(work)
        work.mkdir(parents=True, exist_ok=True)
    mark = work / f"{share.name}.json"
    other = f"{target}: another run is merging its parts, or making it whole; wait for its end"
    with held(work / LOCK, other, shared=True), share.held(work, target), writing(target):
        _check_division(target, work, share)
        if not (work / PLAN).exists():
            write_json(work / PLAN, fingerprint)
        check_plan(target, fingerprint)
        if mark.exists():
            tell(f"{target}: part {share} was done before; what is missing of it is done now")
        yield work
        write_json(mark, {})
    left = _missing(work, share.of)
    tell(f"{target}: part {share} is done; " + (f"not done yet: {few(left)}" if left else "all are: --merge makes it"))


def whole_job(
    target: Path, fingerprint: object, share: Share, *, overwrite: bool = False, file: bool = False
) -> AbstractContextManager[Draft]:  # fmt: skip
    """Return `publish_job`, for a run that makes the target; one that merges needs all parts, else raise InputError."""
    if share.merge:
        _check_parts(target)
        check_plan(target, fingerprint)
    return publish_job(target, fingerprint, overwrite=overwrite, file=file)


def _check_parts(target: Path) -> None:
    work = draft_of(target).work
    numbers = {of for _, of in _marks(work)}
    if not numbers:
        raise InputError(f"{target}: no part of it is done; run the command with --part 1/8, … 8/8, then with --merge")
    if missing := _missing(work, max(numbers)):
        raise InputError(f"{target}: not done: part {few(missing)}; run the command with each, then with --merge")


def _check_division(target: Path, work: Path, share: Share) -> None:
    """Raise InputError if earlier parts divide the job otherwise."""
    if others := {of for _, of in _marks(work)} - {share.of}:
        raise InputError(f"{target}: part {share} doesn't fit earlier ones, which are of {max(others)}; go on with "
                         f"these, or delete {work}")  # fmt: skip


def _missing(work: Path, of: int) -> list[str]:
    done = {number for number, parts in _marks(work) if parts == of}
    return [f"{number}/{of}" for number in range(1, of + 1) if number not in done]


def _marks(work: Path) -> list[tuple[int, int]]:
    """Return the number and the whole of each part that is done."""
    found = (_MARKS.fullmatch(path.name) for path in work.glob(f"{PARTS}.json"))
    return [(int(match[1]), int(match[2])) for match in found if match]
