"""Which data sets there are: those that the registry knows, and those in a folder.

The choice: what is in the folder is told by its files' hashes, so "whole" means to the byte. The price: all are read.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError
from nerbert.evaluation.datasets.load import folder_names, link_out
from nerbert.evaluation.datasets.registry import KnownData, known_data
from nerbert.formats.folder import SPLITS

WHOLE, MISSING, STRANGE, LINK_OUT = "whole", "–", "not known", "link out"


@dataclass(frozen=True, slots=True)
class Listed:
    """A data set, and how it is there: whole, –, not known, or `no dev`, `another test`; "" where nobody looked.

    `link out` is what no other command reads: a link that leads out of the folder.
    """

    name: str
    known: KnownData | None
    there: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return all that is known of it, as JSON."""
        return {"name": self.name, "there": self.there} | (asdict(self.known) if self.known else {})


def list_data(root: Path | None = None) -> list[Listed]:
    """Return the known data sets, and how they are there in `root`; then what else is in it."""
    if root is None:
        return [Listed(name, known) for name, known in known_data().items()]
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name the one that holds the data sets (--data)")
    listed = [Listed(name, known, _there(root, root / name, known)) for name, known in known_data().items()]
    strange = [name for name in folder_names(root) if name not in known_data()]
    return listed + [Listed(name, None, LINK_OUT if link_out(root, root / name) else STRANGE) for name in strange]


def _there(root: Path, folder: Path, known: KnownData) -> str:
    paths = {split: folder / f"{split}.conll" for split in SPLITS}
    if folder.is_dir() and link_out(root, folder):
        return LINK_OUT
    if not any(path.is_file() for path in paths.values()):
        return MISSING
    told = []
    for split, path in paths.items():
        if not path.is_file():
            told.append(f"no {split}")
        elif sha256_of(path) != known.splits[split].sha256:
            told.append(f"another {split}")
    return ", ".join(told) or WHOLE
