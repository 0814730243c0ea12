"""`nerbert data fetch`: public data sets; a command of the group in data.py."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def fetch(
    *names: str, output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None, mirror: str = "",
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
) -> None:  # fmt: skip
    """Public data sets from their publishers → folders of train.conll, dev.conll, test.conll, checked by SHA-256.

    Their licences are printed; the terms are the publishers'. What is there is checked, and not fetched twice.

    Parameters
    ----------
    names
        Data sets by name, or by the paper's: crossner_politics, btc, Pol. Without --list at least one.
    output
        Folder to make, or to add to; each data set becomes a folder in it.
    mirror
        http(s)://host/folder to be asked in place of the public server, with the same paths below it.
    list_
        Print what would be fetched (data set, split, address, licence), and fetch nothing.
    """
    from nerbert.evaluation.datasets.fetch import fetch_data, list_public

    for line in list_public(names, mirror) if list_ else fetch_data(names, output, mirror):
        print(line, flush=True)
