import errno
import pickle
import re
from contextlib import AbstractContextManager

import pytest

from nerbert import errors
from nerbert.config import refuse
from nerbert.errors import (
    InputError,
    MissingExtra,
    NerbertError,
    OutputExists,
    SettingsError,
    StaleOutput,
    WorkerDied,
    WriteError,
    at,
    bad_path,
    need,
    refused,
    unknown,
)
from tests.raised import raises


def test_a_message_is_one_line_that_is_safe_to_print() -> None:
    assert str(InputError("first\n  second")) == "first second"
    assert str(InputError("a\x1b[31mb\x00 \u202ec\udc80")) == r"a\x1b[31mb\x00 \u202ec\udc80"


def test_need_names_the_extra() -> None:
    with raises(MissingExtra, words="no_such_module not installed: pip install 'nerbert[train]'"):
        need("train", "json", "no_such_module")
    need("train", "json")


def test_at_keeps_the_innermost_place_as_fields() -> None:
    told = "suite.toml: [systems.'a']: setting seeds = 1: must be odd"
    expected = raises(SettingsError, path="suite.toml", line=None, setting="seeds", words=told)
    with expected, at("suite.toml"), at(setting="[systems.'a']"):
        refuse(True, "seeds", 1, "odd")
    with pytest.raises(KeyError), at("data.conll", 7):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("inner", "outer", "fields", "message"),
    [
        (at("a.conll", 3), at("folder", 9), ("a.conll", 3), "folder:9: a.conll:3: bad"),
        (at("a.conll"), at("folder", 9), ("a.conll", None), "folder:9: a.conll: bad"),
        (at(line=5, part="row 5"), at("a.parquet"), ("a.parquet", 5), "a.parquet: row 5: bad"),
        (at(), at("a.json", 0), ("a.json", 0), "a.json:0: bad"),
    ],
)
def test_places_nest(
    inner: AbstractContextManager[None], outer: AbstractContextManager[None], fields: tuple[object, ...], message: str
) -> None:
    with pytest.raises(InputError) as raised, outer, inner:
        raise InputError("bad")
    for error in (raised.value, pickle.loads(pickle.dumps(raised.value))):  # fields travel between processes
        assert (error.path, error.line, str(error)) == (*fields, message)


def test_every_error_has_an_http_status_of_its_class() -> None:
    tree: list[type[NerbertError]] = [NerbertError, *NerbertError.__subclasses__()]
    status = {each.__name__: each.http_status for each in tree if each.__module__ == "nerbert.errors"}
    assert status == {
        "NerbertError": 500,
        "InputError": 422,
        "SettingsError": 400,
        "OutputExists": 409,
        "StaleOutput": 409,
        "WriteError": 507,
        "WorkerDied": 503,
        "MissingExtra": 501,
        "Overloaded": 429,
        "Unavailable": 503,
        "TimedOut": 504,
    }
    assert NerbertError.exit_code == 1
    assert errors.__doc__
    for name, code in status.items():
        assert re.search(rf"{name}\b.*\b{code}\b", errors.__doc__), name


def test_what_may_succeed_when_it_is_run_again() -> None:
    cut_off = InputError("can't be read")
    cut_off.__cause__ = OSError(5, "Input/output error")
    placed = InputError("can't be read", path="a.conll")
    placed.__cause__ = cut_off
    assert all(map(errors.may_try_again, (WorkerDied("killed"), WriteError("full"), MemoryError(), cut_off, placed)))
    final = (InputError, SettingsError, MissingExtra, OutputExists, StaleOutput)
    assert not any(errors.may_try_again(each("given")) for each in final)
    for kind in (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        cut_off.__cause__ = kind()
        assert not errors.may_try_again(cut_off)


def test_a_long_message_keeps_its_place_and_its_remedy() -> None:
    value = "x" * 100_000
    with pytest.raises(InputError) as raised, at("data.jsonl", 3):
        raise InputError(f"type {value!r}: must be one word; rename it")
    told = str(raised.value)
    assert told.startswith("data.jsonl:3: type 'xxx")
    assert told.endswith("xxx': must be one word; rename it")
    assert len(told) == 1000
    assert len(str(InputError("\x00" * 100_000))) == 1000


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("jsno", ["jsonl", "conll"], ": did you mean 'jsonl'? (must be one of jsonl, conll)"),
        ("x", ["jsonl", "conll"], ": must be one of jsonl, conll"),
        (7, ["jsonl"], ": must be one of jsonl"),
        ("x", [], ": there is none"),
        ("x", map(str, range(1000, 1041)), f": must be one of {', '.join(map(str, range(1000, 1010)))} and 31 more"),
    ],
)
def test_what_is_known_is_told(name: object, known: list[str], said: str) -> None:
    assert unknown(name, known) == said


def test_many_known_names_are_counted() -> None:
    many = ["seed", *map(str, range(1000))]
    assert unknown("sed", many, see="see the docs") == ": did you mean 'seed'? (must be one of 1001: see the docs)"
    assert unknown("x", ["y"], allowed="'y', or none") == ": must be 'y', or none"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "Ada " * 70), r"^'Ada Ada .* … .*Ada ': too long .* --text"),
        (ValueError("embedded null byte"), "^a path contains the character NUL"),
    ],
)
def test_paths_that_no_system_takes_are_refused(error: Exception, said: str) -> None:
    with pytest.raises(InputError, match=said), refused(bad_path):
        raise error


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), ValueError("other"), InputError("own")])
def test_other_errors_of_paths_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, refused(bad_path):
        raise error
    assert raised.value is error


class Panicked(BaseException):
    """As libraries in Rust panic."""

    __module__ = "pyo3_runtime"


@pytest.mark.parametrize("place", ["some/file", None])
def test_a_disk_that_cannot_be_read_is_refused(place: str | None) -> None:
    error = OSError(errno.EIO, "Input/output error", *filter(None, [place]))
    error.add_note("rerun the command to resume")
    said = f"^{place or 'a file'}: can't be read or written: Input/output error; check the disk"
    with pytest.raises(InputError, match=said) as raised, refused(bad_path):
        raise error
    assert raised.value.__notes__ == ["rerun the command to resume"]


@pytest.mark.parametrize(
    ("what", "said"), [("a.txt: shut", "a.txt: shut: no right"), ("shut", "shut: no right: 'a.txt'")]
)
def test_an_error_of_the_system_names_its_path_once(what: str, said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}; open it$"), refused(what, of=OSError, remedy="open it"):
        raise PermissionError(errno.EACCES, "no right", "a.txt")


def test_what_a_library_panics_about_is_refused_and_an_interruption_is_not() -> None:
    with pytest.raises(InputError, match=r"^a file: index out of bounds$"), refused("a file", of=ValueError):
        raise Panicked("index out of bounds\nnote: run with more")
    for error in (KeyboardInterrupt(), TypeError()):
        with pytest.raises(type(error)), refused("a file", of=ValueError):
            raise error
