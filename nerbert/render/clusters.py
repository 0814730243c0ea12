"""The page of an encoder's clusters: a map of mentions as SVG, and a table of the clusters' classes and members."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from nerbert.render import render, write
from nerbert.render.plots import STYLES

if TYPE_CHECKING:
    from nerbert.encoder.objectives.cluster_typing.cluster_map import ClusterMap

PAGE = "clusters.html"
"""The file of an encoder's folder."""
_WIDTH, _HEIGHT, _EDGE = 860, 620, 16


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of the drawing, with what it says; a cluster's number is one too."""

    x: float
    y: float
    style: int
    text: str


def write_cluster_page(target: Path, found: "ClusterMap") -> None:
    """Write the page of a map."""
    places = defaultdict[int, list[Dot]](list)
    for each in found.points:
        told = f"{each.text} ({each.class_})" if each.class_ else each.text
        x, y = _EDGE + each.x * (_WIDTH - 2 * _EDGE), _EDGE + each.y * (_HEIGHT - 2 * _EDGE)
        places[each.cluster].append(Dot(round(x, 1), round(y, 1), each.cluster % STYLES, f"{each.cluster}: {told}"))
    numbers = [Dot(median(dot.x for dot in dots), median(dot.y for dot in dots), number % STYLES, str(number))
               for number, dots in sorted(places.items())]  # fmt: skip
    rows = [(each.number, each.size, "; ".join(each.classes) or "–", "; ".join(each.members))
            for each in found.clusters]  # fmt: skip
    dots = [dot for own in places.values() for dot in own]
    write(target, render("clusters.html.j2", dots=dots, numbers=numbers, rows=rows,
                         mentions=sum(each.size for each in found.clusters), width=_WIDTH, height=_HEIGHT))  # fmt: skip
