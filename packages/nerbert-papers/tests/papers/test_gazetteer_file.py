"""Titles that some knowledge types, as a list of names."""

from pathlib import Path

import pytest

from nerbert.errors import InputError, OutputExists
from nerbert_papers.gazetteer_file import write_gazetteer
from tests.commands import exit_code
from tests.raised import raises

TITLES = {
    "Paris": "City",
    "Paris (mythology)": "Person",
    "Paris 13": "Film",
    "X": "City",
    "Y (film)": "City",
    "Mercury (planet)": "Planet",
    "Mercury (company)": "Company",
    "Mercury (writer)": "Writer",
    "(A)": "City",
    "A (b) (c)": "Person",
    "Odd (x": "Person",
    "St. Olaf": "Nothing known",
}
LABELS = "City\tplace\nPerson\twho\nWriter\twho\nCompany\tgroup\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "titles.tsv"
    path.write_text("title\tclass\n" + "".join(f"{title}\t{name}\n" for title, name in TITLES.items()))
    (tmp_path / "labels.tsv").write_text(LABELS)
    return path


def test_entries_are_titles_without_brackets_each_once(table: Path, tmp_path: Path) -> None:
    """The plainest way: titles in order, those without a label out, the first of an entry counts."""
    out = tmp_path / "out.tsv"
    assert write_gazetteer([table], str(tmp_path / "labels.tsv"), out) == 5
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert rows == [["(A)", "place"], ["A (b)", "who"], ["Mercury", "group"], ["Odd (x", "who"], ["Paris", "place"]]


def test_the_command_writes_coarse_types(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "coarse.tsv"
    command = ["knowledge", "gazetteer", str(sample / "knowledge"), "--label-set", "4types", "-o", str(out)]
    assert exit_code(*command) == 0
    rows = [line.split("\t") for line in out.read_text(encoding="utf-8").splitlines()]
    assert {type_ for _, type_ in rows} == {"person", "location", "organisation"}
    assert [entry for entry, _ in rows] == sorted({entry for entry, _ in rows})
    assert ["6th Army", "organisation"] in rows
    assert f"{len(rows):,} entries written" in capsys.readouterr().err
    with raises(OutputExists):
        write_gazetteer([sample / "knowledge"], "4types", out)


def test_a_label_set_without_types_is_refused(table: Path, tmp_path: Path) -> None:
    with raises(InputError, "label_set = '1type': gives no title of the knowledge a type"):
        write_gazetteer([table], "1type", tmp_path / "out.tsv")
    assert not (tmp_path / "out.tsv").exists()
    assert not list(tmp_path.glob(".*"))
