"""`nerbert types`: rename, merge and drop a tagger's types without training."""

from typing import Annotated

from cyclopts import Parameter

from nerbert.cli.options import OutputOrAddress, Overwrite

Changes = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]


def types(
    tagger: str, *, output: OutputOrAddress, rename: Changes = None, merge: Changes = None, drop: Changes = None,
    overwrite: Overwrite = False,
) -> None:  # fmt: skip
    """Rename, merge or drop types of a tagger without training: a copy that finds the same under other names.

    A merged type is as probable as its parts together, and what was a dropped type is no entity. Of a tagger of labels
    at run time a merged type is asked for by all parts' labels, and a dropped one isn't asked for. Types compete for
    words, so entities of kept types may change a little: `nerbert calibrate` fits confidences anew. Thresholds come
    along; scores of merged or fewer types don't, since they were measured on other types.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name.
    output
        Folder to make: the copy.
    rename
        OLD=NEW, each time.
    merge
        OLD,OLD=NEW, each time: the old types become one.
    drop
        OLD, or OLD,OLD, each time.
    """
    from nerbert.render.cards import write_tagger_card
    from nerbert.render.terminal.models import print_types
    from nerbert.tagger.retype import change_types, parse_changes

    changes = parse_changes(rename or [], merge or [], drop or [])
    print_types(change_types(tagger, output, changes, overwrite=overwrite, card=write_tagger_card), output)
