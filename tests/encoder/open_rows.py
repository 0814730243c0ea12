"""Rows of open types: ships and ports."""

from typing import Any


def marked(text: str, *named: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """A row: a text, and entities by mention, type and description, if they have one."""
    names = ("type", "description")
    entities = [
        {
            "start": text.index(mention),
            "end": text.index(mention) + len(mention),
            **dict(zip(names, what, strict=False)),
        }
        for mention, *what in named
    ]
    return {"text": text, "entities": entities} | more


def _row(number: int) -> dict[str, Any]:
    named = (("Fram", "Polar_Ship", "a ship for ice"), ("ship Fram", "ship", ""), ("Oslo", "city", ""))
    text = f"The ship Fram {number} left Oslo on a Monday."
    return marked(text, *named, asked="all" if number % 2 else ["harbour"])


ROWS = [_row(number) for number in range(60)]
