"""Fetch public data sets from their publishers, convert them to IOB2, and publish each as a whole folder.

Only files with the known SHA-256 are kept. Cost: a file that changed at its address can't be fetched. A checkout of
nerbert builds the project's own sets from its sources; no other folder's code runs.
"""

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from nerbert.about import HOMEPAGE, __version__
from nerbert.artifacts import finish, publish, publish_folder, sha256_of, write_json
from nerbert.data.catalogue import KnownData, Recipe, all_names, find_known, known_data
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError, at, unknown
from nerbert.formats.conll import split_columns
from nerbert.labels import OUTSIDE, bio_from_spans, spans_from_bio, split_tag
from nerbert.sources.download import check_mirror, on_mirror, open_output
from nerbert.sources.remote import Missing, RetryPolicy, read_small

CHECKOUT = Path(__file__).parents[4]
"""The folder that holds the package: the root of a checkout, if the package lies in one."""
EMPTY = "_EMPTY_"
"""Replacement for a token of only white space."""
_LONGEST = 16 << 20
"""Maximum bytes of a file; the longest known has 1.7 million."""

Sentence = list[tuple[str, str]]


def fetch_data(
    names: Sequence[str], output: Path | None, mirror: str = "", policy: RetryPolicy | None = None
) -> Iterator[str]:
    """Fetch data sets into folders below `output`, and yield the outcome of each; failures are raised at the end."""
    if not names:
        raise SettingsError("name the data sets to fetch; --list names them")
    failed: list[NerbertError] = []
    with open_output(output, mirror) as folder:
        for name in dict.fromkeys(names):
            try:
                with at(part=name):
                    yield from _fetch_one(find_public(name), folder, mirror, policy)
            except NerbertError as error:
                failed.append(error)
    if failed:
        raise failed[0] if len(failed) == 1 else InputError("; and ".join(map(str, failed)))


def list_public(names: Sequence[str], mirror: str = "") -> Iterator[str]:
    """Yield data set, split, address, licence of each file to fetch, tab-separated; without names, for all sets."""
    check_mirror(mirror)
    for name in dict.fromkeys(names or (data.name for data in known_data().values() if not data.recipe.unfetched)):
        with at(part=name):
            data = find_public(name)
        for split, address in _origins(data, mirror).items():
            yield "\t".join((data.name, split, address, data.licence))


def find_public(name: str) -> KnownData:
    """Return a data set by its own name or the paper's; raise SettingsError or InputError if it can't be fetched."""
    data = find_known(name)
    if data is None:
        like = unknown(name, all_names(), see="see `nerbert data fetch --list`")
        raise SettingsError(f"no known data set has that name{like}")
    if data.recipe.unfetched:
        raise InputError(f"no public address in this form: {data.recipe.unfetched}")
    return data


def find_addresses(data: KnownData) -> dict[str, str]:
    """Return the addresses of a data set's files, by split; a commit's files never change."""
    root = data.recipe.release
    # The commit is part of the address, so the file there never changes.
    if not root:
        source = data.sources[0]
        root = f"https://raw.githubusercontent.com/{source.repository.removeprefix('github.com/')}/{source.commit}"
    return {split: f"{root}/{quote(path)}" for split, path in data.recipe.paths.items()}


def own_script(data: KnownData, mirror: str) -> Path | None:
    """Return the script that makes a data set, if the package lies in a checkout; None with a mirror."""
    script = CHECKOUT / data.recipe.script
    # A mirror was asked for explicitly; the installed package has no scripts.
    return script if script.is_file() and not mirror else None


def convert_data(raw: Mapping[str, bytes], recipe: Recipe) -> dict[str, bytes]:
    """Convert a publisher's files, by split, to the splits of a data set in nerbert's form."""
    if recipe.release:
        return dict(raw)
    splits = {}
    for split, content in raw.items():
        with at(part=split):
            splits[split] = read_raw(content, recipe)
    if recipe.draws:
        splits |= cut_sentences(splits["train"], recipe.draws)
    return {split: conll_text(sentences).encode() for split, sentences in splits.items()}


def read_raw(content: bytes, recipe: Recipe) -> list[Sentence]:
    """Return the sentences of a publisher's file, with tags in IOB2; raise InputError for a file in another format."""
    try:
        # Not `splitlines`, which also cuts at U+2028 and U+0085: these may occur inside tokens.
        lines = [line.removesuffix("\r") for line in content.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}") from error
    sentences = []
    read = _read_columns if recipe.reader == "columns" else _read_pairs
    for sentence in read(line for line in lines if not line.startswith(recipe.drop)):
        tags = _SCHEMES[recipe.scheme]([tag for _, tag in sentence])
        # CoNLL separates columns by white space, so a token can't contain any ("1\xa0000").
        tokens = ["".join(token.split()) or EMPTY for token, _ in sentence]
        sentences.append(list(zip(tokens, tags, strict=True)))
    return sentences


def cut_sentences(sentences: Sequence[Sentence], sizes: Mapping[str, int]) -> dict[str, list[Sentence]]:
    """Draw splits of these sizes, one after the other, by Python's shuffle with seed 0; the rest is train."""
    order = list(range(len(sentences)))
    if sum(sizes.values()) >= len(order):
        raise InputError(f"{len(order)} sentences, too few to draw {sum(sizes.values())} of them and leave some")
    random.Random(0).shuffle(order)  # noqa: S311
    splits = {}
    start = 0
    for split, size in sizes.items():
        splits[split] = [sentences[index] for index in sorted(order[start : start + size])]
        start += size
    return splits | {"train": [sentences[index] for index in sorted(order[start:])]}


def conll_text(sentences: Iterable[Sentence]) -> str:
    """Return sentences in nerbert's form: `token<TAB>tag`, a blank line after each."""
    return "".join("".join(f"{token}\t{tag}\n" for token, tag in sentence) + "\n" for sentence in sentences)


def _read_columns(lines: Iterable[str]) -> Iterator[Sentence]:
    """Yield sentences of lines with the token first and the tag last, separated by tabs or else spaces."""
    for blank, group in groupby(lines, lambda line: not line.strip()):
        rows = [] if blank else [(line, split_columns(line)) for line in group]
        if broken := next((line for line, cells in rows if len(cells) < 2), ""):
            raise InputError(f"broken line {broken!r:.80}: expected a token, a tab or a space, and a tag")
        if rows:
            yield [(cells[0], cells[-1].strip()) for _, cells in rows]


def _read_pairs(lines: Iterable[str]) -> Iterator[Sentence]:
    """Yield a sentence for each line `word:tag word:tag … <=> intent`."""
    for line in filter(str.strip, lines):
        words, arrow, _ = line.partition(" <=> ")
        # From the right, since a word may be a time: "8:30:B-time".
        pairs = [pair.rpartition(":") for pair in words.split(" ")]
        if not arrow or not all(word and tag for word, _, tag in pairs):
            raise InputError(f"broken line {line!r:.80}: expected `word:tag … <=> intent`")
        yield [(word, tag) for word, _, tag in pairs]


def _begin_with_b(tags: Sequence[str]) -> list[str]:
    """Convert IOB1, where B- only separates touching entities of one type: begin every entity with B-."""
    # Decoding by the CoNLL rules accepts I- as a beginning; encoding then writes B-.
    return bio_from_spans(len(tags), spans_from_bio(tags))


_SCHEMES: Mapping[str, Callable[[Sequence[str]], list[str]]] = {
    # `split_tag` refuses strings that aren't tags.
    "iob2": lambda tags: [tag for tag in tags if split_tag(tag)],
    "iob1": _begin_with_b,
    "io": lambda tags: _begin_with_b([tag if tag == OUTSIDE else f"I-{tag}" for tag in tags]),
    "bioes": lambda tags: _begin_with_b([{"E": "I", "S": "B"}.get(tag[:1], tag[:1]) + tag[1:] for tag in tags]),
}


def _fetch_one(data: KnownData, output: Path, mirror: str, policy: RetryPolicy | None) -> Iterator[str]:
    """Fetch one data set, or check it if it exists."""
    target = output / data.name
    # A run that was killed in its last steps has left its work beside the folder.
    finish(target)
    # An empty folder is filled; anything else is only checked, never replaced.
    if _is_used(target):
        _check_known(data, target)
        yield f"{data.name}: there already, SHA-256 as known"
        return
    licence = f"{data.licence} ({data.licence_note.rstrip('.')})" if data.licence_note else data.licence
    yield f"{data.name}: licence: {licence}; terms are the publisher's"
    script = own_script(data, mirror)
    origins = _origins(data, mirror)
    raw = _build(script, data.recipe) if script else _download(origins, data.recipe, policy)
    try:
        splits = convert_data(raw, data.recipe)
        for split, facts in data.splits.items():
            digest = hashlib.sha256(splits[split]).hexdigest()
            if digest != facts.sha256:
                raise InputError(f"{data.file_of(split)} would have the SHA-256 {digest}, but {facts.sha256} is known")
    except InputError as error:
        whose = f"the files that {script} reads" if script else "the publisher's files, or the mirror's,"
        raise InputError(f"{error}; {whose} are not the known ones; nothing was kept") from error
    source = {name: getattr(repository, name) for repository in data.sources[:1] for name in ("repository", "commit")}
    with publish_folder(target) as folder:
        for split, content in splits.items():
            with publish(folder / data.file_of(split)) as draft:
                draft.write_bytes(content)
        write_json(
            folder / "manifest.json",
            {
                "kind": "data set",
                "made_by": f"nerbert {__version__}",
                "name": data.name,
                "title": data.title,
                "about": data.about,
                "split": data.split,
                "licence": licence,
                "fetched": f"{datetime.now(UTC):%Y-%m-%d}",
                **source,
                "recipe": asdict(data.recipe),
                "raw": [
                    {"address": address, "size": len(raw[split]), "sha256": hashlib.sha256(raw[split]).hexdigest()}
                    for split, address in origins.items()
                ],
                "sha256": {data.file_of(split): facts.sha256 for split, facts in data.splits.items()},
            },
        )
    counts = ", ".join(f"{split} {facts.sentences:,}" for split, facts in data.splits.items())
    manner = f"built by {script}, not downloaded," if script else "fetched"
    yield f"{data.name}: {manner} into {target}: {counts} sentences, SHA-256 as known"


def _is_used(target: Path) -> bool:
    return target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir())))


def _check_known(data: KnownData, target: Path) -> None:
    """Raise OutputExists for a file of a data set that isn't the known one, or is elsewhere behind a link."""
    for split, facts in data.splits.items():
        path = target / data.file_of(split)
        # A link may lead to a file that changes later.
        if target.is_symlink() or path.is_symlink() or not path.is_file() or sha256_of(path) != facts.sha256:
            raise OutputExists(f"{path}: is not the known one; move {target} away, or choose another folder")


def _origins(data: KnownData, mirror: str) -> dict[str, str]:
    """Return where each split's file comes from: its address, or the script that makes it."""
    if own_script(data, mirror):
        return dict.fromkeys(data.recipe.paths, data.recipe.script)
    return {split: on_mirror(address, mirror) for split, address in find_addresses(data).items()}


def _download(addresses: Mapping[str, str], recipe: Recipe, policy: RetryPolicy | None) -> dict[str, bytes]:
    """Return the content of a publisher's files, by split."""
    try:
        return {split: read_small(address, _LONGEST, policy) for split, address in addresses.items()}
    except Missing as error:
        advice = "the publisher may have removed it: try a --mirror"
        if recipe.script:
            advice = f"clone {HOMEPAGE} and run nerbert there: a clone builds this data set; or try a --mirror"
        raise InputError(f"{error}; {advice}") from error


def _build(script: Path, recipe: Recipe) -> dict[str, bytes]:
    """Return the files that a script of the checkout makes, by split; it imports this package."""
    # The script imports this checkout's package, not an installed one.
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with TemporaryDirectory(prefix="nerbert-") as scratch:
        output = Path(scratch, "made")
        ran = subprocess.run(  # noqa: S603  (the project's own script)
            [sys.executable, str(script), "-o", str(output)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            last = (ran.stderr.splitlines() or [f"status {ran.returncode}"])[-1]
            raise InputError(f"{script} failed: {last}; nothing was kept")
        return {split: (output / path).read_bytes() for split, path in recipe.paths.items()}
