"""Mutate the modules that decide results, and count which mutants the tests kill: `./run mutants [MODULE …]`.

Each module has a fixed draw of 100 mutants, made by mutmut (https://mutmut.readthedocs.io), and its own tests. The
table and the names of those that survive are printed; `mutmut show NAME` in build/mutants/MODULE shows one.
"""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MUTMUT = Path(sys.executable).with_name("mutmut")
MODULES = {
    "metrics/score": ["tests/metrics", "tests/evaluation/test_evaluate.py"],
    "labels": ["tests/test_labels.py", "tests/metrics", "tests/formats", "tests/model/test_linear.py"],
    "formats/documents": ["tests/formats"],
    "formats/conll": ["tests/formats"],
    "corpus/wikitext/scan": ["tests/corpus/wikitext"],
    "artifacts": ["tests/test_artifacts.py", "tests/test_locks.py", "tests/sources", "tests/tagger/jobs"],
    "training/loop": ["tests/training/test_loop.py", "tests/training/test_epochs.py"],
    "serve/queue": ["tests/serve/test_queue.py"],
}
DRAWN, SEED = 100, 81
KILLED = ("killed", "timeout", "segfault")
CONFIG = """[mutmut]
source_paths=nerbert
only_mutate=nerbert/{module}.py
also_copy=
    conftest.py
pytest_add_cli_args=
    -m
    not nightly
    -p
    no:cacheprovider
pytest_add_cli_args_test_selection=
    {tests}
"""


def main(modules: list[str]) -> None:
    """Print a row for each module, and its mutants that survive."""
    print("| module | mutants | killed | no test |\n|---|---:|---:|---:|")
    for module in modules or MODULES:
        outcome = try_mutants(module)
        killed = [name for name, status in outcome.items() if status in KILLED]
        untested = [name for name, status in outcome.items() if status == "no tests"]
        print(f"| `{module}` | {len(outcome)} | {len(killed)} | {len(untested)} |")
        for name in sorted(outcome.keys() - set(killed)):
            print(f"  {name}: {outcome[name]}", file=sys.stderr)


def try_mutants(module: str) -> dict[str, str]:
    """Return what became of each drawn mutant of a module, by name."""
    folder = ROOT / "build" / "mutants" / module
    shutil.rmtree(folder, ignore_errors=True)
    for name in _output("git", "ls-files", folder=ROOT).splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "setup.cfg").write_text(CONFIG.format(module=module, tests="\n    ".join(MODULES[module])))
    _output(MUTMUT, "run", "no such mutant", folder=folder)  # makes all of them, and finds the tests of each function
    made = sorted(json.loads((folder / "mutants" / "nerbert" / f"{module}.py.meta").read_text())["exit_code_by_key"])
    drawn = random.Random(SEED).sample(made, min(DRAWN, len(made)))
    log = _output(MUTMUT, "run", *drawn, folder=folder)
    if "Mutant results" not in log:
        raise SystemExit(f"{log[-3000:]}\nmutants of {module}: the tests fail without a mutant, or mutmut did")
    results = _output(MUTMUT, "results", "--all", "true", folder=folder)
    statuses = dict(line.strip().rsplit(": ", 1) for line in results.splitlines() if ": " in line)
    return {name: statuses.get(name, "not tried") for name in drawn}


def _output(*command: object, folder: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main(sys.argv[1:])
