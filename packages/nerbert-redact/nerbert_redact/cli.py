"""The command `nerbert redact`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nerbert.cli import options as opt
from nerbert.errors import InputError, SettingsError


def redact(
    tagger: str,
    *inputs: opt.FileOrDash,
    output: opt.Output,
    to: str = "",
    how: str = "replace",
    keep: str = "",
    document: str = "file",
    repeats: Annotated[bool, Parameter(negative="--no-repeats")] = True,
    key: Path | None = None,
    originals: Annotated[Path | None, Parameter(name="--map")] = None,
    undo: Path | None = None,
    edited: opt.Flag = False,
    labels: str = "",
    patterns: Annotated[str | bool, Parameter(negative="")] = False,
    min_confidence: str = "",
    overwrite: opt.ReplaceJob = False,
    loading: opt.Loading = opt.LOADING,
    read: opt.Texts = opt.TEXTS,
    run: opt.Run = opt.RUN,
) -> None:
    """Replace the entities in texts, so that you can share them; entities that the tagger misses stay in them.

    A job can be interrupted: rerun the command to resume it.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name; with --undo, the redacted file.
    inputs
        Files, folders, or `-` or nothing for standard input, as `nerbert tag` reads them.
    output
        File to make; for a folder, or several inputs, the folder to make, with a file for each.
    to
        text, jsonl, csv or parquet; default: by the output's name, jsonl for a folder.
    how
        replace: the type with a number, [person 1], the same for equal texts in a document. mask: a block for each
        character except white space. hash: the type with a keyed hash, [person 3f2a9c1b7d20], the same in all files.
    keep
        Other fields or columns to keep, separated by commas; texts of found entities are replaced in them. All others
        are left out.
    document
        Scope in which numbers and repeats are the same: file, or row.
    repeats
        Also replace whole words that equal an entity of the document, in any case, if the tagger missed them.
    key
        File with the secret key of hashes, at least 16 bytes; default: the variable NERBERT_REDACT_KEY.
    originals
        File for the originals, separate from the output and readable only by you.
    undo
        A map: restore the texts of the redacted file.
    edited
        With --undo: the redacted file was edited; restore the original of each pseudonym that is left.
    labels
        Labels to find, as in `nerbert tag`.
    patterns
        Also replace numbers and addresses that Presidio's recognizers can check, such as card numbers
        (nerbert[presidio]): those named, as in --patterns=iban,phone,email; with --patterns alone, after the inputs,
        all of the tagger's language. They win overlaps with entities.
    min_confidence
        Leave entities below this confidence in the text: a number from 0 to 1, or by type: 0.8,city=0.5.
    """
    from nerbert_redact.job import redact_texts, undo_redaction

    if undo:
        if inputs:
            raise InputError(f"--undo: restores one file, {tagger}; leave {inputs[0]} out")
        undo_redaction(undo, Path(tagger), output, edited=edited, overwrite=overwrite)
        return
    if edited:
        raise SettingsError("--edited: is for --undo MAP; give the map, or leave it out")
    with run.open_executor() as executor:
        redact_texts(
            tagger,
            inputs,
            output,
            to=to,
            how=how,
            keep=_split_names(keep),
            document=document,
            repeats=repeats,
            key=key,
            originals=originals,
            patterns=None if patterns is False else _split_names(patterns),
            labels=labels,
            min_confidence=min_confidence,
            loading=loading,
            **asdict(read),
            executor=executor,
            overwrite=overwrite,
        )


def _split_names(names: str | bool) -> tuple[str, ...]:
    """Return the names in a list with commas; none for an option without a value."""
    return tuple(filter(None, map(str.strip, names.split(",")))) if isinstance(names, str) else ()
