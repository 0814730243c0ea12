"""Which distributions an extra brings, and whether their licences allow to publish nerbert under Apache-2.0.

GPL and AGPL are refused. Permissive licences, LGPL and MPL are allowed: nerbert imports such libraries and ships none.
A licence that isn't known here is refused too, unless `NAMED` has the distribution. Limitation: metadata are believed.
"""

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from importlib.metadata import Distribution
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAMED = {
    "docutils": "public domain and BSD; the file under the GPL, a mode for Emacs, is not in the wheel (COPYING.rst)",
}
"""Distributions that are allowed whatever their metadata say, and why."""
_GPL = re.compile(r"(?<![a-z])a?gpl|(?<!lesser )general public licen|affero", re.IGNORECASE)
_ALLOWED = re.compile(
    r"(the )?(\d-clause )?(apache|0?bsd|mit(-0|-cmu)?|isc|mpl|mozilla|lgpl|gnu lesser general|psfl?"
    r"|python software foundation|cnri-python|python-2|zlib|cc0|bsl-1|hpnd|unlicense|public domain)"
    r"([ ,-]*(public|software|license|licence|version|\d-clause|v?[\d.]+\+?|or-later|only|\([^)]*\)))*",
    re.IGNORECASE,
)
_EMPTY = {"", "OSI Approved", "Freely Distributable"}
_LONGEST = 100
"""Characters of a field that names a licence; longer ones are its text."""


class Verdict(IntEnum):
    """What a licence allows, from best to worst."""

    ALLOWED = 0
    UNKNOWN = 1
    REFUSED = 2


class Licence(NamedTuple):
    """A distribution, what its metadata say of its licence, and what follows."""

    name: str
    said: str
    verdict: Verdict


class Closure(NamedTuple):
    """The distributions that an extra needs: canonical names of those installed, and of those that are not."""

    found: set[str]
    missing: set[str]


def closure(
    requires: Iterable[str], extra: str, installed: Mapping[str, Distribution], own: str = "nerbert"
) -> Closure:
    """Return all that `own`, which `requires` these lines, needs on this machine with an extra ("": with none).

    `installed` are distributions by canonical name.
    """
    lines = {own: list(requires)}
    todo, done = [(own, ""), (own, extra)], set()
    found, missing = set[str](), set[str]()
    while todo:
        if (step := todo.pop()) in done:
            continue
        done.add(step)
        name, asked = step
        if name != own and name not in installed:
            missing.add(name)
            continue
        found.add(name)
        for need in needs(lines.get(name) or installed[name].requires or (), asked):
            todo += [(canonicalize_name(need.name), each) for each in ("", *need.extras)]
    return Closure(found - {own}, missing)


def needs(requires: Iterable[str], extra: str) -> list[Requirement]:
    """Return which of these lines hold on this machine with an extra ("": with none)."""
    lines = map(Requirement, requires)
    return [line for line in lines if line.marker is None or line.marker.evaluate({"extra": extra})]


def licence_of(distribution: Distribution) -> Licence:
    """Return a distribution's licence: its SPDX expression, else what its field and classifiers name together."""
    facts = distribution.metadata
    name = canonicalize_name(facts["Name"])
    if expression := facts.get_all("License-Expression"):
        said, verdict = expression[0], _judge_expression(expression[0])
    else:
        classes = [each for each in facts.get_all("Classifier") or () if each.startswith("License :: ")]
        names = [" ".join(each.split()) for each in facts.get_all("License") or ()]
        names += [each.rpartition(" :: ")[2] for each in classes]
        names = [each for each in names if len(each) <= _LONGEST and each not in _EMPTY]
        verdicts = [*map(_judge, names)]
        said = "; ".join(dict.fromkeys(names)) or "nothing"
        verdict = Verdict.REFUSED if Verdict.REFUSED in verdicts else min(verdicts, default=Verdict.UNKNOWN)
    return Licence(name, said, Verdict.ALLOWED if name in NAMED else verdict)


def _judge(text: str) -> Verdict:
    """Return the verdict on one licence's name; `A or B` counts as both."""
    if _GPL.search(text):
        return Verdict.REFUSED
    parts = re.split(r"\s+(?:and|or)\s+", text, flags=re.IGNORECASE)
    return Verdict.ALLOWED if all(map(_ALLOWED.fullmatch, parts)) else Verdict.UNKNOWN


def _judge_expression(expression: str) -> Verdict:
    """Return the verdict on an SPDX expression: the best of an OR, the worst of an AND; exceptions are ignored."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)[::-1]  # the last one is next

    def either() -> Verdict:
        best = every()
        while tokens and tokens[-1].upper() == "OR":
            tokens.pop()
            best = min(best, every())
        return best

    def every() -> Verdict:
        worst = one()
        while tokens and tokens[-1].upper() in ("AND", "WITH"):
            exception = tokens.pop().upper() == "WITH"
            other = one()
            worst = worst if exception else max(worst, other)
        return worst

    def one() -> Verdict:
        token = tokens.pop() if tokens else ""
        if token != "(":
            return _judge(token)
        inner = either()
        return inner if tokens and tokens.pop() == ")" else Verdict.UNKNOWN

    whole = either()
    return Verdict.UNKNOWN if tokens else whole
