"""Suites that are run: cached, failing, dying, going on. Most cells tag without a training, in this process."""

import errno
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, SettingsError, WorkerDied, WriteError
from nerbert.executors import ONE_CORE, Resources
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.folder import read_card
from nerbert.training.sections import make_settings
from nerbert_bench import keys, runner
from nerbert_bench.cells import TRY_AGAIN, Cell, CellKey, CellSentences, Machine, State, write_cell
from nerbert_bench.runner import NOT_SELECTED, STOPPED, failure, select_cells
from nerbert_bench.suite import Suite, SystemSettings, Target, read_suite
from nerbert_bench.systems import finetuned
from nerbert_bench.systems.finetuned import FineTuned
from tests.bench.outcome import all_outside, cells_of, made, only_job, run_only
from tests.calls import noted
from tests.commands import exit_code
from tests.examples import read_examples
from tests.raised import raises, raising

Output = pytest.CaptureFixture[str]
One = Callable[..., Suite]
CELLS = 8
BROKEN = "The\tO\nMargarethe\n"


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[CellKey]:
    """Let tasks of this process train nothing; return the places of the cells that were begun."""
    monkeypatch.setattr(FineTuned, "predict", all_outside)
    return noted(monkeypatch, runner, "run_cell", lambda output, gpus, job: job.place)


@pytest.fixture
def one(tiny_encoder: Path) -> One:
    """Return a function that makes a suite of one cell."""

    def make(
        size: str = "all", *, source: str = "", encoder: Path = tiny_encoder, split: Any = "test", **more: Any
    ) -> Suite:
        settings = {"epochs": 1, "min_steps": 0, "batch_size": 8, "precision": "fp32", **more}
        return Suite(
            name="s",
            systems={"A": SystemSettings(encoder=str(encoder), source=source)},
            targets=(Target(data="ships", sizes=(size,)),),
            seeds=(1,),
            split=split,
            protocols={"p": make_settings(FinetuneSettings, settings)},
        )

    return make


def run(*arguments: object, workers: int = 1) -> int:
    return exit_code("benchmark", *arguments, "--workers", workers)


def test_a_suite_runs_once_and_is_what_finetune_and_evaluate_say(
    suite: Suite, data: Path, tmp_path: Path, tiny_encoder: Path, capsys: Output
) -> None:
    from nerbert.evaluation.evaluate import evaluate
    from tests.stages import finetune

    output = tmp_path / "out"
    cells = cells_of(suite, data, output)
    assert [cell.place for cell in cells] == list(suite.cell_keys())
    assert {cell.state for cell in cells} == {State.DONE}
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "cells to run: 8, 1 at once; done already: 0"
    ends = [line.rpartition("; ")[2] for line in told if " F1 " in line]
    assert ends == [f"{number} of {CELLS} cells" for number in range(1, CELLS + 1)]

    settings = replace(suite.protocols["fast"], threads=1)
    for cell, source in zip(cells[:2], (None, data / "far"), strict=True):
        finetune(str(tiny_encoder), data / "ships", tmp_path / "t", settings, source=source, overwrite=True)
        (score,) = evaluate(tmp_path / "t", data / "ships" / "test.conll").scores.values()
        (greedy,) = evaluate(tmp_path / "t", data / "ships" / "test.conll", decoding="greedy").scores.values()
        assert (cell.scores["micro"]["f1"], cell.scores["greedy"]["f1"]) == (score.f1, greedy.f1)
        assert cell.facts["temperature"] == read_card(str(tmp_path / "t"))["calibration"]["temperature"] != 1
    assert max(cell.scores["micro"]["f1"] for cell in cells) > 0

    before = made(output)
    assert len(before) == CELLS
    capsys.readouterr()
    assert cells_of(suite, data, output) == cells
    assert made(output) == before
    assert not capsys.readouterr().err
    check_facts(cells, output)


def check_facts(cells: list[Cell], output: Path) -> None:
    facts = cells[-1].facts
    assert {"train", "calibrate", "tag", "read", "score"} == set(facts["seconds"])
    assert 0 < facts["seconds"]["train"]["cpu"] <= facts["cpu_seconds"]
    assert (facts["sentences"], len(facts["places"]), facts["test_sentences"]) == (3, 3, 3)
    assert facts["reached"].keys() == {"person", "place", "ship"}
    assert set(facts["data"]) == {"train.conll", "dev.conll", "test.conll"}
    assert facts["temperature"] > 0
    assert set(facts["versions"]) >= {"nerbert", "python", "torch", "transformers", "tokenizers", "numpy"}
    folders = {path.name for path in (output / "sources").iterdir() if path.is_dir()}
    assert folders == {cell.facts["source"] for cell in cells if "source" in cell.facts}
    assert len(folders) == 2, "one checkpoint a seed"
    assert (facts["source_data"], facts["source_seed"], facts["seed"]) == ("far", 2, 2)
    assert facts["source_seconds"]["cpu"] > 0
    assert (facts["precision"], facts["steps"], facts["duplicates"]) == ("fp32", 2, 1)
    assert "places" not in cells[0].facts
    assert len({cell.facts["encoder"] for cell in cells}) == 1


def test_what_is_broken_or_old_is_made_anew(
    suite: Suite, data: Path, tmp_path: Path, untrained: list[CellKey], capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = cells_of(suite, data, tmp_path / "out")
    broken = tmp_path / "out" / "cells" / f"{cells[3].facts['keys']['tag']}.json"
    broken.write_text(broken.read_text()[:-1])
    untrained.clear()
    capsys.readouterr()
    again = cells_of(suite, data, tmp_path / "out")
    assert [cell.scores for cell in again] == [cell.scores for cell in cells]
    assert untrained == [cells[3].place]
    assert f"{broken}:1: not JSON" in capsys.readouterr().err
    monkeypatch.setattr(keys, "SCORING", 1000)
    monkeypatch.setattr(FineTuned, "predict", None)
    scored = cells_of(suite, data, tmp_path / "out")
    assert [cell.scores for cell in scored] == [cell.scores for cell in cells], "tags are kept"
    assert [cell.facts["finished"] for cell in scored] == [cell.facts["finished"] for cell in again]
    assert len(untrained) == 1 + CELLS


def test_cells_that_fail_are_told_and_the_others_go_on(
    suite_file: Path, data: Path, tmp_path: Path, untrained: list[CellKey]
) -> None:
    suite_file.write_text(suite_file.read_text() + '[[targets]]\ndata = "torn"\n')
    suite = read_suite(suite_file)
    cells = cells_of(suite, data, tmp_path / "out")
    failed = [cell for cell in cells if cell.place.target == "torn"]
    assert {(cell.state, cell.why.partition("'")[0]) for cell in failed} == {
        (State.FAILED, "train.conll:2: broken line ")
    }
    assert sum(cell.state is State.DONE for cell in cells) == CELLS
    count = len(untrained)
    assert cells_of(suite, data, tmp_path / "out") == cells
    assert len(untrained) == count, "their own fault, so they aren't tried again"
    cells_of(suite, data, tmp_path / "out", retry=True)
    assert len(untrained) == count + len(failed)


@pytest.mark.parametrize(
    ("broken", "options", "told"),
    [
        ({"train": BROKEN}, {}, "train.conll:2: broken line"),
        ({"dev": BROKEN}, {"select": "dev"}, "dev.conll:2: broken line"),
        ({"train": None}, {}, "holds no train split, say train.conll"),
        ({"test": None}, {}, "holds no test split, so nothing can be scored"),
        ({"dev": None}, {"select": "dev"}, "setting select = 'dev': there is no dev split"),
        ({"train": "Oslo\tO\n"}, {}, "no training sentence has an entity"),
        ({"../far/train": BROKEN}, {"source": "far"}, "source data far: "),
        ({}, {"size": "50"}, "size 50: there are only 12 sentences"),
    ],
)
def test_a_cells_own_fault_is_told_without_its_folder(
    one: One, data: Path, tmp_path: Path, broken: dict[str, str | None], options: dict[str, Any], told: str
) -> None:
    for split, text in broken.items():
        path = data / "ships" / f"{split}.conll"
        path.write_text(text) if text else path.unlink()
    cell, file = run_only(one(**options), data, tmp_path)
    assert (cell.state, cell.facts) == (State.FAILED, {})
    assert cell.why.startswith(told)
    assert "ships" not in cell.why
    assert file is not None
    assert file.cell(cell.place) == cell


@pytest.mark.parametrize("how", ["test", "and it fails", "encoder", "source"])
def test_what_was_made_of_changed_files_is_not_kept(
    one: One, data: Path, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    paths = {"encoder": encoder / "config.json", "source": data / "far" / "train.conll"}

    def change(*_: Any, **__: Any) -> Any:
        with paths.get(how, data / "ships" / "test.conll").open("a") as file:
            file.write("\n")
        if how == "and it fails":
            raise InputError("torn")
        return all_outside(None, only_job(one(), data).read())

    target: Any = finetuned if how == "source" else FineTuned
    monkeypatch.setattr(target, "train_tagger" if how == "source" else "predict", change)
    cell, _ = run_only(one(encoder=encoder, source="far"), data, tmp_path)
    assert cell.why.endswith(keys.CHANGED)
    assert (cell.state, cell.facts) == (State.FAILED, {TRY_AGAIN: True})
    assert not [path for path in (tmp_path / "sources").iterdir() if path.is_dir()]


def test_a_cell_reads_what_it_uses_alone(one: One, data: Path) -> None:
    def counts(part: CellSentences) -> tuple[int, int, int]:
        return len(part.train), len(part.test), len(part.dev)

    part = only_job(one(), data).read()
    assert (counts(part), part.duplicates) == ((12, 3, 3), (2,))
    assert counts(only_job(one("5"), data).read()) == (5, 3, 3)
    (data / "ships" / "test.conll").write_text(BROKEN)
    part = only_job(one(split="dev"), data).read()
    assert counts(part) == (12, 3, 0), "what is scored gives no temperature"
    assert part.test == read_examples(data / "ships" / "dev.conll")
    rows = (f"Holm{number}\tB-person\nsees\tO\nIngeborg{number}\tB-ship\n\n" for number in range(8))
    (data / "ships" / "test.conll").write_text("".join(rows))
    (data / "ships" / "train.conll").unlink()
    (data / "ships" / "dev.conll").write_text(BROKEN)
    episode = only_job(one("2 way 1 shot"), data).read()
    assert (episode.duplicates, bool(episode.train), bool(episode.test)) == ((), True, True)


def test_a_failure_is_one_line_without_folders(suite: Suite, tmp_path: Path) -> None:
    cells = [
        failure(error, next(suite.cell_keys()), tmp_path)
        for error in (
            InputError(f"{tmp_path}/train.conll:2: torn"),
            InputError(f"{tmp_path}: torn"),
            ValueError("a\nb" * 999),
        )
    ]
    why = [cell.why for cell in cells]
    assert [cell.facts for cell in cells] == [{}, {}, {TRY_AGAIN: True}], "the data's fault, or perhaps the machine's"
    assert why[:2] == ["train.conll:2: torn", "torn"]
    assert why[2].startswith("ValueError: a ba b")
    assert len(why[2]) == 500


class Mortal:
    """An executor whose workers die when one of `fatal` cells begins."""

    workers = 2

    def __init__(self, fatal: Callable[[CellKey], bool]) -> None:
        self.fatal, self.begun = fatal, list[int]()

    def map_ordered(
        self, task: Callable[[Any], Any], items: Iterable[Any], needs: Resources = ONE_CORE
    ) -> Iterator[Any]:
        items = list(items)
        self.begun.append(len(items))
        for item in items:
            if self.fatal(item.place):
                raise WorkerDied("a worker process died")
            yield task(item)

    def __enter__(self) -> "Mortal":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("untrained")
def test_the_death_of_a_process_is_one_cells_failure(suite: Suite, data: Path, tmp_path: Path, capsys: Output) -> None:
    fatal = list(suite.cell_keys())[2]
    executor = Mortal(lambda place: place == fatal)
    cells = cells_of(suite, data, tmp_path / "out", executor)
    assert [cell.state for cell in cells] == [State.FAILED if place == 2 else State.DONE for place in range(CELLS)]
    assert (cells[2].why, cells[2].facts) == ("a worker process died; the next run tries again", {TRY_AGAIN: True})
    assert executor.begun == [8, 1, 5]
    assert "a worker process died; the first cell in progress runs again, alone" in capsys.readouterr().err
    assert {cell.state for cell in cells_of(suite, data, tmp_path / "out")} == {State.DONE}


def test_a_full_disk_ends_the_run(
    suite: Suite, data: Path, tmp_path: Path, untrained: list[CellKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        if len(untrained) > 2:
            raise OSError(errno.ENOSPC, "no room")
        write_cell(*given)

    monkeypatch.setattr(runner, "write_cell", full)
    with raises(WriteError, words="can't be written: No space left on device; free space or choose another place"):
        cells_of(suite, data, tmp_path / "out")
    assert len(untrained) == 3
    assert len(made(tmp_path / "out")) == 2


@pytest.mark.usefixtures("untrained")
def test_a_dry_run_lists_and_writes_nothing(
    suite_file: Path, data: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    dry = partial(run, suite_file, "--data", data, "-o", output, "--dry-run")
    assert dry() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny, ships, all, draw 1, seed 1, fast: would run"
    assert len(lines) == CELLS + 1
    trainings = f"{CELLS} trainings, at least {CELLS} steps in all, after 2 on source data"
    assert lines[-1] == f"to run: {CELLS} cells; {trainings}; no cell like {CELLS} of them is done"
    assert not output.exists()
    cells = cells_of(read_suite(suite_file), data, output)
    (output / "cells" / f"{cells[1].facts['keys']['tag']}.json").unlink()
    capsys.readouterr()
    assert dry() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("fast: ")[2][:10] for line in lines[:3]] == ["cached: F1", "would run", "cached: F1"]
    assert lines[-1].startswith("to run: 1 cells; 1 training, at least 1 steps in all, after 1 on source data; about ")
    assert dry("--only", "seed=2") == 0
    assert len(capsys.readouterr().out.splitlines()) == sum(each.place.seed == 2 for each in cells)
    monkeypatch.setattr(keys, "SCORING", 1000)
    assert dry() == 0
    assert capsys.readouterr().out.count("fast: would be scored again") == CELLS - 1


@pytest.mark.usefixtures("untrained")
def test_a_part_of_a_suite_runs_and_the_tables_keep_the_rest(suite: Suite, data: Path, tmp_path: Path) -> None:
    first = cells_of(suite, data, tmp_path / "out", only=["seed=1"])
    assert {(cell.state, cell.why) for cell in first if cell.place.seed == 2} == {(State.NOT_RUN, NOT_SELECTED)}
    assert {cell.state for cell in first if cell.place.seed == 1} == {State.DONE}
    assert {cell.state for cell in cells_of(suite, data, tmp_path / "out", only=["seed=2"])} == {State.DONE}


@pytest.mark.parametrize(
    ("only", "count"),
    [((), 8), (("size=3",), 4), (("system=tiny", "seed=1, 2"), 4), (("system=tiny, source & target", "seed=1"), 2)],
)
def test_what_is_selected(suite: Suite, only: tuple[str, ...], count: int) -> None:
    assert len(select_cells(list(suite.cell_keys()), only)) == count


@pytest.mark.parametrize(
    ("only", "why"),
    [
        ("size", "--only size: did you mean 'size=…'?"),
        ("sizes=3", "--only sizes=3: did you mean 'size=…'?"),
        ("size=3,5", "--only size=3,5: the suite has no size '5'"),
    ],
)
def test_what_the_suite_does_not_have_is_refused(suite: Suite, only: str, why: str) -> None:
    with raises(SettingsError, words=why):
        select_cells(list(suite.cell_keys()), [only])


def test_a_dry_run_tells_each_reason_once(suite_file: Path, data: Path, tmp_path: Path, capsys: Output) -> None:
    text = suite_file.read_text() + f'[systems.gone]\nencoder = "{tmp_path}/gone"\n[systems.mine]\n'
    suite_file.write_text(text + '[[targets]]\ndata = "nowhere"\n')
    assert run(suite_file, "--data", data, "-o", tmp_path / "out", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith(": would run") for line in lines) == CELLS
    assert len(lines) == CELLS + 4
    assert all(line.startswith("can't run: ") for line in lines[CELLS:-1])
    gone = f"can't run: gone, ships, all, draw 1, seed 1, fast and 5 more: {tmp_path}/gone: "
    assert sum(line.startswith(gone) for line in lines) == 1
    mine = "mine, ships, all, draw 1, seed 1, fast and 5 more: no encoder given: --encoder 'mine'=FOLDER"
    assert f"can't run: {mine}" in lines


@pytest.mark.extras
def test_a_command_that_is_stopped_says_how_to_go_on(
    suite_file: Path, data: Path, tmp_path: Path, capsys: Output, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all its options, wherever they come from."""
    monkeypatch.setattr(runner, "run_cell", raising(KeyboardInterrupt()))
    options = ["--encoder", f"tiny={tiny_encoder}", "--only", "protocol=fast", "--workers", "1", "--retry"]
    arguments = ["benchmark", str(suite_file), "--data", str(data), "-o", str(tmp_path / "out"), *options]
    assert exit_code(*arguments) == 130
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "are left" in line)
    assert line == f"{CELLS} cells are left; {shlex.join(['nerbert', *arguments])}"


def test_what_to_do_about_cells_that_are_left(suite: Suite) -> None:
    def left(why: str, state: State = State.FAILED, **facts: object) -> list[str]:
        return list(runner.advice_on([Cell(place, state, why, facts=facts) for place in suite.cell_keys()], "AGAIN"))

    assert left("killed", try_again=True)[1:] == ["every run retries cells that failed because of the machine: AGAIN"]
    assert "--retry" in left("torn")[1]
    assert "--retry" not in left("killed", try_again=True)[1]
    assert left(STOPPED, State.NOT_RUN) == ["8 cells are left; AGAIN"]
    assert left("no encoder given", State.NOT_RUN) == []


def test_processes_share_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-ab")
    machine = Machine("cuda", "bf16")
    assert runner._gpus(machine) == ("4", "GPU-ab")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert runner._gpus(machine) == ("0", "1")
    assert runner._gpus(replace(machine, device="cpu")) == ()
    names = [get_context("forkserver").Process().name for _ in range(4)]
    assert [runner.gpu_of(name, ("a", "b")) for name in names] in (list("abab"), list("baba"))
