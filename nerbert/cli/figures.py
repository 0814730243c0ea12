"""`nerbert figures …`: pictures of results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cyclopts import App

from nerbert.cli.options import Many, Output

figures_app = App(name="figures", help="Draw pictures of a benchmark's results.")


@figures_app.command(name="paper")
def figures_paper(
    *places: str, output: Output, data: Many = None, points: int = 2000, suite: str = "ner_bert", protocol: str = "",
    kind: Literal["svg", "png", "pdf"] = "svg",
) -> None:  # fmt: skip
    """Draw the figures of NER-BERT's paper from corpora, encoders, and results of `nerbert benchmark`.

    From a corpus: entities of each category before and after sampling (1, 8). From results: F1 with few labels (2).
    From all encoders together: maps of the entities in `--data`, one picture for each data set (3 to 7).

    Parameters
    ----------
    places
        Folders of `nerbert corpus build` or `nerbert benchmark`; encoders (folders or hub names).
    output
        Folder for the pictures; created if it doesn't exist.
    data
        Annotated sentences for the maps: folders (their test splits), or files.
    points
        Maximum number of entities in a map.
    suite
        Name of the suite: SUITE.csv in a folder of results is plotted.
    protocol
        Name of the suite's protocol to plot; needed if the results have several.
    kind
        File format of the pictures.
    """
    from nerbert.corpus.shards import is_corpus
    from nerbert.errors import SettingsError
    from nerbert.evaluation.figures import category_counts, few_labels_of, make_maps, read_results
    from nerbert.formats.data import read_gold
    from nerbert.render.figures import draw_all_categories, draw_categories, draw_few_labels, draw_maps

    corpora = [path for path in map(Path, places) if is_corpus(path)]
    results = [path for path in map(Path, places) if (path / f"{suite}.csv").is_file()]
    encoders = [name for name in places if Path(name) not in (*corpora, *results)]
    pictures = {output / f"maps-{'-'.join(path.resolve().parts[1:][-2:])}.{kind}": path for path in data or ()}
    if len(pictures) < len(data or ()):
        raise SettingsError("--data: two data sets have the same names of folders, so the same picture; rename one")
    if encoders and not data:
        why = f"no corpus, and no results with {suite}.csv; if it is an encoder, give sentences with --data"
        raise SettingsError(f"{encoders[0]}: {why}")
    output.mkdir(parents=True, exist_ok=True)
    for corpus in corpora:
        names, counts = category_counts(corpus)
        draw_categories(names, counts, first := _picture(output, corpus, corpora, f"1-categories.{kind}"))
        draw_all_categories(counts, second := _picture(output, corpus, corpora, f"8-all-categories.{kind}"))
        print(first, second, sep="\n")
    for folder in results:
        curves = few_labels_of(read_results(folder, suite, protocol))
        draw_few_labels(curves, picture := _picture(output, folder, results, f"2-few-labels.{kind}"))
        print(picture)
    for picture, path in pictures.items():
        draw_maps(*make_maps(encoders, read_gold(path, "test").examples, points), picture)
        print(picture)


def _picture(output: Path, folder: Path, folders: Sequence[Path], name: str) -> Path:
    """Return the path of a picture; with several folders, their names are prefixes."""
    return output / (f"{folder.resolve().name}-{name}" if len(folders) > 1 else name)
