"""`nerbert data …`: list, check, sample and fetch data sets."""

from pathlib import Path

from cyclopts import App

from nerbert.cli.options import DataName, DataRoot, Flag, From, ListOnly, OptionalOutput, Output, Overwrite

app = App(name="data", help="List, check, sample and fetch annotated data sets.")


@app.command(name="list")
def data_list(*, data: Path | None = None, json: Flag = False) -> None:
    """List the data sets that nerbert knows, and those in a folder.

    Parameters
    ----------
    data
        Folder that holds data sets, a folder each: print of each whether its files are there and as published.
    json
        Print everything that is known of them as JSON instead.
    """
    from nerbert.evaluation.datasets.load import list_data
    from nerbert.render.terminal.models import print_list

    print_list(list_data(data), as_json=json)


@app.command(name="check")
def data_check(name: DataName, *, data: DataRoot = None, from_: From = "", json: Flag = False) -> None:
    """Check a data set for what spoils scores: leaks, contradictions, types that can't be learnt.

    Parameters
    ----------
    json
        Print JSON instead.
    """
    from nerbert.evaluation.datasets.check import check_data
    from nerbert.render.terminal.models import print_findings

    print_findings(check_data(name, data, from_), as_json=json)


@app.command(name="sample")
def data_sample(
    name: DataName, *, size: str, draw: int = 1, output: Output, data: DataRoot = None, from_: From = "",
    overwrite: Overwrite = False,
) -> None:  # fmt: skip
    """Draw a small part of a train split: the same that `nerbert benchmark` trains on.

    Parameters
    ----------
    size
        50 (sentences), 5% (of them), k=4 (entities of each type), or all.
    draw
        Which of the draws, numbered from 1. Smaller sizes of a draw lie in its larger ones.
    output
        Folder to make: the sentences drawn, dev and test as they are, and manifest.json with the sentences' places.
    """
    from nerbert.evaluation.datasets.load import open_data, write_sample
    from nerbert.render.terminal.models import print_sample

    print_sample(write_sample(open_data(name, data, from_), size, draw, output, overwrite=overwrite), output)


@app.command(name="fetch")
def data_fetch(*names: str, output: OptionalOutput = None, mirror: str = "", list_: ListOnly = False) -> None:
    """Fetch public data sets from their publishers, and check them by SHA-256.

    Each becomes a folder of train.conll, dev.conll and test.conll. Their licences are printed; the terms are the
    publishers'. A data set that is there is checked, and not fetched again.

    Parameters
    ----------
    names
        Data sets by name, or by the paper's: crossner_politics, btc, Pol. Without --list at least one.
    output
        Folder to make, or to add to; each data set becomes a folder in it.
    mirror
        http(s)://host/folder to ask instead of the public server, with the same paths below it.
    list_
        Print what would be fetched (data set, split, address, licence), and fetch nothing.
    """
    from nerbert.evaluation.datasets.fetch import fetch_data, list_public

    for line in list_public(names, mirror) if list_ else fetch_data(names, output, mirror):
        print(line, flush=True)
