"""`nerbert tag`: text in, entities out."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter

from nerbert.cli.options import (
    LOADING,
    RUN,
    TEXTS,
    FileOrDash,
    Flag,
    Loading,
    LoadingOptions,
    OptionalOrAddress,
    Run,
    RunOn,
    Texts,
)
from nerbert.errors import SettingsError

_FEW_SHAPES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256", "LRU_CACHE_CAPACITY": "64"}
"""How many compiled operations torch keeps on a CPU, one per batch shape. Its default of 1,024 lets memory grow by
hundreds of MB over a million words, and is no faster (docs/results/2026-11-22-labels.md)."""
TextItself = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


def tag(
    tagger: str, *inputs: FileOrDash, output: OptionalOrAddress = None, to: str = "", json: Flag = False,
    labels: str = "", min_confidence: str = "", offsets: str = "characters", fingerprint: Flag = False,
    overwrite: Flag = False, text: TextItself = None, server: str = "", loading: Loading = LOADING, read: Texts = TEXTS,
    run: Run = RUN,
) -> None:  # fmt: skip
    """Tag texts from files, folders or a pipe.

    A job with -o can be interrupted: rerun the command to resume it. Its parts are tagged by --workers, each of which
    loads the tagger. Other fields and columns are kept if the output's format has them.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name; with --server the name of a model there, "" for its first one.
    inputs
        Files (packed with gzip, bz2 or xz too); folders, for the files in them whose names tell a format; `-` or
        nothing for standard input.
    output
        File (or, for BRAT, folder) to make; for a folder, or several inputs, the folder to make, with a file for each.
        Without it rows go to standard output.
    to
        text (coloured on a terminal), jsonl, conll, parquet, html (one page), any annotation format, or your own as
        module:Class; default: by the output's name, else jsonl for a folder, text for standard output.
    json
        The same as --to jsonl.
    labels
        Labels to find, separated by commas: "ship,port"; or a file with one per line, as `name` or `name: description`.
        A tagger with fixed types finds only those named. Default: the types that it was trained on.
    min_confidence
        Leave out entities below this confidence: a number from 0 to 1, or by type: 0.8,city=0.5.
    offsets
        characters, utf-16 units (JavaScript, Java) or bytes (of UTF-8), in jsonl and parquet.
    fingerprint
        Add the tagger's fingerprint to each row, in the field `tagger`; in jsonl and parquet.
    overwrite
        Replace a file, a folder that nerbert made, or an unfinished job with other settings.
    text
        Text to tag instead of files: --text "Ada Lovelace came to London."
    server
        Address of a `nerbert serve` that tags the texts, say http://127.0.0.1:8000. Its token is taken from the
        variable NERBERT_TOKEN. How its taggers are loaded, and how many tasks run, is up to the server.
    """
    if server and (loading != LOADING or run != RUN):
        given = [*_changed(loading, LOADING), *_changed(run, RUN)]
        raise SettingsError(f"{', '.join(given)}: up to the server; leave this out, or leave out --server")
    for name, few in _FEW_SHAPES.items():  # read when torch is loaded
        os.environ.setdefault(name, few)
    from nerbert.tagger.jobs.job import TagJob, tag_files

    job = TagJob(
        tagger=tagger, inputs=inputs, output=output, to=to, json=json, offsets=offsets, sign=fingerprint, labels=labels,
        min_confidence=min_confidence, overwrite=overwrite, loading=asdict(loading), text=text,
        **asdict(read),
    )  # fmt: skip
    if server:
        from nerbert.serve.client import connected_tagger

        tag_files(job, _write_page, load=partial(connected_tagger, server))
        return
    with run.opened() as executor:
        tag_files(job, _write_page, executor)


def _changed(options: LoadingOptions | RunOn, default: LoadingOptions | RunOn) -> Iterator[str]:
    """Yield the options that differ from their defaults, as they are typed."""
    for name, value in asdict(default).items():
        if getattr(options, name) != value:
            yield f"--{name.replace('_', '-')}"


def _write_page(*rows: Any, **names: Any) -> None:
    """Write an HTML page; templates are loaded only then."""
    from nerbert.render.tags_page import write_page

    write_page(*rows, **names)
