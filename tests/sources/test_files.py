"""Files: found, named, and opened by what they hold."""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nerbert.sources.files import DAMAGED, Source, detect_packing, find_all, unpack_stream


@pytest.mark.parametrize(
    ("pack", "name"), [(bytes, ""), (bz2.compress, "bz2"), (gzip.compress, "gzip"), (lzma.compress, "xz")]
)
def test_every_packing_is_told_by_its_bytes(pack: Callable[[bytes], bytes], name: str) -> None:
    packed = pack(b"whaler")
    assert detect_packing(packed) == name
    for or_text in (True, False):
        assert unpack_stream(io.BufferedReader(io.BytesIO(packed)), or_text=or_text).read() == b"whaler"


def test_a_text_that_begins_like_a_packed_file_is_text_where_text_may_stand() -> None:
    text = b"BZh is no word"
    assert unpack_stream(io.BufferedReader(io.BytesIO(text))).read() == text
    with pytest.raises((*DAMAGED, OSError)):
        unpack_stream(io.BufferedReader(io.BytesIO(text)), or_text=False).read()


def make(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return [folder / name for name in names]


def names(*paths: Path) -> list[str]:
    return [found.name for found in find_all(paths)]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    one, two, other = make(tmp_path, "da/k/t.tsv", "db/k/t.tsv", "db/k/u.tsv")
    assert names(one, other) == names(tmp_path / "da/k", other) == ["t.tsv", "u.tsv"]
    for paths in ((one, two, other), (tmp_path / "da/k", tmp_path / "db/k"), (one, tmp_path / "db/k")):
        assert names(*paths) == ["da/k/t.tsv", "db/k/t.tsv", "db/k/u.tsv"]
    assert names(one, tmp_path / "da/k", one) == ["t.tsv"] * 3, "one file has one name"


def test_a_longer_name_may_be_anothers(tmp_path: Path) -> None:
    make(tmp_path, "a/t", "b/x/t", "b/x/a/t")
    found = names(tmp_path / "a/t", tmp_path / "b/x/t", tmp_path / "b/x")
    assert len(set(found)) == 3
    assert found[1] == found[3]


def test_a_link_keeps_its_name(tmp_path: Path) -> None:
    make(tmp_path, "real/v3", "b/t")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/t").symlink_to(tmp_path / "real/v3")
    assert names(tmp_path / "a/t", tmp_path / "b/t") == ["a/t", "b/t"]


def test_names_that_are_no_utf8_are_escaped(tmp_path: Path) -> None:
    for folder in (b"a", b"b\xff"):
        place = os.path.join(os.fsencode(tmp_path), folder)  # noqa: PTH118
        os.mkdir(place)  # noqa: PTH102
        Path(os.fsdecode(os.path.join(place, b"t\xff"))).write_text("x")  # noqa: PTH118
    direct = tmp_path / "a" / os.fsdecode(b"t\xff")
    assert names(tmp_path / "a") == names(direct) == ["t\\udcff"]
    assert names(tmp_path) == ["a/t\\udcff", "b\\udcff/t\\udcff"]
    assert names(direct, tmp_path / os.fsdecode(b"b\xff")) == ["a/t\\udcff", "b\\udcff/t\\udcff"]
    assert Source(os.fsdecode(b"a/d\xff.xml")).name == "d\\udcff.xml"
