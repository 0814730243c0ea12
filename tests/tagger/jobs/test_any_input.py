"""Whatever bytes come in: rows, or one line that names the place; never anything else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.render.tags_page import write_page
from nerbert.tagger.jobs.job import TagJob, tag_files
from nerbert.tagger.tagger import Tagger
from tests.tagger.jobs.fakes import Capitals

PIECES = [
    b"Ada", b" ", b"\n", b"\r\n", b"\t", b'{"text": "Ada', b'"}', b"[", b"{}", b"\xff", b"\xed\xa0\x80", b"\x00",
    b'{"text": "\\ud800", "x": 1}\n', b'{"tokens": ["Ada", "\\udc00\\t"]}\n', b"\xef\xbb\xbf", "שלום 👩".encode(), b"O",
    b'text,x\n', b'"', b",",
    b"\x1b[31m", b'{"text": [], "x": NaN}\n', b'{"text": "a\\nBob", "x": [{}]}\n',
]  # fmt: skip
DATA = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder, where every tagger is one without a model."""
    folder = tmp_path_factory.mktemp("any")
    (folder / "tagger").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tagger, "load", lambda source, **_: Capitals())
        patch.chdir(folder)
        patch.setattr("nerbert.tagger.jobs.files._PART", 20)
        patch.setattr("nerbert.artifacts.os.fsync", lambda handle: None)
        yield folder


SOURCES = ["text", "jsonl", "conll", "csv", "doccano"]
TARGETS = ["text", "jsonl", "conll", "parquet", "html", "csv", "label-studio"]


@given(DATA, st.sampled_from(SOURCES), st.sampled_from(TARGETS), st.sampled_from(["strict", "replace"]))
def test_rows_or_one_line(desk: Path, data: bytes, from_: str, to: str, errors: str) -> None:
    (desk / "x").write_bytes(data)
    job = TagJob(
        tagger="tagger", inputs=("x",), output=Path("y"), from_=from_, to=to, errors=errors, overwrite=True,
    )  # fmt: skip
    told = ""
    try:
        tag_files(job, write_page)
    except InputError as error:
        told = str(error)
    if told:
        assert told.startswith("x:")
        return
    if to == "jsonl":
        for line in Path("y").read_bytes().splitlines():
            row = json.loads(line)
            assert all(row["text"][span["start"] : span["end"]] == span["text"] for span in row["spans"]
                       if isinstance(row["text"], str))  # fmt: skip
    if to == "html":
        assert not set(Path("y").read_text(encoding="utf-8")) & set("\x00\x1b\u202e")
