"""`nerbert benchmark`: run a suite of systems, data, settings and seeds; each cell is cached."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nerbert.cli.options import Flag, Output

Encoders = Annotated[list[str] | None, Parameter(name="--encoder", negative="", consume_multiple=False)]


def benchmark(
    suite: Path, *, data: Path, output: Output, encoder: Encoders = None, minutes: float | None = None,
    workers: int = 0, dry_run: Flag = False, retry: Flag = False,
) -> None:  # fmt: skip
    """Run a suite of systems, data, settings and seeds, and write its tables. Finished cells are not run again.

    Parameters
    ----------
    suite
        Suite file (TOML). The package has suites/north_star.toml, ner_bert.toml, controls.toml and quickstart.toml.
    data
        Folder that holds the data sets.
    output
        Folder for cells and tables; several suites may share one.
    encoder
        NAME=FOLDER: the encoder (folder or hub name) of a system of the suite.
    minutes
        Begin no cell after so many minutes.
    workers
        Cells at once; 0 is one a GPU, or one a core.
    dry_run
        Print the cells in order, which are cached and which would run.
    retry
        Run cells again that failed.
    """
    from nerbert.errors import need
    from nerbert.evaluation.benchmark.suite import parse_encoders, read_suite

    again = ["nerbert", "benchmark", str(suite), "--data", str(data), "-o", str(output)]
    again += [part for each in encoder or [] for part in ("--encoder", each)]
    again += ["--minutes", f"{minutes:g}"] if minutes is not None else []
    again += (["--workers", str(workers)] if workers else []) + (["--retry"] if retry else [])
    wanted = read_suite(suite, parse_encoders(encoder or []))
    need("train", "torch", "transformers", "accelerate", "tokenizers")
    from nerbert.evaluation.benchmark import runner  # imports torch

    if dry_run:
        for line in runner.list_suite(wanted, data, output, retry=retry):
            print(line)
    elif not runner.benchmark(
        wanted, data, output, minutes=minutes, workers=workers, retry=retry, again=shlex.join(again)
    ):
        sys.exit(1)
