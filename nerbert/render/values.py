"""Values from a manifest or a card, which may hold anything: what is not of the wanted kind counts as absent."""

from collections.abc import Mapping
from typing import Any

_UNSET = object()


def dict_of(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the dictionary below `key`; an empty one if there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def dicts_of(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the dictionaries in the list below `key`; none if there is no list."""
    found = value.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def changed_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults."""
    return {name: value for name, value in settings.items() if defaults.get(name, _UNSET) != value}
