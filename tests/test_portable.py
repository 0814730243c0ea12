"""Nothing that only POSIX systems have is needed to import, fine-tune, tag and evaluate."""

import os
import subprocess
import sys
from pathlib import Path

CHILD = """
import builtins, os, sys

plain = builtins.__import__

def portable(name, globals=None, *rest, **more):
    importer = (globals or {}).get("__name__", "").partition(".")[0]  # other packages ask for the platform
    if name in ("fcntl", "pwd", "grp", "resource", "termios") and importer in ("nerbert", "filelock"):
        raise ModuleNotFoundError(name)
    return plain(name, globals, *rest, **more)

builtins.__import__ = portable
for name in ("geteuid", "getuid", "sched_getaffinity"):
    del vars(os)[name]

import nerbert
from nerbert import Tagger, evaluate, finetune

encoder, data, output = sys.argv[1:]
finetune(encoder, data, output, min_steps=2, epochs=1)
assert Tagger.load(output).tag("The brig Margarethe was built in Bergen.") is not None
assert evaluate(output, data)
"""


def test_what_only_posix_has_is_not_needed(tiny_encoder: Path, sample: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, *map(str, (tiny_encoder, sample / "domain", tmp_path / "tagger"))]
    more = {"USER": "me", "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=os.environ | more, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
