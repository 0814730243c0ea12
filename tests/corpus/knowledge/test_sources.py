import os
import re
from pathlib import Path

import pytest

from nerbert.corpus.knowledge import sources
from nerbert.corpus.knowledge.sources import find_all, is_other_triple


def make(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return [folder / name for name in names]


def names(*paths: Path) -> list[str]:
    return [found.name for found in find_all(paths)]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    one, two, other = make(tmp_path, "da/k/t.tsv", "db/k/t.tsv", "db/k/u.tsv")
    assert names(one, two, other) == ["da/k/t.tsv", "db/k/t.tsv", "u.tsv"]
    assert names(tmp_path / "da/k", tmp_path / "db/k") == ["da/k/t.tsv", "db/k/t.tsv", "u.tsv"]
    assert names(one, tmp_path / "db/k") == ["da/k/t.tsv", "db/k/t.tsv", "u.tsv"]
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


@pytest.mark.parametrize(
    ("line", "is_triple"),
    [
        ("<a> <b> <c> .", True), ('<a><b>"c . d"@en .  ', True), ("_:a <b> _:c .", True), ("_:a<b>_:c.", True),
        ("# x", True), ("@prefix x", True),
        ("<a> <b> <c>", False), ("<a> <b> .", False), ("_: <b> <c> .", False), ("a b c .", False), ("", False),
        ("_:" + "<a>" * 10, False), ("<a> <b> <c> . x", False),
    ],
)  # fmt: skip
def test_triples_are_told(line: str, is_triple: bool) -> None:
    assert is_other_triple(line) == is_triple


def test_no_line_is_read_twice() -> None:
    """Every repetition in the expression keeps what it took, so a line costs no more than its length."""
    plain = re.sub(r"\[[^\]]*\]|\\.|\(\?:", "", sources._TRIPLE.pattern)
    assert not set("*+?{") & set(re.sub(r"[*+?]\+", "", plain))
