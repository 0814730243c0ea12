"""Another system: a command that reads CoNLL, trains, and writes its entities; it isn't sandboxed."""

import hashlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Any

from nerbert.errors import InputError, NerbertError, SettingsError, at, visible
from nerbert.formats.conll import example_of, write_conll
from nerbert.formats.format import read_documents
from nerbert.labels import word_spans
from nerbert.records import Document, Example
from nerbert_bench import keys
from nerbert_bench.cells import CellSentences, FoundEntities, FoundEntity, Predictions, time_step
from nerbert_bench.keys import data_digest

_PLACES = re.compile(r"\{(train|dev|test|output|seed)\}")
_GUARD = Path(__file__).with_name("guard.py")
_NOT_ITS = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONHOME")
"""Variables that point Python to nerbert's packages; worker processes have them, commands must not."""
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ),
    "1",
)
_LARGEST = 256 << 20


def placeholders_of(command: Sequence[str]) -> set[str]:
    """Return the placeholders of a command."""
    return {name for word in command for name in _PLACES.findall(word)}


def fill_command(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return a command with values in place of its placeholders."""
    return [_PLACES.sub(lambda match: values[match[1]], word) for word in command]


def check_command(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command; raise SettingsError for one without a required placeholder."""
    if command and (lost := {"test", "output"} - placeholders_of(command)):
        placeholders = "{train}, {dev}, {test}, {output} and {seed}"
        raise SettingsError(f"lacks {{{min(lost)}}}; placeholders are {placeholders}", setting="command")
    return command


def command_digest(command: Sequence[str]) -> str:
    """Return one digest over the words of a command; a word that is a file counts by its bytes, not its path."""
    # Found while planning: else each cell would fail only when it runs.
    if shutil.which(command[0]) is None:
        raise InputError(f"command: {command[0]!r:.200}: no such program; paths are relative to the current folder")
    words = list(command)
    for index, word in enumerate(command):
        # A word may be too long for a file's name, or name an unreadable file; then it counts as text.
        with suppress(InputError):
            words[index] = data_digest(Path(word)) or word
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Command:
    """A system other than nerbert."""

    words: tuple[str, ...]
    sha256: str
    version: str
    """Its version, if its files don't show it."""
    minutes: float
    """The time limit."""
    seed: int

    @property
    def facts(self) -> dict[str, Any]:
        """Return its words and the content of the files among them, its version and its seed."""
        return {"code": (keys.TRAINING,), "command": self.sha256, "version": self.version, "seed": self.seed}

    def read_digests(self) -> "Command":
        """Return the command with the current digest of its words and their files."""
        return replace(self, sha256=command_digest(self.words))

    def splits(self, split: str, *, episode: bool) -> tuple[str, ...]:
        """Return train, the scored split, and dev if the command reads it."""
        # Dev isn't hashed for a command that never reads it, so a changed dev keeps its cells.
        return (*(() if episode else ("train",)), split, *(("dev",) if "dev" in placeholders_of(self.words) else ()))

    def predict(self, part: CellSentences, sources: Path) -> Predictions:
        """Run the command to train on a part's sentences and tag its test sentences."""
        cost: dict[str, Any] = {}
        with time_step(cost, "command"), TemporaryDirectory(prefix="nerbert-") as folder:
            try:
                entities = self._run_in(part, Path(folder))
            # Without the temporary folder's name, the reason is the same in every cell.
            except NerbertError as error:
                raise type(error)(str(error).replace(f"{folder}/", "")) from error
        facts = {"seconds": cost, "command": list(self.words), "encoder": self.sha256, "pretrained": False}
        return Predictions(entities, facts, sure=False)

    def _run_in(self, part: CellSentences, folder: Path) -> FoundEntities:
        """Return the command's entities in the scored sentences; `folder` is for its files."""
        output = folder / "output"
        values = {"output": str(folder.resolve() / "output"), "seed": str(self.seed)}
        # The command must not see the gold entities of the sentences that it tags.
        bare = [replace(example, spans=()) for example in part.test]
        for name, examples in (("train", part.train), ("dev", part.dev), ("test", bare)):
            path = folder / f"{name}.conll"
            with at(path.name):
                write_conll(path, examples)
            values[name] = str(path.resolve())
        _run(fill_command(self.words, values), self.minutes, folder / "errors")
        if not output.is_file() or not output.stat().st_size:
            raise InputError("the command wrote no {output}")
        if output.stat().st_size > _LARGEST:
            raise InputError(f"{output}: more than {_LARGEST >> 20} MB can't be the entities of these sentences")
        return list(_entities(list(read_documents(output)), part.test))


def _run(words: Sequence[str], minutes: float, errors: Path) -> None:
    """Run a command, then kill all processes that it started; raise with its last line if it fails."""
    # One thread each, since several cells run at once.
    variables = {name: value for name, value in os.environ.items() if name not in _NOT_ITS} | _ONE_THREAD
    # The guard ends the command when this process dies, even by SIGKILL.
    # `-I`: no module beside the guard shadows one of Python's.
    guarded = [sys.executable, "-I", str(_GUARD), *words]
    with (
        errors.open("wb") as stderr,
        # Errors go to a file, not a pipe, which a talkative command would fill and then wait forever.
        Popen(guarded, stdin=PIPE, stdout=DEVNULL, stderr=stderr, env=variables, start_new_session=True) as process,  # noqa: S603
    ):
        try:
            code = process.wait(60 * minutes)
        except TimeoutExpired:
            why = f"the command didn't end in {minutes:g} minutes; raise timeout_minutes, and pass --retry"
            raise InputError(why) from None
        finally:
            # Nothing may be left of its group, which is killed whole, with workers that the command started.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    # The guard reports a signal as 128 + number, like a shell; a signal to the guard itself is negative.
    signal_ = -code if code < 0 else code - 128
    # A signal is due to the machine, such as no memory, so the next run tries again.
    if 0 < signal_ <= 64:
        raise NerbertError(f"the command was ended by signal {signal_}: {_last_line(errors)}")
    if code:
        raise InputError(f"the command failed with exit code {code}: {_last_line(errors)}")


def _last_line(errors: Path) -> str:
    """Return the last line that a command wrote to standard error."""
    with errors.open("rb") as file:
        file.seek(max(0, errors.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((visible(line.strip()) for line in reversed(lines) if line.strip()), "it printed nothing")


def _entities(written: Sequence[Document], test: Sequence[Example]) -> Iterator[list[FoundEntity]]:
    """Yield each sentence's entities; raise InputError for entities that don't fit the sentences."""
    if len(written) != len(test):
        why = f"holds {len(written)} sentences, not the {len(test)} of {{test}}; write each, in order"
        raise InputError(f"output: {why}")
    for number, (document, example) in enumerate(zip(written, test, strict=True), 1):
        # The command read CoNLL, which has no text, so its text is the words joined by spaces.
        words = example_of(example.tokens, ())
        with at(part=f"output, sentence {number}"):
            if document.text != words.text:
                raise InputError(f"is {document.text!r:.60}, not {words.text!r:.60}: words joined by single spaces")
            yield [(*span, None) for span in word_spans(replace(words, spans=document.spans))]
