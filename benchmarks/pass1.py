"""Pass 1 against wikiextractor and mwparserfromhell: MB of XML per CPU second, from a dump to Parquet with sentences,
words and links.

`python benchmarks/pass1.py SAMPLE.xml.bz2 --wikiextractor VENV/bin/wikiextractor [--megabytes 200] [--repeats 2]`

The sample is copied to at least 200 MB under fresh ids and titles. Each side is one process at a time; its CPU seconds
are those of all its processes. wikiextractor (AGPL) is run as a command from an environment of its own, never imported,
and is charged with what its output still needs (benchmarks/follow_up.py). mwparserfromhell runs on the sample itself,
since it is slow: its speed is per MB. The price: pages that repeat flatter nobody's scanner, but a cache of titles or
words sees fewer of them than in a real dump.

`--knowledge FOLDER` measures a whole build instead (types, filters, sampling, Parquet) against wikiextractor *alone*,
whose output is no corpus yet, say with `--megabytes 140 --formats xml.bz2`.

Fair is nerbert with `--lists`: wikiextractor drops lines with `*`, `#`, `;`, but keeps those with `:` and headings.
"""

import argparse
import bz2
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from big_dump import make
from columns import counts
from floor import stages
from report import MB, Part, Run, alternate, as_json, measure, parts_table, surroundings, table

HERE = Path(__file__).parent
PACKAGES = ("nerbert", "lxml", "pyarrow", "nltk", "regex", "mwparserfromhell")


def main() -> None:
    """Measure all sides alternately; print tables, then one line of JSON."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        plain, packed = make(options.sample, options.work or Path(name), options.megabytes * MB)
        size = plain.stat().st_size
        sides = _sides(options, Path(name), plain, packed, size)
        runs = alternate(sides, options.repeats)
    floor = stages(options.sample)
    around = surroundings([options.sample], PACKAGES) | {"wikiextractor": options.wikiextractor_version}
    for form in options.formats:
        some = [run for run in runs if run.side.endswith(f", {form}")]
        sides_of = list(dict.fromkeys(run.side for run in some))
        for against in [side for side in sides_of if side.startswith("wikiextractor")] or sides_of[:1]:
            print(f"{table(some, against)}\n\nratio: against {against}\n")
    print(f"{parts_table(runs)}\n\n| stage alone | CPU ms per MB |\n|---|---|")
    print("\n".join(f"| {stage} | {cost:.1f} |" for stage, cost in floor.items()))
    print(f"\n{size / MB:.1f} MB of XML; {around}\n")
    print(as_json(runs, around, xml_bytes=size, floor=floor))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path)
    parser.add_argument("--wikiextractor", type=Path, help="the command, in an environment of its own")
    parser.add_argument("--wikiextractor-version", default="3.1.0", help="for the report")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sentences", nargs="+", default=["punkt"], choices=["punkt", "nerbert"], help="follow-up's")
    parser.add_argument("--knowledge", type=Path, help="measure whole builds with these types, and wikiextractor alone")
    parser.add_argument("--work", type=Path, help="folder where the large dump stays for the next time")
    parser.add_argument("--only", nargs="+", default=["nerbert", "wikiextractor", "mwparserfromhell"])
    parser.add_argument("--formats", nargs="+", default=["xml.bz2", "xml"])
    return parser.parse_args()


def _sides(
    options: argparse.Namespace, work: Path, plain: Path, packed: Path, size: int
) -> dict[str, Callable[[], Run]]:
    """Every side under its name, as a function that runs it once."""
    sides: dict[str, Callable[[], Run]] = {}
    for name, dump in (("xml.bz2", packed), ("xml", plain)):
        if name not in options.formats:
            continue
        if options.knowledge:
            side = f"nerbert, whole build, {name}"
            sides[side] = partial(_build, side, work, dump, size, options.knowledge)
            if options.wikiextractor:
                side = f"wikiextractor alone, {name}"
                sides[side] = partial(_wikiextractor, side, work, dump, size, options.wikiextractor, None)
            continue
        if "nerbert" in options.only:
            sides[f"nerbert, {name}"] = partial(_nerbert, f"nerbert, {name}", work, dump, size)
            side = f"nerbert with lists, {name}"
            sides[side] = partial(_nerbert, side, work, dump, size, "--lists")
        for split in options.sentences if options.wikiextractor and "wikiextractor" in options.only else ():
            side = f"wikiextractor + follow-up ({split}), {name}"
            sides[side] = partial(_wikiextractor, side, work, dump, size, options.wikiextractor, split)
    if "mwparserfromhell" in options.only and not options.knowledge:
        for split in options.sentences:
            side = f"mwparserfromhell + follow-up ({split}), one copy, xml.bz2"
            sides[side] = partial(_mwparserfromhell, side, work, options.sample, split)
    return sides


def _nerbert(side: str, work: Path, dump: Path, size: int, *more: str) -> Run:
    out = _fresh(work / "nerbert")
    command: list[str | Path] = [sys.executable, HERE / "run_pass1.py", dump, out, *more]
    part = measure("pass 1", command, work / "nerbert.log")
    return Run(side, size, (_counted(part, out / "pages"),))


def _build(side: str, work: Path, dump: Path, size: int, knowledge: Path) -> Run:
    out = _fresh(work / "corpus")
    words: list[str | Path] = [sys.executable, "-m", "nerbert", "corpus", "build", dump, "--knowledge", knowledge]
    part = measure("whole build", [*words, "--workers", "1", "-o", out], work / "build.log")
    return Run(side, size, (part,))


def _wikiextractor(side: str, work: Path, dump: Path, size: int, command: Path, split: str | None) -> Run:
    """Run wikiextractor, and what its output still needs; `split` cuts its sentences, and None leaves it alone."""
    extracted, out = _fresh(work / "extracted"), _fresh(work / "follow-up")
    words: list[str | Path] = [command, "--json", "--links", "--processes", "1", "-o", extracted, dump]
    extract = measure("wikiextractor", words, work / "wikiextractor.log")
    if split is None:
        return Run(side, size, (extract,))
    follow: list[str | Path] = [sys.executable, HERE / "follow_up.py", extracted, out, "--sentences", split]
    return Run(side, size, (extract, _counted(measure("follow-up", follow, work / "follow-up.log"), out)))


def _mwparserfromhell(side: str, work: Path, dump: Path, split: str) -> Run:
    out = _fresh(work / "mwparserfromhell")
    command: list[str | Path] = [sys.executable, HERE / "with_mwparserfromhell.py", dump, out, "--sentences", split]
    part = measure("mwparserfromhell + follow-up", command, work / "mwparserfromhell.log")
    return Run(side, len(bz2.decompress(dump.read_bytes())), (_counted(part, out),))


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _counted(part: Part, folder: Path) -> Part:
    return replace(part, counts=counts(folder))


if __name__ == "__main__":
    main()
