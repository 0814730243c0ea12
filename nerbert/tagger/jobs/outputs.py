"""Where tagged rows go: the output's kind and names.

An output takes the name of its input with another suffix. Two inputs that want the same name are an error; no number is
appended.
"""

from pathlib import Path, PurePath

from nerbert.errors import InputError, SettingsError
from nerbert.tagger.jobs.inputs import JSON, PACKED, STDIN, SUFFIXES, InputFile, JobPaths, unpacked_name

MANIFEST = "manifest.json"
"""What says of a folder of outputs what they were made from."""


def target_kind(output: Path) -> str:
    """Return the kind of a file to write, by its name; raise SettingsError if its name doesn't say."""
    suffix = output.suffix.lower()
    if suffix in PACKED:
        raise SettingsError(f"{output}: can't be packed here; write to standard output, and to gzip from there")
    if (kind := next((kind for kind in SUFFIXES if suffix in SUFFIXES[kind]), None)) is None:
        raise SettingsError(f"{output}: its name tells no format; give --to one of {', '.join(SUFFIXES)}")
    return kind


def place_outputs(found: JobPaths, output: Path, kind: str) -> list[PurePath]:
    """Return where each source's output goes within the folder `output`; raise InputError for clashes."""
    _check_apart(found, output)
    taken: dict[PurePath, InputFile] = {}
    for source in found.sources:
        name = _renamed(source.name, kind)
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


def _renamed(path: PurePath, kind: str) -> PurePath:
    """Return a file's name with the suffix of another kind, in place of its own if that says a kind."""
    name = unpacked_name(path)
    told = any(name.suffix.lower() in (JSON, *each) for each in SUFFIXES.values())
    return name.with_suffix(SUFFIXES[kind][0]) if told else name.with_name(name.name + SUFFIXES[kind][0])


def _check_apart(found: JobPaths, output: Path) -> None:
    """Raise InputError if inputs lie in the output folder, or the output in one of theirs."""
    target = output.resolve()
    inside = [source.place for source in found.sources if Path(source.place).resolve().is_relative_to(target)]
    around = [folder for folder in found.folders if target.is_relative_to(folder.resolve())]
    for place in [*inside, *around]:
        raise InputError(f"{output}: output and input ({place}) lie in one another; choose another place")
