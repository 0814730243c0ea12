"""`nerbert tag`: text in, entities out."""

import os
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter

from nerbert.cli import options as opt
from nerbert.errors import SettingsError

_FEW_SHAPES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256", "LRU_CACHE_CAPACITY": "64"}
"""Compiled operations that torch caches on a CPU, one per batch shape. Its default of 1,024 lets memory grow by
hundreds of MB over a million words, and isn't faster (docs/results/2026-11-22-labels.md)."""


def tag(
    tagger: str = "",
    *inputs: opt.FileOrDash,
    output: opt.OptionalOutput = None,
    to: str = "",
    json: opt.Flag = False,
    labels: str = "",
    min_confidence: opt.MinConfidence = "",
    offsets: str = "characters",
    overwrite: opt.ReplaceJob = False,
    text: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    server: str = "",
    loading: opt.Loading = opt.LOADING,
    read: opt.Texts = opt.TEXTS,
    run: opt.Run = opt.RUN,
) -> None:
    """Tag texts from files, folders or a pipe.

    A job with -o can be interrupted: rerun the command to resume it. Its parts are tagged by --workers, each of which
    loads the tagger. Other fields and columns are kept if the output format supports them.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name; default: `minilm`, which needs --labels. With --server the name of a model there;
        default: its first one.
    inputs
        Files (also compressed with gzip, bz2 or xz); folders, for the files in them whose names indicate a format; `-`
        or nothing for standard input.
    output
        File (or, for BRAT, folder) to make; for a folder, or several inputs, the folder to make, with a file for each.
        Default: rows go to standard output.
    to
        text (coloured on a terminal), jsonl, conll, parquet, html (one page), any annotation format, or your own as
        module:Class; default: by the output's name, else jsonl for a folder, text for standard output.
    json
        The same as --to jsonl.
    labels
        Labels to find, separated by commas: "ship,port"; or a file with one per line, as `name` or `name: description`.
        A tagger with fixed types finds only those given. Default: the types that it was trained on.
    offsets
        characters, utf-16 units (JavaScript, Java) or bytes (of UTF-8), in jsonl and parquet.
    text
        Text to tag instead of files: --text "Ada Lovelace came to London."
    server
        Address of a `nerbert serve` that tags the texts, such as http://127.0.0.1:8000. Its token is taken from the
        variable NERBERT_TOKEN. The server decides how its taggers are loaded, and how many tasks run.
    """
    if server and (loading != opt.LOADING or run != opt.RUN):
        options = ", ".join([*opt.words_of(loading), *opt.words_of(run)][::2])
        raise SettingsError(f"{options}: up to the server; leave this out, or leave out --server")
    for name, few in _FEW_SHAPES.items():  # read when torch is loaded
        os.environ.setdefault(name, few)
    from nerbert.model.folder import usual_model
    from nerbert.tagger.jobs.job import TagJob, tag_files

    job = TagJob(
        tagger=tagger or ("" if server else usual_model()),
        inputs=inputs,
        output=output,
        to=to,
        json=json,
        offsets=offsets,
        labels=labels,
        min_confidence=min_confidence,
        overwrite=overwrite,
        loading=loading,
        text=text,
        **asdict(read),
    )
    if server:
        from nerbert.serve.client import connected_tagger

        tag_files(job, _write_page, load=partial(connected_tagger, server))
        return
    with run.open_executor() as executor:
        tag_files(job, _write_page, executor)


def _write_page(*rows: Any, **names: Any) -> None:
    """Write an HTML page; templates are only loaded here."""
    from nerbert.render.tags_page import write_page

    write_page(*rows, **names)
