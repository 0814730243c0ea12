"""`nerbert report`: one page about a tagger on annotated data."""

import shlex
from dataclasses import fields
from pathlib import Path

from nerbert.cli.options import READ, Flag, Head, Output, Read
from nerbert.errors import SettingsError


def report(
    tagger: str, file: Path, *, output: Output, against: str = "", train: Path | None = None, labels: str = "",
    min_confidence: str = "", decoding: str = "", backend: str = "auto", precision: str = "auto", head: Head = "",
    overwrite: Flag = False, read: Read = READ,
) -> None:  # fmt: skip
    """Write a page about a tagger on annotated data: scores, mistakes in their sentences, calibration, thresholds.

    It is one HTML file that asks for nothing, to be shown to others. What is scored is what `nerbert evaluate` scores
    with the same options.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name; of several seeds name one.
    file
        Gold file, or a data folder: its test split.
    output
        HTML file to write.
    against
        A second tagger, to be compared with: the difference of F1 with its interval, and which entities the first one
        fixes and breaks. The options hold for both.
    train
        The tagger's training data (folder or file), to separate seen entities and leave out repeated sentences.
    labels
        The taggers' labels for types of the data: "Restaurant_Name=restaurant name,PER=person", or a file with one
        `TYPE=label` per line. Other types keep their names.
    min_confidence
        Leave out entities below this confidence: a number from 0 to 1, or by type: 0.8,city=0.5; default: the
        tagger's own thresholds. 0 keeps all, so that the page shows what every threshold does.
    decoding
        legal or greedy, as in `nerbert evaluate`.
    backend
        torch, onnx or auto, as in `nerbert tag`.
    precision
        bf16, fp32, int8 or auto, as in `nerbert tag`.
    overwrite
        Replace a file.
    """
    from nerbert.artifacts import check_free_file
    from nerbert.evaluation.evaluate import has_asked_types
    from nerbert.evaluation.report.report import make_report
    from nerbert.formats.entity_labels import read_type_labels
    from nerbert.render.report import write_report
    from nerbert.tagger.thresholds import parse_thresholds

    check_free_file(output, overwrite=overwrite)
    names, least = read_type_labels(labels), parse_thresholds(min_confidence)
    if has_asked_types(file):
        raise SettingsError(f"{file}: is of open types, each passage with its own; `nerbert evaluate` scores it")
    given = {"--against": against, "--train": train, "--labels": labels, "--min-confidence": min_confidence,
             "--decoding": decoding, "--backend": backend, "--precision": precision, "--head": head}  # fmt: skip
    chosen = {name: value for name, value in given.items() if value not in ("", None, "auto")}
    for each in fields(read):
        if (value := getattr(read, each.name)) != getattr(READ, each.name):
            chosen[f"--{each.name.strip('_').replace('_', '-')}"] = value
    words = [str(each) for pair in chosen.items() for each in pair]
    found = make_report(
        tagger, file, against=against or None, train=train, reading=read, labels=names, thresholds=least,
        decoding=decoding, backend=backend, precision=precision, head=head,
        command=shlex.join(["nerbert", "report", tagger, str(file), *words, "-o", str(output)]),
    )  # fmt: skip
    write_report(found, output)
    print(output)
