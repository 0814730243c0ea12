"""Suites that are run: cached, failing, dying, going on. Most cells tag without a training, in this process."""

import importlib.util
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import WorkerDied, WriteError
from nerbert.evaluation.benchmark import runner, tasks
from nerbert.evaluation.benchmark.cells import Cell, Machine, State
from nerbert.evaluation.benchmark.runner import STOPPED
from nerbert.evaluation.benchmark.selection import NOT_SELECTED
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.benchmark.suite_file import read_suite
from nerbert.evaluation.benchmark.system import CellTask
from nerbert.evaluation.benchmark.systems import finetuned
from nerbert.evaluation.benchmark.systems.finetuned import FineTuned
from nerbert.evaluation.benchmark.tasks import OUT_OF_TIME, End, run_task
from nerbert.executors import ONE_CORE, Resources
from nerbert.model.folder import read_card
from nerbert.parts import Share
from tests.commands import exit_code
from tests.evaluation.benchmark.outcome import all_outside, cells_of, made
from tests.raised import raises

Output = pytest.CaptureFixture[str]

CELLS = 8


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch, tiny_encoder: Path) -> list[str]:
    """Let tasks of this process train nothing; return the keys of source trainings and cells that were begun."""
    begun: list[str] = []

    def begin(desk: Any, task: CellTask) -> End:
        begun.append(task.key)
        return run_task(desk, task)

    def trained(*given: Any, **_: Any) -> None:
        shutil.copytree(tiny_encoder, given[4], dirs_exist_ok=True)

    monkeypatch.setattr(runner, "run_task", begin)
    monkeypatch.setattr(finetuned, "finetune_examples", trained)
    monkeypatch.setattr(FineTuned, "predict", all_outside)
    return begun


def run(*arguments: object, workers: int = 1) -> int:
    return exit_code("benchmark", *arguments, "--workers", workers)


def test_a_suite_runs_once_and_is_what_finetune_and_evaluate_say(
    suite: Suite, data: Path, tmp_path: Path, tiny_encoder: Path, capsys: Output
) -> None:
    from nerbert.evaluation.evaluate import evaluate
    from nerbert.finetuning.finetune import finetune

    output = tmp_path / "out"
    cells = cells_of(suite, data, output)
    assert [cell.place for cell in cells] == list(suite.places())
    assert {cell.state for cell in cells} == {State.DONE}
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "cells to run: 8, 1 at once; done already: 0"
    assert told[1:3] == [f"source data far, seed {seed}: made" for seed in (1, 2)]
    ends = [line.rpartition("; ")[2] for line in told[3:] if " F1 " in line]
    assert ends == [f"{number} of {CELLS} cells" for number in range(1, CELLS + 1)]
    assert not (output / ".benchmark").exists()

    settings = replace(suite.protocols["fast"], threads=1)
    for cell, source in zip(cells[:2], (None, data / "far"), strict=True):
        finetune(str(tiny_encoder), data / "ships", tmp_path / "t", settings, source=source, overwrite=True)
        (score,) = evaluate(tmp_path / "t", data / "ships" / "test.conll").scores.values()
        (greedy,) = evaluate(tmp_path / "t", data / "ships" / "test.conll", decoding="greedy").scores.values()
        assert (cell.scores["micro"]["f1"], cell.scores["greedy"]["f1"]) == (score.f1, greedy.f1)
        assert cell.facts["temperature"] == read_card(str(tmp_path / "t"))["calibration"]["temperature"] != 1
    assert max(cell.scores["micro"]["f1"] for cell in cells) > 0

    before = made(output)
    assert len(before) == 2 * CELLS
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
    assert set(facts["versions"]) >= {"nerbert", "python", "torch", "transformers", "tokenizers", "accelerate", "numpy"}
    assert facts["keys"]["source"] in {path.name for path in (output / "sources").iterdir()}
    assert (facts["source_data"], facts["source_seed"], facts["seed"]) == ("far", 2, 2)
    assert facts["source_seconds"]["cpu"] > 0
    assert (facts["precision"], facts["steps"], facts["duplicates"]) == ("fp32", 2, 1)
    assert "places" not in cells[0].facts
    assert len({cell.facts["encoder"] for cell in cells}) == 1


def test_sources_come_first_then_cells_in_order(suite: Suite, data: Path, tmp_path: Path, untrained: list[str]) -> None:
    cells = cells_of(suite, data, tmp_path / "out")
    sources = dict.fromkeys(key for cell in cells if (key := cell.facts["keys"]["source"]))
    assert len(sources) == 2, "one a seed"
    assert untrained == [*sources, *(cell.facts["keys"]["score"] for cell in cells)]


@pytest.mark.extras
def test_parts_make_the_cells_and_a_merge_the_tables(
    suite: Suite, suite_file: Path, data: Path, tmp_path: Path, untrained: list[str], capsys: Output
) -> None:
    whole = [cell.facts["keys"] for cell in cells_of(suite, data, tmp_path / "whole")]
    untrained.clear()
    output = tmp_path / "out"
    arguments = (suite_file, "--data", data, "-o", output)
    assert run(*arguments, "--part", "1/2") == 0
    assert "2 not run; --merge writes the tables" not in capsys.readouterr().err
    first = list(untrained)
    assert 1 < len(first) < CELLS
    assert run(*arguments, "--part", "1/2") == 0
    assert untrained == first, "a part that is done runs nothing again"
    assert run(*arguments, "--merge") == 1
    assert "cells are missing, such as" in capsys.readouterr().err
    with Store(output).hold(Share(1, 2)):
        assert run(*arguments, "--part", "1/2") == 1
        assert "another run is doing part 1/2 now" in capsys.readouterr().err
        assert run(*arguments, "--part", "2/2") == 0
        assert run(*arguments, "--merge") == 1
    assert not list(output.glob("*.md"))
    assert len(untrained) == len(set(untrained)), "a source is made by one part"
    assert sorted(untrained) == sorted({key for keys in whole for key in (keys["source"], keys["score"]) if key})
    assert run(*arguments, "--merge") == 0
    assert list(output.glob("*.md"))


@pytest.mark.nightly
def test_what_is_broken_is_made_anew(
    suite: Suite, data: Path, tmp_path: Path, untrained: list[str], capsys: Output
) -> None:
    """A cell that was cut off is scored anew, without its source; one whose tags are broken too is trained."""
    output = tmp_path / "out"
    first = cells_of(suite, data, output)
    keys = [cell.facts["keys"] for cell in first]
    torn = output / "cells" / f"{keys[1]['score']}.json"
    torn.write_bytes(torn.read_bytes()[:50])
    (output / "sources" / keys[1]["source"] / "model.safetensors").write_bytes(b"torn")
    untrained.clear()
    capsys.readouterr()
    assert [cell.scores for cell in cells_of(suite, data, output)] == [cell.scores for cell in first]
    assert untrained == [keys[1]["score"]]
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"{torn}:")
    assert told[0].endswith("; so its cell is run again")

    torn.unlink()
    (output / "predictions" / f"{keys[1]['tag']}.json").write_text("{")
    untrained.clear()
    assert [cell.scores for cell in cells_of(suite, data, output)] == [cell.scores for cell in first]
    assert untrained == [keys[1]["source"], keys[1]["score"]]


@pytest.mark.nightly
def test_cells_that_fail_are_told_and_the_others_go_on(
    suite_file: Path, data: Path, tmp_path: Path, untrained: list[str], capsys: Output
) -> None:
    text = suite_file.read_text().replace("seeds = [1, 2]", "seeds = [1]").replace('sizes = ["all", 3]', "sizes = [1]")
    text += '[[targets]]\ndata = "torn"\n[[targets]]\ndata = "nowhere"\n'
    text += '[protocols.dev]\nepochs = 1\nmin_steps = 0\nselect = "dev"\n[systems.mine]\n'
    text += f'[systems.gone]\nencoder = "{tmp_path}/gone"\n'
    suite_file.write_text(text + '[[targets]]\ndata = "far"\n')
    output = tmp_path / "out"
    assert run(suite_file, "--data", data, "-o", output) == 1
    shown = capsys.readouterr()
    assert "failed: tiny, torn, all, draw 1, seed 1, fast and 3 more: train.conll:2: broken line" in shown.err
    assert "or with --retry" in shown.err
    assert {path.suffix for path in output.glob("small.*")} >= {".md", ".csv", ".tex", ".html"}
    untrained.clear()
    cells = {cell.place: cell for cell in cells_of(read_suite(suite_file), data, output)}
    found = {(place.system, place.target, place.protocol): (cell.state, cell.why) for place, cell in cells.items()}
    assert found["tiny", "ships", "fast"] == found["tiny", "ships", "dev"] == (State.DONE, "")
    assert found["tiny", "far", "dev"][1] == (
        "setting select = 'dev': there is no dev split; add one or use select = 'last'"
    )
    assert "no such folder" in found["tiny", "nowhere", "fast"][1]
    assert found["mine", "ships", "fast"][0] is State.NOT_RUN
    assert "no such folder" in found["gone", "ships", "fast"][1]
    assert untrained == [], "a failure is kept"

    before = made(output)
    assert run(suite_file, "--data", data, "-o", output, "--retry") == 1
    after = made(output)
    assert len(untrained) == len({name for name in before if after[name] != before[name]}) == 6


def test_a_source_that_fails_takes_its_cells_along(
    suite_file: Path, data: Path, tmp_path: Path, untrained: list[str]
) -> None:
    suite_file.write_text(suite_file.read_text().replace('source = "far"', 'source = "torn"'))
    suite, output = read_suite(suite_file), tmp_path / "out"
    cells = cells_of(suite, data, output)
    lost = [cell for cell in cells if "source" in cell.place.system]
    for cell in lost:
        assert cell.why.startswith(f"source data torn, seed {cell.place.seed}: train.conll:2: broken line")
    assert {cell.state for cell in cells if cell not in lost} == {State.DONE}
    assert len(untrained) == 2 + CELLS // 2
    assert cells_of(suite, data, output) == cells
    assert len(untrained) == 2 + CELLS // 2


class Mortal:
    """An executor of two workers that die with what they have under way when one of `fatal` tasks begins."""

    workers = 2

    def __init__(self, scratch: Path, fatal: Callable[[CellTask], bool]) -> None:
        self.scratch, self.fatal, self.begun = scratch, fatal, list[tuple[str, ...]]()

    def map_ordered(
        self, task: Callable[[Any], Any], items: Iterable[Any], needs: Resources = ONE_CORE
    ) -> Iterator[Any]:
        items = list(items)
        self.begun.append(tuple(each.key for each in items))
        for place, item in enumerate(items):
            if self.fatal(item):
                for each in items[place : place + 2]:
                    (self.scratch / each.key).mkdir(exist_ok=True)
                raise WorkerDied("a worker process died")
            yield task(item)

    def __enter__(self) -> "Mortal":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("untrained")
def test_the_death_of_a_process_is_one_cells_failure(suite: Suite, data: Path, tmp_path: Path, capsys: Output) -> None:
    executor = Mortal(tmp_path / "out" / ".benchmark", lambda task: task.key == fatal)
    fatal = [cell.facts["keys"]["score"] for cell in cells_of(suite, data, tmp_path / "first")][2]
    cells = cells_of(suite, data, tmp_path / "out", executor)
    assert [cell.state for cell in cells] == [State.FAILED if place == 2 else State.DONE for place in range(CELLS)]
    assert cells[2].why == "a worker process died; the next run tries again"
    assert cells[2].try_again
    assert [len(keys) for keys in executor.begun] == [2, 8, 1, 1, 4], "sources; cells; the two under way; the rest"
    assert "a worker process died; the tasks in progress run again, one by one" in capsys.readouterr().err
    assert {cell.state for cell in cells_of(suite, data, tmp_path / "out")} == {State.DONE}


@pytest.mark.usefixtures("untrained")
def test_processes_that_die_before_they_begin_end_the_run(suite: Suite, data: Path, tmp_path: Path) -> None:
    executor = Mortal(tmp_path / "out" / ".benchmark", lambda _: True)
    cells = cells_of(suite, data, tmp_path / "out", executor)
    assert {cell.state for cell in cells} == {State.FAILED}
    assert cells[1].why == "source data far, seed 1: a worker process died; the next run tries again"


def test_a_full_disk_ends_the_run(
    suite: Suite, data: Path, tmp_path: Path, untrained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Store.write_cell

    def full(store: Store, key: str, cell: Cell) -> None:
        if len(untrained) > 4:
            raise WriteError("no room")
        write(store, key, cell)

    monkeypatch.setattr(Store, "write_cell", full)
    with raises(WriteError, words="out: is full, so no more cells are started: no room"):
        cells_of(suite, data, tmp_path / "out")
    assert len(untrained) == 5
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 2


def test_no_cell_begins_when_the_time_is_up(suite: Suite, data: Path, tmp_path: Path, untrained: list[str]) -> None:
    cells = cells_of(suite, data, tmp_path / "out", minutes=1e-9)
    assert {(cell.state, cell.why) for cell in cells} == {(State.NOT_RUN, OUT_OF_TIME)}
    assert not made(tmp_path / "out")
    assert not list((tmp_path / "out" / "sources").iterdir())
    assert {cell.state for cell in cells_of(suite, data, tmp_path / "out", minutes=1e9)} == {State.DONE}
    assert len(untrained) > CELLS


@pytest.mark.nightly
def test_episodes_and_types_that_training_lacks(
    suite_file: Path, data: Path, tmp_path: Path, untrained: list[str]
) -> None:
    text = suite_file.read_text().replace('"all", 3', '"1 way 1 shot", "k=5"')
    text = text.replace("draw_by_seed = true", "draws = 5")
    suite_file.write_text(text.replace("seeds = [1, 2]", "seeds = [1]").replace('"tiny"\nsource = "far"', '"tiny"'))
    test = [f"Bo{n}\tB-person\nLie\tI-person\n\nThe\tO\nHolm{n}\tB-ship\n\nA{n}\tB-port\n\n" for n in range(3)]
    (data / "ships" / "test.conll").write_text("".join(test))
    cells = cells_of(read_suite(suite_file), data, tmp_path / "out")
    assert [cell.why for cell in cells] == [""] * 20
    assert len(untrained) == len({cell.facts["keys"]["score"] for cell in cells}) <= 10, "equal systems share cells"
    episodes = [cell for cell in cells if cell.place.size == "1 way 1 shot"]
    assert all(cell.facts["unknown_types"] == [] and len(cell.facts["types"]) == 1 for cell in episodes)
    assert len({tuple(cell.facts["query_places"]) for cell in episodes}) > 1
    (unknown,) = {tuple(cell.facts["unknown_types"]) for cell in cells if cell.place.size == "k=5"}
    assert unknown == ("port",)


@pytest.mark.usefixtures("untrained")
def test_a_dry_run_lists_and_writes_nothing(suite_file: Path, data: Path, tmp_path: Path, capsys: Output) -> None:
    output = tmp_path / "out"
    dry = partial(run, suite_file, "--data", data, "-o", output, "--dry-run")
    assert dry() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny, ships, all, draw 1, seed 1, fast: would run"
    assert len(lines) == CELLS + 1
    assert lines[-1] == f"to run: {CELLS} cells; no cell like {CELLS} of them is done"
    assert not output.exists()
    cells = cells_of(read_suite(suite_file), data, output)
    (output / "cells" / f"{cells[1].facts['keys']['score']}.json").unlink()
    capsys.readouterr()
    assert dry() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("fast: ")[2][:10] for line in lines[:3]] == ["cached: F1", "would be s", "cached: F1"]
    assert lines[-1].startswith("to run: 1 cells; about ")
    assert dry("--only", "seed=2") == 0
    assert len(capsys.readouterr().out.splitlines()) == sum(each.place.seed == 2 for each in cells)


@pytest.mark.usefixtures("untrained")
def test_a_part_of_a_suite_runs_and_the_tables_keep_the_rest(suite: Suite, data: Path, tmp_path: Path) -> None:
    first = cells_of(suite, data, tmp_path / "out", only=["seed=1"])
    assert {(cell.state, cell.why) for cell in first if cell.place.seed == 2} == {(State.NOT_RUN, NOT_SELECTED)}
    assert {cell.state for cell in first if cell.place.seed == 1} == {State.DONE}
    assert {cell.state for cell in cells_of(suite, data, tmp_path / "out", only=["seed=2"])} == {State.DONE}


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


def test_a_dry_run_needs_no_scipy(
    suite_file: Path, data: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "scipy" else find(name))
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
        monkeypatch.setitem(sys.modules, name, None)
    arguments = (suite_file, "--data", data, "-o", tmp_path / "out")
    assert run(*arguments, "--dry-run") == 0
    assert len(capsys.readouterr().out.splitlines()) == CELLS + 1
    assert run(*arguments) == 1
    assert capsys.readouterr().err == "nerbert: scipy not installed: pip install 'nerbert[benchmark]'\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.extras
def test_the_command_to_go_on_has_all_options(
    suite_file: Path, data: Path, tmp_path: Path, capsys: Output, tiny_encoder: Path
) -> None:
    """Wherever the arguments come from."""
    options = ["--encoder", f"tiny={tiny_encoder}", "--only", "protocol=fast"]
    options += ["--minutes", "1e-09", "--workers", "1", "--retry"]
    arguments = ["benchmark", str(suite_file), "--data", str(data), "-o", str(tmp_path / "out"), *options]
    assert exit_code(*arguments) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "are left" in line)
    assert line == f"{CELLS} cells are left; {shlex.join(['nerbert', *arguments])}"


def test_what_to_do_about_cells_that_are_left(suite: Suite) -> None:
    def left(why: str, state: State = State.FAILED, **facts: object) -> list[str]:
        return list(runner._left([Cell(place, state, why, facts=facts) for place in suite.places()], "AGAIN"))

    assert left("killed", try_again=True)[1:] == ["every run retries cells that failed because of the machine: AGAIN"]
    assert "--retry" in left("torn")[1]
    assert "--retry" not in left("killed", try_again=True)[1]
    assert left(OUT_OF_TIME, State.NOT_RUN) == left(STOPPED, State.NOT_RUN) == ["8 cells are left; AGAIN"]
    assert left("no encoder given", State.NOT_RUN) == []


@pytest.mark.extras
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--minutes", "0"], "--minutes 0: must be above 0"),
        (["--workers", "0"], "workers = 0: must be at least 1"),
        (["--data", "/nowhere"], "/nowhere: no such folder"),
    ],
)
def test_options_that_are_refused(
    suite_file: Path, data: Path, tmp_path: Path, options: list[str], told: str, capsys: Output
) -> None:
    given = [] if "--data" in options else ["--data", data]
    assert exit_code("benchmark", suite_file, *given, "-o", tmp_path / "out", *options) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_processes_share_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-ab")
    machine = Machine("cuda", "bf16")
    assert runner._gpus(machine) == ("4", "GPU-ab")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert runner._gpus(machine) == ("0", "1")
    assert runner._gpus(replace(machine, device="cpu")) == ()
    names = [get_context("forkserver").Process().name for _ in range(4)]
    assert [tasks.gpu_of(name, ("a", "b")) for name in names] in (list("abab"), list("baba"))
