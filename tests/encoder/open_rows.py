"""Rows of open types: ships and ports."""

from typing import Any


def _row(number: int) -> dict[str, Any]:
    text = f"The ship Fram {number} left Oslo on a Monday."
    named = (("Fram", "Polar_Ship", "a ship for ice"), ("ship Fram", "ship", ""), ("Oslo", "city", ""))
    entities = [{"start": text.index(mention), "end": text.index(mention) + len(mention), "type": type_,
                 "description": description} for mention, type_, description in named]  # fmt: skip
    return {"text": text, "entities": entities, "asked": "all" if number % 2 else ["harbour"]}


ROWS = [_row(number) for number in range(60)]
