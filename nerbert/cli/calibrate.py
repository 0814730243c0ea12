"""`nerbert calibrate`: confidences and thresholds that a person, a language model or another tagger vouches for."""

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from nerbert.annotate.settings import JudgeSettings
from nerbert.cli.options import READ, Flag, Head, Many, Read
from nerbert.errors import SettingsError

_JUDGING = Group("Without annotated data: answers on spans of texts", sort_key=1)
_MODEL = Group("A language model that answers, behind an OpenAI-compatible server", sort_key=2)
_Judging = Parameter(group=_JUDGING)
Judge = Annotated[JudgeSettings | None, Parameter(name="*", group=_MODEL)]


def calibrate(
    tagger: str, data: Path | None = None, *, precision: float | None = None, dry_run: Flag = False, undo: Flag = False,
    copy_from: str = "", texts: Annotated[Many, _Judging] = None, spans: Annotated[int | None, _Judging] = None,
    seed: Annotated[int | None, _Judging] = None, answers: Annotated[Path | None, _Judging] = None,
    labels: Annotated[str, _Judging] = "", field: Annotated[str, _Judging] = "text", judge: Judge = None,
    read: Read = READ, head: Head = "",
) -> None:  # fmt: skip
    """Calibrate a tagger's confidences on annotated sentences, or on answers to spans that it finds; its spans stay.

    Annotated: sentences that it wasn't trained on. A tagger that takes labels at run time also gets the threshold with
    the best F1 there, as the default from then on. `nerbert finetune` does this if the data has a dev split.

    Not annotated: --texts. Some found spans are drawn with known probabilities, and a person (on the terminal) or a
    language model (--endpoint, --model) says of each whether it is right. Rerun the command to go on.

    The previous values are kept for --undo.

    Parameters
    ----------
    tagger
        Tagger's folder, or a folder of several seeds.
    data
        Annotated file, or a data folder: its dev split. Thirty sentences are enough for a temperature.
    precision
        Precision to reach, say 0.9: each type gets the lowest confidence at which it does, and entities below are left
        out from then on. Without it all entities are kept; with --texts the thresholds keep what they kept.
    dry_run
        Print what would be written, and write nothing but answers.
    undo
        Restore temperature and thresholds from before the last calibration; a second --undo reverts the first.
    copy_from
        Another tagger's folder, of which to take the thresholds and temperatures by label.
    texts
        Files of texts to tag, or folders of them, as `nerbert tag` reads them; --from names their format.
    spans
        Number of spans to judge; default: 100.
    seed
        Seed of the draw; default: 0.
    answers
        JSON lines file of the answers, which may be filled in with an editor; default: TAGGER.answers.jsonl beside the
        tagger's folder.
    labels
        Labels to find in the texts, as in `nerbert tag`; default: the types that it was trained on.
    field
        Field of JSON, or column of CSV or Parquet, with the text or a list of words.
    """
    from nerbert.render.cards import write_tagger_card
    from nerbert.render.terminal.models import print_calibrations, print_restored
    from nerbert.tagger import calibrate as stage

    _check(tagger, undo=undo, data=data is not None, copy=bool(copy_from), texts=bool(texts), dry_run=dry_run,
           wants=precision is not None, judging=bool(spans or seed or answers or labels or judge))  # fmt: skip
    if undo:
        print_restored(stage.undo(tagger, head=head, card=write_tagger_card))
    elif copy_from:
        from nerbert.render.terminal.judging import print_copied
        from nerbert.tagger.copied import copy_calibration

        done = copy_calibration(tagger, copy_from, head=head, card=write_tagger_card, dry_run=dry_run)
        print_copied(done, copy_from, dry_run=dry_run)
    elif texts:
        from nerbert.annotate.judge import judge_spans
        from nerbert.render.terminal.judging import ask_person, print_judged
        from nerbert.tagger.judged import calibrate_judged

        ask = ask_person if judge is None else judge_spans(judge)
        judged = calibrate_judged(tagger, texts, ask, answers=answers, spans=spans, seed=seed, precision=precision,
                                  labels=labels, from_=read.from_, field=field, head=head, card=write_tagger_card,
                                  dry_run=dry_run)  # fmt: skip
        if judged:
            print_judged(judged, dry_run=dry_run)
    elif data is not None:
        found = stage.calibrate(tagger, data, precision=precision, head=head, card=write_tagger_card, reading=read,
                                dry_run=dry_run)  # fmt: skip
        print_calibrations(found, data, dry_run=dry_run)


def _check(
    tagger: str, *, undo: bool, data: bool, copy: bool, texts: bool, dry_run: bool, wants: bool, judging: bool
) -> None:  # fmt: skip
    """Raise SettingsError for options that don't belong together."""
    if undo and (data or copy or texts or dry_run or wants or judging):
        raise SettingsError("--undo: takes no data and no other option; leave them out")
    if data + copy + texts + undo == 0:
        raise SettingsError(f"calibrate {tagger}: name annotated sentences to fit it to, or give --undo, --texts or "
                            "--copy-from")  # fmt: skip
    if data + copy + texts > 1:
        raise SettingsError("annotated data, --texts and --copy-from are three ways to calibrate; give one of them")
    if judging and not texts:
        raise SettingsError("--spans, --seed, --answers, --labels and --endpoint are for --texts; give that, too")
    if copy and wants:
        raise SettingsError("--copy-from: takes the other tagger's thresholds, so leave --precision out")
