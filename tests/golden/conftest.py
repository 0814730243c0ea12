"""Golden files: what was computed once, compared with what is now; `--update-golden` renews them on purpose."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Check = Callable[..., None]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Check:
    """Compare a JSON value with the golden file of a name; numbers within `tolerance`, all else exactly."""
    update = bool(request.config.getoption("--update-golden"))

    def check(name: str, value: Any, tolerance: float = 0.0) -> None:
        path = Path(__file__).parent / f"{name}.json"
        value = json.loads(json.dumps(value))
        if update:
            path.write_text(f"{_laid_out(value)}\n", encoding="utf-8")
            return
        differences = list(_differences("", json.loads(path.read_text(encoding="utf-8")), value, tolerance))
        assert not differences, f"{path.name}: {len(differences)} differ:\n" + "\n".join(differences[:20])

    return check


def _laid_out(value: Any, depth: int = 0) -> str:
    """Return JSON with objects over several lines and each list on one line."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = ",\n".join(
        f"{'  ' * (depth + 1)}{json.dumps(key, ensure_ascii=False)}: {_laid_out(each, depth + 1)}"
        for key, each in value.items()
    )
    return f"{{\n{inner}\n{'  ' * depth}}}"


def _differences(place: str, old: Any, new: Any, tolerance: float) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            if key in old and key in new:
                yield from _differences(f"{place}/{key}", old[key], new[key], tolerance)
            else:
                yield f"{place}/{key}: only {'before' if key in old else 'now'}"
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from _differences(f"{place}/{number}", before, now, tolerance)
    elif isinstance(old, int | float) and isinstance(new, int | float) and tolerance:
        if not math.isclose(old, new, rel_tol=0, abs_tol=tolerance):
            yield f"{place}: {old} before, {new} now"
    elif old != new:
        yield f"{place}: {old!r} before, {new!r} now"
