"""CDLM: what a step has, its losses, its modes, and taggers of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.data.splits import DataSet
from nerbert.errors import InputError, SettingsError
from nerbert.executors import LocalExecutor
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import Start
from nerbert.formats.conll import example_of, write_conll
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import load_tokenizer, save_model
from nerbert.model.folder import TaggerFacts, read_card, write_card
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.render.cards import write_tagger_card
from nerbert.tagger.export import export
from nerbert.tagger.self_check import add_check, check
from nerbert.tagger.tagger import Tagger
from nerbert.training.batches import collate
from nerbert.training.sections import make_settings
from nerbert.words import SPLITTER
from nerbert_bench.runner import run_suite
from nerbert_bench.suite import read_suite
from nerbert_papers.cdlm.cdlm_model import CdlmShape, language_loss, open_cdlm
from nerbert_papers.cdlm.objective import Cdlm, JointData, read_raw
from tests.raised import raises
from tests.stages import finetune

PEOPLE, PLACES = ("Ada", "Bob", "Eve", "Kim"), ("Oslo", "Rome", "Lima")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer units than the public code has."""
    shape = partial(CdlmShape, states=24, filters=10, task_width=4, domain_width=4)
    monkeypatch.setattr("nerbert_papers.cdlm.objective.CdlmShape", shape)


def target(count: int = 12) -> list[Example]:
    """Sentences of people."""
    return [
        example_of([PEOPLE[n % 4], "saw", str(n), "boats"][: 3 + n % 2], ["B-who", "O", "O", "O"][: 3 + n % 2])
        for n in range(count)
    ]


def source(count: int = 30) -> list[Example]:
    """Sentences of places."""
    return [
        example_of(
            ["in", PLACES[n % 3], "City", "it", "rains"][: 4 + n % 2],
            ["O", "B-place", "I-place", "O", "O"][: 4 + n % 2],
        )
        for n in range(count)
    ]


def settings_of(**more: Any) -> FinetuneSettings:
    usual = {
        "objective": "cdlm",
        "batch_size": 10,
        "epochs": 2,
        "min_steps": 0,
        "schedule": "constant",
        "threads": 1,
        "warmup_ratio": 0,
        "precision": "fp32",
        "max_grad_norm": 999999,
        "weight_decay": 0,
    }
    return make_settings(FinetuneSettings, usual | more)


def domain(train: Sequence[Example]) -> DataSet:
    return DataSet(Path("source"), list(train))


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of the target and the source."""
    for name, some in (("target", target()), ("source", source())):
        (tmp_path / name).mkdir()
        write_conll(tmp_path / name / "train.conll", some)
        write_conll(tmp_path / name / "dev.conll", some[:5])
    return tmp_path / "target", tmp_path / "source"


def start_of(encoder: Path, source_: DataSet | None, examples: Sequence[Example] | None = None, **more: Any) -> Start:
    some = target() if examples is None else examples
    return Start.of(str(encoder), Domains(DataSet(Path("data"), list(some)), source_), settings_of(**more))


def test_a_step_has_a_batch_of_the_source_and_its_share_of_the_target(tiny_encoder: Path) -> None:
    start = start_of(tiny_encoder, domain(source()))
    data = start.source.windows(start.pieces, start.objective.labels)
    assert isinstance(data, JointData)
    assert data.ends == (30, 42, 42, 42)
    steps = list(data.steps(start.settings, 0, 6))
    assert [epoch for epoch, _ in steps] == [0, 0, 0, 1, 1, 1]
    for epoch in range(2):
        seen = Counter(int(each) for at, step in steps if at == epoch for each in step)
        assert seen == Counter(range(42)), "each epoch has all of both sets once"
    assert all(((step < 30).sum(), (step >= 30).sum()) == (10, 4) for _, step in steps)
    resumed = list(data.steps(start.settings, 4, 6))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(resumed, steps[4:], strict=True))


def test_steps_without_a_target_sentence_are_skipped(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = start_of(tiny_encoder, domain(source()), target(2))
    data = start.source.windows(start.pieces, start.objective.labels)
    assert "1 of an epoch's 3 steps are skipped: they have no target sentence" in capsys.readouterr().err
    steps = list(data.steps(start.settings, 0, 6))
    assert [epoch for epoch, _ in steps] == [0, 0, 1, 1, 2, 2]
    assert [sorted(step[step >= 30].tolist() for _, step in steps[n : n + 2]) for n in (0, 2, 4)] == [[[30], [31]]] * 3
    read = [{*steps[n][1][steps[n][1] < 30], *steps[n + 1][1][steps[n + 1][1] < 30]} for n in (0, 2, 4)]
    assert [len(numbers) for numbers in read] == [20, 20, 20]
    assert len(set.union(*read)) > 20, "each epoch draws other sentences of the source"


@pytest.mark.parametrize("mode", ["supervised", "combined", "unsupervised"])
def test_the_losses_are_those_of_their_windows(tiny_encoder: Path, tmp_path: Path, mode: str) -> None:
    (tmp_path / "raw.txt").write_text("Ada saw rain\nKim saw Oslo\n")
    names = {"supervised": (), "combined": ("texts", "source_texts"), "unsupervised": ("texts",)}[mode]
    raw = {name: [str(tmp_path / "raw.txt")] for name in names}
    start = start_of(tiny_encoder, domain(source()), cdlm={"mode": mode, "dropout": 0, **raw})
    objective, model = start.objective, start.model.eval()
    data = start.source.windows(start.pieces, objective.labels)
    assert isinstance(objective, Cdlm)
    objective.begin_epoch(model, data, 0, {}, Any)  # type: ignore[arg-type]
    numbers = np.array([0, 31, 2, 33, *range(42, data.ends[-1])])
    batch = collate(data.windows, numbers, 0)
    tagged = {"source_tags": 2.0, "target_tags": 0.0 if mode == "unsupervised" else 2.0}
    beside = {"supervised": 2, "combined": 2, "unsupervised": 4}[mode]  # combined: those of raw texts alone
    assert objective.terms(batch) == {"source_words": 2, "target_words": beside, **tagged}
    torch.manual_seed(1)
    losses = objective.loss(model, batch)
    weights = {"supervised": (1, 2, 1, 1), "combined": (0.8, 1, 0.5, 0.5), "unsupervised": (1, 0, 1, 1)}[mode]
    with torch.no_grad():
        read = np.arange(42, 44) if mode == "combined" else numbers[[0, 2]]
        alone, raws = (collate(data.windows, some, 0) for some in (numbers[[0, 2]], read))
        words = model.read(alone.ids, alone.mask)
        others = model.read(raws.ids, raws.mask)
        layer = model.layer(0)
        tags = torch.zeros_like(words.ids)
        tags[alone.rows, words.at[alone.rows, alone.columns]] = alone.labels
        tags[~words.mask] = -100
        plain = layer.crf.loss(layer(model.states(words, 0, 0)), tags, words.mask).sum()
        torch.manual_seed(1)
        of_words = language_loss(model, others, 0, 50).sum()
    assert float(losses["source_tags"].detach()) == pytest.approx(weights[0] * float(plain), rel=1e-5)
    assert float(losses["source_words"].detach()) == pytest.approx(weights[2] * float(of_words), rel=1e-5)
    assert (float(losses["target_tags"].detach()) > 0) == (mode != "unsupervised")
    assert float(losses["target_words"].detach()) > 0


@pytest.mark.parametrize("mode", ["supervised", "target"])
def test_it_learns_a_few_sentences_by_heart(
    tiny_encoder: Path, data: tuple[Path, Path], tmp_path: Path, mode: str
) -> None:
    settings = settings_of(epochs=40, learning_rate=0.1, cdlm={"mode": mode, "dropout": 0.1, "decay": 0})
    other = data[1] if mode == "supervised" else None
    (folder,) = finetune(
        str(tiny_encoder), data[0], tmp_path / "tagger", settings, source=other, card=add_check(lambda *_: True)
    )
    card = read_card(str(folder))
    assert (card["kind"], card["head"], card["types"]) == ("tagger", "cdlm", ["who"])
    assert (card["library"], card["precision"], card["joins_source"]) == ("nerbert", "fp32", mode == "supervised")
    write_tagger_card(folder, TaggerFacts(card))
    page = (folder / "README.md").read_text()
    assert "library_name: nerbert" in page
    assert "Only nerbert loads it: it isn't a model of `transformers`." in page
    assert ("source domain, together with the others" in page) == (mode == "supervised")
    assert card["log"][-1]["loss"] < card["log"][0]["loss"] / 2
    tagger = Tagger.load(folder, device="cpu")
    assert [(each.type, each.text) for each in tagger.tag("Kim saw 7 boats")] == [("who", "Kim")]
    (done,) = check(folder, device="cpu")
    assert not done.differences
    found = [[(s.start, s.end, s.type) for s in tagger.tag(each.text)] for each in target()]
    gold = [[(s.start, s.end, s.type) for s in each.spans] for each in target()]
    assert score_spans(gold, found).f1 == 1
    with raises(InputError, "no training starts from"):
        start_of(folder, domain(source()))


def test_without_labels_of_the_target_it_has_the_types_of_the_source(tiny_encoder: Path) -> None:
    own = {"mode": "unsupervised"}
    start = start_of(tiny_encoder, domain(source()), cdlm=own)
    assert list(start.source.types) == ["place"]
    assert start.model.source_tags is None
    relabelled = [replace(each, spans=()) for each in target()]
    other = start_of(tiny_encoder, domain(source()), relabelled, cdlm=own)
    batches = [
        collate(each.source.windows(each.pieces, each.objective.labels).windows, np.arange(30, 42), 0)
        for each in (start, other)
    ]
    assert torch.equal(batches[0].ids, batches[1].ids)
    assert all((batch.labels <= 0).all() for batch in batches), "no label of the target is a tag"


def test_the_rate_falls_by_epochs(tiny_encoder: Path) -> None:
    start = start_of(tiny_encoder, domain(source()))
    assert isinstance(start.objective, Cdlm)
    assert [start.objective.rate_factor(epoch) for epoch in (0, 1, 20)] == [1, 1 / 1.05, 0.5]
    assert start.settings.learning_rate == 0.015


def test_raw_texts_are_sentences_of_words(tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("Ada saw rain.\n\n" + "long " * 300)
    assert [len(each.words) for each in read_raw([tmp_path / "raw.txt"], at_spaces=True)] == [3, 250]
    assert [len(each.words) for each in read_raw([tmp_path / "raw.txt"], at_spaces=False)] == [4, 250]


def test_vectors_of_a_file_begin_the_embedding(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("saw 1 2 3\nferry 4 5 6\nada 7 8 9\n")
    start = start_of(tiny_encoder, domain(source()), cdlm={"vectors": [str(tmp_path / "v.txt")]})
    number = start.pieces.tokenizer.get_vocab()["saw"]
    assert start.model.words[number].tolist() == [1, 2, 3]
    assert start.model.words[start.pieces.tokenizer.get_vocab()["Ada"]].tolist() == [7, 8, 9]
    new = start.pieces.tokenizer.get_vocab()["ferry"]
    (window,) = start.pieces.windows([example_of(["Ferry"], ["O"])])
    assert window.ids[0] == new, "a word that only the file has, by its lower case"
    assert start.model.fixed[new - len(start.model.words)].tolist() == [4, 5, 6]
    (tmp_path / "tagger").mkdir()
    save_model(tmp_path / "tagger", start.model, start.pieces.tokenizer)
    read = collate(Windows.pack([window]), np.array([0]), 0)
    opened = open_cdlm(str(tmp_path / "tagger"), load_tokenizer(str(tmp_path / "tagger")))
    assert torch.equal(opened.scores(read), start.model.eval().scores(read))
    assert start_of(tiny_encoder, domain(source()), cdlm={"words": "random"}).model.shape.word_width == 100


def test_without_labels_of_the_target_the_source_chooses_the_epoch(
    tiny_encoder: Path, data: tuple[Path, Path], tmp_path: Path
) -> None:
    (data[0] / "dev.conll").unlink()
    settings = settings_of(epochs=12, learning_rate=0.1, select="dev", cdlm={"mode": "unsupervised", "decay": 0})
    (folder,) = finetune(str(tiny_encoder), data[0], tmp_path / "tagger", settings, source=data[1], calibrate=False)
    card = read_card(str(folder))
    assert max(each["dev_f1"] for each in card["log"]) > 0.5, "of the source's sentences"
    assert card["best_step"] > 3
    assert card["types"] == ["place"]
    with raises(SettingsError, "target has no dev split", setting="select"):
        finetune(str(tiny_encoder), data[0], tmp_path / "no", settings_of(select="dev"), source=data[1])


def test_an_export_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    start = start_of(tiny_encoder, domain(source()))
    save_model(tmp_path, start.model, start.pieces.tokenizer)
    write_card(tmp_path, "tagger", head="cdlm", types=["who"], word_splitter=SPLITTER)
    with raises(InputError, "its head can't be exported: CdlmHeadKind has no"):
        export(str(tmp_path))


@pytest.mark.parametrize(
    ("other", "values", "setting", "words"),
    [
        (None, {}, "mode", "'supervised': must be with annotated sentences of a source domain"),
        (domain([]), {}, "mode", "'supervised': must be with annotated sentences of a source domain"),
        (domain(source()), {"mode": "target"}, "mode", "'target': must be another one"),
        (domain(source()), {"texts": ["x.txt"]}, "texts", "must be left out: mode 'supervised' reads no raw"),
        (domain(source()), {"mode": "combined"}, "mode", "'combined': must be with raw texts"),
        (domain(source()), {"vectors": ["a", "b"]}, "vectors", "2: must be one file"),
    ],
)
def test_messages(tiny_encoder: Path, other: Any, values: dict[str, Any], setting: str, words: str) -> None:
    with raises(SettingsError, words, setting=f"cdlm.{setting}"):
        start_of(tiny_encoder, other, cdlm=values)


def test_a_benchmark_trains_it_with_its_source(tiny_encoder: Path, data: tuple[Path, Path], tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(
        f'title = "t"\nseeds = [1]\n[systems.cdlm]\nencoder = "{tiny_encoder}"\nsource = "source"\n'
        '[protocols.p]\nobjective = "cdlm"\nepochs = 1\nmin_steps = 0\n[[targets]]\ndata = "target"\n'
    )
    write_conll(data[0] / "test.conll", target(3))
    with LocalExecutor(1) as executor:
        (cell,), _ = run_suite(read_suite(suite), tmp_path, tmp_path / "out", executor)
    assert (cell.state, cell.why) == ("done", "")
    assert cell.facts["source_data"] == "source"
