"""nerbert's pass 1 alone, as a process to be measured: dump in, Parquet out.

`python benchmarks/run_pass1.py DUMP FOLDER [--lists] [--workers N]`
"""

import argparse
from pathlib import Path

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.pages import write_pages
from nerbert.corpus.settings import CorpusSettings
from nerbert.executors import LocalExecutor
from nerbert.terminal import Progress


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lists", action="store_true", help="keep list items as sentences")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with LocalExecutor(options.workers) as executor:
        write_pages([Dump(options.dump)], options.folder, CorpusSettings(lists=options.lists), executor, Progress())


if __name__ == "__main__":
    main()
