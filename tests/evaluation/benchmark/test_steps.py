"""A cell reads the files that its key holds, trains as its protocol says, and tells why it failed."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from nerbert.config import make_settings
from nerbert.errors import InputError, NerbertError, SettingsError, WriteError
from nerbert.evaluation.benchmark.cells import CellSentences, Machine, State, tagged_entities
from nerbert.evaluation.benchmark.job import Job
from nerbert.evaluation.benchmark.plan import make_plan
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.suite import Suite, SystemSettings, Target
from nerbert.evaluation.benchmark.systems import finetuned
from nerbert.evaluation.benchmark.systems.finetuned import FineTuned
from nerbert.evaluation.benchmark.tasks import Desk, End, failure, run_task
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import usual_rate
from nerbert.finetuning.train_tagger import Finetuned, finetune_examples
from nerbert.formats.examples import read_examples
from nerbert.model.backbone import load_tokenizer, save_model
from nerbert.model.folder import write_card
from nerbert.model.linear import tag_both_ways
from nerbert.words import SPLITTER
from tests.encoder.backbones import tiny_tagging
from tests.evaluation.benchmark.outcome import all_outside, made

BROKEN = "The\tO\nMargarethe\n"
CPU = Machine("cpu", "fp32")
Plan = Callable[..., Job]


@pytest.fixture
def planned(data: Path, tiny_encoder: Path) -> Plan:
    def plan(
        size: str = "all", target: str = "ships", source: str = "", encoder: Path = tiny_encoder,
        split: Literal["test", "dev"] = "test", **more: Any,
    ) -> Job:  # fmt: skip
        settings = {"epochs": 1, "min_steps": 0, "batch_size": 8, "precision": "fp32", **more}
        suite = Suite(
            name="s", title="S", systems={"A": SystemSettings(encoder=str(encoder), source=source)},
            targets=(Target(data=target, sizes=(size,)),), seeds=(1,), split=split,
            protocols={"p": make_settings(FinetuneSettings, settings)},
        )  # fmt: skip
        (job,) = make_plan(suite, data, CPU)
        assert isinstance(job, Job), job.why
        return job

    return plan


def counts(reading: CellSentences) -> tuple[int, int, int]:
    return len(reading.train), len(reading.test), len(reading.dev)


def test_what_a_cell_does_not_use_may_be_broken_or_gone(planned: Plan, data: Path) -> None:
    found = planned().read()
    assert (counts(found), found.duplicates) == ((12, 3, 3), (2,))
    assert counts(planned("5").read()) == (5, 3, 3)
    (data / "ships" / "dev.conll").unlink()
    assert counts(planned("5").read()) == (5, 3, 0)
    (data / "ships" / "dev.conll").write_text(BROKEN)
    rows = (f"Holm{number}\tB-person\nsees\tO\nIngeborg{number}\tB-ship\n\n" for number in range(8))
    (data / "ships" / "test.conll").write_text("".join(rows))
    for train in (BROKEN, None):
        path = data / "ships" / "train.conll"
        path.write_text(train) if train else path.unlink()
        episode = planned("2 way 1 shot").read()
        assert episode.duplicates == ()
        assert episode.train
        assert episode.test


def test_a_suite_on_dev_reads_no_test(planned: Plan, data: Path) -> None:
    (data / "ships" / "test.conll").write_text(BROKEN)
    found = planned(split="dev").read()
    assert counts(found) == (12, 3, 0), "what is scored gives no temperature"
    assert found.test == read_examples(data / "ships" / "dev.conll")


@pytest.mark.parametrize(
    ("broken", "options", "told"),
    [
        ({"train": BROKEN}, {}, "train.conll:2: broken line"),
        ({"test": BROKEN}, {}, "test.conll:2: broken line"),
        ({"dev": BROKEN}, {"select": "dev"}, "dev.conll:2: broken line"),
        ({"train": None}, {}, "holds no train split, say train.conll"),
        ({"test": None}, {}, "holds no test split, so nothing can be scored"),
        ({"dev": None}, {"select": "dev"}, "setting select = 'dev': there is no dev split"),
        ({"train": "Oslo\tO\n"}, {}, "no training sentence has an entity"),
        ({}, {"size": "50"}, "size 50: there are only 12 sentences"),
    ],
)
def test_a_cells_own_fault_is_told_without_its_folder(
    planned: Plan, data: Path, store: Store, broken: dict[str, str | None], options: dict[str, Any], told: str
) -> None:
    for split, text in broken.items():
        path = data / "ships" / f"{split}.conll"
        path.write_text(text) if text else path.unlink()
    end = run_task(Desk(store.folder, CPU), planned(**options))
    assert end.why.startswith(told)
    assert "ships" not in end.why
    assert end == End(State.FAILED, end.why)
    assert not list(store.scratch.iterdir())


@pytest.mark.parametrize("when", ["before", "meanwhile", "and it fails"])
def test_what_was_made_of_changed_files_is_not_kept(
    planned: Plan, data: Path, store: Store, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def change(system: object, part: CellSentences, *_: object) -> Any:
        with (data / "ships" / "test.conll").open("a") as file:
            file.write("\n")
        if when == "and it fails":
            raise InputError("torn")
        return all_outside(system, part)

    job = planned()
    if when == "before":
        change(job.system, job.read())
    monkeypatch.setattr(FineTuned, "predict", all_outside if when == "before" else change)
    end = run_task(Desk(store.folder, CPU), job)
    assert end.why.endswith("changed while the benchmark ran; run it again")
    assert (end.state, end.try_again) == (State.FAILED, True)
    assert not made(store.folder)


def test_a_cell_whose_source_is_gone_is_tried_again(planned: Plan, store: Store) -> None:
    end = run_task(Desk(store.folder, CPU), planned(source="far"))
    assert end == End(State.FAILED, "the source checkpoint that it needs is gone; run the benchmark again", True)


def test_a_cell_after_a_source_reads_two_layers(
    planned: Plan, store: Store, tmp_path: Path, tiny_encoder: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_encoder))
    save_model(tmp_path / "deep", tiny_tagging("bert", len(tokenizer), num_hidden_layers=3), tokenizer)
    write_card(tmp_path / "deep", "encoder", word_splitter=SPLITTER, num_frozen_layers=2)
    job = planned(source="far", encoder=tmp_path / "deep", tagging={"joined_layer": -1}, source_head="shared")
    assert job.system.source
    for task in (job.system.source, job):
        assert run_task(Desk(store.folder, CPU), task) == End(State.DONE)


def test_settings_and_precision_are_the_protocols(
    planned: Plan, store: Store, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoConfig

    taggers = []

    def spy(*given: Any, **more: Any) -> Finetuned:
        taggers.append(finetune_examples(*given, **more))
        return taggers[-1]

    monkeypatch.setattr(finetuned, "finetune_examples", spy)
    job = planned(precision="bf16")
    assert isinstance(job.system, FineTuned)
    found = job.system.predict(job.read(), store, store.scratch)
    rate = usual_rate(AutoConfig.from_pretrained(tiny_encoder))
    assert found.facts["settings"]["learning_rate"] == rate > 0 == job.system.settings.learning_rate
    assert (found.facts["settings"]["batch_size"], found.facts["steps"]) == (8, 2)
    assert taggers[0].card["precision"] == "bf16"
    legal, raw = tag_both_ways(taggers[0].head, job.read().test, found.facts["temperature"])
    assert (found.entities, found.greedy) == (tagged_entities(legal), [each.tags for each in raw])


def test_tagged_sentences_are_only_scored(planned: Plan, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job = planned()
    monkeypatch.setattr(FineTuned, "predict", all_outside)
    job.make(store, store.scratch)
    first = store.read_cell(job.key, job.place)
    assert first is not None
    shutil.rmtree(store.cells)
    store.cells.mkdir()
    monkeypatch.setattr(FineTuned, "predict", None)
    job.make(store, store.scratch)
    again = store.read_cell(job.key, job.place)
    assert again is not None
    assert again.scores == first.scores
    assert again.facts["finished"] == first.facts["finished"]


def caused(outer: NerbertError, inner: Exception) -> NerbertError:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "again", "full"),
    [
        (InputError("x"), False, False),
        (SettingsError("x"), False, False),
        (caused(InputError("x"), ValueError("x")), False, False),
        (caused(InputError("x"), OSError(errno.EMFILE, "x")), True, False),
        (caused(InputError("x"), MemoryError()), True, False),
        (NerbertError("memory ran out"), True, False),
        (RuntimeError("x"), True, False),
        (torch.OutOfMemoryError("x"), True, False),
        (WriteError("x"), True, True),
        (OSError(errno.ENOSPC, "x"), True, True),
    ],
)
def test_whose_fault_a_failure_is(error: Exception, again: bool, full: bool, tmp_path: Path) -> None:
    assert failure(error, tmp_path, tmp_path)[2:] == (again, full)


def test_a_failure_is_one_line_without_folders(tmp_path: Path) -> None:
    scratch, data = tmp_path / "scratch", tmp_path / "data"
    assert failure(InputError(f"{data}/train.conll:2: torn"), scratch, data).why == "train.conll:2: torn"
    assert failure(InputError(f"{data}: torn, {scratch}/tagger"), scratch, data).why == "torn, tagger"
    assert failure(ValueError("a\nb" * 999), scratch, data).why.startswith("ValueError: a ba b")
    assert len(failure(ValueError("a" * 999), scratch, data).why) == 500
