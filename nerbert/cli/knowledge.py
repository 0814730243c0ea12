"""`nerbert knowledge …`: fetch the files that give titles their types."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="knowledge", help="Get what gives titles their types.")


@app.command(name="fetch")
def knowledge_fetch(
    *, language: str, date: str = "2022.12.01",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    also: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None, mirror: str = "",
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
) -> None:  # fmt: skip
    """Fetch public files for `corpus build --knowledge`: DBpedia's ontology, mappings, instance types, and more.

    What was stopped goes on when the same command is run again; what is there is checked, and not fetched twice.

    Parameters
    ----------
    language
        Wikipedia's code: en, de, zh-yue.
    date
        DBpedia's release: 2022.12.01 or 20221201 (its last one). The ontology and the mappings have no date.
    output
        Folder to make or to go on with.
    also
        wikidata (about 145 GiB) or dump (Wikipedia's text and its index), the newest or with a date behind a colon:
        dump, wikidata:20250625. May be given several times.
    mirror
        http(s)://host/folder to be asked in place of every public server, with the same paths below it.
    list_
        Print what would be fetched (name, kind, published checksum, address), and fetch nothing.
    """
    from nerbert.corpus.knowledge.addresses import list_addresses
    from nerbert.sources.download import fetch, list_lines

    addresses = list_addresses(language, date, tuple(also or ()))
    for line in list_lines(addresses, mirror) if list_ else fetch(addresses, output, mirror):
        print(line, flush=True)
