"""Change one byte of what a cell depends on, and it alone is run again."""

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.folder import write_card
from nerbert.records import Span
from nerbert.training.sections import change_settings
from nerbert.training.tagging import TaggingSettings
from nerbert.words import SPLITTER
from nerbert_bench.cells import Cell, CellKey, Machine, State
from nerbert_bench.plan import Job
from nerbert_bench.suite import Published, Suite, SystemSettings, Target
from nerbert_bench.systems import finetuned
from nerbert_bench.systems.finetuned import Encoder, FineTuned
from tests.bench import outcome
from tests.bench.outcome import CPU
from tests.raised import raises

ROWS = "The\tO\nMargarethe\tB-ship\nsailed\tO\n\n"
Keys = dict[CellKey, tuple[str, str, str]]
SOURCE, TAG, SCORE = 0, 1, 2


@pytest.fixture
def desk(tmp_path: Path, encoders: Path) -> Path:
    for name in ("one", "two", "far"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / "data" / name / f"{split}.conll").write_text(ROWS * 8 + f"{name}\tO\n{split}\tO\n")
    return encoders


@pytest.fixture
def suite(desk: Path) -> Suite:
    systems = {
        "A": SystemSettings(encoder=str(desk / "a")),
        "B": SystemSettings(encoder=str(desk / "b")),
        "A, source & target": SystemSettings(encoder=str(desk / "a"), source="far"),
    }
    protocols = {"last": FinetuneSettings(), "dev": FinetuneSettings(select="dev")}
    targets = (Target(data="one", sizes=("all", "5"), draw_by_seed=True), Target(data="two"))
    return Suite(name="s", systems=systems, targets=targets, seeds=(1, 2), protocols=protocols)


def changed_to(suite: Suite, **values: Any) -> Suite:
    return suite.model_copy(update=values)


def planned(suite: Suite, desk: Path, machine: Machine = CPU) -> list[Job]:
    jobs = outcome.planned(suite, desk / "data", machine)
    assert not [job.why for job in jobs if isinstance(job, Cell)]
    return [job for job in jobs if isinstance(job, Job)]


def keys(suite: Suite, desk: Path, machine: Machine = CPU) -> Keys:
    return {
        job.place: (str(job.system.facts.get("source") or ""), job.key, job.score_key)
        for job in planned(suite, desk, machine)
    }


def changed(before: Keys, after: Keys, step: int) -> set[CellKey]:
    return {place for place in before.keys() & after.keys() if before[place][step] != after[place][step]}


def test_every_cell_has_keys_of_its_own(suite: Suite, desk: Path) -> None:
    found = keys(suite, desk)
    assert len(found) == 3 * 2 * 2 * 3
    assert len({each[TAG] for each in found.values()}) == len({each[SCORE] for each in found.values()}) == len(found)
    assert len({each[SOURCE] for each in found.values() if each[SOURCE]}) == 2, "one checkpoint a seed"
    assert keys(suite, desk) == found


@pytest.mark.parametrize(
    ("path", "touches"),
    [
        ("data/one/train.conll", lambda place: place.target == "one"),
        ("data/one/test.conll", lambda place: place.target == "one"),
        ("data/one/dev.conll", lambda place: place.target == "one"),
        ("data/far/train.conll", lambda place: "source" in place.system),
        ("data/far/test.conll", lambda _: False),
        ("data/far/dev.conll", lambda _: False),
        ("a/model.safetensors", lambda place: place.system.startswith("A")),
        ("b/config.json", lambda place: place.system == "B"),
        ("b/README.md", lambda _: False),
    ],
)
def test_a_byte_of_a_file(suite: Suite, desk: Path, path: str, touches: Callable[[CellKey], bool]) -> None:
    (desk / "b" / "README.md").write_text("words")
    suite = changed_to(suite, targets=(Target(data="one"), Target(data="two")), seeds=(1,))
    before = keys(suite, desk)
    with (desk / path).open("ab") as file:
        file.write(b"\n")
    wanted = {place for place in before if touches(place)}
    after = keys(suite, desk)
    assert changed(before, after, TAG) == changed(before, after, SCORE) == wanted


def test_a_split_that_is_gone_or_has_another_name(suite: Suite, desk: Path) -> None:
    dev, found = desk / "data" / "one" / "dev.conll", [keys(suite, desk)]
    dev = dev.rename(dev.with_name("valid.conll"))
    found.append(keys(suite, desk))
    dev.unlink()
    found.append(keys(suite, desk))
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert changed(found[one], found[other], TAG) == {place for place in found[0] if place.target == "one"}


def test_settings_that_an_encoder_can_not_be_trained_with_fail_before_the_run(suite: Suite, desk: Path) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("embedded-open", {"source_head": "shared"}, "not for the head of objective 'names'"),
        (str(desk / "a"), {"replay": {"files": (desk / "none.jsonl",), "share": 0.1}}, "setting replay.files = "),
    ]
    for encoder, settings, why in cases:
        systems = {"A": SystemSettings(encoder=encoder, settings=settings)}
        cells = outcome.planned(changed_to(suite, systems=systems), desk / "data")
        assert cells
        assert all(isinstance(each, Cell) and each.state is State.FAILED and why in each.why for each in cells)


def test_all_settings_count_as_they_are_given_or_not() -> None:
    """A default that changes later must not make old cells those of the new one."""
    usual = FinetuneSettings(objective="tagging")
    key = finetuned.in_key(usual)
    names = {each.name for each in fields(FinetuneSettings)} - {"sections", *finetuned._NOT_IN_KEY}
    assert key.keys() == names | {"tagging"}
    assert key["tagging"] == asdict(TaggingSettings())
    assert finetuned.in_key(change_settings(usual, {"epochs": usual.epochs, "tagging": {"joined_layer": 0}})) == key
    changes: dict[str, Any] = {"schedule": "constant", "source_head": "shared", "batch_size": 8}
    for name, value in changes.items():
        assert finetuned.in_key(change_settings(usual, {name: value})) == key | {name: value}
    joined = finetuned.in_key(change_settings(usual, {"tagging": {"joined_layer": -1}}))
    assert joined == key | {"tagging": key["tagging"] | {"joined_layer": -1}}
    told = finetuned.in_key(change_settings(usual, {"objective": "zero_shot", "zero_shot": {"max_types": 3}}))
    assert told["zero_shot"]["max_types"] == 3


def of_protocols(*names: str, **settings: Any) -> Callable[[Suite], Suite]:
    return lambda suite: changed_to(
        suite, protocols=suite.protocols | {name: change_settings(suite.protocols[name], settings) for name in names}
    )


def of_a(suite: Suite) -> Suite:
    system = suite.systems["A"].model_copy(update={"settings": {"weight_decay": 0.02}})
    return changed_to(suite, systems=suite.systems | {"A": system})


@pytest.mark.parametrize(
    ("change", "touches", "source"),
    [
        (of_protocols("dev", weight_decay=0.02), lambda place: place.protocol == "dev", True),
        (of_protocols("last", "dev", source_epochs=1.0), lambda place: "source" in place.system, True),
        (of_protocols("last", "dev", min_steps=9, max_steps=9), lambda _: True, False),
        (of_a, lambda place: place.system == "A", False),
    ],
)
def test_a_setting(
    suite: Suite, desk: Path, change: Callable[[Suite], Suite], touches: Callable[[CellKey], bool], source: bool
) -> None:
    before, after = keys(suite, desk), keys(change(suite), desk)
    wanted = {place for place in before if touches(place)}
    assert changed(before, after, TAG) == changed(before, after, SCORE) == wanted
    assert changed(before, after, SOURCE) == {place for place in wanted if source and "source" in place.system}


def test_what_changes_nothing(suite: Suite, desk: Path) -> None:
    before = keys(suite, desk)
    papers = (Published(name="P", of="Q", f1={"one": 1.0}),)
    systems = dict(reversed([*suite.systems.items(), ("C", SystemSettings(encoder=str(desk / "b")))]))
    other = changed_to(
        suite,
        name="t",
        about="U",
        baseline="B",
        published=papers,
        targets=suite.targets[::-1],
        systems=systems,
        seeds=(4, 2),
    )
    after = keys(other, desk)
    assert not changed(before, after, SCORE)
    both = [place for place in before if place.system == "B" and place.seed == 2]
    assert both
    assert all(after[place._replace(system="C")] == after[place] for place in both)


def test_the_machine(suite: Suite, desk: Path) -> None:
    before = keys(suite, desk)
    for machine in (Machine("cpu", "bf16"), Machine("cuda", "fp32")):
        assert changed(before, keys(suite, desk, machine), SCORE) == set(before)
    protocols = {name: replace(each, precision="fp32") for name, each in suite.protocols.items()}
    told = changed_to(suite, protocols=protocols)
    assert keys(told, desk) == before, "what auto is here"
    assert keys(told, desk, Machine("cpu", "bf16")) == before


def test_versions_of_code(suite: Suite, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another way to score trains nothing anew but where it chooses the epoch; another way to train does."""
    before = keys(suite, desk)
    monkeypatch.setattr("nerbert_bench.keys.SCORING", 1000)
    scoring = keys(suite, desk)
    assert changed(before, scoring, SCORE) == set(before)
    assert changed(before, scoring, TAG) == {place for place in before if place.protocol == "dev"}
    assert not changed(before, scoring, SOURCE)
    monkeypatch.undo()
    monkeypatch.setattr("nerbert_bench.keys.TRAINING", 1000)
    training = keys(suite, desk)
    assert changed(before, training, TAG) == set(before)
    assert changed(before, training, SOURCE) == {place for place in before if "source" in place.system}


def encoder_of(job: Job) -> Encoder:
    assert isinstance(job.system, FineTuned)
    return job.system.encoder


def test_encoders_of_a_system_with_the_same_weights_are_refused(suite: Suite, desk: Path) -> None:
    """Their cards differ in seconds alone where a pre-training ran twice."""
    (desk / "b" / "model.safetensors").write_text("a")
    for name in ("a", "b"):
        write_card(desk / name, "encoder", word_splitter=SPLITTER, made=name)
    both = SystemSettings(encoder=(str(desk / "a"), str(desk / "b")))
    suite = changed_to(suite, systems=suite.systems | {"A": both})
    cells = [each for each in outcome.planned(suite, desk / "data") if isinstance(each, Cell)]
    assert {(each.place.system, each.place.seed) for each in cells} == {("A", 2)}, "B may have what A has"
    assert f"{desk / 'b'}: has the same weights as {desk / 'a'}; pre-train each" in cells[0].why


def test_episodes_depend_on_the_test_split_alone(suite: Suite, desk: Path) -> None:
    target = Target(data="one", sizes=("1 way 1 shot",), draws=5)
    episodes = changed_to(suite, targets=(target,), protocols={"last": FinetuneSettings()})
    before = keys(episodes, desk)
    (desk / "data" / "one" / "train.conll").write_text(ROWS)
    assert keys(episodes, desk) == before
    (desk / "data" / "one" / "test.conll").write_text(ROWS)
    assert changed(before, keys(episodes, desk), SCORE) == set(before)


def test_published_episodes_follow_a_training_on_the_train_split(suite: Suite, desk: Path) -> None:
    """Few-NERD's files: a line is a draw, its labels are types; a system learns from the target's train split first."""
    target = Target(data="one", sizes=("1 way 1 shot",), draws=5, episodes="published")
    systems = {"A": SystemSettings(encoder=str(desk / "a"), source="{target}")}
    episodes = changed_to(suite, targets=(target,), protocols={"last": FinetuneSettings()}, seeds=(1,), systems=systems)
    (missing, *_) = outcome.planned(episodes, desk / "data")
    assert isinstance(missing, Cell), "it would fail when it runs"
    assert "test_1_1.jsonl: no such file of episodes" in missing.why
    parts = [{"word": [["fram", "sank", name]], "label": [["art-ship", "O", "O"]]} for name in ("support", "query")]
    line = {"support": parts[0], "query": parts[1], "types": ["art-ship"]}
    torn = line | {"query": {"word": [["fram"]], "label": [["O", "O"]]}}
    (desk / "data" / "one" / "test_1_1.jsonl").write_text(f"{json.dumps(torn)}\n{json.dumps(line)}\n")
    first, second, third, *_ = planned(episodes, desk)
    part = second.read()
    assert [example.text for example in (*part.train, *part.test)] == ["fram sank support", "fram sank query"]
    assert part.test[0].spans == (Span(0, 4, "art-ship", "fram"),)
    for job, why in ((first, "test_1_1.jsonl:1: each word must have one label"), (third, "has no episode 3")):
        with raises(InputError, words=why):
            job.read()
    before = keys(episodes, desk)
    (desk / "data" / "one" / "train.conll").write_text(ROWS)
    assert changed(before, keys(episodes, desk), SOURCE) == set(before)
    other = changed_to(episodes, targets=(target.model_copy(update={"sizes": ("1 way 1 shot 3 queries",)}),))
    assert {getattr(cell, "why", "")[:40] for cell in outcome.planned(other, desk / "data")} == {
        "size 1 way 1 shot 3 queries: no file of "
    }


def test_a_plan_reads_no_sentence(suite: Suite, desk: Path) -> None:
    for name in ("train", "dev", "test"):
        (desk / "data" / "one" / f"{name}.conll").write_text("broken")
    found = keys(changed_to(suite, targets=(Target(data="one", sizes=("50", "k=9", "2 way 5 shot")),)), desk)
    assert len({each[SCORE] for each in found.values()}) == len(found)


def test_cells_that_are_no_jobs_say_why(suite: Suite, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(name: str, **_: object) -> str:
        asked.append(name)
        raise ConnectionError("no way to the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    systems = suite.systems | {
        "B": SystemSettings(),
        "H": SystemSettings(encoder="some/model"),
        "S": SystemSettings(encoder=str(desk / "a"), source="fa"),
    }
    targets = (*suite.targets, Target(data="tow"))
    found = outcome.planned(changed_to(suite, systems=systems, targets=targets), desk / "data")
    cells = [each for each in found if isinstance(each, Cell)]

    def why(system: str, target: str = "one") -> set[tuple[State, str]]:
        return {(each.state, each.why) for each in cells if (each.place.system, each.place.target) == (system, target)}

    assert why("B") == {(State.NOT_RUN, "no encoder given: --encoder 'B'=FOLDER")}
    ((state, told),) = why("H")
    assert (state, "no way to the hub" in told) == (State.FAILED, True)
    assert asked == ["some/model"], "it is asked for once"
    ((state, told),) = why("S")
    assert "did you mean 'far'?" in told
    ((state, told),) = why("A", "tow")
    assert (state, "did you mean 'two'?" in told) == (State.FAILED, True)
    assert not why("A")


@pytest.mark.parametrize("kind", ["encoder", "tagger"])
def test_each_seed_has_its_encoder_and_says_whether_it_is_pre_trained(suite: Suite, desk: Path, kind: str) -> None:
    write_card(desk / "b", kind, word_splitter=SPLITTER)
    systems = {
        "A": SystemSettings(encoder=(str(desk / "a"), str(desk / "b"))),
        "B": SystemSettings(encoder=str(desk / "b")),
    }
    found = {(job.place.system, job.place.seed): job for job in planned(changed_to(suite, systems=systems), desk)}
    assert [Path(encoder_of(found["A", seed]).folder).name for seed in (1, 2)] == ["a", "b"]
    assert [encoder_of(found["A", seed]).pretrained for seed in (1, 2)] == [False, True]
    assert found["A", 2].score_key == found["B", 2].score_key


def test_each_target_has_its_systems_and_its_encoder(suite: Suite, desk: Path) -> None:
    (desk / "a").rename(desk / "of-one")
    systems = {"A": SystemSettings(encoder=str(desk / "of-{target}")), "B": SystemSettings(encoder=str(desk / "b"))}
    targets = (Target(data="one"), Target(data="two", systems=("B",)))
    jobs = planned(
        changed_to(suite, systems=systems, targets=targets, seeds=(1,), protocols={"p": FinetuneSettings()}), desk
    )
    assert [(job.place.system, job.place.target, Path(encoder_of(job).folder).name) for job in jobs] == [
        ("A", "one", "of-one"),
        ("B", "one", "b"),
        ("B", "two", "b"),
    ]
