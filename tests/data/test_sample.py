import json
from pathlib import Path

import pytest

from nerbert.artifacts import sha256_of
from nerbert.data.catalogue import open_data, write_sample
from nerbert.data.sampling import draw_subset
from nerbert.errors import InputError, OutputExists
from nerbert.formats.documents import Reading
from tests.data.conftest import TRAIN, Make
from tests.raised import raises


def test_a_sample_is_a_data_folder_that_says_what_it_is(make: Make, tmp_path: Path) -> None:
    test = "Bergen NNP B-place\r\n"
    data = open_data(str(make(train=TRAIN * 4, test=test)))
    subset = write_sample(data, "k=2", 3, tmp_path / "out")
    assert subset == draw_subset(data.train, "k=2", 3)
    sample = open_data(str(tmp_path / "out"))
    assert sample.train == [data.train[place] for place in subset.places]
    assert (tmp_path / "out" / "test.conll").read_bytes() == test.encode(), "as it is"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["places"] == list(subset.places)
    assert (manifest["size"], manifest["draw"], manifest["data"]) == ("k=2", 3, "ships")
    assert manifest["data_sha256"]["train.conll"] == sha256_of(data.folder / "train.conll")
    assert manifest["sha256"] == sample.sha256
    assert manifest["entities"] == subset.reached
    write_sample(data, "k=2", 3, tmp_path / "again")
    for name in ("train.conll", "manifest.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_without_a_train_split_there_is_no_sample(make: Make, tmp_path: Path) -> None:
    with raises(InputError, words="has no train split to draw from"):
        write_sample(open_data(str(make(test=TRAIN))), "2", 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sample_is_written_apart_from_its_data(make: Make, tmp_path: Path) -> None:
    data = open_data(str(make()))
    for inside in ("out", "../ships/out"):
        with raises(InputError, words="itself, is in it or contains it"):
            write_sample(data, "1", 1, data.folder / inside)
    write_sample(data, "3", 1, tmp_path / "out")
    with raises(OutputExists):
        write_sample(data, "1", 1, tmp_path / "out")
    write_sample(data, "1", 1, tmp_path / "out", overwrite=True)
    assert len(open_data(str(tmp_path / "out")).train) == 1


@pytest.mark.parametrize(("cut", "files"), [("", ["train"]), ("60/20/20", ["train", "dev", "test"])])
def test_of_one_file_its_parts_alone_are_written(make: Make, tmp_path: Path, cut: str, files: list[str]) -> None:
    text = "".join(f"In\tO\nport{each}\tB-port\n\n" for each in range(20))
    data = open_data(str(make(all=text) / "all.conll"), reading=Reading(split=cut, split_seed=2))
    write_sample(data, "3", 1, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"manifest.json", *(f"{each}.conll" for each in files)}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest.get("split", ""), manifest.get("split_seed", 2)) == (cut, 2)
