"""`nerbert figures …`: pictures of results."""

from pathlib import Path

from cyclopts import App

from nerbert.cli.options import OptionalOutput

figures_app = App(name="figures", help="Draw pictures of a benchmark's results.")


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
