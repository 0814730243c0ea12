"""Folders of taggers: a tagger's origin, a copy, one on the hub, by `ModelHubMixin`'s conventions.

The mixin's code is not used: it deletes config.json and writes its own.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.artifacts import check_apart, publish_folder, write_json
from nerbert.errors import OutputExists
from nerbert.model.folder import CARD, EXPORTED, PRETRAINED, WEIGHTS, ModelFolder, read_card
from nerbert.model.loading import Loading


@dataclass(frozen=True, slots=True)
class Origin:
    """The folder and options that a tagger was loaded with; `weights` are each file's name, size and time of change."""

    folder: str
    loading: Loading
    weights: tuple[tuple[str, int, int], ...]


def weights_of(folder: ModelFolder) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of change of each file of weights; reading them would take seconds."""
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.files("loaded"))


def write_folder(
    source: Path,
    target: Path,
    card: Mapping[str, Any],
    *,
    overwrite: bool,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Copy a tagger's files into another folder, with this `nerbert.json`; only a tagger is overwritten.

    `finish` changes the copy before it is published.
    """
    check_apart(target, [source])
    target_kind = read_card(str(target))["kind"] if (target / CARD).is_file() else ""
    if overwrite and target.is_dir() and any(target.iterdir()) and target_kind in ("", *PRETRAINED):
        raise OutputExists(f"{target}: holds no tagger, so it is not replaced; name another folder")
    model = ModelFolder.open(source).check()
    names = [path.relative_to(source) for path in model.files("tagger")]
    converts = Path(WEIGHTS) not in names and any((source / name).is_file() for name in model.kind.pickled)
    if converts:  # an export names the weights that it was made from
        names = [name for name in names if name.as_posix() not in EXPORTED]
    with publish_folder(target, overwrite=overwrite) as folder:
        if converts:
            model.kind.convert(source, folder)
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, folder / name)
        write_json(folder / CARD, card)
        if finish:
            finish(folder)
