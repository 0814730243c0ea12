"""`nerbert calibrate`: fit confidences to how often a tagger is right."""

from pathlib import Path

from nerbert.cli.options import From


def calibrate(tagger: str, data: Path, *, precision: float | None = None, from_: From = "", head: str = "") -> None:
    """Fit a tagger's confidences to annotated sentences that it wasn't trained on; its spans stay the same.

    `nerbert finetune` does so by itself where the data has a dev split.

    Parameters
    ----------
    tagger
        Tagger's folder, or a folder of several seeds.
    data
        Annotated file, or a data folder: its dev split. Thirty sentences are enough for a temperature.
    precision
        Precision to reach, say 0.9: for each type the lowest confidence at which it does, and entities below are left
        out from now on. Without it all entities are given.
    head
        For a tagger whose head is your own code: its module:function, which is imported.
    """
    from nerbert.render.cards import write_tagger_card
    from nerbert.render.terminal.models import print_calibrations
    from nerbert.tagger.calibrate import calibrate as run

    print_calibrations(run(tagger, data, precision=precision, head=head, card=write_tagger_card, format_=from_), data)
