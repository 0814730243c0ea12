"""A suite file is read whole or refused with a reason."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.data.catalogue import known_data
from nerbert.entity_labels import parse_type_labels
from nerbert.errors import SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import check_head
from nerbert.training.objective import OBJECTIVES
from nerbert.training.sections import load_settings
from nerbert.training.tagging import TaggingSettings
from nerbert_bench.plan import draw_part
from nerbert_bench.suite import Suite, SystemSettings, Target, parse_encoders, read_suite
from nerbert_bench.systems.finetuned import in_key
from tests.examples import read_examples
from tests.raised import raises

GOOD = """
title = "T"
seeds = [3, 5]
[systems.A]
encoder = "a"
[systems.B]
[systems."B, source & target"]
same_encoder_as = "B"
source = "conll2003"
[protocols.dev]
select = "dev"
[[targets]]
data = "x"
sizes = ["all", 10, "5 %", "k = 5"]
[[published]]
name = "P"
of = "a paper"
f1 = { x = 50 }
"""
A = '[systems.A]\nencoder = "a"\n'
COMMAND = "command = ['x', '{test}', '{output}']"


def read(tmp_path: Path, text: str, **encoders: str | tuple[str, ...]) -> Suite:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_suite(path, encoders)


def test_a_suite_is_read(tmp_path: Path) -> None:
    suite = read(tmp_path, GOOD, B="folder")
    assert (suite.name, suite.title, suite.seeds) == ("mine", "T", (3, 5))
    assert [each.encoder for each in suite.systems.values()] == ["a", "folder", "folder"]
    assert suite.targets[0].sizes == ("all", "10", "5%", "k=5")
    assert suite.protocols == {"dev": FinetuneSettings(select="dev")}
    assert suite.published[0].f1 == {"x": 50.0}


def test_a_systems_settings_need_only_go_with_its_protocols(tmp_path: Path) -> None:
    own = GOOD.replace("[systems.A]", "[systems.A.settings]\npatience = 3\n[systems.A]", 1)
    assert read(tmp_path, own).settings_of("A", "dev") == FinetuneSettings(select="dev", patience=3)
    with raises(SettingsError, words="systems.A under protocols.dev: setting patience = 3"):
        read(tmp_path, own.replace('select = "dev"', 'select = "last"'))


def test_no_protocol_is_the_default_one(tmp_path: Path) -> None:
    suite = read(tmp_path, A + '[[targets]]\ndata = "x"\n')
    assert suite.protocols == {"default": FinetuneSettings()}
    assert suite.seeds == (1, 2, 3, 4, 5)
    assert list(read(tmp_path, GOOD.replace("[protocols.dev]", "[protocols.default]")).protocols) == ["default"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title =", "titel =", "unknown setting 'titel': did you mean 'title'?"),
        ('encoder = "a"', 'encodr = "a"', "unknown setting 'systems.A.encodr': did you mean 'encoder'?"),
        ('encoder = "a"', "seen_only = true", "systems.A.seen_only: scores by seen names are gone"),
        ("data =", "dat =", "unknown setting 'targets[0].dat': did you mean 'data'?"),
        ('data = "x"', "", "setting targets[0].data is missing"),
        ("data =", 'format = "connl"\ndata =', "setting targets[0].format: 'connl': did you mean 'conll'"),
        (
            "sizes =",
            'format = "conll"\n[[targets]]\ndata = "x"\nsizes = [3]\n[[targets]]\ndata = "y"\nsizes =',
            "'x' has two formats",
        ),
        ("select =", "selct =", "setting protocols.dev: unknown setting 'selct': did you mean 'select'?"),
        ("f1 = { x", "f1 = { xx", "published 'P': unknown target 'xx': did you mean 'x'?"),
        ("f1 = { x = 50 }", "f1 = { x = 5000 }", "published[0].f1.x = 5000: must be less than or equal to 100"),
        ("f1 = { x = 50 }", "f1 = 50", "setting published[0].f1 = 50: must be"),
        ("f1 = { x = 50 }", "", "published 'P': needs f1 or token_f1"),
        ('of = "a paper"', 'of = " "', "setting published[0].of: ' ': must be text, printable and not empty"),
        ('name = "P"', 'name = "\\u202eP"', "setting published[0].name: "),
        ('select = "dev"', "seed = 1", "protocols.dev: setting seed: can't be set by a protocol or system; give"),
        ("[systems.A]", "[systems.A.settings]\nthreads = 2\n[systems.A]", "setting threads: can't be set by"),
        ("[systems.A]", "[systems.A.settings]\nschedul = 'linear'\n[systems.A]", "did you mean 'schedule'"),
        ('select = "dev"', "epochs = -1", "setting protocols.dev: setting epochs = -1: must be a number, above 0"),
        ("[3, 5]", "[3, 3]", "setting seeds: [3, 3]: must be different"),
        ("[3, 5]", "[]", "setting seeds = []"),
        ("[3, 5]", "[4294967296]", "seeds[0] = 4294967296: must be less than 4294967296"),
        ("[3, 5]", '["1"]', "seeds[0] = '1': must be a valid integer"),
        ("10,", "10, 10,", "'x' at size 10 is given 2 times"),
        ("10,", '"10 %%",', "targets[0].sizes[1]: size '10 %%': must be"),
        ("k = 5", "k=4", "'x' at size k=4: draws = 1 are too few"),
        ('["all", 10, "5 %", "k = 5"]', '["k=1"]\ndraw_by_seed = true', "at size k=1: draws = 2 "),
        ("sizes = [", "draws = 0\nsizes = [", "targets[0].draws = 0: must be greater than or equal to 1"),
        ('["all", 10, "5 %", "k = 5"]', "[]", "targets[0].sizes = []"),
        ("sizes = [", "draw_by_seed = true\ndraws = 2\nsizes = [", "leave draws out if draw_by_seed is true"),
        ('same_encoder_as = "B"', 'same_encoder_as = "C"', "systems.B, source & target: unknown system 'C'"),
        ('same_encoder_as = "B"', 'same_encoder_as = "B"\nencoder = "b"', "can't both be given"),
        ("seeds =", 'baseline = "a"\nseeds =', "baseline: unknown baseline 'a': did you mean 'A'?"),
        ('[systems.A]\nencoder = "a"', '[systems." "]', "' ': must be text, printable and not empty"),
        ("[protocols.dev]", "[protocols.default]\n[protocols.dev]", "protocols.default: is the name that suites"),
        ("[[targets]]", "[targets]", "setting targets = {'data': 'x'"),
        (
            "[[targets]]",
            f"[systems.C]\n{COMMAND}\n[systems.D]\nsame_encoder_as = 'C'\n[[targets]]",
            "same_encoder_as = 'C': has no encoder of its own either",
        ),
        *(
            (A, f"[systems.A]\n{table}\n", told)
            for table, told in (
                (
                    "command = ['x', '{output}']",
                    "setting systems.A.command: lacks {test}; placeholders are {train}, {dev}",
                ),
                (f"{COMMAND}\nencoder = 'a'", "systems.A: has a command, so it can't have an encoder"),
                (f"{COMMAND}\ntimeout_minutes = 0", "timeout_minutes = 0: must be greater than 0"),
            )
        ),
        ("sizes =", "systems = ['a']\nsizes =", "targets: unknown system 'a': did you mean 'A'?"),
        ("sizes =", "labels = ['a=b', 'a=c']\nsizes =", "each type once"),
        ("title =", "means = 3\ntitle =", "setting means = 3: must be"),
        *(
            ("[protocols.dev]", f"[[targets]]\ndata = 'y'\n[means]\n{mean}\n[protocols.dev]", told)
            for mean, told in (
                ("both = ['x', 'z']", "means.both: unknown target 'z'"),
                ("both = ['x']", "means.both = ['x']"),
                ("both = ['x', 'x']", "each target once"),
                ("x = ['x', 'y']", "a name that isn't a target's"),
            )
        ),
        (GOOD, A, "setting targets is missing"),
        (GOOD, "[[targets]]\ndata = 'x'\n", "setting systems is missing"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert GOOD.count(old) >= 1
    with raises(SettingsError, words=told, path=tmp_path / "mine.toml"):
        read(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("one", "other"), [("Pol", "crossner_politics"), ("ai", "./ai"), ("ai/", "ai"), ("a//b", "a/b"), ("./Pol", "Pol")]
)
def test_one_data_set_under_two_names_is_refused(tmp_path: Path, one: str, other: str) -> None:
    text = '[systems.A]\nencoder = "a"\n[[targets]]\ndata = "{}"\n[[targets]]\ndata = "{}"\nsizes = [10]\n'
    with raises(SettingsError, words="' are one data set"):
        read(tmp_path, text.format(one, other))
    assert len(read(tmp_path, text.format(one, one)).targets) == 2
    assert len(read(tmp_path, text.format(one, "elsewhere")).targets) == 2


def test_a_file_whose_name_can_name_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "-x.toml").write_text(GOOD)
    with raises(SettingsError, words="the tables get its name"):
        read_suite(tmp_path / "-x.toml")


def test_encoders_of_the_command_line(tmp_path: Path) -> None:
    assert parse_encoders(["A=x", " B = y=z ", "A=w"]) == {"A": ("x", "w"), "B": ("y=z",)}
    for wrong in (["A"], ["=x"], ["A="], ["A=x", "A=x"]):
        with raises(SettingsError, words="--encoder"):
            parse_encoders(wrong)
    with raises(SettingsError, words="unknown system 'Bb': did you mean 'B'?"):
        read(tmp_path, GOOD, Bb="folder")


def test_several_encoders_of_a_system(tmp_path: Path) -> None:
    """Encoder i trains with seed i; a row may have seeds of its own; too many are refused."""
    text = GOOD.replace('encoder = "a"', 'encoder = ["a", "b"]')
    suite = read(tmp_path, text + '[[targets]]\ndata = "y"\nseeds = [9, 7, 8]\n', B=("c",))
    found = {(each.target, each.system, each.seed): suite.encoder_of(each) for each in suite.cell_keys()}
    assert [found["x", "A", seed] for seed in (3, 5)] == ["a", "b"]
    assert [found["y", "A", seed] for seed in (9, 7, 8)] == ["a", "b", "a"]
    assert {found[place] for place in found if place[1] == "B, source & target"} == {"c"}
    with raises(SettingsError, words="systems.B: 3 encoders, but seeds = [3, 5]"):
        read(tmp_path, GOOD, B=("c", "d", "e"))


def test_a_suite_on_dev_holds_nothing_of_test(tmp_path: Path) -> None:
    text = GOOD.replace("seeds", 'split = "dev"\nseeds', 1)
    with raises(SettingsError, words="under protocols.dev: select = 'dev' chooses on the split that split"):
        read(tmp_path, text, B="c")
    with raises(SettingsError, words="figures of test are not comparable"):
        read(tmp_path, text.replace('select = "dev"', ""), B="c")
    there = text.replace('select = "dev"', "").partition("[[published]]")[0]
    assert read(tmp_path, there, B="c").split == "dev"


def suite_of(**target: Any) -> Suite:
    made = Target(data="x", **target)
    protocols = {"p": FinetuneSettings()}
    return Suite(
        name="s", title="", systems={"A": SystemSettings()}, targets=(made,), seeds=(7, 8, 9), protocols=protocols
    )


def test_a_draw_for_each_seed_and_one_of_all() -> None:
    places = suite_of(sizes=("all", "50"), draw_by_seed=True).cell_keys()
    assert [(each.size, each.draw, each.seed) for each in places] == [
        ("all", 1, 7),
        ("50", 1, 7),
        ("all", 1, 8),
        ("50", 2, 8),
        ("all", 1, 9),
        ("50", 3, 9),
    ]
    places = suite_of(sizes=("all", "50"), draws=2, seeds=(1,)).cell_keys()
    assert [(each.size, each.draw) for each in places] == [("all", 1), ("50", 1), ("50", 2)]


@pytest.mark.parametrize("draws", [1, 2, 3, 5])
def test_draws_times_seeds_with_new_draws_and_seeds_first(draws: int) -> None:
    places = list(suite_of(sizes=("50",), draws=draws).cell_keys())
    pairs = [(each.draw, each.seed) for each in places]
    assert sorted(pairs) == [(draw, seed) for draw in range(1, draws + 1) for seed in (7, 8, 9)]
    first = pairs[: min(draws, 3)]
    assert len({draw for draw, _ in first}) == len({seed for _, seed in first}) == len(first)


def test_the_projects_suites_are_read() -> None:
    north, paper = (read_suite(Path("suites") / f"{name}.toml") for name in ("north_star", "ner_bert"))
    config = load_settings(FinetuneSettings, Path("configs") / "paper_finetune.toml")
    assert paper.protocols["paper"] == replace(config, sections=())
    assert config.sections == (TaggingSettings(),)
    assert north.split == "dev"
    assert len(list(north.cell_keys())) == 2 * 5 * 5
    assert len([each for each in north.cell_keys() if each.target == "btc"]) == 2 * 5
    count = 2 * 5 * (11 * 5 + 9 * 6 + 2 * 6 * 6)
    assert len(list(paper.cell_keys())) == len(set(paper.cell_keys())) == count
    assert sum(len(each.f1) for each in paper.published) == 4 * 11 + 5 + 4 * 11 + 7 + 5
    assert {each.name for each in paper.published} == set(paper.systems)
    cdlm = in_key(load_settings(FinetuneSettings, Path("configs/cdlm.toml")))
    for settings in (paper.settings_of("CDLM, source & target", protocol) for protocol in paper.protocols):
        assert check_head(OBJECTIVES.find(settings.objective), settings)
        assert in_key(settings) == cdlm


def test_the_few_nerd_suite_trains_first_and_its_sets_have_the_types(shared: Path) -> None:
    suite = read_suite(Path("suites") / "few_nerd.toml")
    assert {system.source for system in suite.systems.values()} == {"{target}"}
    for target in suite.targets:
        test = shared / "data" / "ner" / target.data / "test.conll"
        examples = read_examples(test) if target.episodes == "drawn" else []
        assert all(draw_part([], examples, size, 1).test for size in target.sizes if examples), target.data


@pytest.mark.parametrize("name", ["few_nerd", "k_shot", "supervised"])
def test_nuners_row_has_a_new_linear_head(name: str) -> None:
    suite = read_suite(Path("suites") / f"{name}.toml")
    for protocol in suite.protocols:
        assert suite.settings_of("concepts, new head", protocol).objective == "tagging"


def test_nuners_mean_is_over_its_four_sets() -> None:
    suite = read_suite(Path("suites") / "k_shot.toml")
    assert suite.means == {"NuNER's four": ("jnlpba", "mit_movie", "mit_restaurant", "ontonotes5")}


def test_the_zero_shot_suite_asks_for_what_the_registry_knows() -> None:
    suite = read_suite(Path("suites") / "zero_shot.toml")
    assert {each.size for each in suite.cell_keys()} == {"0"}
    assert {target.data: sorted(parse_type_labels(target.labels)) for target in suite.targets} == {
        target.data: sorted(known_data()[target.data].types) for target in suite.targets
    }
    assert sorted(each for group in suite.means.values() for each in group) == sorted(
        target.data for target in suite.targets
    )
    assert [len(each.f1) for each in suite.published] == [6, 9, 0]
    assert [len(each.token_f1) for each in suite.published] == [0, 9, 9]
