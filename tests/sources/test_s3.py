"""A dump in an object store (moto's server) is read as a file is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import exit_code
from tests.corpus.test_build import digests

s3fs = pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


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


def test_a_corpus_of_an_objects_dump(store: Any, sample: Path, sample_corpus: Path, tmp_path: Path) -> None:
    store.put_file(str(sample / "wiki.xml"), "bucket/wiki.xml")
    build = ("corpus", "build", "s3://bucket/wiki.xml", "--knowledge", sample / "knowledge", "--set", "min_mentions=5")
    assert exit_code(*build, "-o", tmp_path / "corpus") == 0
    found, wanted = digests(tmp_path / "corpus"), digests(sample_corpus)
    texts = {"manifest.json", "README.md"}  # they name the dump as it is
    assert {name: found[name] for name in found.keys() - texts} == {
        name: wanted[name] for name in wanted.keys() - texts
    }
