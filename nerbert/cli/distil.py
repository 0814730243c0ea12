"""`nerbert distil`: the entities that another tagger finds train a tagger."""

from dataclasses import asdict
from pathlib import Path

import nerbert
from nerbert.cli import options as opt


def distil(
    teacher: str,
    *texts: opt.FileOrDash,
    output: opt.Output,
    labels: str = "",
    encoder: str = "embedded",
    data: Path | None = None,
    exclude: opt.Many = None,
    min_confidence: str = "",
    decoding: str = "",
    device: str = "",
    head: opt.Head = "",
    read: opt.Texts = opt.TEXTS,
    config: opt.Config = None,
    set_: opt.Set = None,
    run: opt.Run = opt.RUN,
    overwrite: opt.Overwrite = False,
) -> None:
    """Train a small tagger on the entities that another tagger finds in texts, and on labelled sentences if given.

    The teacher tags the texts in parts, on --workers, each of which loads it. A run can be interrupted: rerun the
    command to resume it; only training starts over.

    Parameters
    ----------
    teacher
        Tagger's folder or hub name: a GLiNER model, an encoder trained with `concepts`, or any tagger.
    texts
        Files, or folders of them, as `nerbert tag` reads them; `-` or nothing for standard input.
    output
        Folder to make: the tagger, and silver.jsonl, the teacher's sentences that it was trained on.
    labels
        Labels to find, as in `nerbert tag`; default: the types of --data, or else all types of the teacher.
    encoder
        Model folder or hub name that the student starts from; `embedded` is a small English one in the package. If it
        takes labels at run time, so does the student; otherwise the student has fixed types.
    data
        Labelled sentences to train on last: folder with a file train (and dev) in any format; or one file.
    exclude
        Files (such as a test set) with which no silver sentence may share eight consecutive words.
    min_confidence
        Leave out entities below this confidence of the teacher: a number from 0 to 1, or by type: 0.8,city=0.5.
    decoding
        The teacher's: flat or touching, legal or greedy, as in `nerbert tag`.
    device
        Torch's device name for the teacher; default: the GPU if there is one.
    """
    from nerbert.distillation.settings import DistilSettings
    from nerbert.entity_labels import parse_labels
    from nerbert.render.terminal import print_taggers
    from nerbert.tagger.thresholds import parse_thresholds
    from nerbert.training.sections import load_settings

    settings = load_settings(DistilSettings, config, set_ or [])
    with run.open_executor() as executor:
        nerbert.distil(
            teacher,
            texts,
            output,
            settings,
            labels=parse_labels(labels) if labels else None,
            encoder=encoder,
            data=data,
            exclude=exclude or (),
            thresholds=parse_thresholds(min_confidence),
            decoding=decoding,
            device=device,
            head=head,
            executor=executor,
            overwrite=overwrite,
            **asdict(read),
        )
    print_taggers([output])
