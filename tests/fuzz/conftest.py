"""Machines that make hostile input, and count what they made.

    pytest -m fuzz                                          a short run, as in CI
    NERBERT_FUZZ_CASES=20000 NERBERT_FUZZ_SEED=7 pytest -n0 -m fuzz tests/fuzz     a long one, with its counts

Each target has its share of the cases; what was found before comes first (`found=`).
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.fuzz.model_cases import HostileFolders

CASES = int(os.environ.get("NERBERT_FUZZ_CASES", "20"))
SEED = int(os.environ.get("NERBERT_FUZZ_SEED", "0"))
_ROUND = 5000
"""Cases of one run of hypothesis, which keeps them all in memory."""
_TOGETHER = 20 if CASES > 100 else 1
"""Cases of one example in a long run: hypothesis takes longer for an example than most checks."""
_done: Counter[str] = Counter()


class Fuzz(Protocol):
    """Runs a check on the cases found before, then on this run's share of new ones."""

    def __call__(
        self,
        cases: st.SearchStrategy[Any],
        check: Callable[[Any], object],
        *,
        found: Iterable[Any] = (),
        share: float = 1,
    ) -> None:
        """Run `check` on each case; it raises if a property doesn't hold."""


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Fuzz:
    """The machine of one test; `share` makes it run fewer cases where each is dear."""

    def run(
        cases: st.SearchStrategy[Any], check: Callable[[Any], object], *, found: Iterable[Any] = (), share: float = 1
    ) -> None:
        for case in found:
            check(case)

        def counted(batch: list[Any]) -> None:
            for case in batch:
                _done[request.node.nodeid] += 1
                try:
                    check(case)
                except Exception as error:
                    error.add_note(f"case: {case!r:.4000}")
                    raise

        count, batches = max(1, round(CASES * share)), st.lists(cases, min_size=_TOGETHER, max_size=_TOGETHER)
        for number, start in enumerate(range(0, count, _ROUND)):
            limits = settings(
                max_examples=-(-min(_ROUND, count - start) // _TOGETHER),
                deadline=None,
                database=None,
                print_blob=False,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.shrink),
            )
            seed(SEED * 1000 + number)(limits(given(batches)(counted)))()

    return run


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> "HostileFolders":
    """Valid model folders of every kind, of which a test may make one file at a time hostile."""
    from tests.fuzz.model_cases import HostileFolders
    from tests.fuzz.model_seeds import write_folders

    root = tmp_path_factory.mktemp("folders")
    return HostileFolders(root, write_folders(root))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cases each target had."""
    if _done:
        width = max(map(len, _done))
        terminalreporter.section(f"fuzz: {_done.total():,} cases, seed {SEED}")
        for name, count in sorted(_done.items()):
            terminalreporter.line(f"{name:<{width}} {count:>9,}")
