"""The check of licences, on distributions made up here."""

import runpy
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

import pytest

LICENCES: dict[str, Any] = runpy.run_path(str(Path(__file__).parent.parent / ".ci" / "licences.py"))


def distribution(folder: Path, name: str, *lines: str) -> Distribution:
    """Return a distribution whose metadata have these lines."""
    place = folder / f"{name}-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines, ""]))
    return PathDistribution(place)


GPL = "Classifier: License :: OSI Approved :: GNU General Public License (GPL)"


@pytest.mark.parametrize(
    ("verdict", "lines"),
    [
        ("ALLOWED", ["License-Expression: MIT"]),
        ("ALLOWED", ["License-Expression: MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)"]),
        ("ALLOWED", ["License-Expression: MIT", GPL]),
        ("REFUSED", ["License-Expression: MIT AND GPL-2.0-or-later"]),
        ("REFUSED", ["License-Expression: GPL-2.0-only WITH Classpath-exception-2.0"]),
        ("UNKNOWN", ["License-Expression: LicenseRef-Proprietary"]),
        ("UNKNOWN", ["License-Expression: MIT Apache-2.0"]),
        ("ALLOWED", ["License: Apache License, Version 2.0"]),
        ("ALLOWED", ["License: Dual License", "Classifier: License :: OSI Approved :: BSD License"]),
        ("REFUSED", ["License: BSD", GPL]),
        ("REFUSED", ["License: GPLv3+"]),
        ("UNKNOWN", ["License: Not the MIT License"]),
        ("UNKNOWN", []),
    ],
)
def test_what_a_licence_allows(verdict: str, lines: list[str], tmp_path: Path) -> None:
    assert LICENCES["licence_of"](distribution(tmp_path, "thing", *lines)).verdict.name == verdict


def test_a_distribution_that_is_named_is_allowed(tmp_path: Path) -> None:
    found = LICENCES["licence_of"](distribution(tmp_path, "docutils", "License: GPLv3"))
    assert (found.name, found.said, found.verdict.name) == ("docutils", "GPLv3", "ALLOWED")


def test_the_closure_follows_extras_and_markers_and_says_what_is_missing(tmp_path: Path) -> None:
    installed = {
        "web-kit": distribution(
            tmp_path,
            "Web_Kit",
            "Requires-Dist: deep",
            'Requires-Dist: fast; extra == "speed"',
            'Requires-Dist: windows-only; sys_platform == "win32"',
        ),
        "deep": distribution(tmp_path, "deep", "Requires-Dist: web-kit"),
        "fast": distribution(tmp_path, "fast"),
        "core": distribution(tmp_path, "core"),
    }
    requires = ["core>=1", 'nerbert[web]; extra == "all"', 'Web.Kit[speed]>=1; extra == "web"', 'gone; extra == "odd"']
    closure = LICENCES["closure"]
    assert closure(requires, "", installed) == ({"core"}, set())
    assert closure(requires, "all", installed) == ({"core", "web-kit", "deep", "fast"}, set())
    assert closure(requires, "odd", installed) == ({"core"}, {"gone"})
