"""A pre-training that is killed at any moment goes on when it is run again, and makes the same encoder."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.commands import python

pytestmark = pytest.mark.usefixtures("warm_python")

CHILD = """
import os, signal, sys
from pathlib import Path

when, count, rename = int(sys.argv[1]), 0, os.replace

def counted(one, other, **named):
    global count
    count += 1
    if count == when:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(one, other, **named)

os.replace = counted
from nerbert.cli import main
try:
    main(["pretrain", *sys.argv[2:]])
finally:
    print(count)
"""
SETTINGS = """
epochs = 3
batch_size = 32
learning_rate = 5e-3
precision = "fp32"
threads = 1
fresh_num_layers = 1
fresh_hidden_size = 64
fresh_vocab_size = 1500
max_length = 128
save_steps = 9
"""


def run(folder: Path, when: int, *more: str) -> tuple[int, int]:
    """Pre-train, and be killed at a rename (0: at none); the exit code, and how many renames there were."""
    command = [python(), "-c", CHILD, str(when), str(folder.parent / "s.toml"), "-o", str(folder), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, int(done.stdout.split()[-1]) if not done.returncode else 0


def made(folder: Path) -> dict[str, Any]:
    """All of an encoder that doesn't hang on the clock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    found: dict[str, Any] = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return found | {"log": [{name: value for name, value in each.items() if name != "seconds"} for each in lines]}


@pytest.fixture(scope="module", params=["tagging", "concepts"])
def unbroken(
    sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, int]:
    """The encoder of a run that nothing stops, and how many renames that took."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "s.toml").write_text(f'corpus = "{sample_corpus}"\nobjective = "{request.param}"\n{SETTINGS}')
    assert run(folder / "dry", 0, "--dry-run")[0] == 0  # makes the cached pieces, whose renames don't count
    code, renames = run(folder / "unbroken", 0)
    assert code == 0
    return folder / "unbroken", renames


@pytest.mark.nightly
def test_killed_every_so_many_renames_until_it_is_done(unbroken: tuple[Path, int]) -> None:
    whole, renames = unbroken
    folder, kills = whole.with_name("broken"), 0
    while run(folder, renames // 3)[0]:
        assert not folder.exists()
        kills += 1
        assert kills < 9
    assert kills >= 2
    assert made(folder) == made(whole)
    assert not list(folder.parent.glob(".*"))


@pytest.mark.nightly
@pytest.mark.parametrize("before_the_end", [0, 1])
def test_killed_while_the_encoder_gets_its_name(unbroken: tuple[Path, int], before_the_end: int) -> None:
    """At the last renames: the work goes aside, then the folder gets its name; the work isn't lost in between."""
    whole, renames = unbroken
    folder = whole.with_name(f"late-{before_the_end}")
    assert run(folder, renames - before_the_end)[0] == -signal.SIGKILL
    assert not folder.exists()
    code, again = run(folder, 0)
    assert (code, made(folder)) == (0, made(whole))
    assert again < renames / 2
    assert not list(folder.parent.glob(".*"))
