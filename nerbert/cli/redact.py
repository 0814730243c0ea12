"""`nerbert redact`: texts in, texts without their entities out."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nerbert.cli.options import LOADING, RUN, TEXTS, FileOrDash, Flag, Loading, Output, Run, Texts
from nerbert.errors import InputError, SettingsError


def redact(
    tagger: str, *inputs: FileOrDash, output: Output, to: str = "", how: str = "replace", keep: str = "",
    document: str = "file", repeats: Annotated[bool, Parameter(negative="--no-repeats")] = True,
    key: Path | None = None, originals: Annotated[Path | None, Parameter(name="--map")] = None,
    undo: Path | None = None, edited: Flag = False, labels: str = "", min_confidence: str = "", overwrite: Flag = False,
    loading: Loading = LOADING, read: Texts = TEXTS, run: Run = RUN,
) -> None:  # fmt: skip
    """Replace the entities in texts, so that they can be passed on; what the tagger misses stays in them.

    A job can be interrupted: rerun the command to resume it.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name; with --undo the redacted file.
    inputs
        Files, folders, or `-` or nothing for standard input, as `nerbert tag` reads them.
    output
        File to make; for a folder, or several inputs, the folder to make, with a file for each.
    to
        text, jsonl, csv or parquet; default: by the output's name, jsonl for a folder.
    how
        replace: the type with a number, [person 1], equal for equal texts of a document. mask: a block for each
        character but white space. hash: the type with a keyed hash, [person 3f2a9c1b7d20], equal in all files.
    keep
        Other fields or columns to keep, separated by commas; texts of found entities are replaced in them. All others
        are left out.
    document
        Where numbers and repeats are the same: file, or row.
    repeats
        Replace whole words that equal an entity of the document, in any case, where the tagger found none.
    key
        File with the secret key of hashes, 16 bytes or more; default: the variable NERBERT_REDACT_KEY.
    originals
        File for the originals, which only you can read, apart from the output.
    undo
        A map: restore the texts of the redacted file.
    edited
        With --undo: the redacted file was edited; put the original in place of each pseudonym that is left.
    labels
        Labels to find, as in `nerbert tag`.
    min_confidence
        Leave entities below this confidence in the text: a number from 0 to 1, or by type: 0.8,city=0.5.
    overwrite
        Replace a file, a folder that nerbert made, or an unfinished job with other settings.
    """
    if undo:
        from nerbert.tagger.jobs.undo import undo_redaction

        if inputs:
            raise InputError(f"--undo: restores one file, {tagger}; leave {inputs[0]} out")
        undo_redaction(undo, Path(tagger), output, edited=edited, overwrite=overwrite)
        return
    if edited:
        raise SettingsError("--edited: is for --undo MAP; give the map, or leave it out")
    from nerbert.tagger.jobs.job import TagJob
    from nerbert.tagger.jobs.redact import RedactJob, redact_files

    tags = TagJob(
        tagger=tagger, inputs=inputs, output=output, to="jsonl", labels=labels, min_confidence=min_confidence,
        overwrite=overwrite, loading=asdict(loading), **asdict(read),
    )  # fmt: skip
    kept = tuple(name for each in keep.split(",") if (name := each.strip()))
    job = RedactJob(tag=tags, to=to, how=how, keep=kept, document=document, repeats=repeats, key=key, map=originals)
    with run.opened() as executor:
        redact_files(job, executor)
