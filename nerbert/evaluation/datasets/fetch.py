"""Fetch public data sets from their publishers, convert them, check them, and publish each as a whole folder.

Files are downloaded into a hidden folder beside, so that a stopped run can resume, converted in memory, and kept only
if each converted file has the SHA-256 of the registry; then the downloads are removed. An existing data set is checked,
and never replaced: its labels may have been corrected by hand. The price: a file that changed at its address can't be
fetched at all.
"""

import hashlib
import re
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from nerbert import __version__
from nerbert.artifacts import publish, publish_folder, read_json, sha256_of, write_json
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError, at, nearest
from nerbert.evaluation.datasets.convert import conll_text, cut_sentences, read_raw
from nerbert.evaluation.datasets.registry import KnownData, Recipe, all_names, find_known, known_data
from nerbert.sources.download import FETCHED, Address, alone, check_mirror, fetch
from nerbert.sources.http import RetryPolicy

LONGEST = 16 << 20
"""Most bytes of a file; the longest known has 1.7 million."""
_TEXT = re.compile(rb"(?i)(?!\s*<(?:!doctype|html)\b)(?s:.)")
_ADVICE = "the publisher may have taken it away: try a --mirror"


def fetch_data(
    names: Sequence[str], output: Path | None, mirror: str = "", policy: RetryPolicy | None = None, *,
    known: Mapping[str, KnownData] | None = None,
) -> Iterator[str]:  # fmt: skip
    """Fetch data sets into folders of their names below `output`, and yield the outcome of each.

    One that fails keeps no other from being fetched; it is an error at the end.
    """
    check_mirror(mirror)
    if output is None:
        raise SettingsError("--output: name the folder to fetch into, or pass --list")
    if not names:
        raise SettingsError("name the data sets to fetch; --list names those that there are")
    failed: list[NerbertError] = []
    with alone(output):
        for name in dict.fromkeys(names):
            try:
                with at(part=name):
                    yield from _fetch_one(find_public(name, known), output, mirror, policy)
            except NerbertError as error:
                failed.append(error)
    if failed:
        raise failed[0] if len(failed) == 1 else InputError("; and ".join(map(str, failed)))


def list_public(
    names: Sequence[str], mirror: str = "", *, known: Mapping[str, KnownData] | None = None
) -> Iterator[str]:  # fmt: skip
    """Yield a line for each file to fetch: data set, split, address, licence, tabs between them; all without names."""
    check_mirror(mirror)
    known = known_data() if known is None else known
    for name in dict.fromkeys(names or (each.name for each in known.values() if not each.recipe.unfetched)):
        with at(part=name):
            data = find_public(name, known)
        for split, address in find_addresses(data).items():
            yield "\t".join((data.name, split, address.at(mirror).address, data.licence))


def find_public(name: str, known: Mapping[str, KnownData] | None = None) -> KnownData:
    """Return a data set by its own name or the paper's; raise SettingsError or InputError if it can't be fetched."""
    data = find_known(name, known)
    if data is None:
        like = nearest(name, all_names(known)) or "; `--list` prints the available names"
        raise SettingsError(f"no data set is known by that name{like}")
    if data.recipe.unfetched:
        raise InputError(f"no public address in this form: {data.recipe.unfetched}")
    return data


def find_addresses(data: KnownData) -> dict[str, Address]:
    """Return the addresses of a data set's files, by split; a commit's files never change, so they need no date."""
    source = data.sources[0]
    if not source.repository.startswith("github.com/"):
        raise SettingsError(f"repository {source.repository!r}: must begin with github.com/ to be fetched")
    root = f"https://raw.githubusercontent.com/{source.repository.removeprefix('github.com/')}/{source.commit}"
    return {
        split: Address(f"{split}.raw", f"{data.name}, {split}", f"{root}/{quote(path)}", LONGEST, _TEXT, _ADVICE)
        for split, path in data.recipe.paths.items()
    }  # fmt: skip


def convert_data(raw: Path, recipe: Recipe) -> dict[str, bytes]:
    """Convert the fetched files `SPLIT.raw` in the folder `raw` to the splits of a data set in nerbert's form."""
    splits = {
        split: read_raw(raw / f"{split}.raw", recipe.reader, recipe.scheme, recipe.drop) for split in recipe.paths
    }
    if recipe.draws:
        splits |= cut_sentences(splits["train"], recipe.draws, rest="train")
    return {split: conll_text(sentences).encode() for split, sentences in splits.items()}


def _fetch_one(data: KnownData, output: Path, mirror: str, policy: RetryPolicy | None) -> Iterator[str]:
    """Fetch one data set, or check it if it is there."""
    target = output / data.name
    raw = output / f".{data.name}.{data.sources[0].commit[:12]}.raw"
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        _check_whole(target, data)
        if raw.is_dir() and not raw.is_symlink():  # of a run that was killed when it had published
            shutil.rmtree(raw)
        yield f"{data.name}: there already, SHA-256 as known"
        return
    yield f"{data.name}: licence: {_licence(data)}"
    if raw.is_symlink():
        raise OutputExists(f"{raw}: is a link, so it is left alone; delete it by hand, or choose another folder")
    try:
        deque(fetch(list(find_addresses(data).values()), raw, mirror, policy), maxlen=0)
    except BaseException:
        with suppress(OSError):
            raw.rmdir()
        raise
    made = _converted(raw, data)
    _publish(target, made, data, read_json(raw / FETCHED)["files"])
    shutil.rmtree(raw)
    counts = ", ".join(f"{split} {each.sentences:,}" for split, each in data.splits.items())
    yield f"{data.name}: fetched into {target}: {counts} sentences, SHA-256 as known"


def _converted(raw: Path, data: KnownData) -> dict[str, bytes]:
    """Return the converted splits if they have the known hashes; else remove `raw` and raise InputError."""
    try:
        made = convert_data(raw, data.recipe)
        for split, each in data.splits.items():
            found = hashlib.sha256(made[split]).hexdigest()
            if found != each.sha256:
                raise InputError(f"{split}.conll would have the SHA-256 {found}, but {each.sha256} is known")
    except InputError as error:
        shutil.rmtree(raw)
        why = "the publisher's files, or the mirror's, are not the known ones"
        raise InputError(f"{error}; {why}; nothing was kept") from error
    return made


def _check_whole(target: Path, data: KnownData) -> None:
    """Raise OutputExists if a folder isn't the data set as it is known."""
    for split, each in data.splits.items():
        path = target / f"{split}.conll"
        if target.is_symlink() or path.is_symlink() or not path.is_file() or sha256_of(path) != each.sha256:
            raise OutputExists(f"{path}: is not the known one; move {target} away, or choose another folder")


def _publish(
    target: Path, made: Mapping[str, bytes], data: KnownData, raw: Mapping[str, Mapping[str, object]]
) -> None:  # fmt: skip
    source, day = data.sources[0], f"{datetime.now(UTC):%Y-%m-%d}"
    files = [{key: each[key] for key in ("address", "mirror", "size", "sha256")} for each in raw.values()]
    with publish_folder(target) as folder:
        for split, content in made.items():
            with publish(folder / f"{split}.conll") as draft:
                draft.write_bytes(content)
        with publish(folder / "README.md") as draft:
            draft.write_text(_readme(data, day), encoding="utf-8")
        write_json(folder / "manifest.json", {
            "kind": "data set", "made_by": f"nerbert {__version__}", "name": data.name, "fetched": day,
            "repository": source.repository, "commit": source.commit, "licence": data.licence, "raw": files,
            "sha256": {f"{split}.conll": each.sha256 for split, each in data.splits.items()},
        })  # fmt: skip


def _readme(data: KnownData, day: str) -> str:
    """Return the README: source, licence, and conversion of a data set."""
    recipe, source = data.recipe, data.sources[0]
    paths = ", ".join(recipe.paths.values())
    drawn = ", ".join(f"{size} to be {split}" for split, size in recipe.draws.items())
    done = [f"read as {recipe.reader}, tags from {recipe.scheme.upper()}"]
    done += [f"lines of {', '.join(recipe.drop)} dropped"] if recipe.drop else []
    done += [f"sentences drawn from train at random with seed 0: {drawn}"] if drawn else []
    sums = "".join(f"sha256 {split}.conll {each.sha256}\n" for split, each in data.splits.items())
    return (
        f"# {data.name}\n\n{data.title}. {data.about}\n\nFetched by `nerbert data fetch` on {day}.\n"
        f"Source: {source.repository} commit {source.commit}, {paths}\nLicence: {_licence(data)}\n"
        f"Split: {data.split}\nConversion: {'; '.join(done)}.\n{sums}"
    )


def _licence(data: KnownData) -> str:
    note = f" ({data.licence_note.rstrip('.')})" if data.licence_note else ""
    return f"{data.licence}{note}; terms are the publisher's"
