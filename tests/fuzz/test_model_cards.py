"""Cards, configurations, stored answers: the JSON of model folders, as `nerbert show` reads it, with hostile values."""

import contextlib
import io
from pathlib import Path

import pytest

from nerbert.errors import NerbertError, visible
from nerbert.metrics.temperatures import Temperatures
from nerbert.model.folder import ModelFolder
from nerbert.render.cards import tagger_card
from nerbert.render.terminal.models import print_summaries
from nerbert.tagger.answers import read_check
from nerbert.tagger.summary import summarise
from tests.fuzz.conftest import Fuzz
from tests.fuzz.model_cases import Folders, HostileFile, hostile_json, named
from tests.fuzz.properties import check_message

pytestmark = [pytest.mark.fuzz, pytest.mark.integration]
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


def test_what_is_shown(model_folders: Folders, fuzz: Fuzz) -> None:
    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            for as_json in (False, True):
                shown = named(lambda: show(folder, as_json=as_json), folder)
                if shown is not None:
                    check_printed(shown)

    files = model_folders.files("*.json", without=(*TOKENIZERS, "check.json"))
    fuzz(model_folders.cases(files, hostile_json), check)


def test_the_kind_and_what_it_reads(model_folders: Folders, fuzz: Fuzz) -> None:
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


def test_the_model_card_of_any_card(model_folders: Folders, fuzz: Fuzz) -> None:
    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            try:
                text = tagger_card(ModelFolder.open(folder).card)
            except NerbertError as error:
                check_message(str(error))
            else:
                check_printed(text)

    fuzz(model_folders.cases(model_folders.files("nerbert.json"), hostile_json), check)


def test_stored_answers(model_folders: Folders, fuzz: Fuzz) -> None:
    def check(case: HostileFile) -> None:
        with model_folders.with_file(case) as folder:
            named(lambda: read_check(folder), folder)

    fuzz(model_folders.cases(model_folders.files("check.json"), hostile_json), check, share=0.3)
