"""`nerbert data …`: the data sets there are, what is in one, small samples of one, getting public ones."""

from pathlib import Path

from cyclopts import App

from nerbert.cli.data_fetch import fetch
from nerbert.cli.options import Flag, Output

app = App(name="data", help="List, check, sample and fetch annotated data sets.")
app.command(fetch)


@app.command(name="list")
def data_list(*, data: Path | None = None, json: Flag = False) -> None:
    """The data sets that nerbert knows, and those in a folder.

    Parameters
    ----------
    data
        Folder that holds data sets, a folder each: says of each whether it is there, to the byte.
    json
        Print all that is known of them as JSON instead.
    """
    from nerbert.evaluation.datasets.listing import list_data
    from nerbert.render.terminal.datasets import print_list

    print_list(list_data(data), as_json=json)


@app.command(name="check")
def data_check(name: str, *, data: Path | None = None, json: Flag = False) -> None:
    """What a data set holds, and what in it spoils scores: leaks, contradictions, types that can't be learnt.

    Parameters
    ----------
    name
        Name of a data set in --data (its folder's, or that of NER-BERT's tables: Pol, Sci, …); without --data a folder
        or a CoNLL file.
    data
        Folder that holds data sets, a folder each.
    json
        Print JSON instead.
    """
    from nerbert.evaluation.datasets.check import check_named
    from nerbert.render.terminal.datasets import print_findings

    print_findings(check_named(name, data), as_json=json)


@app.command(name="sample")
def data_sample(
    name: str, *, size: str, draw: int = 1, output: Output, data: Path | None = None, overwrite: Flag = False
) -> None:
    """Draw a small part of a train split: the same that `nerbert benchmark` trains on.

    Parameters
    ----------
    name
        Name of a data set in --data (its folder's, or that of NER-BERT's tables: Pol, Sci, …); without --data a folder
        or a CoNLL file.
    size
        50 (sentences), 5% (of them), k=4 (entities of each type), or all.
    draw
        Which of the draws, numbered from 1. Smaller sizes of a draw lie in its larger ones.
    output
        Folder to make: train.conll, dev and test as they are, and manifest.json with the places of the sentences.
    data
        Folder that holds data sets, a folder each.
    overwrite
        Replace a folder that nerbert made.
    """
    from nerbert.evaluation.datasets.load import open_data
    from nerbert.evaluation.datasets.sample import write_sample
    from nerbert.render.terminal.datasets import print_sample

    print_sample(write_sample(open_data(name, data), size, draw, output, overwrite=overwrite), output)
