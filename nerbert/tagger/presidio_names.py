"""Presidio's names of entity types, for its protocol and for its recognizer.

Source: presidio-analyzer 2.2.366, `conf/default.yaml`, `model_to_presidio_entity_mapping`.
"""

from collections.abc import Iterable

_NAMES = {"per": "PERSON", "loc": "LOCATION", "gpe": "LOCATION", "org": "ORGANIZATION", "norp": "NRP"}
"""Presidio's names of types that models call otherwise."""


def presidio_name(type_: str) -> str:
    """Return what Presidio calls a type."""
    return _NAMES.get(type_.casefold(), "_".join(type_.upper().split()))


def label_of(name: str) -> str:
    """Return the label at run time for a name of Presidio's: `date time` for `DATE_TIME`."""
    return " ".join(name.casefold().replace("_", " ").split())


def asked_types(types: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return the types that are asked for by their own or by Presidio's names, in any case, each with that name."""
    asked = {each.casefold(): each for each in names}
    named = {type_: asked.get(presidio_name(type_).casefold()) or asked.get(type_.casefold()) for type_ in types}
    return {type_: name for type_, name in named.items() if name}
