"""How a loaded tagger answers, in one line: back end, decoding, temperature, thresholds; what `tag` says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answering:
    """How a tagger answers: its back end with precision and device, its decoding, its temperature, its thresholds.

    `thresholds` are those above 0, of some of its `types`.
    """

    backend: str
    decoding: str
    temperature: float
    thresholds: dict[str, float]
    types: int

    def __str__(self) -> str:
        decoding = f"{self.decoding} decoding" if self.decoding else "its own decoding"
        return f"{self.backend}, {decoding}, temperature {self.temperature:.3f}, {self.bounds}"

    @property
    def bounds(self) -> str:
        """Return the thresholds in words."""
        if not self.thresholds:
            return "no thresholds"
        low, high = min(self.thresholds.values()), max(self.thresholds.values())
        bounds = f"thresholds {low:.3f} to {high:.3f}" if low < high else f"threshold {low:.3f}"
        count = len(self.thresholds)
        return bounds if count == self.types else f"{bounds} for {count} of {self.types} types"


def answering_of(backend: str, decoding: str, temperature: float, thresholds: Mapping[str, float],
                 types: Sequence[str]) -> Answering:  # fmt: skip
    """Return how a tagger of these types answers; a threshold of 0 leaves nothing out."""
    bounds = {name: bound for name, bound in thresholds.items() if bound > 0 and name in types}
    return Answering(backend, decoding, temperature, bounds, len(types))
