"""Outputs in an object store (moto's server): what has its mark is whole, whenever an upload was killed."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import OutputExists, WriteError
from nerbert.uploads import Upload
from tests.commands import exit_code, python
from tests.corpus.test_build import digests

s3fs = pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
Caught = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    yield f"http://127.0.0.1:{made.get_host_and_port()[1]}"
    made.stop()


@pytest.fixture
def store(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bucket `bucket`, empty, as the variables of AWS's tools name it."""
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**keys, "AWS_ENDPOINT_URL": server, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    if files.exists("bucket"):
        files.rm("bucket", recursive=True)
    files.mkdir("bucket")
    return files


def fetched(store: Any, place: str, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    store.invalidate_cache()
    store.get(place, str(folder), recursive=True)
    return folder


def make(folder: Path, text: str = "a") -> None:
    (folder / "parts").mkdir(parents=True)
    for name in ("parts/1", "parts/2", "parts/nerbert.json", "manifest.json", "z"):
        (folder / name).write_text(text)


def names(store: Any, place: str) -> list[str]:
    store.invalidate_cache()
    return sorted(each.removeprefix(f"{place}/") for each in store.find(place))


def test_a_corpus_is_uploaded_as_it_is_made(
    store: Any, sample: Path, sample_corpus: Path, tmp_path: Path, capsys: Caught
) -> None:
    store.put_file(str(sample / "wiki.xml"), "bucket/wiki.xml")
    build = ("corpus", "build", "s3://bucket/wiki.xml", "--knowledge", sample / "knowledge", "--set", "min_mentions=5")
    assert exit_code(*build, "-o", "s3://bucket/made/corpus") == 0
    assert "s3://bucket/made/corpus: uploaded" in capsys.readouterr().err
    found, wanted = digests(fetched(store, "bucket/made/corpus", tmp_path / "got")), digests(sample_corpus)
    texts = {"manifest.json", "README.md"}  # they name the dump as it is
    assert {name: found[name] for name in found.keys() - texts} == {
        name: wanted[name] for name in wanted.keys() - texts
    }
    assert exit_code("corpus", "show", tmp_path / "got") == 0
    assert not list((tmp_path / "cache").rglob("*.parquet"))
    capsys.readouterr()
    assert exit_code(*build, "-o", "s3://bucket/made/corpus") == 1
    assert (
        "s3://bucket/made/corpus: exists already; choose another place or pass --overwrite" in capsys.readouterr().err
    )


def test_tags_are_uploaded_as_a_file(store: Any, tiny_tagger: Path, sample: Path, tmp_path: Path) -> None:
    tag = ("tag", tiny_tagger, sample / "domain" / "test.conll", "--from", "conll")
    assert exit_code(*tag, "-o", "s3://bucket/tags.jsonl") == 0
    assert exit_code(*tag, "-o", tmp_path / "tags.jsonl") == 0
    assert store.cat_file("bucket/tags.jsonl") == (tmp_path / "tags.jsonl").read_bytes()
    assert exit_code(*tag, "-o", "s3://bucket/tags.jsonl", "--overwrite") == 0


KILLED = """
import os, sys
from nerbert.uploads import Upload
from tests.test_uploads import make
import fsspec

files, left = fsspec.filesystem("s3"), [int(sys.argv[1])]
def dying(change):
    def run(*given, **more):
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        return change(*given, **more)
    return run
files.put_file, files.rm_file = dying(files.put_file), dying(files.rm_file)
upload = Upload.to("s3://bucket/out")
upload.run(lambda: make(upload.staged, sys.argv[2]), ["make", *sys.argv[2:]], overwrite=len(sys.argv) > 3)
"""


@pytest.mark.parametrize(
    ("older", "every"), [(True, 4), *(pytest.param(older, 1, marks=pytest.mark.nightly) for older in (True, False))]
)
def test_kills_between_uploads_leave_nothing_that_seems_whole(
    store: Any, tmp_path: Path, older: bool, every: int
) -> None:
    """Of five files (and an older output, whose six are removed first) any number is uploaded when it is killed."""
    more, changes = (["overwrite"], 1 + 6 + 5) if older else ([], 1 + 5)
    command, folder = [python(), "-c", KILLED], Path(__file__).parent.parent
    for left in range(1, changes, every):
        if store.exists("bucket/out"):
            store.rm("bucket/out", recursive=True)
        if older:
            make(tmp_path / f"old{left}", "old")
            (tmp_path / f"old{left}" / "more").write_text("old")
            store.put(str(tmp_path / f"old{left}"), "bucket/out", recursive=True)
        arguments = [str(left), f"new{left}", *more]
        killed = subprocess.run([*command, *arguments], cwd=folder, check=False, stderr=subprocess.DEVNULL)
        assert killed.returncode == 9
        there = names(store, "bucket/out")
        if "manifest.json" in there:
            texts = {store.cat_file(f"bucket/out/{each}") for each in there}
            assert texts == {b"old"}, "nothing of the new one has come"
            assert len(there) == 6
        upload = Upload.to("s3://bucket/out")
        upload.run(_never, ["make", *arguments[1:]], overwrite=older)
        assert names(store, "bucket/out") == ["manifest.json", "parts/1", "parts/2", "parts/nerbert.json", "z"]
        assert {store.cat_file(f"bucket/out/{each}") for each in names(store, "bucket/out")} == {f"new{left}".encode()}
        assert not upload.staged.parents[1].exists()


def test_other_arguments_make_it_anew(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = Upload.to("s3://bucket/out")
    with monkeypatch.context() as patch:
        patch.setattr(store, "put_file", _refuse)
        with pytest.raises(WriteError, match="OSError no network; check"):
            upload.run(lambda: make(upload.staged), ["one"], overwrite=False)
    upload.run(lambda: make(upload.staged, "b"), ["two"], overwrite=False)
    assert store.cat_file("bucket/out/z") == b"b"


def _refuse(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_a_command_that_was_stopped_goes_on_with_its_work(store: Any) -> None:
    upload = Upload.to("s3://bucket/out")

    def stop() -> None:
        upload.staged.mkdir()
        (upload.staged / "stage one").write_text("done")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload.run(stop, ["one"], overwrite=False)
    upload.run(lambda: (upload.staged / "manifest.json").write_text(""), ["one"], overwrite=False)
    assert names(store, "bucket/out") == ["manifest.json", "stage one"]


def test_a_command_that_makes_nothing_uploads_and_removes_nothing(store: Any) -> None:
    upload = Upload.to("s3://bucket/out")
    upload.run(lambda: make(upload.staged), ["one"], overwrite=False)
    upload.run(lambda: None, ["one", "--dry-run"], overwrite=True)
    assert len(names(store, "bucket/out")) == 5
    assert not upload.staged.parents[1].exists()


@pytest.mark.parametrize("name", ["made", "sent", "lock", "asked"])
def test_an_output_may_have_any_name(store: Any, name: str) -> None:
    upload = Upload.to(f"s3://bucket/{name}")
    upload.run(lambda: make(upload.staged), ["one"], overwrite=False)
    assert len(names(store, f"bucket/{name}")) == 5


def test_what_is_not_nerberts_is_left_alone(store: Any) -> None:
    store.pipe_file("bucket/mine/notes.txt", b"mine")
    upload = Upload.to("s3://bucket/mine")
    with pytest.raises(OutputExists, match="no whole folder that nerbert made"):
        upload.run(_never, ["one"], overwrite=True)
    assert store.cat_file("bucket/mine/notes.txt") == b"mine"


def _never() -> None:
    raise AssertionError("the command was called")


def test_a_bucket_that_is_not_there_is_told_before_the_work(store: Any) -> None:
    upload = Upload.to("s3://nowhere/out")
    with pytest.raises(WriteError, match=r"^s3://nowhere/out: can't be written: .*check the bucket and your rights"):
        upload.run(_never, ["one"], overwrite=False)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("corpus", "build", "d.xml", "--knowledge", "k", "-o", "s3://bucket/"), "names no output"),
        (("corpus", "build", "d.xml", "--knowledge", "k", "-o", "s3://bucket/a/.."), "names no output"),
        (("data", "sample", "d", "--size", "5", "-o", "ftp://me:secret@host/x"), "ftp://host/x: this command makes no"),
        (("tag", "t", "x.txt", "-o", "s3://b/c", "--executor", "ray"), "a folder that they share"),
        (("benchmark", "s.toml", "--data", "d", "-o", "s3://b/c"), "this command makes no outputs at addresses"),
    ],
)
def test_an_address_that_can_be_no_output_is_one_line(command: tuple[str, ...], told: str, capsys: Caught) -> None:
    assert exit_code(*command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not list(Path().glob("s3:*"))
