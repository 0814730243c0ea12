"""Cards, configurations, stored answers: the JSON of model folders, as `nerbert show` reads it, with hostile values."""

import contextlib
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import NerbertError, visible
from nerbert.metrics.temperatures import Temperatures
from nerbert.model.folder import ModelFolder
from nerbert.render.cards import tagger_card
from nerbert.render.terminal.models import print_summaries
from nerbert.tagger.answers import read_check
from nerbert.tagger.summary import summarise
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_values import dumped
from tests.fuzz.model_cases import HostileFile, HostileFolders, hostile_json, hostile_weights, named
from tests.fuzz.model_seeds import CARD
from tests.fuzz.properties import calls_of, check_message, exponent, peak_of

pytestmark = pytest.mark.fuzz
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "concepts_tokenizer.json")


def show(folder: Path, *, as_json: bool) -> str:
    """Return what `nerbert show` prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        print_summaries(summarise(str(folder)), as_json=as_json)
    return output.getvalue()


def check_printed(text: str) -> None:
    """Check that lines have no control characters, and no half ones."""
    text.encode()
    assert visible(text.replace("\n", "")) == text.replace("\n", ""), repr(text)


def test_what_is_shown(model_folders: HostileFolders, fuzz: Fuzz) -> None:
    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            for as_json in (False, True):
                shown = named(partial(show, folder, as_json=as_json), folder)
                if shown is not None:
                    check_printed(shown)

    files = model_folders.files("*.json", without=(*TOKENIZERS, "check.json"))
    fuzz(model_folders.cases(files, hostile_json), check)


def test_the_kind_and_what_it_reads(model_folders: HostileFolders, fuzz: Fuzz) -> None:
    def read(path: Path) -> None:
        folder = ModelFolder.open(path).check()
        card = folder.card
        Temperatures.of_card(card)
        folder.kind.scoring(path)
        folder.kind.usual_objective(path)
        folder.kind.encoder(path)
        assert folder.fingerprint
        assert folder.backend in ("torch", "onnx")
        assert folder.labels_at_run_time in (True, False)
        folder.head_kind()

    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            named(lambda: read(folder), folder)

    files = model_folders.files("*.json", without=TOKENIZERS)
    fuzz(model_folders.cases(files, hostile_json), check)


def test_the_model_card_of_any_card(model_folders: HostileFolders, fuzz: Fuzz) -> None:
    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            try:
                text = tagger_card(ModelFolder.open(folder).card)
            except NerbertError as error:
                check_message(str(error))
            else:
                check_printed(text)

    fuzz(model_folders.cases(model_folders.files("nerbert.json"), hostile_json), check)


def test_headers_of_weights(model_folders: HostileFolders, fuzz: Fuzz) -> None:
    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            shown = named(lambda: show(folder, as_json=True), folder)
            if shown is not None:
                check_printed(shown)

    fuzz(model_folders.cases(model_folders.files("*.safetensors", ("linear", "cdlm", "words")), hostile_weights), check)


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
    sizes, costs = [200, 400, 800, 1600], list[int]()
    for size in sizes:
        content = dumped({"format": 1, "kind": "tagger", **make(size)})
        if file.endswith(".safetensors"):
            content = dumped(make(size))
            content = len(content).to_bytes(8, "little") + content
        with model_folders.with_file(HostileFile(folder, file, content)) as path:
            shown = partial(named, partial(show, path, as_json=True), path)
            shown()  # what it imports doesn't count
            costs.append(calls_of(shown))
    assert exponent(sizes, costs) < 1.2


def test_stored_answers(model_folders: HostileFolders, fuzz: Fuzz) -> None:
    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            named(lambda: read_check(folder), folder)

    fuzz(model_folders.cases(model_folders.files("check.json"), hostile_json), check, share=0.3)
