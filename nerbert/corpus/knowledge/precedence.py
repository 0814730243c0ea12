"""Which source's word counts where several type a title: the order that the setting `precedence` asks for.

The choice: kinds and files in one list, since people think in kinds until a file gives them trouble. What isn't named
follows in the order of the command line. A kind of which there is nothing is no mistake: settings outlive one build.
"""

from collections.abc import Sequence

from nerbert.errors import SettingsError

KINDS = ("infobox", "instance-types", "wikidata", "table")
"""What the setting calls kinds of sources."""


def ordered(sources: Sequence[tuple[str, str]], precedence: str) -> list[int]:
    """Return the places of `sources`, pairs of name and kind, first the one whose word counts most.

    `precedence` holds names or kinds between commas; what is no kind and no name of a source raises SettingsError.
    """
    order: dict[int, None] = {}
    for entry in filter(None, map(str.strip, precedence.split(","))):
        fitting = [place for place, source in enumerate(sources) if entry in source]
        if not fitting and entry not in KINDS:
            there = ", ".join(f"{name} ({kind})" for name, kind in sources)
            raise SettingsError(
                f"precedence: {entry!r} is no source in use; there are {there}; kinds are {', '.join(KINDS)}"
            )
        order.update(dict.fromkeys(fitting))
    return list(order | dict.fromkeys(range(len(sources))))
