"""Registries: the implementations of an extension point, by name. Each is defined next to its protocol.

A built-in entry is written as `module:name` and imported on first use. Other distributions offer entries as entry
points of the registry's group; these are searched when a name isn't built in, or when all names are listed.
A setting can also name an entry as `module:name`. A registry may be the annotation of the setting that chooses from
it: `objective: Annotated[str, OBJECTIVES]`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nerbert.errors import MissingExtra, NerbertError, SettingsError, missing_extra, unknown
from nerbert.terminal import tell

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


Entry = TypeVar("Entry")
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_tell_once = cache(tell)
_BENCH, _PAPERS = "nerbert-bench", "nerbert-papers"
_SUITES = (
    "cofee cofee_zh concepts controls diversity few_nerd frontier k_shot k_shot_layers ner_bert north_star open_types"
    " quickstart starts supervised zero_shot zero_to_fast"
)
IN_PACKAGES: dict[str, dict[str, str]] = {
    "nerbert.commands": {
        "annotate": "nerbert-annotate",
        "benchmark": _BENCH,
        "data.check": _BENCH,
        "data.fetch": _BENCH,
        "label": "nerbert-label",
        "redact": "nerbert-redact",
        "corpus.near": _PAPERS,
        "knowledge.gazetteer": _PAPERS,
    },
    "nerbert.files": {
        **{f"suites/{name}.toml": _BENCH for name in _SUITES.split()},
        "configs/cdlm.toml": _PAPERS,
        "configs/cofee.toml": _PAPERS,
        "configs/cofee_corpus.toml": _PAPERS,
    },
    "nerbert.heads": {"cdlm": _PAPERS},
    "nerbert.model_kinds": {"cdlm": _PAPERS},
    "nerbert.objectives": dict.fromkeys(("cdlm", "self_training", "typing"), _PAPERS),
    "nerbert.sources": {"gazetteers": _PAPERS},
}
"""This project's entries that are in distributions of their own, and the names of these, by group of entry points."""


def missing_package(group: str, name: str) -> MissingExtra | None:
    """Return the error for an entry of this project whose distribution isn't installed; None for any other."""
    package = IN_PACKAGES.get(group, {}).get(name)
    why = f"{name} is in the package {package}, which isn't installed: pip install {package}"
    return MissingExtra(why) if package else None


class Registry(Generic[Entry]):
    """The implementations of an extension point; messages call one a `noun`.

    `built_in` maps names to `module:name`; other distributions offer entries in the group `group` of entry points. With
    a `base`, an entry must be a subclass of it, else a callable that has these `members`.
    """

    def __init__(
        self,
        noun: str,
        group: str,
        built_in: Mapping[str, str],
        base: type | None = None,
        members: tuple[str, ...] = (),
    ) -> None:
        self._noun, self.group, self._base, self._members = noun, group, base, members
        self.built_in = tuple(built_in)
        self._known = dict[str, str | Entry](built_in)

    def __str__(self) -> str:
        names = ", ".join(map(repr, [*self._known, *self._entry_points]))
        return f"one of {names}, or your own as module:name" if names else "your own, as module:name"

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, built-in ones first.

        Entries of other distributions are imported; those that can't be used are left out, and reported once on
        standard error.
        """
        yield from list(self._known)
        for name in self._entry_points:
            try:
                self.find(name)
            except NerbertError as error:
                _tell_once(f"{error}; it is left out")
            else:
                yield name

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """Return pydantic's check of a name, for settings that are annotated with the registry."""
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self._checked_name, handler(source))

    def _checked_name(self, name: str) -> str:
        if not self.contains(name):
            raise missing_package(self.group, name) or ValueError
        return name

    def contains(self, name: str) -> bool:
        """Return whether `name` is known, or has the form `module:name`, without importing anything."""
        return name in self._known or bool(_REFERENCE.fullmatch(name)) or name in self._entry_points

    def find(self, name: str) -> Entry:
        """Return the entry of this name; raise SettingsError if there is none, or if it can't be used.

        Raise MissingExtra for an entry of this project whose distribution isn't installed. `module:name` is imported,
        so names from untrusted files must be checked first: only known ones are safe.
        """
        if name in self._known:
            entry = self._known[name]
            return self._import_entry(entry, entry) if isinstance(entry, str) else entry
        if _REFERENCE.fullmatch(name):
            return self._import_entry(name, name)
        offers = self._entry_points.get(name, [])
        if not offers:
            if missing := missing_package(self.group, name):
                raise missing
            names = [*self._known, *self._entry_points]
            raise SettingsError(f"{self._noun} {name!r:.80}{unknown(name, names, allowed=str(self))}")
        # Which one is installed first isn't the user's choice.
        if len(offers) > 1:
            distributions = " and ".join(map(_distribution, offers))
            why = f"{distributions} offer it; uninstall one, or write module:name"
            raise SettingsError(f"{self._noun} {name!r:.80}: {why}")
        return self._import_entry(offers[0].value, name, f" of {_distribution(offers[0])}")

    def _import_entry(self, reference: str, name: str, origin: str = "") -> Entry:
        """Import the entry `module:name`; raise SettingsError or MissingExtra if it can't be imported or used."""
        title = f"{self._noun} {name!r:.80}{origin}"
        module = reference.partition(":")[0]
        try:
            entry: Entry = attrgetter(reference.partition(":")[2])(import_module(module))
        except NerbertError:
            raise
        # A user's module may raise anything while it is imported, even call `sys.exit`.
        except (Exception, SystemExit) as error:
            if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)):
                raise missing from error
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            # Only then a path is the remedy; an installed module that fails is broken.
            isnt_there = isinstance(error, ModuleNotFoundError | AttributeError) and not origin
            remedy = "install its module, or put its folder into PYTHONPATH"
            remedy = remedy if isnt_there else f"importing {module} failed"
            raise SettingsError(f"{title}: {reason:.300}; {remedy}") from error
        # `__mro__` instead of `issubclass`, which raises an error for a function.
        if self._base and self._base not in getattr(entry, "__mro__", ()):
            raise SettingsError(f"{title}: must be a subclass of {self._base.__module__}.{self._base.__name__}")
        lacking = [member for member in ("__call__", *self._members) if not hasattr(entry, member)]
        if lacking:
            raise SettingsError(f"{title}: has no {', '.join(lacking)}, as each {self._noun} must")
        return entry

    @cached_property
    def _entry_points(self) -> "dict[str, list[EntryPoint]]":
        """The entry points of other distributions, by name; several if distributions offer the same name."""
        from importlib.metadata import entry_points

        offered: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            # A distribution must not replace a built-in entry in silence.
            if point.name in self._known:
                title = f"{self._noun} {point.name!r:.80} of {_distribution(point)}"
                _tell_once(f"{title}: nerbert has one of this name; write it as {point.value}; it is left out")
            else:
                offered.setdefault(point.name, []).append(point)
        return offered


def _distribution(point: "EntryPoint") -> str:
    return point.dist.name if point.dist else "a distribution"
