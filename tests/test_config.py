from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from nerbert.config import field_docs, load_settings, make_settings, whole_numbers
from nerbert.corpus.settings import CorpusSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.settings import FinetuneSettings

ALL = [CorpusSettings, PretrainSettings, FinetuneSettings]


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A toy."""

    size: int
    """How big. Unit: none. Source: ours."""
    rate: float = 0.5
    """How fast. Unit: none. Source: ours."""
    names: tuple[str, ...] = ()
    """Who. Unit: none. Source: ours."""
    folder: Path | None = None
    """Where. Unit: none. Source: ours."""


def test_file_and_changes(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text('size = 3\nnames = ["a"]\n')
    toy = load_settings(Toy, tmp_path / "toy.toml", ["rate=2", "folder=some/where", "size=4"])
    assert toy == Toy(size=4, rate=2.0, names=("a",), folder=Path("some/where"))
    assert isinstance(toy.rate, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 1, "rat": 1.0}, "unknown setting 'rat': did you mean 'rate'"),
        ({"size": 1, "zzz": 1.0}, "unknown setting 'zzz'; there are size, rate, names, folder"),
        ({"size": "big"}, "setting size = 'big': must be whole number"),
        ({"size": True}, "setting size = True: must be whole number"),
        ({"size": 1, "names": "a"}, "setting names = 'a': must be list of text"),
        ({}, "setting size is missing"),
    ],
)
def test_refusals_carry_the_value(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_settings(Toy, values)


def test_bad_files_and_changes(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("size = = 3")
    with pytest.raises(SettingsError, match=r"bad\.toml: not TOML: .*line 1"):
        load_settings(Toy, tmp_path / "bad.toml")
    for text in ("size = " + "9" * 5000, "size = " + "[" * 5000, "\xff"):
        (tmp_path / "bad.toml").write_text(text, encoding="latin-1")
        with pytest.raises(SettingsError, match=r"bad\.toml: not TOML"):
            load_settings(Toy, tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text("#" * (1 << 21))
    with pytest.raises(SettingsError, match=r"bad\.toml: \d+ bytes are too many"):
        load_settings(Toy, tmp_path / "bad.toml")
    with pytest.raises(SettingsError, match="must be whole number"):
        load_settings(Toy, None, ["size=" + "9" * 5000])
    with pytest.raises(InputError, match=r"none\.toml: can't be read"):
        load_settings(Toy, tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="write it as key=value"):
        load_settings(Toy, None, ["size"])


def test_whole_numbers() -> None:
    assert whole_numbers("--seeds", "1, 2,3") == (1, 2, 3)
    assert whole_numbers("--seeds", "") == ()
    with pytest.raises(SettingsError, match="--seeds '1,x': must be whole numbers"):
        whole_numbers("--seeds", "1,x")


@pytest.mark.parametrize("cls", ALL)
def test_every_setting_says_meaning_unit_and_source(cls: type) -> None:
    docs = field_docs(cls)
    for each in fields(cls):
        assert "Unit: " in docs[each.name], each.name
        assert "Source: " in docs[each.name], each.name


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (CorpusSettings, "validation_share", 1.5),
        (CorpusSettings, "rare_category", "keep"),
        (CorpusSettings, "alpha", -1.0),
        (FinetuneSettings, "batch_size", 0),
        (FinetuneSettings, "learning_rate", -1e-5),
        (PretrainSettings, "learning_rate", 0.0),
        (FinetuneSettings, "select", "test"),
        (FinetuneSettings, "on_too_long", "cut"),
        (FinetuneSettings, "least_steps", -1),
        (FinetuneSettings, "least_steps", 10**20),
        (FinetuneSettings, "weight_decay", float("nan")),
        (FinetuneSettings, "epochs", 10**400),
        (FinetuneSettings, "most_steps", -1),
        (FinetuneSettings, "precision", "fp16"),
        (FinetuneSettings, "epochs", float("nan")),
        (PretrainSettings, "fresh_width", 100),
        (PretrainSettings, "keep_layers", 3),
        (FinetuneSettings, "keep_layers", -1),
    ],
)
def test_out_of_bounds_is_refused(cls: type, name: str, value: object) -> None:
    values = {"corpus": Path("x")} if cls is PretrainSettings else {}
    with pytest.raises(SettingsError, match=f"setting {name} = "):
        make_settings(cls, values | {name: value})
