"""Line plots: where axes, lines, points and intervals lie, for the macros of `plots.html.j2`.

Every point says its figure on hovering. Lines differ in colour and dashes (classes `c0` to `c7`), which follow the
style sheet in light and dark.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 360, 58, 18, 14, 52
STYLES = 8
"""Lines that can be told apart in one figure: the style sheet has so many colours with dashes of their own."""
_APART = 34
"""Smallest distance of two labels below the axis."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PlotPoint:
    """A point of a line; `y` and its interval are shares (0–1), drawn in percent."""

    x: float
    y: float
    text: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class _Axes:
    first: float
    last: float
    low: int
    high: int
    log: bool

    def at(self, x: float, share: float) -> Point:
        """Return the place of a point; one outside the axis of y is drawn at its edge."""
        x, first, last = ((math.log(each) if self.log else each) for each in (x, self.first, self.last))
        across = (x - first) / (last - first) if last > first else 0.5
        up = (min(max(100 * share, self.low), self.high) - self.low) / (self.high - self.low)
        right = _LEFT + 12 + across * (WIDTH - _LEFT - _RIGHT - 24)
        return round(right, 1), round(HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM), 1)


def line_plot(
    lines: Mapping[str, Sequence[PlotPoint]], styles: Mapping[str, int], *, x_name: str, log: bool = False
) -> Any:
    """Return what the macro `line_plot` draws: facts about axes, and a line for each name."""
    points = [point for each in lines.values() for point in each]
    xs = sorted({point.x for point in points})
    ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
    low = max(0, math.floor(10 * min(ends)) * 10)
    high = max(low + 10, min(100, math.ceil(10 * max(ends)) * 10))
    axes = _Axes(xs[0], xs[-1], low, high, log)
    step = 10 if high - low <= 60 else 20
    return {
        "width": WIDTH, "height": HEIGHT, "left": _LEFT, "right": WIDTH - _RIGHT, "bottom": HEIGHT - _BOTTOM,
        "middle": (_LEFT + WIDTH) / 2, "x_name": x_name,
        "ys": [(value, axes.at(xs[0], value / 100)[1]) for value in range(low, high + 1, step)],
        "xs": _labels(xs, axes),
        "lines": [_line(name, each, f"c{styles[name]}", axes) for name, each in lines.items()],
        "words": ". ".join(f"{name}: {'; '.join(point.text for point in each)}" for name, each in lines.items()),
    }  # fmt: skip


def _labels(xs: Sequence[float], axes: _Axes) -> list[tuple[float, str]]:
    """Return the place of each mark on the axis of x, with its label where there is room."""
    found, free = [], 0.0
    for x in xs:
        across, _ = axes.at(x, 0)
        found.append((across, f"{x:,.0f}" if across >= free else ""))
        free = across + _APART if across >= free else free
    return found


def _line(name: str, points: Sequence[PlotPoint], style: str, axes: _Axes) -> dict[str, Any]:
    places = [axes.at(point.x, point.y) for point in points]
    dots = [(point.text, x, y) for point, (x, y) in zip(points, places, strict=True)]
    bar = _interval(points[0], axes) if len(points) == 1 else None
    path = _path(places) if len(places) > 1 else _path(bar) if bar else ""
    return {"name": name, "style": style, "path": path, "bands": _bands(points, axes), "dots": dots}


def _bands(points: Sequence[PlotPoint], axes: _Axes) -> list[str]:
    """Return the area between the intervals of two neighbours that both have one."""
    ends = [(_interval(one, axes), _interval(other, axes)) for one, other in pairwise(points)]
    return [f"{_path([*one, *reversed(other)])}Z" for one, other in ends if one and other]


def _interval(point: PlotPoint, axes: _Axes) -> list[Point] | None:
    if point.low is None or point.high is None:
        return None
    return [axes.at(point.x, point.low), axes.at(point.x, point.high)]


def _path(places: Sequence[Point]) -> str:
    return "M" + " ".join(f"{x:g},{y:g}" for x, y in places)
