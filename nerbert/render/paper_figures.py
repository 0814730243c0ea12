"""NER-BERT's figures (Liu et al. 2021) as files, drawn by matplotlib (extra `figures`)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.artifacts import publish
from nerbert.errors import need
from nerbert.render import render
from nerbert.render.figures import COLOURS, SHAPES, STYLE, plain_axes, write_picture
from nerbert.terminal import percent

if TYPE_CHECKING:
    from nerbert.evaluation.figures.entity_maps import EntityMap, EntityMaps
    from nerbert.evaluation.figures.paper import CategoryCounts, FewLabels
    from nerbert.evaluation.tables.statistics import Summary

_MOST = 30
"""Categories of the figure that names each."""
_ACROSS = 3
_TOLD, _OTHERS = 7, "#bbbbbb"
"""Types that are told apart by colour, and that of all others."""
_SIZE, _MARGIN = 720, 8
"""Of a map on a page, in pixels."""


def draw_top_categories(counts: "CategoryCounts", output: Path) -> None:
    """Draw the most frequent categories by name, before and after sampling (Figure 1)."""
    names, places = counts.names[:_MOST], range(min(_MOST, len(counts.names)))
    with _figure((7, 0.9 + 0.2 * len(names))) as figure:
        panel = figure.subplots()
        for shift, values, colour, label in ((-0.2, counts.before, COLOURS[0], "before sampling"),
                                             (0.2, counts.after, COLOURS[1], "after sampling")):  # fmt: skip
            panel.barh([place + shift for place in places], values[:_MOST], 0.4, color=colour, label=label)
        panel.set_yticks(list(places), names)
        panel.invert_yaxis()
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.margins(y=0.01)
        panel.set_xlabel("entities")
        panel.legend(frameon=False)
        plain_axes(panel)
        write_picture(figure, output)


def draw_all_categories(counts: "CategoryCounts", output: Path) -> None:
    """Draw the entities of all categories by rank, before and after sampling (Figure 8)."""
    with _figure((7, 3.6)) as figure:
        panel, ranks = figure.subplots(), range(1, len(counts.names) + 1)
        panel.plot(ranks, counts.before, color=COLOURS[0], label="before sampling")
        seen = [(rank, count) for rank, count in zip(ranks, counts.after, strict=True) if count]
        panel.plot(*zip(*seen, strict=True), color=COLOURS[1], linestyle="", marker=".", label="after sampling")
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.set_xlabel("categories, the most frequent first")
        panel.set_ylabel("entities")
        panel.legend(frameon=False)
        plain_axes(panel)
        write_picture(figure, output)


def draw_few_labels(found: "FewLabels", output: Path) -> None:
    """Draw F1 by size, a panel for each target, with the 95 % interval of the runs where there are three (Figure 2)."""
    need("benchmark", "scipy")
    rows, across = -(-len(found.curves) // _ACROSS), min(_ACROSS, len(found.curves))
    systems = dict.fromkeys(system for curves in found.curves.values() for system in curves)
    styles = dict(zip(systems, zip(cycle(COLOURS), cycle(SHAPES), strict=False), strict=False))
    with _figure((0.8 + 2.9 * across, 0.9 + 2.6 * rows)) as figure:
        panels = figure.subplots(rows, across, squeeze=False)
        for panel, (target, curves) in zip(panels.flat, found.curves.items(), strict=False):
            _draw_target(panel, target, curves, found.sizes, styles)
        for panel in panels.flat[len(found.curves) :]:
            panel.set_axis_off()
        figure.supylabel("entity F1 in percent", fontsize=9)
        panels[-1, across // 2].set_xlabel("training sentences")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=_ACROSS, frameon=False, fontsize=8)
        write_picture(figure, output)


def _draw_target(
    panel: Any, target: str, curves: "Mapping[str, Mapping[str, Summary]]", sizes: Sequence[str],
    styles: Mapping[str, tuple[str, str]],
) -> None:  # fmt: skip
    """Draw the curves of one target; a system that has none there is in the legend all the same."""
    own = [size for size in sizes if any(size in curve for curve in curves.values())]
    places = {size: place for place, size in enumerate(own)}
    for system, (colour, shape) in styles.items():
        points = [(places[size], curves[system][size]) for size in own if size in curves.get(system, {})]
        x, means = [place for place, _ in points], [100 * each.mean for _, each in points]
        panel.plot(x, means, color=colour, marker=shape, markersize=4, label=system)
        whole = [(place, each.interval) for place, each in points if each.interval]
        panel.fill_between([place for place, _ in whole], [100 * low for _, (low, _) in whole],
                           [100 * high for _, (_, high) in whole], color=colour, alpha=0.15, linewidth=0)  # fmt: skip
    panel.set_xticks(list(places.values()), own)
    panel.set_title(target, fontsize=9, loc="left")
    plain_axes(panel)


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[Any]:
    """Give a figure of a size in inches, in the style of all."""
    need("figures", "matplotlib")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        yield Figure(figsize=size, layout="constrained")


def draw_maps(found: "EntityMaps", output: Path) -> None:
    """Draw the entities in each encoder, a panel each, coloured by type (Figures 3 to 7)."""
    rows, across = -(-len(found.maps) // _ACROSS), min(_ACROSS, len(found.maps))
    styles = styles_of(found)
    with _figure((3.2 * across, 0.9 + 3.2 * rows)) as figure:
        panels = figure.subplots(rows, across, squeeze=False)
        for panel in panels.flat:
            panel.set_axis_off()
        owned = {name: [place for place, each in enumerate(found.points) if each.span.type == name] for name in styles}
        for panel, one in zip(panels.flat, found.maps, strict=False):
            for name, style in styles.items():
                panel.scatter(*one.places[owned[name]].T, s=5, color=COLOURS[style] if style < _TOLD else _OTHERS,
                              linewidth=0, label=name if style < _TOLD else "")  # fmt: skip
            panel.set_title(f"{one.name}\npurity {percent(one.purity)} % (chance {percent(one.chance)} %), "
                            f"silhouette {one.silhouette:.3f}", fontsize=8)  # fmt: skip
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8, markerscale=2)
        write_picture(figure, output)


def write_maps_page(found: "EntityMaps", output: Path, title: str) -> None:
    """Write one page in which a point tells its sentence: no request, no script, light and dark."""
    styles = styles_of(found)
    names = {name: f"c{style + 1}" if style < _TOLD else "others" for name, style in styles.items()}
    page = render(
        "entity_maps.html.j2", title=title, count=len(found.points), size=_SIZE, perplexity=found.perplexity,
        neighbours=found.neighbours, maps=[_shown(found, one, names) for one in found.maps],
        key=[(names[name], name) for name, style in styles.items() if style < _TOLD],
    )  # fmt: skip
    with publish(output) as draft:
        draft.write_text(page, encoding="utf-8")


def styles_of(found: "EntityMaps") -> dict[str, int]:
    """Return the number of each type's colour, the most frequent type first; rare types share one."""
    return {name: min(place, _TOLD) for place, name in enumerate(found.types)}


def _shown(found: "EntityMaps", one: "EntityMap", names: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page says of a map: points by the class of their colour, with what each tells."""
    low, high = one.places.min(axis=0), one.places.max(axis=0)
    places = _MARGIN + (one.places - low) / (high - low).max() * (_SIZE - 2 * _MARGIN)
    groups: dict[str, list[tuple[float, float, str]]] = {}
    for (x, y), each in zip(places.tolist(), found.points, strict=True):
        text, span = each.sentence.text, each.span
        said = f"{text[span.start : span.end]} ({span.type}): {text}"
        groups.setdefault(names[span.type], []).append((round(x, 1), round(y, 1), said))
    return {"name": one.name, "purity": one.purity, "chance": one.chance, "silhouette": one.silhouette,
            "groups": sorted(groups.items())}  # fmt: skip
