"""`nerbert figures …`: pictures of results."""

from functools import partial
from pathlib import Path
from typing import Literal

from cyclopts import App

from nerbert.cli.options import OptionalOutput, Output

figures_app = App(name="figures", help="Draw pictures of a benchmark's results.")


@figures_app.command(name="paper")
def figures_paper(
    *places: Path, output: Output, suite: str = "ner_bert", kind: Literal["svg", "png", "pdf"] = "svg"
) -> None:  # fmt: skip
    """Draw the figures of NER-BERT's paper from corpora, and from results of `nerbert benchmark`.

    Of a corpus: entities of each category before and after sampling (1, 8). Of results: F1 with few labels (2).

    Parameters
    ----------
    places
        Folders of `nerbert corpus build` or `nerbert benchmark`.
    output
        Folder for the pictures; made if it isn't there.
    suite
        Name of the suite: SUITE.csv in a folder of results is drawn.
    kind
        Kind of the pictures.
    """
    from nerbert.corpus.shards import is_corpus
    from nerbert.evaluation.figures.paper import read_category_counts, read_few_labels
    from nerbert.render.paper_figures import draw_all_categories, draw_few_labels, draw_top_categories

    several = len(places) > 1
    for place in places:
        folder = output / place.resolve().name if several else output
        if is_corpus(place):
            counts = read_category_counts(place)
            drawn = {"1-categories": partial(draw_top_categories, counts),
                     "8-all-categories": partial(draw_all_categories, counts)}  # fmt: skip
        else:
            drawn = {"2-few-labels": partial(draw_few_labels, read_few_labels(place, suite))}
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in drawn.items():
            draw(path := folder / f"{name}.{kind}")
            print(path)


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
