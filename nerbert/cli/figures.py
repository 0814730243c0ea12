"""`nerbert figures …`: pictures of results."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from cyclopts import App

from nerbert.cli.options import OptionalOutput, Output

figures_app = App(name="figures", help="Draw pictures of a benchmark's results.")


@figures_app.command(name="paper")
def figures_paper(
    *places: str, output: Output, data: Path | None = None, points: int = 2000, suite: str = "ner_bert",
    kind: Literal["svg", "png", "pdf"] = "svg",
) -> None:  # fmt: skip
    """Draw the figures of NER-BERT's paper from corpora, encoders, and results of `nerbert benchmark`.

    Of a corpus: entities of each category before and after sampling (1, 8). Of results: F1 with few labels (2). Of
    encoders, all together: maps of the entities in `--data` (3 to 7), and a page in which a point tells its sentence.

    Parameters
    ----------
    places
        Folders of `nerbert corpus build` or `nerbert benchmark`; encoders (folders or hub names).
    output
        Folder for the pictures; made if it isn't there.
    data
        Annotated sentences for the maps: a folder's test split, or a file.
    points
        Most entities in a map.
    suite
        Name of the suite: SUITE.csv in a folder of results is drawn.
    kind
        Kind of the pictures.
    """
    from nerbert.corpus.shards import is_corpus
    from nerbert.errors import SettingsError
    from nerbert.evaluation.benchmark.store import MARKER

    corpora = [Path(each) for each in places if is_corpus(Path(each))]
    results = [Path(each) for each in places if any((Path(each) / name).is_file() for name in (MARKER, f"{suite}.csv"))]
    encoders = [each for each in places if Path(each) not in (*corpora, *results)]
    if encoders and data is None:
        raise SettingsError(f"{encoders[0]}: no corpus and no results; if it is an encoder, give sentences with --data")
    drawn = _of_corpora(corpora, kind) | _of_results(results, suite, kind)
    if data is not None:
        drawn |= _of_encoders(encoders, data, points, kind)
    output.mkdir(parents=True, exist_ok=True)
    for name, draw in drawn.items():
        draw(output / name)
        print(output / name)


_Drawings = dict[str, Callable[[Path], None]]
"""What draws each picture, by the name of its file."""


def _of_corpora(corpora: Sequence[Path], kind: str) -> _Drawings:
    from nerbert.evaluation.figures.paper import read_category_counts
    from nerbert.render.paper_figures import draw_all_categories, draw_top_categories

    drawn: _Drawings = {}
    for place in corpora:
        counts, before = read_category_counts(place), _before(place, corpora)
        drawn[f"{before}1-categories.{kind}"] = partial(draw_top_categories, counts)
        drawn[f"{before}8-all-categories.{kind}"] = partial(draw_all_categories, counts)
    return drawn


def _of_results(results: Sequence[Path], suite: str, kind: str) -> _Drawings:
    from nerbert.evaluation.figures.paper import read_few_labels
    from nerbert.render.paper_figures import draw_few_labels

    return {f"{_before(place, results)}2-few-labels.{kind}": partial(draw_few_labels, read_few_labels(place, suite))
            for place in results}  # fmt: skip


def _of_encoders(encoders: Sequence[str], data: Path, points: int, kind: str) -> _Drawings:
    from nerbert.evaluation.figures.entity_maps import make_maps
    from nerbert.formats.data import read_gold
    from nerbert.render.paper_figures import draw_maps, write_maps_page

    maps = make_maps(encoders, read_gold(data, "test").examples, points)
    title = f"Entities of {data.resolve().name}"
    return {f"3-maps.{kind}": partial(draw_maps, maps), "3-maps.html": partial(write_maps_page, maps, title=title)}


def _before(place: Path, places: Sequence[Path]) -> str:
    """Return what tells the pictures of several folders apart."""
    return f"{place.resolve().name}-" if len(places) > 1 else ""


@figures_app.command(name="frontier")
def figures_frontier(results: Path, *, suite: str = "frontier", output: OptionalOutput = None) -> None:
    """Draw F1 against words per CPU-second and memory, a panel for each number of sentences.

    Systems without a speed, or without a result on some data set, are left out; a line names each.

    Parameters
    ----------
    results
        Folder of `nerbert benchmark`, with speeds.json in it: words per CPU-second and memory of each system.
    suite
        Name of the suite: SUITE.csv in the folder is drawn.
    output
        Picture to write, ending in .svg, .png or .pdf; default: SUITE.svg in the folder.
    """
    from nerbert.evaluation.figures.frontier import read_frontier
    from nerbert.render.figures import check_picture, draw_frontier
    from nerbert.terminal import tell

    path = output or results / f"{suite}.svg"
    check_picture(path)
    frontier = read_frontier(results, suite)
    draw_frontier(frontier, path)
    for line in frontier.missing:
        tell(f"not drawn: {line}")
    print(path)
