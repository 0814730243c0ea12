"""What is read, and where each of it goes: kinds of files by name, folders by what lies in them, standard input.

All errors of paths are found before any work. A folder means the files of known kinds below it; links that lead out of
it are passed over, and so are other files, which is reported. An output takes the name of its input with another
suffix. Two inputs that want the same name are an error; no number is appended.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from nerbert.errors import InputError, SettingsError
from nerbert.sources.files import find_files

TEXT, JSONL, CONLL, PARQUET, HTML = "text", "jsonl", "conll", "parquet", "html"
SOURCES = (TEXT, JSONL, CONLL, PARQUET)
"""What can be read."""
TARGETS = (TEXT, JSONL, CONLL, PARQUET, HTML)
"""What can be written."""
ON_FILES = (PARQUET, HTML)
"""What is written as a whole, so to a file only."""
_SUFFIXES = {
    ".txt": TEXT, ".text": TEXT, ".jsonl": JSONL, ".ndjson": JSONL, ".conll": CONLL, ".bio": CONLL, ".iob": CONLL,
    ".iob2": CONLL, ".parquet": PARQUET, ".pq": PARQUET, ".html": HTML, ".htm": HTML,
}  # fmt: skip
_JSON = ".json"
"""JSON lines where a file is named itself; in folders it is mostly something else."""
_PACKED = (".gz", ".bz2", ".xz")
_SUFFIX = {TEXT: ".txt", JSONL: ".jsonl", CONLL: ".conll", PARQUET: ".parquet", HTML: ".html"}
"""How the name of a file of each kind ends."""


def named_kind(path: PurePath) -> str:
    """Return the kind of a file that was named itself; text if its name doesn't say."""
    return source_kind(path) or (JSONL if unpacked_name(path).suffix.lower() == _JSON else TEXT)


def source_kind(path: PurePath) -> str:
    """Return the kind of a file to read, by its name; "" if its name doesn't say."""
    name = unpacked_name(path)
    kind = _SUFFIXES.get(name.suffix.lower(), "")
    return kind if kind in SOURCES else ""


def unpacked_name(path: PurePath) -> PurePath:
    """Return a file's name without the suffix of its compression."""
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path


def renamed(path: PurePath, kind: str) -> PurePath:
    """Return a file's name with the suffix of another kind, in place of its own if that says a kind."""
    name = unpacked_name(path)
    told = name.suffix.lower() in _SUFFIXES or name.suffix.lower() == _JSON
    return name.with_suffix(_SUFFIX[kind]) if told else name.with_name(name.name + _SUFFIX[kind])


def target_kind(output: Path) -> str:
    """Return the kind of a file to write, by its name; raise SettingsError if its name doesn't say."""
    if output.suffix.lower() in _PACKED:
        raise SettingsError(f"{output}: can't be packed here; write to standard output, and to gzip from there")
    if (kind := _SUFFIXES.get(output.suffix.lower())) is None:
        raise SettingsError(f"{output}: its name tells no format; give --to one of {', '.join(TARGETS)}")
    return kind


def check_choice(option: str, value: str, known: tuple[str, ...]) -> str:
    """Return `value` if it is known, or empty; else raise SettingsError."""
    if value and value not in known:
        raise SettingsError(f"{option} {value!r}: must be one of {', '.join(known)}")
    return value


STDIN = "-"
MANIFEST = "manifest.json"
"""What says of a folder of outputs what they were made from."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to tag, or standard input; `name` is where it lies among the inputs."""

    place: str
    name: PurePath
    kind: str

    def __str__(self) -> str:
        """Return the place as messages name it."""
        return "standard input" if self.place == STDIN else self.place

    @property
    def size(self) -> int | None:
        """Return the bytes of a file that is read as it is; None where that is not known."""
        path = Path(self.place)
        known = self.place != STDIN and path.is_file() and unpacked_name(path) == path
        return path.stat().st_size if known else None


@dataclass(frozen=True, slots=True)
class JobPaths:
    """What is to be tagged, from which `folders`; `many` says whether it may be many files, even if it is one."""

    sources: list[InputFile]
    many: bool
    folders: list[Path]
    passed_over: list[Path]
    """Files in the folders that are not read."""


def find_sources(inputs: Sequence[str], kind: str) -> JobPaths:
    """Return the files at these places, in order; `kind` is that of all of them, or "" to go by their names."""
    sources: list[InputFile] = []
    passed_over: list[Path] = []
    for place in inputs or [STDIN]:
        if place == STDIN:
            sources.append(InputFile(STDIN, PurePath("stdin"), kind or TEXT))
        elif os.path.isdir(place):  # noqa: PTH112  (unlike Path, it doesn't take "" for this folder)
            found, other = _in_folder(Path(place), kind)
            sources += found
            passed_over += other
        elif os.path.lexists(place):
            path = Path(place)
            sources.append(InputFile(place, PurePath(path.name), kind or named_kind(path)))
        else:
            named = place or "''"
            raise InputError(f"{named}: no such file or folder; give files or folders, or - for standard input")
    if [source.place for source in sources].count(STDIN) > 1:
        raise InputError("standard input (-) can be read only once; name it once")
    folders = [Path(place) for place in inputs if os.path.isdir(place)]  # noqa: PTH112
    return JobPaths(sources, bool(folders) or len(inputs) > 1, folders, passed_over)


def place_outputs(found: JobPaths, output: Path, kind: str) -> list[PurePath]:
    """Return where each source's output goes within the folder `output`; raise InputError for clashes."""
    _check_apart(found, output)
    taken: dict[PurePath, InputFile] = {}
    for source in found.sources:
        name = renamed(source.name, kind)
        if name in taken:
            raise InputError(f"{source} and {taken[name]}: both would become {output / name}; tag them one by one")
        taken[name] = source
    for name, source in taken.items():
        if other := next((each for each in name.parents if each in taken or each.name == MANIFEST), None):
            raise InputError(f"{source}: would lie in {output / other}, which is a file there; tag it by itself")
    return list(taken)


def check_no_input(found: JobPaths, output: Path) -> None:
    """Raise InputError if the output is what is read."""
    for source in found.sources:
        if source.place != STDIN and output.exists() and output.samefile(source.place):
            raise InputError(f"{output}: is the input itself; name another output")


def _in_folder(folder: Path, kind: str) -> tuple[list[InputFile], list[Path]]:
    """Return the files below a folder of a known kind, or of the one that is wanted; and the other files."""
    inside = folder.resolve()
    sources, passed_over = [], []
    for each in find_files(folder):
        own = source_kind(each.path)
        if own and kind in ("", own) and each.path.is_file() and each.path.resolve().is_relative_to(inside):
            sources.append(InputFile(str(each.path), each.path.relative_to(folder), own))
        else:
            passed_over.append(each.path)
    if not sources:
        ends = f"a name for {kind}" if kind else "a known name (.txt, .jsonl, .conll, .parquet)"
        raise InputError(f"{folder}: holds no file with {ends}; name the files themselves, with --from")
    return sources, passed_over


def _check_apart(found: JobPaths, output: Path) -> None:
    """Raise InputError if inputs lie in the output folder, or the output in one of theirs."""
    target = output.resolve()
    inside = [source.place for source in found.sources if Path(source.place).resolve().is_relative_to(target)]
    around = [folder for folder in found.folders if target.is_relative_to(folder.resolve())]
    if inside or around:
        place = [*inside, *around][0]
        raise InputError(f"{output}: output and input ({place}) lie in one another; choose another place")
