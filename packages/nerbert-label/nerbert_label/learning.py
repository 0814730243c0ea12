"""Training taggers while sentences are labelled, by nerbert's own commands in a process separate from the server.

After every five sentences, the encoder is fine-tuned on the accepted ones that aren't held out, and scored on those
that are. The newest tagger then makes the suggestions. Earlier taggers are scored again on the same sentences, so that
all points of the curve have the same test set.
"""

import asyncio
import json
import math
import shlex
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from nerbert.artifacts import write_json
from nerbert.errors import NerbertError, SettingsError
from nerbert.formats.jsonl import JsonLines
from nerbert.schema import read_json
from nerbert.serve.commands import run_command
from nerbert.serve.service import INTERNAL, Service, log
from nerbert_label.project import Project

EVERY = 5
"""Number of newly accepted sentences after which the next tagger is trained."""
SURE = 0.05
"""Maximum half-width of F1's interval for a reliable result."""
_LEAST = 10
"""Minimum number of test sentences for a useful interval: it is too narrow where a tagger finds none, or all."""
_GAIN = 0.02
"""Minimum gain of F1 by the last sentences that makes more of them useful."""
MINE = "mine"
"""The name of the newest tagger on the server."""


@dataclass(frozen=True, slots=True)
class Round:
    """A training run after `sentences` sentences, and its tagger's F1 (0–1, a 95 % interval) on held-out ones."""

    sentences: int
    state: Literal["done", "failed", "cancelled"] = "done"
    f1: float | None = None
    low: float | None = None
    high: float | None = None
    test_sentences: int = 0
    seconds: float = 0.0
    tagger: str = ""
    commands: tuple[str, ...] = ()
    message: str = ""
    finished: float = 0.0
    """End of the training run (seconds of Unix time)."""


class Learner:
    """Trains taggers of a project, one at a time, and lets a server answer with the newest one."""

    def __init__(self, project: Project, encoder: str, config: Path | None = None, language: str = "") -> None:
        self._project, self._encoder = project, encoder
        self._options = (["--config", str(config)] if config else []) + (["--language", language] if language else [])
        self._folder = project.folder / "rounds"
        self.rounds = list[Round]()
        self._closing = False
        # Folders without `round.json` are of runs that were cut off.
        for path in sorted(self._folder.glob("[0-9][0-9][0-9][0-9]*/round.json")):
            self._note(replace(read_json(path, Round), tagger=str(path.parent / "tagger")))
        self._task: asyncio.Task[None] | None = None
        self.started, self.sentences, self.line = 0.0, 0, ""
        """Start (monotonic seconds) and sentences of the last training run, begun or cancelled; its log's last line."""

    @property
    def running(self) -> bool:
        """Return whether a tagger is being trained."""
        return self._task is not None and not self._task.done()

    @property
    def newest(self) -> Round | None:
        """Return the round of the tagger that makes suggestions."""
        done = [round_ for round_ in self.rounds if round_.state == "done"]
        # By its end, not its sentences: undoing answers may have made a later run smaller.
        return max(done, key=lambda round_: round_.finished, default=None)

    @property
    def next_round(self) -> int:
        """Return the number of accepted sentences that starts the next training run."""
        # Cancelled and failed runs count, so that they don't start again at once.
        return (max([self.sentences, *(round_.sentences for round_ in self.rounds)]) // EVERY + 1) * EVERY

    async def resume(self, service: Service) -> None:
        """Let the server answer with the newest tagger of an earlier run, if there is one."""
        if self.newest:
            try:
                await service.add(MINE, self.newest.tagger)
            except NerbertError as error:
                log.warning("the newest tagger: %s", error)
        self.start_if_due(service)

    async def close(self) -> None:
        """End the training run in progress as if it had not begun."""
        self._closing = True
        await self.cancel()

    def start(self, service: Service) -> None:
        """Start training on the accepted sentences; raise SettingsError if a run is in progress, or can't start."""
        if self.running:
            raise SettingsError("a tagger is in training already; wait for it, or cancel it")
        accepted = self._project.with_answer("accept")
        if not any(item.state.entities for item in accepted if not item.test):
            raise SettingsError("no accepted sentence outside the test has an entity; label some first")
        self._project.write_labels()
        self.sentences = len(accepted)
        self.started = time.monotonic()
        self.line = ""
        # A second run at the same number of sentences gets a folder of its own.
        earlier = len([*self._folder.glob(f"{self.sentences:04d}*")])
        folder = self._folder / f"{self.sentences:04d}{f'-{earlier}' if earlier else ''}"
        folder.mkdir(parents=True)
        for name, test in (("train", False), ("test", True)):
            part = [item for item in accepted if item.test == test]
            # Without entities there is no F1.
            if any(item.state.entities for item in part):
                JsonLines().write(folder / f"{name}.jsonl", self._project.documents(part))
        self._task = asyncio.create_task(self._run(folder, self.sentences, service))
        # Sentences accepted during the run may be enough for the next one.
        self._task.add_done_callback(lambda _: self.start_if_due(service))

    def start_if_due(self, service: Service) -> None:
        """Start training if enough sentences are accepted and no run is in progress."""
        if not self._closing and not self.running and len(self._project.with_answer("accept")) >= self.next_round:
            try:
                self.start(service)
            except (NerbertError, OSError) as error:
                log.warning("no training: %s", error)

    async def cancel(self) -> None:
        """End the training run in progress, if any; wait until its process has ended."""
        if self._task is not None and self.running:
            # So that the run doesn't restart at once.
            self.sentences = len(self._project.with_answer("accept"))
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def enough(self) -> dict[str, str]:
        """Return whether more labels would help (`answer`), if that is known, and the reason (`why`)."""
        scored = [round_ for round_ in self.rounds if round_.f1 is not None]
        if len(scored) <= 1:
            why = f"Taggers are compared by F1; the next one is trained after {self.next_round} sentences."
            return {"answer": "keep labelling", "why": why}
        last = scored[-1]
        low, high, f1 = (bound or 0.0 for bound in (last.low, last.high, last.f1))
        # A gain can't be judged within such a wide interval.
        if (high - low) / 2 > SURE or last.test_sentences < _LEAST:
            why = (
                f"F1 is {f1:.0%} so far ({low:.0%} to {high:.0%} with {last.test_sentences} held-out sentences); "
                "more sentences narrow this range."
            )
            return {"answer": "keep labelling", "why": why}
        # About half as many sentences: the gain is that of the last doubling.
        half = min(scored[:-1], key=lambda round_: abs(round_.sentences - last.sentences / 2))
        gain = f1 - (half.f1 or 0.0)
        added = last.sentences - half.sentences
        if gain > _GAIN:
            why = f"The last {added} sentences added {100 * gain:.0f} points of F1; more will add some."
            return {"answer": "not yet", "why": why}
        return {"answer": "yes", "why": f"The last {added} sentences added only {100 * gain:.1f} points of F1."}

    async def _run(self, folder: Path, sentences: int, service: Service) -> None:
        tagger = folder / "tagger"
        tests = folder / "test.jsonl"
        train = ["finetune", self._encoder, "--data", str(folder / "train.jsonl"), "-o", str(tagger), *self._options]
        commands = [train, *([["evaluate", str(tagger), str(tests)]] if tests.exists() else [])]
        last = Round(sentences, tagger=str(tagger), commands=tuple(shlex.join(["nerbert", *args]) for args in commands))
        try:
            await run_command(*train, read=partial(setattr, self, "line"))
            # The new tagger answers before it is scored, which takes a while.
            await service.add(MINE, last.tagger)
            last = await self._score(last, tests)
        except asyncio.CancelledError:
            # The server ends: the next start trains again, as if nothing had begun.
            if self._closing:
                return
            last = replace(last, state="cancelled", message="cancelled")
        except NerbertError as error:
            # Scoring may fail after a successful training.
            trained = (tagger / "nerbert.json").exists()
            last = replace(last, state="done" if trained else "failed", message=str(error))
        except Exception as error:
            log.exception("a training failed", exc_info=error)
            last = replace(last, state="failed", message=INTERNAL)
        last = replace(last, seconds=round(time.monotonic() - self.started, 1), finished=time.time())
        self._keep(folder, last)
        # Earlier taggers are scored on the newest test: points of one curve need the same sentences.
        for round_ in self.rounds:
            if last.state == round_.state == "done" and tests.exists() and round_ is not self.newest:
                with suppress(NerbertError):
                    self._keep(Path(round_.tagger).parent, await self._score(round_, tests))

    def _keep(self, folder: Path, round_: Round) -> None:
        write_json(folder / "round.json", asdict(round_))
        self._note(round_)

    def _note(self, last: Round) -> None:
        """Add a round, replacing one of the same sentences; one without a tagger doesn't replace one with a tagger."""
        same = [round_ for round_ in self.rounds if round_.sentences == last.sentences]
        # A cancelled run must not remove the tagger of an earlier one.
        if last.state == "done" or not any(round_.state == "done" for round_ in same):
            others = [round_ for round_ in self.rounds if round_ not in same]
            self.rounds = sorted([*others, last], key=lambda round_: round_.sentences)

    async def _score(self, round_: Round, tests: Path) -> Round:
        """Return a round with the results of `nerbert evaluate` for its tagger."""
        if not tests.exists():
            return round_
        scores = json.loads(await run_command("evaluate", round_.tagger, str(tests), "--json"))
        (facts,) = scores["taggers"].values()
        low, high = (facts["interval"][name] for name in ("low", "high"))
        f1 = scores["f1"]
        count = scores["sentences"]
        # The bootstrap's interval is narrow where a tagger finds none, or all; Wilson's isn't.
        if count < _LEAST or low == high:
            z = 1.96
            centre = f1 + z**2 / (2 * count)
            spread = z * math.sqrt(f1 * (1 - f1) / count + (z / 2 / count) ** 2)
            low, high = (bound / (1 + z**2 / count) for bound in (centre - spread, centre + spread))
        return replace(round_, f1=f1, low=low, high=high, test_sentences=count)
