"""Learning curves as inline SVG: F1 over sentences (logarithmic), a line a system, its 95 % interval as a band.

Lines of a figure differ in colour and in dashes: it has no more than there are styles (`curves` sees to that), and a
system has the same one in all figures. Every figure is told in words too (`desc`), and on hovering over its point.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from nerbert.evaluation.tables.grid import Curve, Point
from nerbert.render.markup import Markup, tag
from nerbert.terminal import percent

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 380, 58, 18, 14, 52
_APART = 34
"""Smallest distance of two names below the axis."""


def plot(curve: Curve, place: int) -> Markup:
    """A figure with its key; `place` makes its ids unique on the page."""
    scale = _CurveScale([point for points in curve.lines.values() for point in points])
    kinds = {name: f"c{curve.styles[name]}" for name in curve.lines}
    where = f"{curve.target}, {curve.protocol}" if curve.protocol else curve.target
    drawn = [_line(name, points, kinds[name], scale) for name, points in curve.lines.items()]
    svg = tag(
        "svg", tag("title", f"F1 on {where} against training sentences", id=f"t{place}"),
        tag("desc", _words(curve), id=f"d{place}"), scale.grid(), drawn,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_labelledby=f"t{place} d{place}", class_="plot",
    )  # fmt: skip
    key = [tag("span", _swatch(kind), name) for name, kind in kinds.items()]
    return tag("figure", tag("figcaption", f"{where}: F1 in percent against training sentences"), svg,
               tag("p", key, class_="key"))  # fmt: skip


class _CurveScale:
    """Where a number of sentences and an F1 stand, and the lines behind them."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.marks = sorted({point.sentences for point in points})
        ends = [end for point in points for end in (point.mean, point.low, point.high) if end is not None]
        self.low = max(0, math.floor(10 * min(ends)) * 10)
        self.high = max(self.low + 10, min(100, math.ceil(10 * max(ends)) * 10))

    def at(self, sentences: float, f1: float) -> tuple[float, float]:
        """The place of a point; what lies outside stands at the edge."""
        first, last = (math.log(end) for end in (self.marks[0], self.marks[-1]))
        across = (math.log(sentences) - first) / (last - first) if last > first else 0.5
        up = (min(max(100 * f1, self.low), self.high) - self.low) / (self.high - self.low)
        x = _LEFT + 12 + across * (_WIDTH - _LEFT - _RIGHT - 24)
        return round(x, 1), round(_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM), 1)

    def grid(self) -> Iterator[Markup]:
        """Lines at every ten points (twenty, where there are many), names of the sizes below."""
        for value in range(self.low, self.high + 1, 10 if self.high - self.low <= 60 else 20):
            _, y = self.at(self.marks[0], value / 100)
            yield tag("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y)
            yield tag("text", str(value), x=_LEFT - 8, y=y + 5, text_anchor="end")
        free = 0.0
        for mark in self.marks:
            x, y = self.at(mark, self.low / 100)
            yield tag("line", class_="grid", x1=x, x2=x, y1=y, y2=y + 5)
            if x >= free:
                yield tag("text", f"{mark:,.0f}", x=x, y=y + 20, text_anchor="middle")
                free = x + _APART
        yield tag("text", "sentences", x=(_LEFT + _WIDTH) / 2, y=_HEIGHT - 8, text_anchor="middle")


def _line(name: str, points: Sequence[Point], kind: str, scale: _CurveScale) -> Markup:
    places = [scale.at(point.sentences, point.mean) for point in points]
    path = tag("path", d=_path(places)) if len(places) > 1 else None
    dots = [tag("circle", tag("title", f"{name}, {_told(point)}"), cx=x, cy=y, r=3.5)
            for point, (x, y) in zip(points, places, strict=True)]  # fmt: skip
    return tag("g", list(_bands(points, scale)), path, dots, class_=kind)


def _bands(points: Sequence[Point], scale: _CurveScale) -> Iterator[Markup]:
    """The interval between two points that both have one; a bar where a point stands alone."""
    for one, other in pairwise(points):
        if one.low is not None and other.low is not None and one.high is not None and other.high is not None:
            corners = [scale.at(one.sentences, one.low), scale.at(other.sentences, other.low),
                       scale.at(other.sentences, other.high), scale.at(one.sentences, one.high)]  # fmt: skip
            yield tag("path", class_="band", d=f"{_path(corners)}Z")
    if len(points) == 1 and points[0].low is not None and points[0].high is not None:
        ends = [scale.at(points[0].sentences, end) for end in (points[0].low, points[0].high)]
        yield tag("path", d=_path(ends))


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{x:g},{y:g}" for x, y in places)


def _swatch(kind: str) -> Markup:
    path = tag("path", d="M1,6 29,6")
    return tag("svg", tag("g", path, class_=kind), viewBox="0 0 30 12", class_="swatch plot", aria_hidden="true")


def _words(curve: Curve) -> str:
    return ". ".join(f"{name}: {'; '.join(map(_told, points))}" for name, points in curve.lines.items())


def _told(point: Point) -> str:
    reach = "" if point.low is None or point.high is None else f" [{percent(point.low)}, {percent(point.high)}]"
    return f"{point.sentences:,.0f} sentences {percent(point.mean)}{reach}"
