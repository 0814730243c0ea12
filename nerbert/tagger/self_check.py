"""The self-check of a tagger: write its answers into its folder, and compare them later."""

from pathlib import Path
from typing import Any

from nerbert.artifacts import write_json
from nerbert.errors import InputError, NerbertError, refused
from nerbert.model.folder import ModelFolder, TaggerFacts, TaggerHook, seed_folders, to_copy
from nerbert.schema import to_plain
from nerbert.tagger.self_check_answers import CHECK, CHECKED, Checked, compare, expect_answers, read_check
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import tell


def write_check(folder: Path, head: str = "") -> None:
    """Write a tagger's answers to the texts into its folder, as `check.json`; `head` is as in `Tagger.load`."""
    if not folder.is_dir():
        raise InputError(f"{folder}: not a local folder to write {CHECK} into; {to_copy(str(folder))}")
    CHECKED.add(folder.resolve())
    loaded = Tagger.load(folder, backend=ModelFolder.open(folder).backend, precision="fp32", device="cpu", head=head)
    tagger = loaded.with_default_labels()
    _check_types(tagger, folder)
    with refused(f"{folder}: can't answer the texts of {CHECK}"):
        expected = expect_answers(tagger)
    write_json(folder / CHECK, to_plain(expected))


def try_write_check(folder: Path, head: str) -> None:
    """Write `check.json` as `write_check` does; if the tagger can't answer, print a line instead."""
    try:
        write_check(folder, head)
    except NerbertError as error:
        tell(f"no {CHECK} was written: {error}")


def add_check(card: TaggerHook) -> TaggerHook:
    """Return a hook that writes `check.json` too, if the tagger can answer."""

    def finish(folder: Path, facts: TaggerFacts) -> bool:
        try_write_check(folder, str(facts.card.get("head") or ""))
        return card(folder, facts)

    return finish


def _check_types(tagger: Tagger, folder: Path) -> None:
    if not tagger.types:
        raise InputError(f"{folder}: takes its labels at run time, so it has no answers of its own to check")


def check(source: str | Path, *, renew: bool = False, head: str = "", **loading: Any) -> list[Checked]:
    """Compare answers of a tagger, or each seed, with stored ones (`renew`: write them first); InputError for none."""
    results = []
    for name in [*map(str, seed_folders(str(source)))] or [str(source)]:
        if renew:
            write_check(Path(name), head)
        folder = ModelFolder.open(name, "tagger").check().path
        CHECKED.add(folder.resolve())
        tagger = Tagger.load(folder, head=head, **loading).with_default_labels()
        expected = read_check(folder)
        _check_types(tagger, folder)
        if expected is None:
            copy = name if Path(name).is_dir() else "A-COPY"
            raise InputError(f"{name}: holds no {CHECK} to compare with; `nerbert check {copy} --renew` writes one")
        results.append(compare(tagger, name, expected))
    return results
