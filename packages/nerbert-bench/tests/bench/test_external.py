"""A command as a system: what it gets, what may come back, how it ends, and what its key holds."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.finetuning.settings import FinetuneSettings
from nerbert_bench import keys
from nerbert_bench.cells import TRY_AGAIN, Cell, State
from nerbert_bench.suite import Suite, SystemSettings, Target, read_suite
from nerbert_bench.systems import external
from nerbert_bench.tables.results import Layout
from nerbert_bench.tables.table import facts_of
from tests.bench.outcome import cells_of, is_gone, only_job, planned, run_only
from tests.commands import exit_code
from tests.serve.heads import until

PLACES = ("{train}", "{dev}", "{test}", "{output}", "{seed}")
TAGGER = """
import json, os, sys, time
train, dev, test, output, seed = sys.argv[1:6]
rows = [line.rstrip("\\n").split("\\t") for line in open(train, encoding="utf-8") if line.strip()]
tags = dict(reversed(rows))
asked = open(test, encoding="utf-8").read()
with open(output, "w", encoding="utf-8") as file:
    for line in asked.split("\\n")[:-1]:
        word, _, _ = line.partition("\\t")
        file.write(f"{word}\\t{tags.get(word, 'O')}\\n" if word else "\\n")
with open(__file__ + ".log", "a", encoding="utf-8") as file:
    file.write(json.dumps([seed, len(rows), open(dev, encoding="utf-8").read(), asked, dict(os.environ)]) + "\\n")
print("to nobody")
while time.process_time() < 0.25:
    pass
"""
Make = Callable[..., Suite]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "tagger.py"
    path.write_text(TAGGER)
    return path


@pytest.fixture
def suite_with(script: Path) -> Make:
    """Return a function that makes a suite of one cell of a command: Python with the given words, or the script."""

    def make(*words: object, split: Any = "test", size: str = "all", select: Any = "last", **more: Any) -> Suite:
        command = (sys.executable, *map(str, words or (script, *PLACES)))
        return Suite(
            name="s",
            systems={"A": SystemSettings(command=command, **more)},
            seeds=(1,),
            split=split,
            targets=(Target(data="ships", sizes=(size,)),),
            protocols={"p": FinetuneSettings(select=select)},
        )

    return make


@pytest.mark.extras
def test_a_command_is_a_system_of_a_suite(
    tmp_path: Path, data: Path, script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two protocols and two seeds are two runs; what was tagged is only scored; the tables have no confidences."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/ours")
    log, output, suite = tmp_path / "tagger.py.log", tmp_path / "out", tmp_path / "toy.toml"
    command = json.dumps([sys.executable, str(script), *PLACES])
    suite.write_text(f"""
seeds = [1, 2]
[systems.toy]
command = {command}
version = "toy 0.1"
[protocols.a]
[protocols.b]
select = "dev"
[[targets]]
data = "ships"
""")
    arguments = ("benchmark", suite, "--data", data, "-o", output, "--workers", 1)
    assert exit_code(*arguments) == 0
    ran = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(seed, rows) for seed, rows, *_ in ran] == [("1", 60), ("2", 60)]
    gold = (data / "ships" / "test.conll").read_text()
    for _, _, dev, asked, environment in ran:
        assert dev == (data / "ships" / "dev.conll").read_text()
        assert [line.partition("\t")[0] for line in asked.splitlines()] == [
            line.partition("\t")[0] for line in gold.splitlines()
        ]
        assert {line.partition("\t")[2] for line in asked.splitlines() if line} == {"O"}, "gold stays"
        assert environment["OMP_NUM_THREADS"] == "1"
        assert "PYTHONPATH" not in environment
    assert "to nobody" not in "".join(capsys.readouterr())

    cells = cells_of(read_suite(suite), data, output)
    assert [cell.scores["micro"]["f1"] for cell in cells] == [1.0] * 4
    assert all(cell.scores["greedy"]["f1"] == 1.0 and cell.scores["calibration"] is None for cell in cells)
    facts = cells[0].facts
    assert facts["command"] == json.loads(command)
    assert (facts["pretrained"], facts["sentences"], facts["duplicates"]) == (False, 12, 1)
    assert facts["seconds"]["command"]["cpu"] > 0.25, "the command's own"
    hour = [replace(cell, facts=cell.facts | {"cpu_seconds": 3600}) for cell in cells]
    assert facts_of(Layout(read_suite(suite), hour))["CPU-hours"] == "2.00", "two runs in four places"
    page = (output / "toy.md").read_text()
    assert "toy is not nerbert (toy 0.1)" in page
    assert "differ in" not in page
    monkeypatch.setattr(keys, "SCORING", 1000)
    assert cells_of(read_suite(suite), data, output)[0].scores == cells[0].scores
    assert len(log.read_text().splitlines()) == 2, "tags are kept"


SENTENCES = ["The Margarethe sailed", "Larsen & Holm", "In May the Ingeborg left Bergen for Oslo ."]


def lines(*spans: tuple[int, int, str], text: str = SENTENCES[0]) -> str:
    found = [{"start": start, "end": end, "type": type_} for start, end, type_ in spans]
    rows = [{"text": text, "spans": found}, *({"text": each, "spans": []} for each in SENTENCES[1:])]
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return a function that lets a command write a text, in this process."""

    def let(text: str | None) -> None:
        def write(words: list[str], *_: object) -> None:
            if text is not None:
                Path(words[-1]).write_text(text)

        monkeypatch.setattr(external, "_run", write)

    return let


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "the command wrote no {output}"),
        ("", "the command wrote no {output}"),
        ("Oslo\tB-place\n\n", "output: holds 1 sentences, not the 3 of {test}; write each"),
        (lines(text="The Ingeborg sailed"), "output, sentence 1: is 'The Ingeborg sailed', not 'The M"),
        (lines((4, 10, "ship")), "output, sentence 1: an entity of 'The Margarethe sailed' cuts a word"),
        (lines((4, 14, "a\ud800")), r"output:1: entity 'Margarethe': its type 'a\ud800' holds control characters"),
        (lines((0, 14, "ship"), (4, 14, "ship")), "output:1: entities 'The Margarethe' (ship) and 'Marg"),
        (lines((4, 99, "ship")), "output:1: entity 4–99 of type 'ship': the text has 21 characters"),
        ('{"text": "The Margarethe sailed"}\n' * 3, "output: seems to be JSON with text"),
        ("a,b\n1,2\n", "output: is in no known format"),
    ],
)
def test_output_that_does_not_fit_fails_its_cell(
    suite_with: Make, data: Path, tmp_path: Path, writing: Callable[[str | None], None], text: str | None, told: str
) -> None:
    writing(text)
    cell, _ = run_only(suite_with("{test}", "{output}"), data, tmp_path)
    assert cell.why.startswith(told)
    assert (cell.state, cell.facts) == (State.FAILED, {}), "its own fault"


def test_output_can_be_json_lines(
    suite_with: Make, data: Path, tmp_path: Path, writing: Callable[[str | None], None]
) -> None:
    writing(lines((4, 14, "ship"), (15, 21, "verb")))
    cell, file = run_only(suite_with("{test}", "{output}"), data, tmp_path)
    assert file is not None
    found = file.predictions
    assert found is not None
    assert found.entities[0] == [(1, 2, "ship", None), (2, 3, "verb", None)]
    assert (found.greedy, found.sure) == (None, False)
    assert cell.scores["micro"]["f1"] == pytest.approx(2 / (2 + 5))


@pytest.mark.parametrize(
    ("code", "told", "again"),
    [
        ("raise ValueError('no \\x1b[31mred')", r"failed with exit code 1: ValueError: no \x1b[31mred", False),
        ("raise SystemExit(3)", "failed with exit code 3: it printed nothing", False),
        ("import os; os.kill(os.getpid(), 9)", "was ended by signal 9: it printed nothing", True),
    ],
)
def test_a_command_that_fails_is_told_with_its_last_words(
    suite_with: Make, data: Path, tmp_path: Path, code: str, told: str, again: bool
) -> None:
    cell, _ = run_only(suite_with("-c", code, "{test}", "{output}"), data, tmp_path)
    facts = {TRY_AGAIN: True} if again else {}
    assert (cell.state, cell.why, cell.facts) == (State.FAILED, f"the command {told}", facts)


def test_a_program_that_is_not_there_fails_before_anything_runs(suite_with: Make, data: Path) -> None:
    systems = {"A": SystemSettings(command=("./no/python", *PLACES))}
    (cell,) = planned(suite_with().model_copy(update={"systems": systems}), data)
    assert isinstance(cell, Cell)
    assert cell.why.startswith("command: './no/python': no such program")


def sleeper(pid: Path) -> str:
    """Return a program that sleeps for ever once its process id is in a file."""
    return (
        f"import os, time; open('{pid}~', 'w').write(str(os.getpid())); os.rename('{pid}~', '{pid}'); time.sleep(1e6)"
    )


def test_a_command_that_does_not_end_is_ended(
    suite_with: Make, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"

    class Patient(subprocess.Popen[bytes]):
        def wait(self, timeout: float | None = None) -> int:
            if timeout is None:
                return super().wait()
            until(pid.exists, "the command's process id")
            raise subprocess.TimeoutExpired("x", timeout)

    monkeypatch.setattr(external, "Popen", Patient)
    suite = suite_with("-c", sleeper(pid), "{test}", "{output}", timeout_minutes=0.5)
    cell, _ = run_only(suite, data, tmp_path)
    assert cell.why == "the command didn't end in 0.5 minutes; raise timeout_minutes, and pass --retry"
    assert (cell.state, cell.facts) == (State.FAILED, {})
    until(lambda: is_gone(int(pid.read_text())), "the command's end")


def test_a_command_ends_with_who_waits_for_it(tmp_path: Path) -> None:
    """A waiting process that is killed closes its end of the pipe, and does nothing else."""
    pid = tmp_path / "pid"
    guarded = [sys.executable, "-I", str(external._GUARD), sys.executable, "-c", sleeper(pid)]
    waiter = f"import subprocess, time; subprocess.Popen({guarded}, stdin=-1, start_new_session=True); time.sleep(1e6)"
    with subprocess.Popen([sys.executable, "-c", waiter]) as process:
        until(pid.exists, "the command's process id")
        assert not is_gone(int(pid.read_text()))
        process.send_signal(signal.SIGKILL)
    until(lambda: is_gone(int(pid.read_text())), "the command's end")


def test_a_script_that_changes_meanwhile_leaves_no_cell(
    suite_with: Make, data: Path, tmp_path: Path, script: Path
) -> None:
    script.write_text(TAGGER + "open(__file__, 'a').write('#')\n")
    cell, file = run_only(suite_with(), data, tmp_path)
    assert (cell.state, cell.why, cell.facts) == (State.FAILED, keys.CHANGED, {TRY_AGAIN: True})
    assert file is not None
    assert file.predictions is None


def test_the_key_holds_what_the_command_reads(suite_with: Make, script: Path, data: Path, tmp_path: Path) -> None:
    def key(*words: object, **more: Any) -> str:
        return only_job(suite_with(*words, **more), data).score_key

    first = key()
    for other in ({"select": "dev"}, {"timeout_minutes": 5.0}):
        assert key(**other) == first, "nothing to the tags"
    for other in ({"version": "2"}, {"size": "5"}, {"split": "dev"}):
        assert key(**other) != first
    assert key(script, *PLACES, "--fast") != first
    moved = tmp_path / "elsewhere.py"
    moved.write_bytes(script.read_bytes())
    assert key(moved, *PLACES) == first, "bytes count, not folders"
    blind = key("-c", "x" * 5000, "{test}", "{output}")
    script.write_text(f"{TAGGER}#")
    assert key() != first
    script.write_text(TAGGER)
    (data / "ships" / "dev.conll").write_text("Oslo\tO\n")
    assert key() != first
    assert key("-c", "x" * 5000, "{test}", "{output}") == blind, "reads no dev"


def test_what_a_command_gets_follows_its_placeholders(suite_with: Make, data: Path) -> None:
    def counts(*words: object, **more: Any) -> tuple[int, int, int]:
        part = only_job(suite_with(*words, **more), data).read()
        return len(part.train), len(part.test), len(part.dev)

    assert counts() == (12, 3, 3)
    assert counts("{test}", "{output}", size="5") == (5, 3, 0)
    assert counts(split="dev") == (12, 3, 0)
    (data / "ships" / "dev.conll").unlink()
    assert counts(select="dev") == (12, 3, 0), "a protocol is nothing to a command"
