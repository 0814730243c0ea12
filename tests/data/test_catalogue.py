from collections.abc import Iterator
from pathlib import Path

import pytest

from nerbert.data.catalogue import find_duplicates, find_known_files, known_data, list_data, open_data
from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from tests.data.conftest import Make
from tests.raised import raises

BAD_NAMES = ("../ships", "..", "/etc", "", ".", "a/../../b", "a\nb", "a\0b", "x" * 300, "ä" * 150, "//", "\ud800")


def test_a_data_set_is_read_with_all_its_splits(make: Make, root: Path) -> None:
    make()
    data = open_data("ships", root)
    assert (data.name, data.folder) == ("ships", root / "ships")
    assert (len(data.train), len(data.dev), len(data.test)) == (3, 0, 3)
    assert set(data.sha256) == {"train.conll", "test.conll"}
    assert find_duplicates(data.train, data.test) == (2,), "the others are short"
    assert set(data.files) == {"train", "test"}
    make("deep/er")
    assert open_data("deep/er/", root).name == "deep/er"


def test_names_and_links_lead_only_downwards(make: Make, root: Path, tmp_path: Path) -> None:
    for name in BAD_NAMES:
        with raises(InputError, words="must be the name of a folder below"):
            open_data(name, root)
    outside = make("ships").rename(tmp_path / "outside")
    (root / "linked").symlink_to(outside)
    with raises(InputError, words="a link that leads out of"):
        open_data("linked", root)
    boats = make("boats")
    (boats / "test.conll").unlink()
    (boats / "test.conll").symlink_to(outside / "test.conll")
    with raises(InputError, words="boats/test.conll: a link that leads out of"):
        open_data("boats", root)
    make("inside")
    (root / "alias").symlink_to(root / "inside")
    assert open_data("alias", root).name == "alias"
    (make("round") / "dev.conll").symlink_to("dev.conll")
    assert open_data("round", root).dev == [], "a link that goes round is no file"


def test_folders_that_cannot_be_listed_are_named(make: Make, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("ships")
    (root / "lost+found").mkdir()
    before, locked = Path.iterdir, root / "lost+found"

    def refuse(folder: Path) -> Iterator[Path]:
        if folder == locked:
            raise PermissionError(13, "Permission denied", str(folder))
        return before(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    there = {each.name: each.there for each in list_data(root) if each.known is None}
    assert there == {"lost+found": "can't be listed", "ships": "not known"}
    locked = root
    with raises(InputError, words="can't be listed: Permission denied"):
        list_data(root)


def test_the_unknown_is_told_what_is_there(make: Make, root: Path, tmp_path: Path) -> None:
    with raises(InputError, words="; there are none"):
        open_data("qqqq", root)
    make("ships")
    make("boats")
    with raises(InputError, words="did you mean 'ships'? there are boats, ships"):
        open_data("shisp", root)
    with raises(InputError, words="holds no folder 'crossner_politics'; `nerbert data fetch crossner_politics` gets"):
        open_data("Pol", root)
    unfetched = next(name for name, each in known_data().items() if each.recipe.unfetched)
    with raises(InputError, words=f"holds no folder '{unfetched}'; it has no public address"):
        open_data(unfetched, root)
    with raises(InputError, words="name the folder of the data sets"):
        open_data("ships", tmp_path / "nowhere")


def test_a_known_name_with_other_files_is_used_but_not_known(make: Make, root: Path) -> None:
    make("crossner_politics", train="Oslo\tB-place\n", test="Bergen\tB-place\n")
    for name in ("crossner_politics", "Pol"):
        data = open_data(name, root)
        assert data.name == "crossner_politics"
        difference = "not those of the known crossner_politics: another train, no dev, another test"
        assert find_known_files(data.name, data.sha256) == (None, (difference,))
    make("Pol")
    assert open_data("Pol", root).name == "Pol", "a folder's own name comes first"


def test_a_folder_or_file_anywhere_without_a_root(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make()
    assert open_data(str(folder)).name == "ships"
    one = open_data(str(folder / "train.conll"))
    assert (len(one.train), one.test, one.files) == (3, [], {"train": folder / "train.conll"})
    monkeypatch.chdir(folder)
    assert open_data(".").name == "ships"
    with raises(InputError, words=" --data; `nerbert data fetch crossner_ai` gets it"):
        open_data("crossner_ai")


def test_duplicates_are_long_and_equal_to_the_letter() -> None:
    words = "a b c d e f g h".split()
    train = [example_of(words, ["O"] * 8), example_of(words[:7], ["O"] * 7)]
    upper = [*words[:7], "H"]
    glued = ["a b", *words[2:], "i"]
    test = [example_of(each, ["O"] * len(each)) for each in (words[:7], words, upper, glued, words)]
    assert find_duplicates(train, test) == (1, 4)
    assert find_duplicates(train, test, at_least=7) == (0, 1, 4)
    assert find_duplicates([example_of(["a", "b c"], ["O"] * 2)], [example_of(["a b", "c"], ["O"] * 2)], 1) == ()
