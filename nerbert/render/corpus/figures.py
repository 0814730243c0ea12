"""Figures as inline SVG, drawn here: no library, no script, no request. Sizes are in the figure's own units.

Colours and fonts are the style sheet's, so that figures follow light and dark. Every mark names its figure in a
`<title>`, which browsers show on hovering; the price is some bytes a mark.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from nerbert.render.markup import Markup, tag

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 400, 76, 14, 14, 54
_BELOW_ONE = 0.3
"""How far 1 stands from the beginning of a logarithmic bar, in tens, so that it can be seen."""


def rank_plot(before: Mapping[str, int], after: Mapping[str, int], exponent: float | None = None) -> Markup:
    """Mentions over rank, both logarithmic, before and after sampling (NER-BERT, figures 1 and 8)."""
    curves = [("before", _ranked(before)), ("after", _ranked(after))]
    most = max((points[0][1] for _, points in curves if points), default=1)
    ranks = max((len(points) for _, points in curves), default=1)
    scale = _Scale(_tens(ranks), _tens(most))
    told = "" if exponent is None else f"; after ∝ before^{exponent:.2f}"
    return tag(
        "svg",
        tag("title", f"Mentions by rank of the category, before and after sampling{told}"),
        scale.grid(), _names(), [_curve(name, points, scale) for name, points in curves],
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", class_="plot",
    )  # fmt: skip


def bars(before: int, after: int, most: int) -> Markup:
    """Two bars, one above the other, on a logarithmic scale that ends at `most`; `grid` draws its lines."""
    lines = (("before", before, 2), ("after", after, 10))
    drawn = [
        tag("rect", class_=name, x=0, y=y, width=f"{100 * log_share(value, most):.2f}%", height=7)
        for name, value, y in lines
    ]
    return tag("svg", tag("use", href="#grid"), drawn, class_="bars", aria_hidden="true")


def grid(most: int) -> Markup:
    """The lines of 1, 10, 100 …, defined once and used by all `bars`."""
    places = [f"{100 * log_share(10**power, most):.2f}%" for power in range(_tens(most) + 1) if 10**power <= most]
    lines = [tag("line", x1=place, x2=place, y1=0, y2=20) for place in places]
    return tag("svg", tag("defs", tag("g", lines, id="grid")), class_="none", aria_hidden="true")


def stacked(parts: Sequence[tuple[str, int, str]], whole: int) -> Markup:
    """One bar cut into parts `(name, count, class)`; what is missing to `whole` stays empty."""
    drawn, place = [], 0.0
    for name, count, kind in parts:
        share = 100 * max(0, count) / whole if whole > 0 else 0.0
        title = tag("title", f"{name}: {count:,} ({share:.1f} %)")
        drawn.append(tag("g", title, tag("rect", class_=kind, x=f"{place:.3f}%", width=f"{share:.3f}%", height=16)))
        place += share
    return tag("svg", drawn, class_="stack", role="img", aria_label="; ".join(f"{n} {c:,}" for n, c, _ in parts))


def log_share(value: int, most: int) -> float:
    """How far a value stands on a logarithmic scale that ends at `most`: 0–1, 0 for nothing."""
    if value < 1 or most < 1:
        return 0.0
    return min(1.0, (math.log10(value) + _BELOW_ONE) / (math.log10(most) + _BELOW_ONE))


class _Scale:
    """Where a rank and a count stand, and the grid behind them."""

    def __init__(self, tens_x: int, tens_y: int) -> None:
        self.tens = (max(1, tens_x), max(1, tens_y))

    def point(self, rank: int, count: int) -> tuple[float, float]:
        """The place of a rank and its count."""
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log10(rank) / self.tens[0]
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * math.log10(count) / self.tens[1]
        return round(x, 1), round(y, 1)

    def grid(self) -> Iterator[Markup]:
        """Lines and names of 1, 10, 100 …"""
        for power in range(self.tens[0] + 1):
            x, _ = self.point(10**power, 1)
            yield tag("line", class_="grid", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM)
            anchor = "end" if power == self.tens[0] else "middle"
            yield tag("text", f"{10**power:,}", x=x, y=_HEIGHT - _BOTTOM + 20, text_anchor=anchor)
        for power in range(self.tens[1] + 1):
            _, y = self.point(1, 10**power)
            yield tag("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y)
            yield tag("text", short(10**power), x=_LEFT - 8, y=y + 5, text_anchor="end")


def short(count: int) -> str:
    """A count in few characters: 950, 1.2K, 16.3M, 1.0G."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}{name}".replace(".0", "")
    return str(count)


def _names() -> list[Markup]:
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    return [
        tag("text", "rank of the category", x=(_LEFT + _WIDTH) / 2, y=_HEIGHT - 10, text_anchor="middle"),
        tag("text", "mentions", x=18, y=middle, text_anchor="middle", transform=f"rotate(-90 18 {middle})"),
    ]


def _curve(kind: str, points: Sequence[tuple[str, int]], scale: _Scale) -> Markup:
    places = [scale.point(rank, count) for rank, (_, count) in enumerate(points, 1)]
    path = "M" + " ".join(f"{x:g},{y:g}" for x, y in places) if places else None
    dots = [
        tag("circle", tag("title", f"{rank}. {name}: {count:,} {kind}"), cx=x, cy=y, r=3)
        for rank, ((name, count), (x, y)) in enumerate(zip(points, places, strict=True), 1)
    ]
    return tag("g", tag("path", d=path) if path else None, dots, class_=kind)


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(((n, c) for n, c in counts.items() if c > 0), key=lambda item: (-item[1], item[0]))


def _tens(value: int) -> int:
    return math.ceil(math.log10(value)) if value > 1 else 0
