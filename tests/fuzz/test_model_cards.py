"""Cards, configurations, stored answers: the JSON of model folders, as `nerbert show` reads it, with hostile values."""

import contextlib
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import visible
from nerbert.metrics.calibration import scaling_of
from nerbert.model.folder import ModelFolder
from nerbert.model.head_kinds import head_kind, labels_at_run_time
from nerbert.render.cards import tagger_card
from nerbert.render.terminal import print_summaries
from nerbert.tagger.self_check_answers import read_check
from nerbert.tagger.summary import summarise
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_values import dumped
from tests.fuzz.model_cases import HostileFile, HostileFolders, hostile_json, hostile_weights, named
from tests.fuzz.model_seeds import CARD
from tests.fuzz.properties import answer, calls_of, exponent, peak_of

pytestmark = pytest.mark.fuzz
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "concepts_tokenizer.json")


def show(folder: Path) -> str:
    """Return what `nerbert show` prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        for as_json in (False, True):
            print_summaries(summarise(str(folder)), as_json=as_json)
    return output.getvalue()


def open_kind(path: Path) -> None:
    """Find out what a folder is, and what its kind reads of it."""
    folder = ModelFolder.open(path).check()
    scaling_of(folder.card)
    folder.kind.describe_scoring(path)
    folder.kind.usual_objective(path)
    folder.kind.encoder(path)
    assert folder.fingerprint
    assert folder.backend in ("torch", "onnx")
    assert labels_at_run_time(folder) in (True, False)
    head_kind(folder)


def write_card(path: Path) -> str | None:
    """Return the card for people, which may be refused without a name."""
    return answer(lambda: tagger_card(ModelFolder.open(path).card))


@pytest.mark.parametrize(
    ("use", "pattern", "without", "share"),
    [
        (show, "*.json", (*TOKENIZERS, "check.json"), 1),
        (open_kind, "*.json", TOKENIZERS, 1),
        (write_card, "nerbert.json", (), 1),
        (show, "*.safetensors", (), 1),
        (read_check, "check.json", (), 0.3),
    ],
)
def test_a_hostile_file(
    use: Callable[[Path], object],
    pattern: str,
    without: tuple[str, ...],
    share: float,
    model_folders: HostileFolders,
    fuzz: Fuzz,
) -> None:
    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            shown = named(lambda: use(folder), folder)
            if isinstance(shown, str):  # lines without control characters, or half ones
                shown.encode()
                assert visible(shown.replace("\n", "")) == shown.replace("\n", ""), repr(shown)

    weights = pattern == "*.safetensors"
    files = model_folders.files(pattern, ("linear", "cdlm", "words") if weights else (), without)
    fuzz(model_folders.cases(files, hostile_weights if weights else hostile_json), check, share=share)


def test_a_length_that_lies_takes_no_memory(model_folders: HostileFolders) -> None:
    for length in (10**6, 10**8 - 1, 10**8, 2**40, 2**64 - 1):
        case = HostileFile("cdlm", "model.safetensors", length.to_bytes(8, "little") + b"{}")
        with model_folders.with_file(case) as folder:
            summary = partial(named, partial(summarise, str(folder)), folder)
            summary()  # what it imports doesn't count
            assert peak_of(summary) < 10**6


@pytest.mark.parametrize(
    ("folder", "file", "make"),
    [
        ("linear", "nerbert.json", lambda size: {**CARD, "types": [f"t{n}" for n in range(size)]}),
        ("linear", "nerbert.json", lambda size: {**CARD, "thresholds": {f"t{n}": 0.5 for n in range(size)}}),
        ("linear", "config.json", lambda size: {"id2label": {str(n): f"B-t{n}" for n in range(size)}}),
        ("linear", "config.json", lambda size: {"x": [{"y": [n]} for n in range(size)]}),
        ("cdlm", "model.safetensors", lambda size: {f"w{n}": {"dtype": "F32", "shape": [0]} for n in range(size)}),
    ],
)
def test_costs_grow_with_the_file(
    folder: str, file: str, make: Callable[[int], dict[str, Any]], model_folders: HostileFolders
) -> None:
    sizes, costs = [100, 200, 400, 800], list[int]()
    for size in sizes:
        content = dumped({"format": 1, "kind": "tagger", **make(size)})
        if file.endswith(".safetensors"):
            content = dumped(make(size))
            content = len(content).to_bytes(8, "little") + content
        with model_folders.with_file(HostileFile(folder, file, content)) as path:
            shown = partial(named, partial(show, path), path)
            shown()  # what it imports doesn't count
            costs.append(calls_of(shown))
    assert exponent(sizes, costs) < 1.2
