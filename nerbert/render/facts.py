"""JSON of ours (manifests, cards) as templates read it."""

import json
from collections.abc import Mapping
from typing import Any

from nerbert.config import RENAMED

_UNSET = object()


class Facts(dict[str, Any]):
    """A table of JSON that may lack keys: what is missing is empty and false, and "–" where it is shown."""

    def __missing__(self, key: str) -> "Facts":
        return Facts()

    def __str__(self) -> str:
        return super().__repr__() if self else "–"


def facts_of(value: Mapping[str, Any]) -> Facts:
    """Return JSON as facts at every level; null counts as missing."""

    def present(table: dict[str, Any]) -> Facts:
        return Facts({key: each for key, each in table.items() if each is not None})

    return Facts(json.loads(json.dumps(value), object_hook=present))


def changed_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults; an older version's names count as those of today."""
    return {name: value for name, value in settings.items() if defaults.get(RENAMED.get(name, name), _UNSET) != value}
