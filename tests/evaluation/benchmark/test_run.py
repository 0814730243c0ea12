"""Suites run by real processes: cached, killed, failing, going on."""

import importlib.util
import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from nerbert.errors import InputError, OutputExists, StaleOutput
from nerbert.evaluation.benchmark.cells import Cell, CellSentences, Predictions, State
from nerbert.evaluation.benchmark.inputs import Job, Machine
from nerbert.evaluation.benchmark.plan import make_plan
from nerbert.evaluation.benchmark.pool import Processes
from nerbert.evaluation.benchmark.read import read_suite
from nerbert.evaluation.benchmark.runner import OUT_OF_TIME, STOPPED, _left, run_suite
from nerbert.evaluation.benchmark.scheduler import NO_ROOM
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.benchmark.worker import End, _make_cell
from tests.commands import exit_code
from tests.evaluation.benchmark.outcome import made

pytest.importorskip("scipy")
CELLS = 8


def f1s(cells: list[Cell]) -> list[float]:
    return [cell.scores["micro"]["f1"] for cell in cells]


def test_a_suite_runs_once_and_is_what_finetune_and_evaluate_say(
    suite: Suite, data: Path, tmp_path: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from nerbert.evaluation.evaluate import evaluate
    from nerbert.finetuning.finetune import finetune

    output = tmp_path / "out"
    cells = run_suite(suite, data, output)
    assert [cell.place for cell in cells] == list(suite.places())
    assert {cell.state for cell in cells} == {State.DONE}
    told = capsys.readouterr().err.splitlines()
    assert len(told) == CELLS + 2
    assert re.fullmatch(r"cells to run: 8, \d+ at once; done already: 0", told[0])
    ends = [line.rpartition("; ")[2] for line in told if " F1 " in line]
    assert [end.split(" cells")[0] for end in ends] == [f"{number} of {CELLS}" for number in range(1, CELLS + 1)]
    assert ends[-1] == f"{CELLS} of {CELLS} cells"
    assert sum(line.startswith("source far: made in ") for line in told) == 1
    assert not (output / ".benchmark").exists()
    assert len(list((output / "sources").iterdir())) == 1

    settings = replace(suite.protocols["fast"], threads=1)
    for cell, source in zip(cells[:2], (None, data / "far"), strict=True):
        finetune(str(tiny_encoder), data / "ships", tmp_path / "t", settings, source=source, overwrite=True)
        (score,) = evaluate(tmp_path / "t", data / "ships" / "test.conll", decoding="greedy").scores.values()
        assert cell.scores["micro"]["f1"] == score.f1
    assert max(f1s(cells)) > 0

    before = made(output)
    assert len(before) == 2 * CELLS
    assert run_suite(suite, data, output) == cells
    assert made(output) == before
    assert not capsys.readouterr().err


def test_facts_of_a_cell(suite: Suite, data: Path, tmp_path: Path) -> None:
    cells = run_suite(suite, data, tmp_path / "out", workers=2)
    facts = cells[-1].facts
    assert {"train", "tag", "read", "score"} == set(facts["seconds"])
    assert 0 < facts["seconds"]["train"]["cpu"] <= facts["cpu_seconds"]
    assert (facts["sentences"], len(facts["places"]), facts["test_sentences"]) == (3, 3, 3)
    assert facts["reached"].keys() == {"person", "place", "ship"}
    assert set(facts["data"]) == {"train.conll", "test.conll"}
    assert set(facts["versions"]) >= {"nerbert", "python", "torch", "transformers", "tokenizers", "accelerate", "numpy"}
    assert facts["keys"]["source"] == next((tmp_path / "out" / "sources").iterdir()).name
    assert (facts["source_data"], facts["source_seed"], facts["seed"]) == ("far", 1, 2)
    assert facts["source_seconds"]["cpu"] > 0
    assert (facts["precision"], facts["steps"], facts["duplicates"]) == ("fp32", 4, 1)
    assert "places" not in cells[0].facts
    assert len({cell.facts["encoder"] for cell in cells}) == 1


def test_only_what_a_change_touches_runs_again(suite_file: Path, data: Path, tmp_path: Path) -> None:
    output, text = tmp_path / "out", suite_file.read_text()
    suite_file.write_text(text + '[[targets]]\ndata = "Ships"\n'.replace("Ships", "far"))
    run_suite(read_suite(suite_file), data, output)
    before = made(output)
    (data / "far" / "test.conll").write_text("Oslo\tB-place\n\n" * 2)
    run_suite(read_suite(suite_file), data, output)
    after = made(output)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2 * 4
    shutil.rmtree(output / "cells")
    scored = run_suite(read_suite(suite_file), data, output)
    again = made(output)
    assert {name: each for name, each in again.items() if name.startswith("p")} == {
        name: each for name, each in after.items() if name.startswith("p")
    }
    assert {cell.state for cell in scored} == {State.DONE}


def test_scoring_anew_gives_the_same_cell(suite: Suite, data: Path, tmp_path: Path) -> None:
    first = run_suite(suite, data, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "cells")
    shutil.rmtree(tmp_path / "out" / "sources")
    second = run_suite(suite, data, tmp_path / "out")
    assert [cell.scores for cell in first] == [cell.scores for cell in second]
    assert not list((tmp_path / "out" / "sources").iterdir())


def test_broken_files_are_made_anew(
    suite: Suite, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    first = run_suite(suite, data, output)
    torn = output / "cells" / f"{first[0].facts['keys']['score']}.json"
    torn.write_bytes(torn.read_bytes()[:50])
    worse = output / "cells" / f"{first[2].facts['keys']['score']}.json"
    worse.unlink()
    gone = output / "cells" / f"{first[1].facts['keys']['score']}.json"
    gone.unlink()
    for each in first[1:3]:
        (output / "predictions" / f"{each.facts['keys']['tag']}.json").write_text("{")
    (source,) = (output / "sources").iterdir()
    (source / "model.safetensors").write_bytes(b"torn")
    capsys.readouterr()
    second = run_suite(suite, data, output)
    assert [cell.scores for cell in first] == [cell.scores for cell in second]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 6
    assert sum(line.startswith("source far: made in ") for line in told) == 1
    assert told[0].startswith(f"{torn}:")
    assert told[0].endswith("; so its cell is run again")


def test_cells_that_fail_are_told_and_the_others_go_on(
    suite_file: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = suite_file.read_text().replace("seeds = [1, 2]", "seeds = [1]").replace('sizes = ["all", 3]', "sizes = [1]")
    text += '[[targets]]\ndata = "torn"\n[[targets]]\ndata = "nowhere"\n'
    text += '[protocols.dev]\nepochs = 1\nmin_steps = 0\nselect = "dev"\n[systems.mine]\n'
    text += f'[systems.gone]\nencoder = "{tmp_path}/gone"\n'
    suite_file.write_text(text + '[[targets]]\ndata = "far"\n')
    output = tmp_path / "out"
    assert exit_code("benchmark", suite_file, "--data", data, "-o", output) == 1
    cells = {cell.place: cell for cell in run_suite(read_suite(suite_file), data, output)}
    found = {(place.system, place.target, place.protocol): (cell.state, cell.why) for place, cell in cells.items()}
    assert found["tiny", "ships", "fast"] == (State.DONE, ""), "one example is enough"
    assert found["tiny", "ships", "dev"] == (State.DONE, "")
    assert found["tiny", "far", "dev"][1] == (
        "setting select = 'dev': there is no dev split; add one or take select = 'last'"
    )
    for system in ("tiny", "tiny, source & target"):
        state, why = found[system, "torn", "fast"]
        assert state is State.FAILED
        assert why.startswith("train.conll:2: broken line 'Margarethe'")
        assert "no such folder" in found[system, "nowhere", "fast"][1]
    assert found["mine", "ships", "fast"][0] is State.NOT_RUN
    assert "no such folder" in found["gone", "ships", "fast"][1]
    shown = capsys.readouterr()
    assert "failed: tiny, torn, all, draw 1, seed 1, fast and 3 more: " in shown.err
    assert "or with --retry" in shown.err
    assert {path.suffix for path in output.glob("small.*")} >= {".md", ".csv", ".tex", ".html"}

    before = made(output)
    assert exit_code("benchmark", suite_file, "--data", data, "-o", output, "--retry") == 1
    after = made(output)
    replaced = {name for name in before if after[name] != before[name]}
    assert replaced == {f"cells/{each.key}.json" for each in failed_jobs(suite_file, data, cells)}


def failed_jobs(suite_file: Path, data: Path, cells: dict[Any, Cell]) -> list[Job]:
    plan = make_plan(read_suite(suite_file), data, Machine("cpu", precision()))
    return [each for each in plan if isinstance(each, Job) and cells[each.place].state is State.FAILED]


def precision() -> Literal["bf16", "fp32"]:
    from nerbert.evaluation.benchmark.plan import this_machine

    return this_machine().precision


def test_episodes_and_types_that_training_lacks(suite_file: Path, data: Path, tmp_path: Path) -> None:
    text = suite_file.read_text().replace('"all", 3', '"1 way 1 shot", "k=5"')
    text = text.replace("draw_by_seed = true", "draws = 5")
    suite_file.write_text(text.replace("seeds = [1, 2]", "seeds = [1]").replace('"tiny"\nsource = "far"', '"tiny"'))
    test = [f"Bo{n}\tB-person\nLie\tI-person\n\nThe\tO\nHolm{n}\tB-ship\n\nA{n}\tB-port\n\n" for n in range(3)]
    (data / "ships" / "test.conll").write_text("".join(test))
    cells = run_suite(read_suite(suite_file), data, tmp_path / "out")
    assert [cell.why for cell in cells] == [""] * 20
    episodes = [cell for cell in cells if cell.place.size == "1 way 1 shot"]
    assert all(cell.facts["unknown_types"] == [] and len(cell.facts["types"]) == 1 for cell in episodes)
    assert len({tuple(cell.facts["query_places"]) for cell in episodes}) > 1
    (unknown,) = {tuple(cell.facts["unknown_types"]) for cell in cells if cell.place.size == "k=5"}
    assert unknown == ("port",)


def test_a_dry_run_lists_and_writes_nothing(
    suite_file: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert exit_code("benchmark", suite_file, "--data", data, "-o", output, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny, ships, all, draw 1, seed 1, fast: would run"
    assert len(lines) == CELLS
    assert not output.exists()
    cells = run_suite(read_suite(suite_file), data, output)
    (output / "cells" / f"{cells[1].facts['keys']['score']}.json").unlink()
    capsys.readouterr()
    assert exit_code("benchmark", suite_file, "--data", data, "-o", output, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("fast: ")[2][:10] for line in lines[:3]] == ["cached: F1", "would be s", "cached: F1"]


def test_a_dry_run_tells_each_reason_once(
    suite_file: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = suite_file.read_text() + f'[systems.gone]\nencoder = "{tmp_path}/gone"\n[systems.mine]\n'
    suite_file.write_text(text + '[[targets]]\ndata = "nowhere"\n')
    assert exit_code("benchmark", suite_file, "--data", data, "-o", tmp_path / "out", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith(": would run") for line in lines) == CELLS
    assert len(lines) == CELLS + 3
    assert all(line.startswith("can't run: ") for line in lines[CELLS:])
    gone = f"can't run: gone, ships, all, draw 1, seed 1, fast and 5 more: {tmp_path}/gone: "
    assert sum(line.startswith(gone) for line in lines) == 1
    assert (
        "can't run: mine, ships, all, draw 1, seed 1, fast and 5 more: no encoder given: --encoder 'mine'=FOLDER"
        in lines
    )


def test_a_dry_run_needs_no_scipy(
    suite_file: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "scipy" else find(name))
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
        monkeypatch.setitem(sys.modules, name, None)
    arguments = ("benchmark", suite_file, "--data", data, "-o", tmp_path / "out")
    assert exit_code(*arguments, "--dry-run") == 0
    assert len(capsys.readouterr().out.splitlines()) == CELLS
    assert exit_code(*arguments) == 1
    assert capsys.readouterr().err == "nerbert: scipy not installed: pip install 'nerbert[benchmark]'\n"
    assert not (tmp_path / "out").exists()


def test_the_command_to_go_on_has_all_options(
    suite_file: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_encoder: Path
) -> None:
    """Wherever the arguments come from."""
    options = ["--encoder", f"tiny={tiny_encoder}", "--minutes", "1e-09", "--workers", "3", "--retry"]
    arguments = ["benchmark", str(suite_file), "--data", str(data), "-o", str(tmp_path / "out"), *options]
    assert exit_code(*arguments) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "are left" in line)
    assert line == f"{CELLS} cells are left; {shlex.join(['nerbert', *arguments])}"


def test_a_child_that_is_killed_is_one_cells_failure(suite: Suite, data: Path, tmp_path: Path) -> None:
    store, machine = Store(tmp_path / "out"), Machine("cpu", "fp32")
    jobs = [each for each in make_plan(suite, data, machine) if isinstance(each, Job)]
    with store.hold(), Processes(store.folder, data, machine, 2) as crew:
        crew.start(jobs[0])
        crew.start(jobs[2])
        assert not crew.free
        os.kill(crew._children[0].process.pid, signal.SIGKILL)
        ends: dict[str, End] = {}
        for _ in range(2):
            ends |= {task.key: end for task, end in (crew.wait() if crew.busy else ())}
        assert not crew.busy
    killed, well = ends[jobs[0].key], ends[jobs[2].key]
    assert killed.why.startswith("the process died of signal 9 (out of memory?)")
    assert killed.try_again
    assert well == End()
    assert store.read_cell(jobs[2].key, jobs[2].place) is not None


@pytest.mark.parametrize("changed", ["data/ships/train.conll", "encoder/config.json"])
@pytest.mark.parametrize("when", ["before", "meanwhile", "and it fails"])
def test_what_was_made_of_changed_files_is_not_kept(
    suite_file: Path, data: Path, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, when: str,
    changed: str,
) -> None:  # fmt: skip
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    suite_file.write_text(suite_file.read_text().replace(str(tiny_encoder), str(tmp_path / "encoder")))
    store, machine = Store(tmp_path / "out"), Machine("cpu", "fp32")
    jobs = [each for each in make_plan(read_suite(suite_file), data, machine) if isinstance(each, Job)]

    def change() -> Predictions:
        with (tmp_path / changed).open("a") as file:
            file.write("\n")
        if when == "and it fails":
            raise InputError("torn")
        return Predictions([], [], {})

    monkeypatch.setattr("nerbert.evaluation.benchmark.steps.tag_part", lambda *_: change())
    if when == "before":
        change()
    with store.hold(), pytest.raises(StaleOutput, match="changed while the benchmark ran"):
        _make_cell(jobs[0], store, data, machine, tmp_path)
    assert not made(store.folder)


def test_what_a_cell_does_not_read_cannot_make_it_fail(
    suite: Suite, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "ships" / "dev.conll").write_text("torn\n")
    store, machine = Store(tmp_path / "out"), Machine("cpu", "fp32")
    jobs = [each for each in make_plan(suite, data, machine) if isinstance(each, Job)]

    def tagged(_: object, part: CellSentences, *__: object) -> Predictions:
        tags = [["O"] * len(each.words) for each in part.test]
        return Predictions(tags, [[1.0] * len(row) for row in tags], {"seconds": {}})

    monkeypatch.setattr("nerbert.evaluation.benchmark.steps.tag_part", tagged)
    with store.hold():
        _make_cell(jobs[0], store, data, machine, tmp_path)
    assert store.read_cell(jobs[0].key, jobs[0].place) is not None


def test_children_end_with_the_crew(suite: Suite, data: Path, tmp_path: Path) -> None:
    store, machine = Store(tmp_path / "out"), Machine("cpu", "fp32")
    jobs = [each for each in make_plan(suite, data, machine) if isinstance(each, Job)]
    with store.hold(), Processes(store.folder, data, machine, 1) as crew:
        crew.start(jobs[0])
        process = crew._children[0].process
        status = Path(f"/proc/{process.pid}/status").read_text().split("SigBlk:")[1].split()[0]
        assert int(status, 16) >> (signal.SIGINT - 1) & 1, "Ctrl-C is the main process's alone"
    assert not process.is_alive()


def test_two_runs_in_one_folder_are_refused(suite_file: Path, data: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "out").hold(), pytest.raises(OutputExists, match="another benchmark works there"):
        run_suite(read_suite(suite_file), data, tmp_path / "out")


def test_what_to_do_about_cells_that_are_left(suite: Suite) -> None:
    def left(why: str, state: State = State.FAILED, **facts: object) -> list[str]:
        return list(_left([Cell(place, state, why, facts=facts) for place in suite.places()], "AGAIN"))

    assert left("killed", try_again=True)[1:] == ["cells that failed by the machine are tried by every run: AGAIN"]
    assert "--retry" in left("torn")[1]
    assert "--retry" not in left("killed", try_again=True)[1]
    assert left(OUT_OF_TIME, State.NOT_RUN) == left(STOPPED, State.NOT_RUN) == ["8 cells are left; AGAIN"]
    assert left(f"out {NO_ROOM}", State.NOT_RUN) == ["8 cells are left; free space there, then AGAIN"]
    assert left("no encoder given", State.NOT_RUN) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--minutes", "0"], "--minutes 0: must be above 0"),
        (["--workers", "-1"], "--workers -1: must be at least 0"),
        (["--data", "/nowhere"], "/nowhere: no such folder"),
        (["--encoder", "tny=x"], "unknown system 'tny': did you mean 'tiny'?"),
    ],
)
def test_options_that_are_refused(
    suite_file: Path, data: Path, tmp_path: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [] if "--data" in options else ["--data", data]
    assert exit_code("benchmark", suite_file, *given, "-o", tmp_path / "out", *options) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
