"""Line plots: where axes, lines and points lie, for the macro of `plots.html.j2`.

Every point says its figure on hovering. Lines differ in colour and dashes (classes `c0` to `c7`), which follow the
style sheet in light and dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_APART = 34
"""Smallest distance of two labels below the axis."""


PlotLine = tuple[str, int, Sequence[tuple[float, float]]]
"""A line: its name, the number of its colour and dashes, and its points, whose y are shares (0–1), drawn in percent."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines of shares over numbers of something."""

    title: str
    x_name: str
    lines: Sequence[PlotLine]
    width, height, left, right, top, bottom = 640, 360, 58, 622, 14, 308

    def x(self, value: float) -> float:
        """Return the place of a number."""
        first, last = self._xs[0], self._xs[-1]
        across = (value - first) / (last - first) if last > first else 0.5
        return round(self.left + 12 + across * (self.right - self.left - 24), 1)

    def y(self, share: float) -> float:
        """Return the place of a share; one outside the axis is drawn at its edge."""
        low, high = self.ys[0], self.ys[-1]
        up = (min(max(100 * share, low), high) - low) / (high - low)
        return round(self.bottom - up * (self.bottom - self.top), 1)

    @property
    def ys(self) -> range:
        """The percents that the axis of y names, its ends first and last."""
        shares = [share for _, _, points in self.lines for _, share in points]
        low = max(0, math.floor(10 * min(shares)) * 10)
        return range(low, max(low + 10, min(100, math.ceil(10 * max(shares)) * 10)) + 1, 10)

    @property
    def labels(self) -> list[tuple[float, str]]:
        """The place of each mark on the axis of x, with its label where there is room."""
        found, free = [], 0.0
        for value in self._xs:
            x = self.x(value)
            found.append((x, f"{value:,.0f}" if x >= free else ""))
            free = x + _APART if x >= free else free
        return found

    @property
    def _xs(self) -> list[float]:
        return sorted({x for _, _, points in self.lines for x, _ in points})
