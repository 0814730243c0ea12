import errno
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from nerbert.errors import InputError, OutputExists, WriteError
from nerbert.files import check_free, publish, publish_folder, read_json, sha256_of, write_json


def test_folder_appears_whole(tmp_path: Path) -> None:
    with publish_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), publish_folder(tmp_path / "out") as folder:
        (folder / "no such folder" / "a").write_text("1")
    assert list(tmp_path.iterdir()) == []


def test_leftover_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "old").write_text("1")
    with publish_folder(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_existing_output_is_refused_or_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text("{}")
    with pytest.raises(OutputExists, match="exists already; choose another place or pass --overwrite"):
        check_free(out, overwrite=False)
    with publish_folder(out, overwrite=True) as folder:
        (folder / "new").write_text("1")
    assert [path.name for path in out.iterdir()] == ["new"]


def test_overwrite_spares_what_nerbert_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(OutputExists, match="not a folder that nerbert made"):
        check_free(tmp_path / "home", overwrite=True)


def test_failed_overwrite_keeps_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text("old")
    with pytest.raises(RuntimeError), publish_folder(out, overwrite=True):
        raise RuntimeError
    assert (out / "manifest.json").read_text() == "old"


def test_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with publish_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "out" / "a").is_file()


def test_output_below_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be made"), publish_folder(tmp_path / "file" / "out"):
        pass


def test_file_is_whole_or_absent(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError), publish(tmp_path / "a") as partial:
        partial.write_text("half \ud800", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
    write_json(tmp_path / "a", {"x": "ä"})
    assert read_json(tmp_path / "a") == {"x": "ä"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"a": 1,\n', r"bad\.json:2: not JSON"), (b"\xff\xfe", "not JSON in UTF-8"), (b"[" * 100_000, "not JSON")],
)
def test_bad_json_names_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "bad.json")


def test_json_too_large_or_missing(tmp_path: Path) -> None:
    (tmp_path / "big.json").write_text("[1, 2, 3]")
    with pytest.raises(InputError, match="9 bytes of JSON are more than the 5 allowed"):
        read_json(tmp_path / "big.json", limit=5)
    with pytest.raises(InputError, match="can't be read"):
        read_json(tmp_path / "none.json")


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"nerbert")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"nerbert").hexdigest()


def test_overwrite_spares_files_and_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(OutputExists, match="not a folder that nerbert made"):
        check_free(tmp_path / "thesis.txt", overwrite=True)
    with pytest.raises(InputError, match="can't be the output itself"):
        check_free(Path(), overwrite=True)


FULL = """
import pathlib, resource, sys
import pyarrow as pa, pyarrow.parquet as pq
from nerbert.errors import WriteError
from nerbert.files import publish, publish_folder, write_json

target = pathlib.Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

def json(): write_json(target, "x" * 5000)

def folder():
    with publish_folder(target) as folder:
        (folder / "a").write_text("x" * 5000)

def parquet():
    with publish(target) as partial:
        pq.write_table(pa.table({"a": [str(n) for n in range(5000)]}), partial)

def weights():
    import numpy
    from safetensors.numpy import save_file
    with publish_folder(target) as folder:
        save_file({"a": numpy.zeros(5000)}, folder / "a")

try:
    globals()[sys.argv[2]]()
except WriteError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["json", "folder", "parquet", "weights"])
def test_no_room_is_one_line(tmp_path: Path, what: str) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "out"), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'out'}: can't be written: File too large; free space or choose another place\n"
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_is_one_line(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    with pytest.raises(WriteError, match="x: can't be written: File name too long"):
        check_free(long, overwrite=False)
    with pytest.raises(WriteError, match="File name too long"), publish_folder(long):
        pass
    with pytest.raises(WriteError, match="File name too long"):
        write_json(tmp_path / ("x" * 250), {})


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "", "/scratch/a"), "^/scratch/a: can't be written: No space left on device; free space"),
        (OSError(errno.EIO, ""), "out: can't be written: Input/output error"),
        (PermissionError(errno.EACCES, "", ".out.partial/a"), "^out: can't be written: Permission denied"),
        (OSError("[Errno 28] Error writing bytes"), "out: can't be written: No space left"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "out: can't be written: No space left"),
    ],
)
def test_what_writing_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WriteError, match=message), publish_folder(Path("out")):
        raise error


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "", "dump.xml"), FileNotFoundError(errno.ENOENT, ""), OSError("odd")]
)
def test_what_reading_raises_keeps_its_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(type(error)) as caught, publish_folder(Path("out")):
        raise error
    assert caught.value is error
