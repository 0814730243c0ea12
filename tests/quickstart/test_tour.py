"""The tour, small: every file that it leaves opens, both ways had the same, and what it says is what it found."""

import io
import json
import re
import shutil
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, NerbertError, OutputExists
from nerbert.evaluation.evaluate import evaluate
from nerbert.evaluation.quickstart import QuickstartResult, TaggedText
from nerbert.quickstart import tour as touring
from nerbert.quickstart.tour import PAGE, SAMPLE, Tour, run_quickstart
from nerbert.render.quickstart import LIMITS, NEXT, QuickstartReport, picture
from nerbert.schema import read_json
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import percent, tell
from tests.commands import exit_code, run_in
from tests.examples import read_examples
from tests.raised import raises

TEXT = "The brig Ada left Bergen in May 1884 with a brass sextant ."
KEYS = ("mlm", "ner")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Taken:
    """A tour that was taken: what it returned, left and said."""

    result: QuickstartResult
    folder: Path
    out: str


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    """A tour of a few steps, from a masked language model of one layer that knows nothing."""
    import torch

    from nerbert.model.backbone import save_model
    from nerbert.model.folder import write_card
    from nerbert.model.fresh import train_tokenizer
    from nerbert.words import SPLITTER
    from tests.encoder.backbones import fresh_model

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "backbone"
    folder.mkdir()
    tokenizer = train_tokenizer([each.text for each in read_examples(SAMPLE / "domain" / "train.conll")], 600)
    save_model(folder, fresh_model(len(tokenizer), 1, 64, None, 0), tokenizer)
    write_card(folder, "encoder", word_splitter=SPLITTER, language="en")
    return Tour(backbone=str(folder), pretrain_steps=4, pretrain_batch=24, pretrain_rate=3e-4, finetune_steps=3,
                finetune_batch=8, finetune_rate=2e-3, seeds=(1, 2), examples=3, workers=1)  # fmt: skip


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
        shutil.copytree(taken.folder / "corpus", folder / "corpus")
        return replace(taken.result, own=TaggedText(text, {"ner": ()}), confidences=())

    monkeypatch.setattr(touring, "take_tour", take)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def timeless(result: QuickstartResult) -> QuickstartResult:
    first, second = (replace(encoder, seconds=0.0) for encoder in result.encoders)
    return replace(result, encoders=(first, second), seconds=0.0)


def test_data_is_30_sentences_and_the_whole_test(taken: Taken) -> None:
    train = read_examples(taken.folder / "data" / "train.conll")
    assert len(train) == 30 == taken.result.train
    assert (taken.folder / "data" / "test.conll").read_bytes() == (SAMPLE / "domain" / "test.conll").read_bytes()
    test = read_examples(SAMPLE / "domain" / "test.conll")
    assert taken.result.test == len(test)
    assert taken.result.test_mentions == sum(len(each.spans) for each in test)
    counts = {name: sum(span.type == name for each in train for span in each.spans) for name in taken.result.mentions}
    assert taken.result.mentions == counts
    assert sum(counts.values()) == sum(len(each.spans) for each in train)


def test_both_ways_had_the_same(taken: Taken) -> None:
    mlm, ner = taken.result.encoders
    assert (mlm.key, ner.key) == KEYS
    assert mlm.steps == ner.steps == 4
    assert mlm.tokens == ner.tokens > 1000
    cards = [read(taken.folder / f"encoder-{key}" / "nerbert.json") for key in KEYS]
    sha = sha256_of(taken.folder / "corpus" / "manifest.json")
    assert [card["corpus"]["manifest_sha256"] for card in cards] == [sha, sha]
    assert [card["objective"] for card in cards] == ["mlm", "tagging"]
    assert [card["settings"]["label_set"] for card in cards] == ["", "4types"]
    own = {"objective": "", "label_set": "", "cache": "", "mlm": {}, "tagging": {}}
    first, second = (card["settings"] | own for card in cards)
    assert first == second
    assert first["backbone"] == "backbone"
    for seed in taken.result.seeds:
        one, other = (read(taken.folder / f"tagger-{key}" / f"seed-{seed}" / "nerbert.json") for key in KEYS)
        assert one["settings"] | {"encoder": ""} == other["settings"] | {"encoder": ""}


def test_scores_are_those_of_the_taggers(taken: Taken) -> None:
    for encoder in taken.result.encoders:
        found = evaluate(taken.folder / f"tagger-{encoder.key}", taken.folder / "data" / "test.conll")
        assert encoder.f1 == tuple(score.f1 for score in found.scores.values())
        assert encoder.spans_f1 == tuple(judged.span.f1 for judged in found.judgements.values())
        assert len(encoder.f1) == 2
        assert all(typed <= aside for typed, aside in zip(encoder.f1, encoder.spans_f1, strict=True))
        for name, f1 in encoder.by_type.items():
            each = [score.by_type[name].f1 if name in score.by_type else 0.0 for score in found.scores.values()]
            assert f1 == pytest.approx(sum(each) / 2)
    assert any(f1 > 0 for encoder in taken.result.encoders for f1 in encoder.f1)


def test_examples_are_test_sentences_as_annotated_and_as_tagged(taken: Taken) -> None:
    test = {each.text: each for each in read_examples(SAMPLE / "domain" / "test.conll")}
    taggers = {key: Tagger.load(taken.folder / f"tagger-{key}" / "seed-1") for key in KEYS}
    spans = taggers["ner"].tag(TEXT)
    assert taken.result.own == TaggedText(TEXT, {"ner": tuple((span.start, span.end, span.type) for span in spans)})
    assert taken.result.confidences == tuple(span.confidence for span in spans)
    assert len({each.text for each in taken.result.examples}) == 3
    for shown in taken.result.examples:
        whole = test[shown.text]
        assert list(shown.marked) == ["gold", *KEYS]
        assert shown.marked["gold"] == tuple((span.start, span.end, span.type) for span in whole.spans) != ()
        for key, tagger in taggers.items():
            (spans,) = tagger.tag_many([whole])
            assert shown.marked[key] == tuple((span.start, span.end, span.type) for span in spans)
    assert any(shown.marked[key] for shown in taken.result.examples for key in KEYS)


def test_result_page_and_picture_are_of_the_same_figures(taken: Taken) -> None:
    again = read_json(taken.folder / "result.json", QuickstartResult)
    assert again == taken.result
    assert (taken.folder / "result.svg").read_bytes() == picture(again).encode()
    for name in ("report.html", "result.svg"):
        text = (taken.folder / name).read_text(encoding="utf-8")
        assert all(encoder.summary in text for encoder in taken.result.encoders)


def test_it_says_what_it_found(taken: Taken) -> None:
    said = taken.out
    for step in read(taken.folder / "corpus" / "manifest.json")["steps"]:
        row = rf"^{re.escape(step['step'])} +{step['in']:,} +{step['out']:,} "
        assert re.search(row, said, re.MULTILINE), step
    for encoder in taken.result.encoders:
        spans_f1 = percent(sum(encoder.spans_f1) / len(encoder.spans_f1))
        cells = (encoder.summary, *map(percent, encoder.f1), spans_f1)
        assert re.search(" +".join(map(re.escape, cells)) + " *$", said, re.MULTILINE), cells
    place = said.splitlines().index(taken.result.verdict)
    assert said.splitlines()[place + 1] == LIMITS
    for (start, end, name), sure in zip(taken.result.own.marked["ner"], taken.result.confidences, strict=True):
        assert f"  {start}–{end}  {name}  {sure:.2f}  {TEXT[start:end]}" in said.splitlines()
    assert all(f"  {command}" in said.splitlines() for command in NEXT)
    assert f"page: {taken.folder / 'report.html'}" in said.splitlines()
    assert f"all files, and what each one is: {taken.folder / 'README.md'}" in said.splitlines()


@pytest.mark.nightly
def test_two_workers_have_the_same_figures(taken: Taken, small: Tour, tmp_path: Path) -> None:
    assert timeless(run_quickstart(TEXT, tmp_path / "kept", replace(small, workers=2))) == timeless(taken.result)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, beside that of temporary files."""
    for name in ("here", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "here"


@pytest.mark.usefixtures("retold")
def test_without_keep_the_page_alone_is_left(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        (desk / PAGE).write_text("an old page, which is replaced")
        run_quickstart(TEXT, None, Tour())
        assert {path.name for path in desk.parent.rglob("*")} == {"here", "temporary", "nerbert-quickstart.html"}
    assert "<title>nerbert quickstart</title>" in (desk / PAGE).read_text()
    said = capsys.readouterr().out
    assert f"page: {PAGE}" in said.splitlines()
    assert "all files" not in said


@pytest.mark.parametrize(
    ("keep", "kind", "words"),
    [
        (".", OutputExists, ".: not an empty folder; give --keep a new one"),
        ("file", OutputExists, "file: not an empty folder; give --keep a new one"),
        ("file/kept", InputError, "file/kept: can't be made: Not a directory; give --keep another folder"),
        (None, InputError, "nerbert-quickstart.html: is a folder"),
    ],
)
def test_messages_come_before_any_work(
    desk: Path, monkeypatch: pytest.MonkeyPatch, keep: str | None, kind: type[NerbertError], words: str
) -> None:
    monkeypatch.setattr(touring, "take_tour", None)
    (desk / "file").write_text("mine")
    (desk / PAGE).mkdir()
    with raises(kind, words=words):
        run_quickstart("", keep and Path(keep), Tour())  # type: ignore[arg-type]
    assert sorted(path.name for path in desk.parent.rglob("*")) == ["file", "here", PAGE, "temporary"]
    assert (desk / "file").read_text() == "mine"


@pytest.mark.usefixtures("retold")
def test_the_text_that_is_given(tmp_path: Path) -> None:
    """One of bytes that are no text does no harm."""
    kept = tmp_path / "kept" / "here"
    assert run_quickstart("caf\udce9 x", kept, Tour()).own.text == "caf? x"
    assert read(kept / "result.json")["own"]["text"] == "caf? x"
    assert run_quickstart("", tmp_path / "other", Tour()).own.text == touring.DEFAULT_TEXT


def blocks(text: str, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(text) if name == language]


def test_guide_names_files_that_are_there(taken: Taken) -> None:
    text = (taken.folder / "README.md").read_text(encoding="utf-8")
    assert taken.result.verdict in text
    named = set()
    lines = re.findall(r"^- (.*?): (.*)$", text, re.MULTILINE)
    assert len(lines) > 6
    for names, told in lines:
        for name in re.findall(r"`([^`]+)`", names):
            for place in [name.replace("seed-N", f"seed-{seed}") for seed in taken.result.seeds]:
                assert (taken.folder / place).is_dir() == name.endswith("/")
                assert (taken.folder / place).exists(), name
                for inner in re.findall(r"`([^`]+)`", told):
                    assert (taken.folder / place / inner).is_file(), (name, inner)
            named.add(name.split("/")[0])
    assert {path.name for path in taken.folder.iterdir()} == {*named, "README.md"}
    assert len(named) == 9
    assert not list(taken.folder.rglob(".*")), "nothing half made is left"
    assert blocks(text, "") == ["\n".join(NEXT) + "\n"]


def test_guides_commands_and_python_run(taken: Taken, tmp_path: Path, warm: Path) -> None:
    desk, guide = shutil.copytree(taken.folder, tmp_path / "kept"), (taken.folder / "README.md").read_text("utf-8")
    (commands,), (code,) = blocks(guide, "sh"), blocks(guide, "python")
    shown = run_in(desk, "bash", "-euo", "pipefail", "-c", commands, path=warm)
    assert "samplewiki: what came in, went out, was dropped" in shown
    assert (desk / "corpus.html").is_file()
    ner = taken.result.encoders[1]
    assert "F1 over 2 seeds" in shown
    assert all(percent(f1) in shown for f1 in ner.f1)
    assert json.loads(shown.splitlines()[-1])["text"] == "The whaler Ingeborg left Bergen in May."
    lines = run_in(desk, "python", "-W", "error", "-c", code, path=warm).splitlines()
    first = pq.read_table(taken.folder / "corpus" / "sentences").column("text")[0].as_py()
    assert lines[0].startswith(first)
    assert "'only_untyped': " in lines[1]
    assert "'step': 4" in lines[2]
    spans = Tagger.load(taken.folder / "tagger-ner" / "seed-1").tag("The whaler Ingeborg left Bergen in May.")
    assert lines[3:] == [
        f"{each.text} {each.type} {each.start} {each.end} {round(each.confidence, 2)}" for each in spans
    ]


def test_terminal_reads_no_markup_in_a_text() -> None:
    file = io.StringIO()
    QuickstartReport(Console(file=file, width=200)).show_tags("[bold]The[/nonsense] \x1b[31m", [])
    assert r"[bold]The[/nonsense] \x1b[31m" in file.getvalue()
    assert "nothing found in it" in file.getvalue()


def test_command_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr("nerbert.quickstart.tour.run_quickstart", lambda *each: given.extend(each))
    assert exit_code("quickstart", "--text", "A brig .", "--keep", "kept") == 0
    assert exit_code("quickstart") == 0
    assert given == ["A brig .", Path("kept"), "", None]


def test_a_training_among_several_has_its_title_before_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    with touring._run_beside("masked words", Tour(workers=2)) as threads:
        tell("step 1 of 2\nstep 2 of 2")
    assert threads == 1
    assert capsys.readouterr().err == "masked words: step 1 of 2\\nstep 2 of 2\n"
