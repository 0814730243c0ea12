"""Write a few-shot subset as a data folder, with the places of its sentences in the whole.

A new train split is written in the data's format, dev and test are copied unchanged, and a manifest names the data, the
size, the draw and the sentences, so that anyone with the data can draw the same. The price: a copy of dev and test for
each sample.
"""

import shutil
from pathlib import Path
from typing import Any

from nerbert.artifacts import check_free, publish_folder, sha256_of, write_json
from nerbert.errors import InputError
from nerbert.evaluation.datasets.load import Data
from nerbert.finetuning.sampling import Subset, draw_subset
from nerbert.finetuning.sizes import parse_size
from nerbert.formats.examples import find_format
from nerbert.formats.folder import find_splits

MANIFEST = "manifest.json"


def write_sample(data: Data, size: str, draw: int, output: Path, *, overwrite: bool = False) -> Subset:
    """Draw a subset of the train split and write it to the folder `output`, with dev and test."""
    check_free(output, overwrite=overwrite)
    _check_apart(output, data.folder)
    if not data.train:
        raise InputError(f"{data.folder}: has no train split to draw from")
    subset = draw_subset(data.train, parse_size(size), draw)
    kind = find_format(data.files["train"], data.format)
    with publish_folder(output, overwrite=overwrite) as folder:
        kind.write(folder / f"train{kind.suffixes[0]}", [data.train[place] for place in subset.places])
        for split, path in data.files.items():
            if split != "train":
                shutil.copyfile(path, folder / path.name)
        write_json(folder / MANIFEST, _manifest(data, subset, folder))
    return subset


def _check_apart(output: Path, source: Path) -> None:
    """Raise InputError for an output that is the data set, lies in it, or holds it and so would replace it."""
    target, source = output.resolve(), source.resolve()
    if target == source:
        raise InputError(f"{output}: is the data set itself; name another folder")
    if target.is_relative_to(source):
        raise InputError(f"{output}: lies in the data set itself; name a folder outside it")
    if source.is_relative_to(target):
        raise InputError(f"{output}: holds the data set itself; name another folder")


def _manifest(data: Data, subset: Subset, folder: Path) -> dict[str, Any]:
    """Return what the sample is of, how it was drawn, and which sentences it holds."""
    return {
        "kind": "sample",
        "data": data.name,
        "data_sha256": data.sha256,
        "size": str(subset.size),
        "draw": subset.draw,
        "sentences": len(subset.places),
        "sentences_there": len(data.train),
        "places": list(subset.places),
        "entities": subset.reached,
        "entities_there": subset.there,
        "types_short_of_k": subset.short,
        "sha256": {path.name: sha256_of(path) for path in find_splits(folder, data.format).values()},
    }
