"""Kinds of files, told by their names; what `--from` and `--to` take."""

from pathlib import Path, PurePath

from nerbert.errors import SettingsError

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
    """The kind of a file that was named itself; one whose name tells none is text."""
    return source_kind(path) or (JSONL if unpacked_name(path).suffix.lower() == _JSON else TEXT)


def source_kind(path: PurePath) -> str:
    """The kind of a file to read, by its name; "" for one that tells none."""
    name = unpacked_name(path)
    kind = _SUFFIXES.get(name.suffix.lower(), "")
    return kind if kind in SOURCES else ""


def unpacked_name(path: PurePath) -> PurePath:
    """A file's name without the end that says how it is packed."""
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path


def renamed(path: PurePath, kind: str) -> PurePath:
    """A file's name with the end of another kind: in place of its own, or behind it if that tells no kind."""
    name = unpacked_name(path)
    told = name.suffix.lower() in _SUFFIXES or name.suffix.lower() == _JSON
    return name.with_suffix(_SUFFIX[kind]) if told else name.with_name(name.name + _SUFFIX[kind])


def target_kind(output: Path) -> str:
    """The kind of a file to write, by its name; raise SettingsError for one that tells none."""
    if output.suffix.lower() in _PACKED:
        raise SettingsError(f"{output}: can't be packed here; write to standard output, and to gzip from there")
    if (kind := _SUFFIXES.get(output.suffix.lower())) is None:
        raise SettingsError(f"{output}: its name tells no format; give --to one of {', '.join(TARGETS)}")
    return kind


def check_choice(option: str, value: str, known: tuple[str, ...]) -> str:
    """`value` if it is known, or empty; else raise SettingsError."""
    if value and value not in known:
        raise SettingsError(f"{option} {value!r}: must be one of {', '.join(known)}")
    return value
