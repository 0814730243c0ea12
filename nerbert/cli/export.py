"""`nerbert export`: export a tagger for machines without torch."""

from pathlib import Path

from nerbert.cli.options import Flag, From, OptionalOutput


def export(
    tagger: str, *, onnx: Flag = True, int8: Flag = False, output: OptionalOutput = None, data: Path | None = None,
    from_: From = "", overwrite: Flag = False,
) -> None:  # fmt: skip
    """Export a tagger to ONNX, for onnxruntime: faster on a CPU, and no torch needed.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name.
    onnx
        The format; the only one so far.
    int8
        Also with weights in int8: several times faster, a little less exact.
    output
        Folder to make that holds all but torch's weights; by default `onnx/` in the tagger's own folder.
    data
        Gold file, or a data folder (its test split): compare F1 and entities with torch's.
    overwrite
        Replace an earlier export.
    """
    from nerbert.render.terminal.models import print_export
    from nerbert.tagger.export import export as run

    print_export(run(tagger, int8=int8, output=output, data=data, overwrite=overwrite, format_=from_))
