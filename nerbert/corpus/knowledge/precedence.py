"""Which source's word counts where several type a title: the order that the setting `precedence` asks for.

The choice: kinds and files in one list, since people think in kinds until a file gives them trouble. What isn't named
follows in the order of the command line.
"""

from collections.abc import Sequence

from nerbert.errors import SettingsError


def ordered(sources: Sequence[tuple[str, str]], precedence: str) -> list[int]:
    """Return the places of `sources`, pairs of name and kind, first the one whose word counts most.

    `precedence` holds names or kinds between commas; one that fits no source raises SettingsError.
    """
    order: dict[int, None] = {}
    for entry in filter(None, map(str.strip, precedence.split(","))):
        fitting = [place for place, source in enumerate(sources) if entry in source]
        if not fitting:
            there = ", ".join(f"{name} ({kind})" for name, kind in sources)
            raise SettingsError(f"precedence: {entry!r} is no source in use; there are {there}")
        order.update(dict.fromkeys(fitting))
    return list(order | dict.fromkeys(range(len(sources))))
