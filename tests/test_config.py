import runpy
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Interval, MultipleOf
from pydantic import Field

from nerbert.config import Settings, check, hints_of, merge_values, whole_numbers
from nerbert.corpus.settings import CorpusSettings
from nerbert.distillation.settings import DistilSettings
from nerbert.encoder.objectives.zero_shot import ZeroShotSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.finetuning.data import ReplaySettings
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.registry import Registry
from nerbert.training.objective import FINETUNE, OBJECTIVES, PRETRAIN
from nerbert.training.sections import (
    SOURCES,
    change_settings,
    chosen_objective,
    load_settings,
    make_settings,
    sections_of,
)
from tests.raised import raises

THREE = ZeroShotSettings(max_types=3)
ALL = [CorpusSettings, PretrainSettings, FinetuneSettings, DistilSettings, *sections_of().values()]
GENERATE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "generate.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy(Settings):
    """A toy."""

    size: int
    """How big. Source: ours."""
    rate: Annotated[float, Interval(gt=0, le=2)] = 0.5
    """How fast."""
    step: Annotated[int, Interval(ge=0, lt=9), MultipleOf(2)] = 2
    x: Annotated[float, Field(ge=0, lt=1)] = 0.0
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


SIZED: dict[str, Any] = {"size": 1}
REFUSED: list[tuple[type, dict[str, Any], str, str]] = [
    (Toy, {}, "size", "setting size is missing"),
    (Toy, {"rat": 1.0}, "rat", "unknown setting 'rat': did you mean 'rate'"),
    (Toy, {"zzz": 1.0}, "zzz", "unknown setting 'zzz': must be one of size, rate, step, x, mode, names, folder, files"),
    (Toy, {"size": "big"}, "size", "setting size = 'big': must be a whole number"),
    (Toy, {"size": True}, "size", "setting size = True: must be a whole number"),
    (Toy, SIZED | {"mode": "fats"}, "mode", "mode = 'fats': did you mean 'fast'? (must be 'slow', 'fast' or 'off')"),
    (Toy, SIZED | {"mode": ["slow"]}, "mode", "must be 'slow', 'fast' or 'off'"),
    (
        Toy,
        SIZED | {"names": "a"},
        "names",
        """names = 'a': must be a list of text; write it as names = ["one", "two"]""",
    ),
    (Toy, SIZED | {"files": "a,b"}, "files", """files = 'a,b': must be a list of path; write it as files = ["one"""),
    (Toy, SIZED | {"files": ""}, "files", "setting files = '': must be a list of path"),
    (Toy, SIZED | {"folder": 3}, "folder", "setting folder = 3: must be a path or none"),
    (Toy, SIZED | {"rate": 0}, "rate", "setting rate = 0: must be a number, above 0, at most 2"),
    (Toy, SIZED | {"rate": float("nan")}, "rate", "setting rate = nan: must be a number, above 0, at most 2"),
    (Toy, SIZED | {"rate": float("inf")}, "rate", "setting rate = inf: must be a number"),
    (Toy, SIZED | {"step": -2}, "step", "step = -2: must be a whole number, at least 0, below 9, multiple of 2"),
    (Toy, SIZED | {"x": 1}, "x", "setting x = 1: must be a number, at least 0, below 1"),
    (Toy, {"size": 1 << 63}, "size", "setting size = 9223372036854775808: must be a whole number"),
    (Toy, SIZED | {"step": 3}, "step", "setting step = 3: must be a whole number"),
    (FinetuneSettings, {"compare_parts": 0}, "compare_parts", "setting compare_parts: was removed; leave it out"),
    (
        FinetuneSettings,
        {"objective": "tagin"},
        "objective",
        "objective = 'tagin': did you mean 'tagging'? (must be text, one of 'tagging'",
    ),
    (
        FinetuneSettings,
        {"zero_sot": {"max_types": 3}},
        "zero_sot",
        "unknown setting 'zero_sot': did you mean 'zero_shot'",
    ),
    (
        FinetuneSettings,
        {"zero_shot": {"max_type": 3}},
        "max_type",
        "unknown setting 'zero_shot.max_type': did you mean 'max_types'",
    ),
    (
        FinetuneSettings,
        {"zero_shot": {"max_types": "3"}},
        "zero_shot.max_types",
        "setting zero_shot.max_types = '3': must be a whole number, at least 1",
    ),
    (
        FinetuneSettings,
        {"zero_shot": 3},
        "zero_shot",
        "setting zero_shot = 3: is a section: write zero_shot.max_types = …, or a table [zero_shot]",
    ),
    (
        FinetuneSettings,
        {"zero_shot": ReplaySettings()},
        "zero_shot",
        "is a section: write zero_shot.max_types = …, or a table [zero_shot]",
    ),
    (FinetuneSettings, {"epochs": {"max_types": 3}}, "epochs", "setting epochs = {'max_types': 3}: must be a number"),
    (FinetuneSettings, {"sections": (3,)}, "sections", "setting sections = (3,): must be a list of Section"),
    (
        FinetuneSettings,
        {"tagging": {"label_all_tokens": False}},
        "tagging.label_all_tokens",
        "setting tagging.label_all_tokens: was removed; leave it out: a word is learnt by its first subword",
    ),
    (
        FinetuneSettings,
        {"zero_shot": {"architecture": "zer"}},
        "zero_shot.architecture",
        "setting zero_shot.architecture = 'zer': did you mean 'zero'",
    ),
    *(
        (PretrainSettings, {name: "a.jsonl"}, name, f"setting {name} = 'a.jsonl': is a section: write {name}.files = …")
        for name in ("open_types", "gazetteers", "replay")
    ),
    (
        PretrainSettings,
        {"objective": "self_training", "label_smoothing": 1},
        "label_smoothing",
        "setting label_smoothing: is now self_training.label_smoothing",
    ),
]


@pytest.mark.parametrize(("cls", "values", "setting", "message"), REFUSED)
def test_refusals(cls: type, values: dict[str, Any], setting: str, message: str) -> None:
    with raises(SettingsError, setting=setting, words=message) as caught:
        make_settings(cls, values)
    assert len(str(caught.value).splitlines()) == 1


def test_settings_made_in_python_are_checked_too() -> None:
    values: dict[str, Any] = {"size": 1, "rate": 1, "names": ["a"], "folder": "some/where"}
    assert Toy(**values) == make_settings(Toy, values) == Toy(size=1, rate=1.0, names=("a",), folder=Path("some/where"))
    assert isinstance(Toy(size=1, rate=1).rate, float)
    with raises(SettingsError, setting="size"):
        Toy(**(values | {"size": 1.5}))
    with raises(SettingsError, setting="rate"):
        replace(Toy(size=1), rate=3)


def test_the_manual_says_choices_and_bounds() -> None:
    page = GENERATE["manual"]("Toys", Toy)
    assert "- **`size`** (whole number; no default). How big. Source: ours." in page
    assert "- **`rate`** (number, above 0, at most 2; default `0.5`). How fast." in page
    assert "- **`mode`** ('slow', 'fast' or 'off'; default `'slow'`). " in page


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("size = = 3", "not TOML: "),
        ("size = " + "9" * 5000, "not TOML"),
        ("size = " + "[" * 5000, "not TOML"),
        ("\xff", "not TOML"),
        ("[a]\nx = 3\n[a]\ny = 3\n", "not TOML: Cannot declare "),
        ("#" * (1 << 21), "2097152 bytes are too many"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "bad.toml").write_text(content, encoding="latin-1")
    with raises(SettingsError, words=f"bad.toml: {words}"):
        load_settings(Toy, tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (lambda: load_settings(Toy, Path("none.toml")), InputError, "none.toml: can't be read"),
        (lambda: load_settings(Toy, None, ["size=" + "9" * 5000]), SettingsError, "must be a whole number"),
        (lambda: load_settings(Toy, None, ["size"]), SettingsError, "write it as key=value"),
        (lambda: whole_numbers("--seeds", "1,x"), SettingsError, "--seeds '1,x': must be whole numbers"),
        (
            lambda: FinetuneSettings(sections=(THREE, ZeroShotSettings())),
            SettingsError,
            "setting zero_shot: is given twice; leave one out",
        ),
        (lambda: PretrainSettings(corpus=(Path("corpus"),), num_layers=3), SettingsError, "setting num_layers = 3: "),
        (
            lambda: PretrainSettings(corpus=(Path("corpus"),), backbone=""),
            SettingsError,
            ", a name on the hub, 'embedded' or 'fresh'",
        ),
    ],
)
def test_messages(act: Callable[[], object], kind: type[NerbertError], words: str) -> None:
    with raises(kind, words=words):
        act()


def test_whole_numbers() -> None:
    assert whole_numbers("--seeds", "1, 2,3") == (1, 2, 3)
    assert whole_numbers("--seeds", "") == ()


@pytest.mark.parametrize("cls", ALL)
def test_every_setting_says_meaning_and_source_and_its_default_is_allowed(cls: type) -> None:
    docs = GENERATE["field_docs"](cls)
    for each in fields(cls):
        if each.default is not MISSING:
            checked = check(each.name, each.default, hints_of(cls)[each.name])
            assert (checked, type(checked)) == (each.default, type(each.default)), each.name
        assert "Source: " in docs[each.name], each.name
        assert "Unit: none" not in docs[each.name], each.name


def test_a_section_is_set_in_every_way(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[zero_shot]\nmax_types = 3\n")
    ways = [
        load_settings(FinetuneSettings, tmp_path / "own.toml"),
        load_settings(FinetuneSettings, None, ["zero_shot.max_types=3"]),
        make_settings(FinetuneSettings, {"zero_shot": {"max_types": 3}}),
        make_settings(FinetuneSettings, {"zero_shot": THREE}),
        FinetuneSettings(sections=(THREE,)),
        change_settings(FinetuneSettings(), {"zero_shot": {"max_types": 3}}),
    ]
    assert all(each == ways[0] for each in ways)
    assert ways[0].of(ZeroShotSettings) == THREE
    assert FinetuneSettings().of(ZeroShotSettings) == ZeroShotSettings()


def test_sections_are_merged_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'epochs = 2\n[zero_shot]\nmax_types = 3\nmax_width = 5\n[replay]\nshare = 0.5\nfiles = ["a"]\n'
    )
    of_file = load_settings(FinetuneSettings, tmp_path / "own.toml")
    both = load_settings(
        FinetuneSettings, tmp_path / "own.toml", ["zero_shot.max_width=7", "zero_shot.descriptions=true"]
    )
    assert both.of(ZeroShotSettings) == ZeroShotSettings(max_types=3, max_width=7, descriptions=True)
    assert (both.of(ReplaySettings).share, both.epochs) == (0.5, 2)
    assert change_settings(of_file, {"zero_shot": {"max_width": 7, "descriptions": True}}) == both
    assert change_settings(of_file, {"zero_shot": THREE}).of(ZeroShotSettings) == THREE
    assert change_settings(of_file, {"zero_shot": THREE}).of(ReplaySettings).share == 0.5
    assert merge_values({"a": {"x": 1, "y": 2}, "b": 1}, {"a.x": 3, "a": {"z": 4}, "b": 2}) == {
        "a": {"x": 3, "y": 2, "z": 4},
        "b": 2,
    }


@pytest.mark.parametrize(
    ("command", "values", "message"),
    [
        (
            PRETRAIN,
            {"zero_shot": {"max_types": 3}},
            "max_types: is for objective 'zero_shot', but objective = 'tagging', which reads tagging, gazetteers",
        ),
        (
            PRETRAIN,
            {"objective": "mlm", "open_types": {"files": ["a.jsonl"]}},
            "open_types.files: is for objective 'concepts' or 'names' or 'zero_shot', but objective = 'mlm'",
        ),
        (
            PRETRAIN,
            {"objective": "self_training", "tagging": {}},
            "setting tagging: is for objective 'tagging', but objective = 'self_training'",
        ),
        (
            PRETRAIN,
            {"objective": "zero_shot", "replay": {"files": ["a"]}},
            "setting replay: is for `nerbert finetune` only; leave it out",
        ),
        (
            FINETUNE,
            {"objective": "tagging", "gazetteers": {"max_words": 5}},
            "setting gazetteers: is for `nerbert pretrain` only; leave it out",
        ),
    ],
)
def test_a_section_that_the_objective_does_not_read_is_refused(
    command: str, values: dict[str, Any], message: str
) -> None:
    settings = make_settings(PretrainSettings if command == PRETRAIN else FinetuneSettings, values)
    with raises(SettingsError, words=message):
        chosen_objective(settings, command)


@pytest.mark.parametrize("registry", [SOURCES, OBJECTIVES])
def test_an_entry_whose_module_raises_is_one_line(
    registry: Registry[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raising.py").write_text("raise RuntimeError('no such day')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_known", {**registry._known, "bad": "raising:Bad"})
    values = {"bad": {"x": 1}} if registry is SOURCES else {"objective": "bad", "bad": {"x": 1}}
    with raises(SettingsError, words="'raising:Bad': no such day; importing raising failed"):
        make_settings(FinetuneSettings, values)


def test_a_broken_objective_of_another_distribution_leaves_sections_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OBJECTIVES, "_entry_points", {"bad": [EntryPoint("bad", "nowhere:X", "nerbert.objectives")]})
    settings = make_settings(FinetuneSettings, {"zero_shot": {"max_types": 3}})
    assert settings.of(ZeroShotSettings) == THREE
    with raises(SettingsError, words="is for objective 'zero_shot', but objective = 'tagging'"):
        chosen_objective(change_settings(settings, {"objective": "tagging"}), FINETUNE)
    with raises(SettingsError, words="unknown setting 'zero_sot': did you mean 'zero_shot'"):
        make_settings(FinetuneSettings, {"zero_sot": {"max_types": 3}})
    with raises(SettingsError, words="objective 'bad' of a distribution: No module named 'nowhere'"):
        make_settings(FinetuneSettings, {"bad": {"x": 1}})
