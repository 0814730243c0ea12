import runpy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from nerbert.config import (
    Bounds,
    Settings,
    load_settings,
    make_settings,
    whole_numbers,
)
from nerbert.corpus.settings import CorpusSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.settings import FinetuneSettings

ALL = [CorpusSettings, PretrainSettings, FinetuneSettings]
GENERATE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "generate.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy(Settings):
    """A toy."""

    size: int
    """How big. Source: ours."""
    rate: Annotated[float, Bounds(above=0, at_most=2)] = 0.5
    """How fast."""
    step: Annotated[int, Bounds(at_least=0, below=9, multiple_of=2)] = 2
    mode: Literal["slow", "fast", "off"] = "slow"
    names: tuple[str, ...] = ()
    folder: Path | None = None
    files: tuple[Path, ...] = ()


def test_file_and_changes(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text('size = 3\nnames = ["a"]\n')
    toy = load_settings(Toy, tmp_path / "toy.toml", ["rate=2", "folder=some/where", "size=4"])
    assert toy == Toy(size=4, rate=2.0, names=("a",), folder=Path("some/where"))
    assert isinstance(toy.rate, float)


def test_one_path_is_a_list_of_one() -> None:
    assert load_settings(Toy, None, ["size=1", "files=a.jsonl"]).files == (Path("a.jsonl"),)
    assert load_settings(Toy, None, ["size=1", 'files=["a.jsonl", "b"]']).files == (Path("a.jsonl"), Path("b"))
    assert make_settings(Toy, {"size": 1, "files": Path("c")}).files == (Path("c"),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 1, "rat": 1.0}, "unknown setting 'rat': did you mean 'rate'"),
        ({"size": 1, "mode": "fats"}, r"mode = 'fats': did you mean 'fast'\? \(must be 'slow', 'fast' or 'off'\)"),
        ({"size": 1, "zzz": 1.0}, "unknown setting 'zzz': must be one of size, rate, step, mode, names, folder, files"),
        ({"size": "big"}, "setting size = 'big': must be a whole number"),
        ({"size": True}, "setting size = True: must be a whole number"),
        (
            {"size": 1, "names": "a"},
            r"names = 'a': must be a list of text; write it as names = \[\"one\", \"two\"\]",
        ),
        (
            {"size": 1, "files": "a,b"},
            r"files = 'a,b': must be a list of path; write it as files = \[\"one",
        ),
        ({"size": 1, "files": ""}, "setting files = '': must be a list of path"),
        ({"size": 1, "files": 3}, "setting files = 3: must be a list of path"),
        ({"size": 1, "folder": 3}, "setting folder = 3: must be a path or none"),
        ({"size": 1, "rate": 0}, "setting rate = 0: must be a number, above 0, at most 2"),
        ({"size": 1, "rate": 2.5}, "setting rate = 2.5: must be a number, above 0, at most 2"),
        ({"size": 1, "rate": float("nan")}, "setting rate = nan: must be a number, above 0, at most 2"),
        ({"size": 1, "rate": float("inf")}, "setting rate = inf: must be a number"),
        ({"size": 1, "step": -2}, "setting step = -2: must be a whole number, at least 0, below 9, multiple of 2"),
        ({"size": 1, "step": 3}, "setting step = 3: must be a whole number"),
        ({"size": 1, "step": 10}, "setting step = 10: must be a whole number"),
        ({"size": 1, "mode": "quick"}, "setting mode = 'quick': must be 'slow', 'fast' or 'off'"),
        ({"size": 1, "mode": ["slow"]}, "must be 'slow', 'fast' or 'off'"),
        ({}, "setting size is missing"),
    ],
)
def test_refusals_carry_the_value(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_settings(Toy, values)


def test_many_settings_are_counted() -> None:
    with pytest.raises(SettingsError, match=r"^unknown setting 'zzz': must be one of \d\d: see https.*/settings\.md$"):
        make_settings(FinetuneSettings, {"zzz": 1})
    with pytest.raises(
        SettingsError, match=r"objective = 'tagin': did you mean 'tagging'\? \(must be text, one of 'tagging'"
    ):
        make_settings(FinetuneSettings, {"objective": "tagin"})


def test_an_empty_backbone_names_those_in_the_package() -> None:
    with pytest.raises(SettingsError, match=r"backbone = '': must be .*, a name on the hub, 'embedded' or 'fresh'"):
        PretrainSettings(corpus=Path("corpus"), backbone="")


def test_settings_made_in_python_are_checked_too() -> None:
    values: dict[str, Any] = {"size": 1, "rate": 1, "names": ["a"], "folder": "some/where"}
    assert Toy(**values) == make_settings(Toy, values) == Toy(size=1, rate=1.0, names=("a",), folder=Path("some/where"))
    assert isinstance(Toy(size=1, rate=1).rate, float)
    with pytest.raises(SettingsError, match=r"setting size = 1\.5: must be a whole number"):
        Toy(**(values | {"size": 1.5}))
    with pytest.raises(SettingsError, match="setting rate = 3: must be a number, above 0, at most 2"):
        replace(Toy(size=1), rate=3)


def test_the_manual_says_choices_and_bounds() -> None:
    page = GENERATE["manual"]("Toys", Toy)
    assert "- **`size`** (whole number; no default). How big. Source: ours." in page
    assert "- **`rate`** (number, above 0, at most 2; default `0.5`). How fast." in page
    assert "- **`mode`** ('slow', 'fast' or 'off'; default `'slow'`). " in page


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
    with pytest.raises(SettingsError, match="must be a whole number"):
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
def test_every_setting_says_meaning_and_source(cls: type) -> None:
    docs = GENERATE["field_docs"](cls)
    for each in fields(cls):
        assert "Source: " in docs[each.name], each.name
        assert "Unit: none" not in docs[each.name], each.name


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (CorpusSettings, "validation_ratio", 1.5),
        (CorpusSettings, "rare_category", "keep"),
        (CorpusSettings, "alpha", -1.0),
        (FinetuneSettings, "batch_size", 0),
        (FinetuneSettings, "learning_rate", -1e-5),
        (PretrainSettings, "learning_rate", 0.0),
        (FinetuneSettings, "select", "test"),
        (FinetuneSettings, "on_too_long", "cut"),
        (FinetuneSettings, "min_steps", -1),
        (FinetuneSettings, "min_steps", 10**20),
        (FinetuneSettings, "weight_decay", float("nan")),
        (FinetuneSettings, "epochs", 10**400),
        (FinetuneSettings, "max_steps", -1),
        (FinetuneSettings, "precision", "fp16"),
        (FinetuneSettings, "epochs", float("nan")),
        (PretrainSettings, "fresh_hidden_size", 100),
        (PretrainSettings, "num_layers", 3),
        (PretrainSettings, "backbone", ""),
        (PretrainSettings, "label_smoothing", 1.0),
        (PretrainSettings, "mlm_probability", 0.0),
        (PretrainSettings, "save_total_limit", 0),
        (FinetuneSettings, "num_layers", -1),
    ],
)
def test_out_of_bounds_is_refused(cls: type, name: str, value: object) -> None:
    values = {"corpus": Path("x")} if cls is PretrainSettings else {}
    with pytest.raises(SettingsError, match=f"setting {name} = "):
        make_settings(cls, values | {name: value})
