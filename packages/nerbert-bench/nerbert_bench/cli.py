"""The commands `nerbert benchmark`, `nerbert data check` and `nerbert data fetch`."""

import shlex
import sys
from pathlib import Path

from nerbert.cli import options as opt


def benchmark(
    suite: Path,
    *,
    data: Path,
    output: opt.Output,
    encoder: opt.Repeated = None,
    only: opt.Repeated = None,
    run: opt.Run = opt.RUN,
    dry_run: opt.Flag = False,
    retry: opt.Flag = False,
) -> None:
    """Run a suite of systems, data, settings and seeds, and write its tables. Finished cells are not rerun.

    Parameters
    ----------
    suite
        Suite file (TOML). The package has some in suites/: north_star.toml, ner_bert.toml, controls.toml, cofee.toml,
        cofee_zh.toml, concepts.toml, open_types.toml, k_shot.toml, k_shot_layers.toml, few_nerd.toml, supervised.toml,
        zero_shot.toml, zero_to_fast.toml, frontier.toml, starts.toml, diversity.toml and quickstart.toml.
    data
        Folder with the data sets.
    output
        Folder for cells and tables; several suites can share one.
    encoder
        NAME=FOLDER: the encoder (folder, hub name or `embedded`) of a system of the suite; {target} in it is the
        target's name. Several for one name are the same pre-training with different seeds: the i-th is fine-tuned with
        the i-th seed. Stars need five.
    only
        PART=VALUE[,VALUE]: run only these cells; PART is system, target, size, draw, seed or protocol. Several parts
        must all match; repeating a part adds values. The tables keep the finished cells.
    dry_run
        Print the cells in order, the cached and the new ones, and about how long the new ones take.
    retry
        Rerun failed cells.
    """
    from nerbert.errors import need, visible
    from nerbert_bench.suite import parse_encoders, read_suite

    again = ["nerbert", "benchmark", str(suite), "--data", str(data), "-o", str(output)]
    again += [word for option in encoder or [] for word in ("--encoder", option)]
    again += [word for option in only or [] for word in ("--only", option)]
    again += opt.words_of(run) + (["--retry"] if retry else [])
    plan = read_suite(suite, parse_encoders(encoder or []))
    need("train", "torch", "transformers", "tokenizers")
    from nerbert_bench import runner  # imports torch
    from nerbert_bench.render.benchmark import show_results
    from nerbert_bench.tables.table import make_table

    if dry_run:
        for line in runner.list_suite(plan, data, output, retry=retry, only=only or ()):
            print(visible(line))
        return
    with run.open_executor() as executor:
        cells, stop = runner.run_suite(plan, data, output, executor, retry=retry, only=only or ())
    succeeded = show_results(make_table(plan, cells), output, runner.advice_on(cells, shlex.join(again)))
    if stop:
        raise stop
    if not succeeded:
        sys.exit(1)


def data_check(
    name: opt.DataName, *, data: opt.DataRoot = None, read: opt.CheckRead = opt.CHECK, json: opt.Json = False
) -> None:
    """Check annotated data for problems that distort scores: leaks, contradictions, slips, rare types. Suggest fixes.

    A data set by name, a folder, or a file in any format and of any size. Nothing is changed.
    """
    from nerbert_bench.datasets.check import check_data
    from nerbert_bench.render.findings import print_findings

    print_findings(check_data(name, data, read), as_json=json)


def data_fetch(*names: str, output: opt.OptionalOutput = None, mirror: str = "", list_: opt.ListOnly = False) -> None:
    """Fetch public data sets from their publishers, and check them by SHA-256.

    Each is stored as a folder of train.conll, dev.conll and test.conll. Licences are printed; the publishers' terms
    apply. An existing data set is checked, not fetched again. A clone of nerbert builds open-types from its sources.

    Parameters
    ----------
    names
        Names of data sets, also those of the paper: crossner_politics, btc, Pol. Required without --list.
    output
        Folder to make, or to add to; it gets a folder for each data set.
    mirror
        http(s)://host/folder to use instead of the public server, with the same paths below it.
    list_
        Print the data sets (name, split, address, licence) without fetching them.
    """
    from nerbert_bench.datasets.fetch import fetch_data, list_public

    for line in list_public(names, mirror) if list_ else fetch_data(names, output, mirror):
        print(line, flush=True)
