"""Order the sources by the setting `precedence`, which decides where several sources type a title.

Kinds and files share one list, because users think in kinds until one file causes trouble. Sources that are not named
follow in the order of the command line. A kind without a source is no error: settings outlive one build.
"""

from collections.abc import Sequence

from nerbert.errors import SettingsError

KINDS = ("infobox", "instance-types", "wikidata", "table")
"""The setting's names for kinds of sources."""


def ordered(sources: Sequence[tuple[str, str]], precedence: str) -> list[int]:
    """Return the indices of `sources`, pairs of name and kind, in decreasing precedence.

    `precedence` lists names or kinds, separated by commas; an unknown entry raises SettingsError.
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
