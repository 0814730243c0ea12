"""The objective `zero_shot`: its labels and prompts, its loss against loops, how steps are cut, and what it writes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.encoder.concept_table import ROOT, Concept, ConceptTable
from nerbert.encoder.gliner_training import with_gliner_words
from nerbert.encoder.objectives.span_labels import PromptMaker, SpanLabels, WindowLabels, count_lost
from nerbert.encoder.objectives.zero_shot import ZeroShot, ZeroShotBatch, ZeroShotSettings
from nerbert.encoder.objectives.zero_shot import _scores as scores_of
from nerbert.encoder.open_texts import OpenExample, OpenTexts, OpenTypesSettings
from nerbert.encoder.pretrain import Preparation, prepare, pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.model.folder import read_card
from nerbert.model.gliner.folder import load_gliner
from nerbert.model.gliner.head import GlinerHead
from nerbert.model.gliner.layers import TorchGliner
from nerbert.records import EntityLabel, Example, Span
from nerbert.tagger.tagger import Tagger
from nerbert.training.batches import batches_of
from nerbert.training.distributed import make_process_group
from nerbert.training.sections import change_settings, load_settings, make_settings
from nerbert.training.settings import TrainSettings
from tests.encoder.open_rows import marked
from tests.encoder.preparing import assert_cut_changes_nothing, prepared
from tests.encoder.preparing import written as write
from tests.raised import raises

ARCHITECTURES = ("zero", "zero_span", "bi_encoder")
SMALL: dict[str, Any] = {
    "objective": "zero_shot",
    "wordings": False,
    "epochs": 1,
    "learning_rate": 1e-3,
    "batch_size": 16,
    "precision": "fp32",
    "threads": 1,
    "fresh_num_layers": 1,
    "fresh_hidden_size": 64,
    "fresh_vocab_size": 300,
    "max_length": 64,
    "zero_shot": {"max_width": 3},
}
Make = Callable[..., PretrainSettings]
ASKED = ["harbour", "polar ship", "ship", "city", "sea bird"]


def row(number: int, **more: Any) -> dict[str, Any]:
    named = (("Fram", "Polar_Ship"), ("ship Fram", "ship"), ("Oslo", "city"))
    return marked(f"The ship Fram {number} left Oslo-by-the-sea on a Monday.", *named, **{"asked": ASKED} | more)


@pytest.fixture
def settings(tmp_path: Path) -> Make:
    """Settings on a file of sixty texts."""
    path = write(tmp_path / "open.jsonl", map(row, range(60)))

    def make(**changes: Any) -> PretrainSettings:
        usual = {"open_types": {"files": [path]}, "cache": str(tmp_path / "cache"), **SMALL}
        return change_settings(make_settings(PretrainSettings, usual), changes)

    return make


def _texts(settings: TrainSettings) -> Iterator[OpenExample]:
    return OpenTexts(settings.of(OpenTypesSettings)).examples()


@pytest.fixture
def table() -> ConceptTable:
    made = ConceptTable()
    for name in (ROOT, "city", "ship", "polar ship", "place"):
        made.add(Concept(name, "", ("place",) if name == "city" else ()))
    return made


TEXT = "Oslo Bergen left the port of the far old north"
WORDS = with_gliner_words(Example(TEXT, ())).words


def labelled(table: ConceptTable, spans: tuple[Span, ...], width: int = 3, **more: Any) -> WindowLabels:
    example = OpenExample(TEXT, WORDS, spans, **more)
    table.add_rows(table.word_rows(example))
    labels = np.array(SpanLabels(table, {}, width).label_words(example))
    return WindowLabels.of(labels, list(table.rows))


def test_touching_and_nested_entities_are_told_apart_and_long_ones_counted(table: ConceptTable) -> None:
    spans = (
        Span(0, 4, "city"),
        Span(5, 11, "city"),
        Span(0, 11, "ship"),
        Span(5, 11, "polar ship"),
        Span(17, 46, "place"),
    )
    example = OpenExample(TEXT, WORDS, spans)
    table.add_rows(table.word_rows(example))
    labels = np.array(SpanLabels(table, {}, 3).of(example))
    window = WindowLabels.of(labels, list(table.rows))
    assert sorted(window.spans(np.arange(5))) == [(0, 1, 1), (0, 2, 2), (1, 2, 1), (1, 2, 3), (3, 10, 4)]
    assert window.mentions == 5
    assert count_lost(labels) == (5, 1)
    assert count_lost(np.array(SpanLabels(table, {}, 0).of(example))) == (5, 0)
    first, last = WindowLabels.of(labels[:5], list(table.rows)), WindowLabels.of(labels[5:], list(table.rows))
    assert (4, 3) not in {(number, end) for _, end, number in first.spans(np.arange(5))}
    assert last.spans(np.arange(5)) == []  # what reaches over an edge is no entity there


def test_what_is_known_of_spans(table: ConceptTable) -> None:
    window = labelled(table, (Span(0, 4, "city"), Span(12, 16, ROOT)), asked=("city", "ship", "place"))
    types = np.array([2, 1, 4, 3])
    targets, weights = window.span_targets(table, types, 3, (2.0, 1.0))
    assert targets.shape == (10, 3, 4)
    assert np.argwhere(targets).tolist() == [[0, 0, 1]]
    assert weights[0, 0].tolist() == [1, 2, 0, 0]  # a city may be a place; nobody asked for polar ships
    assert weights[3, 0].tolist() == [1, 1, 1, 0]
    assert not weights[2].any()  # an entity of which the type isn't known
    assert not weights[1, 1:].any()
    assert not weights[9, 1:].any()  # beyond the end
    of_words, word_weights = window.span_targets(table, types, 1, (2.0, 1.0))
    assert word_weights[0].tolist() == [[1, 2, 0, 0]]
    assert np.argwhere(of_words).tolist() == [[0, 0, 1]]
    assert window.absent(table, np.arange(5)).tolist() == [2]


def test_of_entities_that_are_not_read_back_nothing_is_known(table: ConceptTable) -> None:
    spans = (Span(0, 11, "city"), *(Span(17, 20, f"kind {number:02}") for number in range(14)))
    for number in range(14):
        table.add(Concept(f"kind {number:02}"))
    whole = labelled(table, spans)
    types = np.array([table.number_of(each) for each in ("city", "kind 00", "kind 13")])
    targets, weights = whole.span_targets(table, types, 3, (2.0, 1.0))
    assert np.argwhere(targets).tolist() == [[0, 1, 0], [3, 0, 1]]
    assert weights[:2, 0, 0].tolist() == [1, 1]  # a part of a city's name is none
    assert weights[3, 0].tolist() == [1, 2, 0]  # a word's thirteenth type has no mark
    rows = list(table.rows)
    cut = WindowLabels([rows[table.rows[each]] for each in whole.rows], whole.indices[1:], whole.marks[1:])
    assert cut.span_targets(table, types, 3, (2.0, 1.0))[1][0, 0].tolist() == [0, 1, 1]  # begins before the window
    assert cut.spans(types) == [(2, 3, 1)]


def test_what_is_unknown_tells_nothing_of_absent_types(table: ConceptTable) -> None:
    types = np.arange(1, len(table.concepts))
    absent = labelled(table, (Span(0, 4, "city"),)).absent(table, types).tolist()
    assert absent
    assert labelled(table, (Span(0, 4, "city"),), unknown=((12, 20),)).absent(table, types).tolist() == absent
    assert labelled(table, (), unknown=((0, len(TEXT)),)).absent(table, types).tolist() == []


def test_a_prompt_has_own_types_and_such_as_are_known_to_be_absent(table: ConceptTable) -> None:
    for number in range(40):
        table.add(Concept(f"polar {number}" if number % 6 == 0 else f"kind {number}"), 100 if number == 7 else 1)
    everything = np.arange(len(table.concepts))
    asked = tuple(table.concepts[number].name for number in everything if number != 9)
    window = labelled(table, (Span(0, 4, "city"), Span(5, 11, "polar ship")), asked=asked)
    sizes = np.full(len(everything), 2)
    maker = PromptMaker(table, sizes, 1000, 25, 1.0, 1)
    seen, own = set[int](), list[int]()
    for step in range(200):
        (prompt,) = maker.prompts({5: window}, step).values()
        assert len(set(prompt.tolist())) == len(prompt) <= 4
        own.append(len({1, 3} & set(prompt.tolist())))
        seen |= set(prompt.tolist())
        assert len(prompt) > own[-1]
    assert set(own) == {1, 2}
    assert not seen & {0, 4, 9}  # the root and a city's ancestor, and what nobody asked for
    assert len(seen) > 20
    assert maker.prompts({5: window}, 3)[5].tolist() == maker.prompts({4: window, 5: window}, 3)[5].tolist()
    maker = PromptMaker(table, sizes, 1000, 25, None, 1)
    full = [maker.prompts({5: window}, step)[5].tolist() for step in range(40)]
    assert all(len(each) == 25 and {1, 3} <= set(each) for each in full)
    assert sum(12 in each for each in full) > 36  # the frequent one; by chance it would be some 24
    polar = sum(table.concepts[each].name.startswith("polar ") for some in full for each in some)
    assert polar / 40 - 1 > 5.5  # of seven; by chance four
    assert len(PromptMaker(table, sizes, 9, 25, None, 1).prompts({5: window}, "dev")[5]) == 4


@pytest.mark.parametrize(("architecture", "alpha"), [*((name, -1) for name in ARCHITECTURES), ("zero_span", 0.75)])
def test_the_cut_changes_nothing_and_the_loss_is_that_of_loops(settings: Make, architecture: str, alpha: float) -> None:
    work = prepared(settings(zero_shot={"architecture": architecture, "focal_alpha": alpha}))
    whole = assert_cut_changes_nothing(work, 70)
    assert "gliner.prompt_rep_layer.0.weight" in whole
    assert "gliner.token_rep_layer.bert_layer.model.encoder.layer.0.output.dense.weight" in whole
    assert whole["figures"]["loss"] == pytest.approx(_by_loops(work, (2, 1) if alpha < 0 else (0.75, 0.25)), rel=1e-4)


def _longest_prompt(work: Preparation) -> int:
    """The pieces of the types of the longest prompt of a step with all windows."""
    assert isinstance(work.objective, ZeroShot)
    step = work.objective.begin_step(work.data.windows, np.arange(len(work.data.windows)), 0)
    return max(int(work.objective._sizes[each].sum()) for each in step.prompts.values())


def _by_loops(work: Preparation, weights: tuple[float, float]) -> float:
    """The loss of a step from the heads' scores and the texts' own entities."""
    objective, model = work.objective, work.model.eval()
    assert isinstance(objective, ZeroShot)
    numbers = work.data.numbers_of(0)[:24]
    step = objective.begin_step(work.data.windows, numbers, 1)
    examples = list(map(with_gliner_words, _texts(objective._settings)))
    total, words = 0.0, 0
    for number in numbers.tolist():
        example = examples[int(work.data.windows.sentences[number])]
        names = [objective._table.concepts[each].name for each in step.prompts[number].tolist()]
        scorer = TorchGliner(model.loaded, trains=True)
        head = GlinerHead(scorer, model.gliner.config, model.loaded.pieces)
        asked = head.for_labels([EntityLabel(each) for each in names], [0.5] * len(names))
        assert asked._asked is not None
        ((_, arrays),) = asked.scores(asked.pieces.windows([example], asked._asked.prompt))
        scores = torch.from_numpy(arrays)
        spans = {(each.start, each.end, each.type) for each in example.spans}
        words += len(example.words)
        for start, (first, _) in enumerate(example.words):
            for width in range(min(scores.shape[1], len(example.words) - start)):
                last = example.words[start + width][1]
                for place, name in enumerate(names):
                    if scores.shape[1] == 1:
                        there = any(a <= first < b and name == type_ for a, b, type_ in spans)
                    else:
                        there = (first, last, name) in spans
                    logit = scores[start, width, place].double()
                    loss = torch.nn.functional.softplus(-logit if there else logit)
                    total += float(loss) * weights[not there]
    return total / words


def test_a_new_model_has_the_lstm_and_the_dropout_of_the_settings(settings: Make, tmp_path: Path) -> None:
    given = {"lstm": True, "dropout": 0.4}
    pretrain(settings(max_steps=1, max_eval_samples=4, zero_shot=given), tmp_path / "m")
    config = json.loads((tmp_path / "m" / "gliner_config.json").read_text())
    assert (config["num_rnn_layers"], config["dropout"]) == (1, 0.4)
    again = prepare(own := settings(backbone=str(tmp_path / "m")), make_process_group(own)).model
    assert {
        each.p
        for name, each in again.gliner.named_modules()
        if isinstance(each, torch.nn.Dropout)
        if "bert_layer" not in name
    } == {0.4}
    lstm = {id(each) for name, each in again.named_parameters() if ".rnn." in name}
    assert len(lstm) == 8, "one layer, in both directions"
    assert lstm <= set(map(id, again.own_parameters()))
    prepared(settings(backbone=str(tmp_path / "m"), zero_shot=given))
    with raises(SettingsError, "must be 0.4, or left out", setting="zero_shot.dropout"):
        prepared(settings(backbone=str(tmp_path / "m"), zero_shot={"dropout": 0.0}))
    head = load_gliner(tmp_path / "m").model
    assert all(one.equal(other) for one, other in zip(head.parameters(), again.gliner.parameters(), strict=True))


def test_a_folder_keeps_its_architecture(settings: Make, tmp_path: Path) -> None:
    pretrain(settings(max_steps=1, max_eval_samples=4, zero_shot={"architecture": "zero"}), tmp_path / "m")
    config = json.loads((tmp_path / "m" / "gliner_config.json").read_text())
    assert (config["num_rnn_layers"], config["dropout"]) == (0, 0.1)
    assert load_gliner(tmp_path / "m").model.config.max_width == 1
    single: dict[str, Any] = {"max_width": 0}
    refused: list[tuple[dict[str, Any], str, str]] = [
        ({"zero_shot": single | {"architecture": "bi_encoder"}}, "zero_shot.architecture", "must be 'zero', or left"),
        ({}, "zero_shot.max_width", "= 3: must be 1, or left out"),
        ({"zero_shot": single | {"lstm": True}}, "zero_shot.lstm", "must be left out"),
    ]
    for changes, name, words in refused:
        with raises(SettingsError, words, setting=name):
            prepared(settings(backbone=str(tmp_path / "m"), **changes))
    texts = [settings().of(OpenTypesSettings)]
    with raises(InputError, "only objective = 'zero_shot' trains it on"):
        prepared(settings(backbone=str(tmp_path / "m"), objective="concepts", sections=texts))
    (tmp_path / "m" / "gliner_config.json").write_text(json.dumps(config | {"subtoken_pooling": "mean"}))
    with raises(SettingsError, "reads the mean of a word's subwords: nerbert tags with it, but"):
        prepared(settings(backbone=str(tmp_path / "m")))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"tagging": {"label_smoothing": 0.1}}, "tagging.label_smoothing"),
        ({"zero_shot": {"max_width": 1}}, "zero_shot.max_width"),
        ({"open_types": {"files": [], "dev": ["open.jsonl"]}, "corpus": "c"}, "open_types.dev"),
        ({"open_types": {"files": ["open.jsonl"], "language": "german"}}, "open_types.language"),
        ({"open_types": {"files": ["open.jsonl"], "language": "de"}, "corpus": "c"}, "open_types.language"),
    ],
)
def test_settings_that_do_not_go_together(settings: Make, changes: dict[str, Any], name: str) -> None:
    with raises(SettingsError, setting=name):
        prepared(settings(**changes))


def test_the_settings_of_nuner_zero_span_make_a_bi_encoder_too(settings: Make, tmp_path: Path) -> None:
    changes = ["zero_shot.architecture=bi_encoder"]
    published = load_settings(PretrainSettings, Path("configs/nuner_zero_span.toml"), changes).of(ZeroShotSettings)
    made = settings(max_steps=1, max_eval_samples=4, zero_shot=asdict(published))
    pretrain(made, tmp_path / "m")
    assert json.loads((tmp_path / "m" / "gliner_config.json").read_text())["num_rnn_layers"] == 0
    assert prepared(replace(made, backbone=str(tmp_path / "m"))).model.gliner.config.architecture == "bi_encoder"


@pytest.mark.parametrize("architecture", ["zero_span", "bi_encoder"])
def test_layers_above_the_encoders_are_new(settings: Make, architecture: str) -> None:
    work = prepared(settings(zero_shot={"architecture": architecture}))
    new = {id(each) for each in work.objective.new_parameters(work.model)}
    encoders = ("gliner.token_rep_layer.bert_layer.", "gliner.token_rep_layer.labels_encoder.")
    for name, each in work.model.named_parameters():
        assert (id(each) in new) != name.startswith(encoders), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_saved_scores_as_in_training(settings: Make, architecture: str, tmp_path: Path) -> None:
    log = pretrain(settings(zero_shot={"architecture": architecture}, epochs=2, max_eval_samples=4), tmp_path / "m")
    assert log.entries[-1]["loss"] < log.entries[0]["loss"]
    card = read_card(str(tmp_path / "m"))
    assert (card["architecture"], card["head"], card["labels"]) == (architecture, "gliner", "normalised")
    assert card["validation"].keys() == {"f1", "f1_at_half", "threshold"}
    own = {"architecture": architecture, "max_width": 0 if architecture == "zero" else 3}
    config = load_gliner(tmp_path / "m").model.config
    work = prepared(settings(backbone=str(tmp_path / "m"), zero_shot={"max_types": 40, **own}))
    model = work.model.eval()
    if architecture != "bi_encoder":
        assert (config.max_types, config.max_prompt_len) == (25, _longest_prompt(work))
        assert (model.gliner.config.max_types, model.gliner.config.max_prompt_len) == (40, config.max_prompt_len)
    numbers = np.array([3, 4])
    step = work.objective.begin_step(work.data.windows, numbers, 7)  # type: ignore[attr-defined]
    (made,) = batches_of(work.data.windows, numbers, 9999, "cpu", work.data.pad_id)
    batch = work.objective.prepare(made, 7, step)  # type: ignore[attr-defined]
    assert isinstance(batch, ZeroShotBatch)
    tagger = Tagger.load(tmp_path / "m", device="cpu", precision="fp32")
    examples = list(map(with_gliner_words, _texts(settings())))
    with torch.inference_mode(), work.objective.step_pass(model, step):  # type: ignore[attr-defined]
        vectors = (
            None
            if step.vectors is None
            else [step.vectors[torch.from_numpy(np.searchsorted(step.used, each))] for each in batch.asked]
        )
        trained = list(model.scores(batch, vectors))
    for number, asked, scores in zip(batch.numbers.tolist(), batch.asked, trained, strict=True):
        labels = [work.objective._table.concepts[each].name.upper() for each in asked]  # type: ignore[attr-defined]
        head = tagger.with_labels(labels).head
        assert isinstance(head, GlinerHead)
        assert head._asked is not None
        example = examples[int(work.data.windows.sentences[number])]
        ((_, found),) = head.scores(head.pieces.windows([example], head._asked.prompt))
        assert scores.shape == found.shape
        assert torch.allclose(scores, torch.from_numpy(found), atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_new_model_expects_spans_of_no_type(settings: Make, architecture: str) -> None:
    work = prepared(settings(zero_shot={"architecture": architecture}))
    model, numbers = work.model.eval(), work.data.numbers_of(0)[:8]
    step = work.objective.begin_step(work.data.windows, numbers, 1)  # type: ignore[attr-defined]
    (made,) = batches_of(work.data.windows, numbers, 9999, "cpu", work.data.pad_id)
    batch = work.objective.prepare(made, 1, step)  # type: ignore[attr-defined]
    assert isinstance(batch, ZeroShotBatch)
    with torch.inference_mode(), work.objective.step_pass(model, step):  # type: ignore[attr-defined]
        scores = torch.cat([each.flatten() for each in scores_of(model, batch)])
    probabilities = torch.sigmoid(scores[scores.isfinite()])
    assert 0.005 < float(probabilities.median()) < 0.02
    assert float(probabilities.max()) < 0.1
    assert not {"id2label", "_name_or_path"} & model.gliner.config.encoder_config.keys()


@pytest.mark.parametrize(
    ("architecture", "words"),
    [("zero_span", "type 'city': with its description takes 1,"), ("bi_encoder", "label 'city: a large town")],
)
def test_a_description_longer_than_the_window_is_named(
    settings: Make, tmp_path: Path, architecture: str, words: str
) -> None:
    rows = [row(number) for number in range(40)]
    rows[7]["entities"][2]["description"] = "a large town " * 400
    changes = {"open_types": {"files": [write(tmp_path / "long.jsonl", rows)]}}
    with raises(InputError, words):
        prepared(settings(zero_shot={"architecture": architecture, "descriptions": True}, **changes))
    prepared(settings(zero_shot={"architecture": architecture}, **changes))


def test_two_thousand_types_fit_and_too_long_entities_are_told(
    settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(number, asked="all") for number in range(50)]
    for number in range(2000):
        rows[number % 50]["entities"].append({"start": 4, "end": 40, "type": f"type number {number}"})
    work = prepared(settings(open_types={"files": [write(tmp_path / "many.jsonl", rows)]}))
    step = work.objective.begin_step(work.data.windows, np.arange(8), 1)  # type: ignore[attr-defined]
    assert max(map(len, step.prompts.values())) <= 25
    assert len(work.objective._table.concepts) == 2003  # type: ignore[attr-defined]
    assert work.facts["lost"] > 500
    told = capsys.readouterr().err
    assert f"{work.facts['lost']:,} of {work.facts['entities']:,} entities are lost: they have more than" in told


def test_a_corpus_gives_types_too(settings: Make, sample_corpus: Path, tiny_encoder: Path) -> None:
    work = prepared(settings(corpus=sample_corpus, backbone=str(tiny_encoder), max_eval_samples=5))
    assert work.facts["entities"] > 100
    assert len(work.objective.begin_step(work.data.windows, work.data.numbers_of(0)[:24], 1).used) > 5  # type: ignore[attr-defined]
    score = work.score(work.model)
    assert score.value == score.figures["f1"] >= score.figures["f1_at_half"]
    assert score.facts.keys() == {"threshold", "calibration"}


def test_dev_files_are_held_out(settings: Make, tmp_path: Path) -> None:
    dev = write(tmp_path / "dev.jsonl", [row(number) for number in range(55, 65)])
    own = settings(open_types={"dev": [dev]}).of(OpenTypesSettings)
    found = OpenTexts(own).content
    assert {each.text for each in found.held_out} == {row(number)["text"] for number in range(55, 65)}
    assert {each.text for each in OpenTexts(own).examples()} == {row(number)["text"] for number in range(55)}
    assert found.table.sentences == 55
    assert found.facts["dev_files"][0]["file"] == "dev.jsonl"
    with raises(InputError, "setting open_types.dev: "):
        _ = OpenTexts(replace(own, dev=(tmp_path / "none.jsonl",))).content


def test_a_sample_of_the_texts_and_the_most_frequent_types(settings: Make) -> None:
    """NuNER's studies of size and diversity: samples of a seed are nested, and no cache mixes them up."""

    def read(seed: int = 1, **own: int) -> OpenTexts:
        return OpenTexts(settings(open_types=own).of(OpenTypesSettings), seed=seed)

    five, twenty, again, other = (
        {text.text for text in read(seed, sample=size).examples()} for size, seed in ((5, 1), (20, 1), (20, 1), (20, 2))
    )
    assert (len(five), len(twenty), len(other)) == (5, 20, 20)
    assert five < twenty == again != other
    found = read(sample=20, most_types=2).content
    assert (found.table.sentences, found.dropped) == (20, {"rare_category": 20 + len(found.held_out)})
    assert {concept.name for concept in found.table.concepts} == {"city", "polar ship"}
    assert {text.asked for text in found.held_out} == {("city", "polar ship")}
    works = [prepared(settings(open_types={"sample": size}, seed=seed)) for size, seed in ((20, 1), (5, 1), (5, 2))]
    assert [len(work.data.windows) for work in works] == [20, 5, 5]
    assert works[1].data.windows.ids.tobytes() != works[2].data.windows.ids.tobytes()
