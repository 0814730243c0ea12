"""`nerbert distil`: the entities that another tagger finds train a tagger."""

from dataclasses import asdict, replace
from pathlib import Path

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
    from nerbert.errors import need
    from nerbert.render.cards import write_tagger_card
    from nerbert.render.terminal import print_taggers
    from nerbert.training.sections import load_settings

    settings = load_settings(DistilSettings, config, set_ or [])
    need("train", "torch", "transformers")
    from nerbert.distillation.distil import distil as stage
    from nerbert.tagger.jobs.job import TagJob
    from nerbert.tagger.self_check import add_check

    tag = TagJob(
        tagger=teacher,
        inputs=texts,
        labels=labels,
        min_confidence=min_confidence,
        overwrite=overwrite,
        loading=replace(opt.LOADING, decoding=decoding, device=device, head=head),
        **asdict(read),
    )
    with run.open_executor() as executor:
        stage(
            tag,
            output,
            settings,
            encoder=encoder,
            data=data,
            exclude=exclude or (),
            executor=executor,
            card=add_check(write_tagger_card),
        )
    print_taggers([output])
