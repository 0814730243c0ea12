"""The tour, small: what it says is what it found."""

import io
import json
import re
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from nerbert.artifacts import sha256_of
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, NerbertError, OutputExists
from nerbert.evaluation.evaluate import evaluate
from nerbert.evaluation.quickstart import ModelScores, QuickstartResult
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.folder import MODELS
from nerbert.quickstart import tour as touring
from nerbert.quickstart.tour import SAMPLE, Tour, run_quickstart
from nerbert.render.quickstart import LIMITS, NEXT, QuickstartReport
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import percent
from tests.commands import exit_code
from tests.examples import read_examples
from tests.raised import raises

TEXT = "The brig Ada left Bergen in May 1884 with a brass sextant ."


class Taken(NamedTuple):
    """A tour that was taken: what it returned, left and said."""

    result: QuickstartResult
    folder: Path
    out: str


@pytest.fixture(scope="session")
def small() -> Tour:
    """A tour of a few steps; the zero-shot tagger in the package is its good model."""
    import torch

    torch.set_num_threads(1)
    return Tour(
        model="embedded-open",
        workers=1,
        seeds=(1, 2),
        pretraining=PretrainSettings(
            label_set="4types",
            fresh_num_layers=1,
            fresh_hidden_size=64,
            fresh_vocab_size=600,
            min_steps=4,
            max_steps=4,
            batch_size=24,
            learning_rate=3e-4,
        ),
        toy=FinetuneSettings(min_steps=3, max_steps=3, batch_size=8, learning_rate=2e-3),
        good=FinetuneSettings(min_steps=3, max_steps=3, batch_size=8),
    )


@pytest.fixture(scope="session")
def taken(small: Tour, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    folder = tmp_path_factory.mktemp("tour") / "kept" / "here"
    with redirect_stdout(out := io.StringIO()), redirect_stderr(io.StringIO()):
        result = run_quickstart(TEXT, folder, small)
    return Taken(result, folder, out.getvalue())


@pytest.fixture
def retold(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tour whose result is known at once, with the text that it was given as its own sentence."""

    def take(folder: Path, text: str, *_: object) -> QuickstartResult:
        (folder / "corpus").mkdir()
        return replace(taken.result, text=text, spans=())

    monkeypatch.setattr(touring, "take_tour", take)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_data_is_30_sentences_and_the_whole_test(taken: Taken) -> None:
    train, test = (read_examples(taken.folder / "data" / f"{name}.conll") for name in ("train", "test"))
    assert len(train) == 30
    assert test == read_examples(SAMPLE / "domain" / "test.conll")
    assert (taken.result.test, taken.result.test_mentions) == (len(test), sum(len(each.spans) for each in test))


def test_the_encoder_starts_from_nothing_and_learns_types_of_links(taken: Taken) -> None:
    card = read(taken.folder / "encoder" / "nerbert.json")
    assert card["corpus"]["manifest_sha256"] == sha256_of(taken.folder / "corpus" / "manifest.json")
    assert {"objective": "tagging", "backbone": "fresh", "label_set": "4types"}.items() <= card["settings"].items()
    assert f"toy: F1 {percent(card['validation']['typed_f1'])} % on types of held-out links" in taken.out


def test_scores_and_tags_are_those_of_the_models(taken: Taken) -> None:
    toy, asked, tuned = taken.result.models
    assert [(model.key, model.sentences, len(model.f1)) for model in (toy, asked, tuned)] == [
        ("tagger-toy", 30, 2),
        ("embedded-open", 0, 1),
        ("tagger-embedded-open", 30, 1),
    ]
    for model in taken.result.models:
        source = taken.folder / model.key if model.sentences else model.key
        scored = evaluate(source, taken.folder / "data" / "test.conll")
        assert model == ModelScores.of(model.key, model.title, model.sentences, scored)
    assert min(asked.mean, tuned.mean) > 0.1
    spans = Tagger.load(taken.folder / "tagger-embedded-open" / "seed-1").tag(TEXT)
    assert taken.result.text == TEXT
    assert taken.result.spans == spans != []


def test_without_the_good_model_the_toy_is_alone(
    tmp_path: Path, small: Tour, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MODELS, "_entry_points", {})
    result = run_quickstart(TEXT, tmp_path / "kept", small._replace(model="minilm", seeds=(1,)))
    assert [model.key for model in result.models] == ["tagger-toy"]
    assert result.missing == "minilm: is a package of its own, which isn't installed: pip install nerbert-minilm"
    assert f"The toy alone learns them. A good model is missing here. {result.missing}" in capsys.readouterr().out


def test_it_says_what_it_found(taken: Taken) -> None:
    said = taken.out
    assert "samplewiki: what came in, went out, was dropped" in said
    for model in taken.result.models:
        cells = (model.label, model.summary, percent(sum(model.spans_f1) / len(model.spans_f1)))
        assert re.search(" +".join(map(re.escape, cells)) + " *$", said, re.MULTILINE), cells
    assert f"\n{taken.result.verdict}\n{LIMITS}\n" in said
    for span in taken.result.spans:
        line = f"  {span.start}–{span.end}  {span.type}  {span.confidence:.2f}  {TEXT[span.start : span.end]}"
        assert line in said.splitlines()
    assert all(f"  {command}" in said.splitlines() for command in NEXT)
    assert f"\nkept in {taken.folder}: corpus, data, encoder, " in said
    assert {path.name for path in taken.folder.iterdir()} == {
        "corpus",
        "data",
        "encoder",
        "tagger-toy",
        "tagger-embedded-open",
    }
    assert not list(taken.folder.rglob(".*")), "nothing half made is left"


@pytest.mark.nightly
def test_two_workers_have_the_same_figures(taken: Taken, small: Tour, tmp_path: Path) -> None:
    other = run_quickstart(TEXT, tmp_path / "kept", small._replace(workers=2))
    assert replace(other, seconds=taken.result.seconds) == taken.result


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, beside that of temporary files."""
    for name in ("here", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "here"


@pytest.mark.usefixtures("retold")
def test_without_keep_nothing_is_left(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_quickstart(TEXT, None, Tour())
    assert {path.name for path in desk.parent.rglob("*")} == {"here", "temporary"}
    assert "kept in" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keep", "kind", "words"),
    [
        (".", OutputExists, ".: not an empty folder; give --keep a new one"),
        ("file", OutputExists, "file: not an empty folder; give --keep a new one"),
        ("file/kept", InputError, "file/kept: can't be made: Not a directory; give --keep another folder"),
    ],
)
def test_messages_come_before_any_work(
    desk: Path, monkeypatch: pytest.MonkeyPatch, keep: str, kind: type[NerbertError], words: str
) -> None:
    monkeypatch.setattr(touring, "take_tour", None)
    (desk / "file").write_text("mine")
    with raises(kind, words=words):
        run_quickstart("", Path(keep), Tour())
    assert sorted(path.name for path in desk.parent.rglob("*")) == ["file", "here", "temporary"]
    assert (desk / "file").read_text() == "mine"


@pytest.mark.usefixtures("retold")
def test_the_text_that_is_given(tmp_path: Path) -> None:
    """One of bytes that are no text does no harm."""
    assert run_quickstart("caf\udce9 x", tmp_path / "kept" / "here", Tour()).text == "caf? x"
    assert run_quickstart("", tmp_path / "other", Tour()).text == touring.DEFAULT_TEXT


def test_terminal_reads_no_markup_in_a_text() -> None:
    file = io.StringIO()
    QuickstartReport(Console(file=file, width=200)).show_tags("[bold]The[/nonsense] \x1b[31m", [], "toy")
    assert r"[bold]The[/nonsense] \x1b[31m" in file.getvalue()
    assert "nothing found in it" in file.getvalue()


def test_command_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr("nerbert.quickstart.tour.run_quickstart", lambda *each: given.extend(each))
    assert exit_code("quickstart", "--text", "A brig .", "--keep", "kept") == 0
    assert exit_code("quickstart") == 0
    assert given == ["A brig .", Path("kept"), "", None]
