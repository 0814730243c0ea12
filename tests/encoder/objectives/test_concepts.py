"""The objective `concepts`: its loss against a plain computation, how steps are cut, and what it writes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nerbert import pretrain
from nerbert.artifacts import sha256_of
from nerbert.encoder.concept_table import ROOT, Concept, ConceptTable
from nerbert.encoder.data import read_synonyms
from nerbert.encoder.objectives.concepts import Concepts, StepConcepts, concept_loss
from nerbert.encoder.open_texts import OpenExample, OpenTexts, OpenTypesSettings, is_held_out
from nerbert.encoder.pretrain import Preparation
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.metrics.calibration import scaling_of
from nerbert.model.backbone import load_tokenizer
from nerbert.model.concept_encoder import ConceptModel, open_concepts
from nerbert.model.threshold_fit import calibrate_threshold
from nerbert.records import Example, Span
from nerbert.training.sections import change_settings, make_settings
from nerbert.words import SPLITTER
from tests.encoder.backbones import write_fresh
from tests.encoder.open_rows import ROWS, marked
from tests.encoder.preparing import assert_cut_changes_nothing, gradients, prepared, written
from tests.raised import raises, raising

Make = Callable[..., PretrainSettings]
SMALL: dict[str, Any] = {
    "objective": "concepts",
    "epochs": 1,
    "learning_rate": 1e-3,
    "batch_size": 16,
    "precision": "fp32",
    "threads": 1,
    "fresh_num_layers": 2,
    "fresh_hidden_size": 64,
    "fresh_vocab_size": 1000,
    "max_length": 64,
    "max_eval_samples": 40,
}


@pytest.fixture
def table() -> ConceptTable:
    """A table of five concepts and the root."""
    made = ConceptTable()
    for concept in (
        Concept(ROOT),
        Concept("city", ancestors=("place",)),
        Concept("place"),
        Concept("ship"),
        Concept("city", "a large town", ("place",)),
        Concept("harbour"),
    ):
        made.add(concept)
    return made


@pytest.fixture
def settings(few: Path, cache: Path) -> Make:
    """Settings on a corpus, unless it is changed to none."""

    def make(**changes: Any) -> PretrainSettings:
        return make_settings(PretrainSettings, {"corpus": few, "cache": str(cache), **SMALL, **changes})

    return make


def texts_of(path: Path, splitter: str = SPLITTER) -> OpenTexts:
    """The texts of a file, cached beside it."""
    return OpenTexts(OpenTypesSettings(files=(path,)), splitter, cache=str(path.parent / "cache"))


def test_a_word_has_the_concepts_of_all_entities_around_it(table: ConceptTable) -> None:
    words = ((0, 4), (5, 7), (8, 12))
    spans = (Span(0, 12, "ship"), Span(8, 12, "city"), Span(0, 4, ROOT))
    rows = table.word_rows(OpenExample("Fram of Oslo", words, spans, ("harbour",)))
    assert rows == [((0, 3), ("harbour",)), ((3,), ("harbour",)), ((1, 3), ("harbour",))]
    assert table.word_rows(Example("Fram of Oslo", words, (Span(0, 4, "X"),)), {"X": ROOT})[0] == ((0,), (ROOT,))
    with raises(InputError, "cuts a word"):
        table.word_rows(Example("Fram of Oslo", words, (Span(0, 3, "ship"),)))


def test_the_expected_number_of_concepts_of_a_step() -> None:
    made = ConceptTable(sentences=100)
    made.add(Concept("often"), 1000)
    made.add(Concept("rare"), 1)
    assert made.count_expected(10) == pytest.approx(1 + 0.0952, abs=1e-3)


@pytest.fixture
def work(settings: Make) -> Preparation:
    """A pre-training that is about to start; names are read as they are."""
    return prepared(settings(wordings=False))


def test_only_known_concepts_of_a_words_row_are_in_the_loss() -> None:
    names, vectors = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), torch.tensor([[0.5, -0.5], [2.0, 0.25]])
    has, known = (torch.tensor(each, dtype=torch.bool) for each in ([[0, 1, 0], [1, 0, 0]], [[1, 1, 0], [1, 0, 1]]))
    step = StepConcepts([], np.arange(2), known.any(1), has, known, vectors=names)
    model: Any = SimpleNamespace(logits=lambda vectors, names: vectors @ names.T / 0.5 - 1)
    logits, right = model.logits(vectors, names), {(0, 0): 1, (0, 2): -1, (1, 0): -1, (1, 1): 1}
    wanted = -sum(torch.nn.functional.logsigmoid(sign * logits[place]) for place, sign in right.items())
    torch.testing.assert_close(concept_loss(model, vectors, step, torch.tensor([1, 0])), wanted)
    assert float(concept_loss(model, vectors, replace(step, vectors=None), torch.tensor([1, 0]))) == 0


def test_the_loss_is_the_mean_over_words_of_plain_cross_entropies(work: Preparation) -> None:
    """Against loops over words and concepts, in one graph through both encoders; however a step is cut."""
    found = assert_cut_changes_nothing(work)
    assert found["figures"]["concepts"] > 5
    named = {"bias", "names.encoder.layer.1.output.dense.weight", "text.encoder.layer.1.output.dense.weight"}
    assert named < found.keys()
    model, windows = work.model.train(), work.data.windows
    table, rows = work.objective._table, list(work.objective._table.rows)  # type: ignore[attr-defined]
    numbers = work.data.numbers_of(0)[:24]
    starts = [0, *windows.ends.tolist()], [0, *windows.word_ends.tolist()]
    labelled: list[tuple[torch.Tensor, int]] = []
    for number in numbers.tolist():
        ids = torch.tensor(windows.ids[starts[0][number] : starts[0][number + 1]].astype(int))[None]
        states = model.text(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        words = slice(starts[1][number], starts[1][number + 1])
        labelled += [
            (states[place], label)
            for place, label in zip(windows.positions[words].tolist(), windows.labels[words].tolist(), strict=True)
        ]
    step = sorted({each for _, label in labelled if label >= 0 for each in rows[label][0]})
    vectors = {number: model.name_vectors([table.concepts[number].text])[0] for number in step}
    losses = []
    for state, label in labelled:
        own, asked = rows[label]
        mine = {table.concepts[each].name for each in own}
        names = {ROOT} | mine | {name for each in own for name in table.concepts[each].ancestors}
        names |= {each.name for each in table.concepts if mine & {*each.ancestors}}
        names |= {other for name in names for other in read_synonyms().get(name, ())}
        terms = []
        for number in step:
            logit = state @ vectors[number] / model.temperature + model.bias
            if number in own:
                terms.append(-torch.nn.functional.logsigmoid(logit))
            elif not (own and table.concepts[number].name in names) and asked is None:
                terms.append(-torch.nn.functional.logsigmoid(-logit))
        losses.append(torch.stack(terms).sum() if terms else torch.zeros(()))
    mean = torch.stack(losses).mean()
    assert found["figures"]["loss"] == pytest.approx(mean.item(), rel=1e-4)
    model.zero_grad()
    mean.backward()  # type: ignore[no-untyped-call]
    for name, each in model.named_parameters():
        if each.grad is not None and name != "figures":
            torch.testing.assert_close(found[name], each.grad, rtol=2e-3, atol=2e-6)


def test_the_lower_half_is_frozen_and_what_is_of_neither_encoder_is_new(work: Preparation) -> None:
    named = dict(work.model.named_parameters())
    trained = {name for name, each in named.items() if each.requires_grad}
    assert not any(".layer.0." in name or ".embeddings." in name for name in trained)
    assert {name.split(".")[0] for name in trained if ".layer.1." in name} == {"text", "names"}
    assert work.num_frozen_layers == 1
    new = {id(each) for each in work.objective.new_parameters(work.model)}
    names = {name for name, each in named.items() if id(each) in new}
    assert "bias" in names
    assert names == work.model.own_parameters().keys()


def test_too_many_concepts_are_left_out_and_counted(work: Preparation) -> None:
    objective = work.objective
    assert isinstance(objective, Concepts)
    numbers = work.data.numbers_of(0)[:24]
    every = objective.begin_step(work.data.windows, numbers, 1)
    objective._section = replace(objective._section, max_concepts=4)
    some, other = (objective.begin_step(work.data.windows, numbers, step) for step in (1, 2))
    assert set(some.texts) < set(every.texts)
    assert len(some.texts) == 4
    assert some.texts != other.texts
    assert objective.step_figures(some) == {"concepts": 4, "concepts_left_out": len(every.texts) - 4}
    assert objective.begin_step(work.data.windows, numbers, 1).texts == some.texts


def test_a_long_name_does_not_pad_the_short_ones(work: Preparation) -> None:
    names = [*["ship", "polar ship"] * 8, "in all of the world " * 9, "", "of " * 99]
    shapes = list[torch.Size]()
    model = work.model.eval()
    work.model.names.register_forward_pre_hook(
        lambda _module, _inputs, named: shapes.append(named["input_ids"].shape), with_kwargs=True
    )
    together = model.name_vectors(names)
    assert [shape[0] for shape in shapes] == [17, 2]
    assert shapes[0][1] < 32 < shapes[1][1] == 64
    alone = torch.cat([model.name_vectors([each]) for each in names])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_too_little_memory_for_the_names_is_told_with_the_setting(
    work: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_memory = RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")
    monkeypatch.setattr(ConceptModel, "name_vectors", raising(no_memory))
    with raises(NerbertError, "; try a smaller concepts.max_concepts"):
        gradients(work, 100)


def test_a_projection_follows_the_seed_alone(settings: Make, tmp_path: Path) -> None:
    write_fresh(settings(fresh_hidden_size=128, objective="tagging"), wide := tmp_path / "wide")
    found = []
    for seed, state in ((1, 7), (1, 8), (2, 8)):
        torch.manual_seed(state)
        found.append(prepared(settings(seed=seed, concepts={"backbone": str(wide)})).model.projection.weight)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_both_encoders_come_out(settings: Make, open_file: Path, tmp_path: Path) -> None:
    pretrain(tmp_path / "e", settings(open_types={"files": [open_file]}, max_steps=3))
    card = json.loads((tmp_path / "e" / "nerbert.json").read_text())
    assert card["num_frozen_layers"] == 1
    assert card["open_types"]["files"] == [{"file": "open.jsonl", "sha256": sha256_of(open_file)}]
    assert card["validation"].keys() == {"f1", "f1_at_half", "threshold"}
    assert card["threshold"] == calibrate_threshold(card["validation"]["threshold"], scaling_of(card))
    assert str(tmp_path) not in (tmp_path / "e" / "nerbert.json").read_text()
    model = open_concepts(str(tmp_path / "e"))
    assert isinstance(model, ConceptModel)
    again = prepared(settings(backbone=str(tmp_path / "e"), objective="tagging")).model.base_model.state_dict()
    own: dict[str, torch.Tensor] = model.text.state_dict()
    assert again.keys() == own.keys()
    assert all(torch.equal(again[name], each) for name, each in own.items())
    for folder in (tmp_path / "e", tmp_path / "e" / "concepts"):  # names are cut in training; a text must not be
        saved = json.loads((folder / "tokenizer.json").read_text())
        assert (saved["truncation"], saved["padding"]) == (None, None)
        assert "max_length" not in json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer = load_tokenizer(str(tmp_path / "e" / "concepts"))
    assert tokenizer("ship")["input_ids"] == model.tokenizer("ship")["input_ids"]


def test_open_types_alone(settings: Make, open_file: Path) -> None:
    values: dict[str, Any] = {"files": [open_file], "copies": 2.5}
    own = settings(corpus=[], open_types=values, concepts={"descriptions": True})
    work = prepared(own)
    assert work.source.open_texts
    source = work.source.open_texts.content
    trained = list(OpenTexts(own.of(OpenTypesSettings), descriptions=True).examples())
    assert len(trained) + len(source.held_out) == len(ROWS)
    table = source.table
    assert [each.text for each in table.concepts if "polar" in each.name] == ["polar ship: a ship for ice"]
    assert (table.sentences, sum(table.counts)) == (len(trained), 3 * len(trained))
    assert set(np.bincount(work.data.numbers_of(0), minlength=len(work.data.windows)).tolist()) == {2, 3}
    assert {asked for _, asked in table.rows} == {None, ("city", "harbour", "polar ship", "ship")}
    again = prepared(own)
    assert np.array_equal(again.data.windows.labels, work.data.windows.labels)
    every = prepared(change_settings(own, {"open_types": {"asked": "all"}}))
    assert again.source.open_texts
    assert every.source.open_texts
    assert again.source.open_texts.content == source
    assert {asked for _, asked in every.source.open_texts.content.table.rows} == {None}
    assert every.data.windows.labels.max() < work.data.windows.labels.max()


OSLO = [f"Oslo {number}" for number in range(40)]
TRAINED_ALONE = [marked(text, *([] if is_held_out(text) else [("Oslo", "city")])) for text in OSLO]


@pytest.mark.parametrize(
    ("rows", "changes", "kind", "fields", "words"),
    [
        (ROWS, {"objective": "tagging"}, SettingsError, {"setting": "open_types.files"}, "leave it out"),
        (ROWS, {"concepts": {"backbone": "/nowhere/e"}}, InputError, {}, "setting concepts.backbone: /nowhere/e: no "),
        (ROWS, {"corpus": [], "open_types": {}}, SettingsError, {"setting": "corpus"}, "setting corpus is missing"),
        (TRAINED_ALONE, {"corpus": []}, InputError, {}, "the validation texts have no entity of any type"),
        ([marked("No entity.")] * 30, {"corpus": []}, InputError, {}, "no entity to train on"),
        ([marked("Oslo", ("Oslo", "city"))], {"corpus": []}, InputError, {}, "too few: none is held out"),
        ([], {"corpus": []}, InputError, {}, "holds no text"),
    ],
)
def test_messages(
    settings: Make,
    tmp_path: Path,
    rows: list[dict[str, Any]],
    changes: dict[str, Any],
    kind: type[NerbertError],
    fields: dict[str, Any],
    words: str,
) -> None:
    path = written(tmp_path / "open.jsonl", rows)
    with raises(kind, words, **fields):
        prepared(settings(**{"open_types": {"files": [path]}} | changes))


def test_an_entity_is_of_the_words_in_it(tmp_path: Path) -> None:
    """What no other splitter takes for a word is one for GLiNER's."""
    edges = {
        "text": "In  Oslo \u200b.",
        "entities": [{"start": 3, "end": 9, "type": "city"}, {"start": 9, "end": 10, "type": "gap"}],
    }
    texts = texts_of(path := written(tmp_path / "open.jsonl", [*ROWS, edges]))
    found = texts.content
    assert found.dropped == {"not_in_text": 1}
    assert "gap" not in {each.name for each in found.table.concepts}
    (last,) = [each for each in [*texts.examples(), *found.held_out] if each.text == edges["text"]]
    assert [(each.start, each.end, each.type) for each in last.spans] == [(4, 8, "city")]
    assert texts_of(path, "gliner-words-1").content.dropped == {}


def test_an_entity_has_whole_words_and_types_have_other_names(tmp_path: Path) -> None:
    """A model finds whole words, so a joined prefix is part of what it learns to find."""
    hebrew = marked("הם גרים בירושלים", ("ירושלים", "city"), other_names={"City": ["עיר", "Ort"]})
    found = texts_of(written(tmp_path / "open.jsonl", [*ROWS, hebrew]))
    texts = [*found.examples(), *found.content.held_out]
    (last,) = [each for each in texts if each.text == hebrew["text"]]
    assert [(each.start, each.end) for each in last.spans] == [(8, 16)]
    assert found.content.table.wordings == {"city": {"עיר", "ort"}}


def test_open_types_beside_a_corpus_are_in_its_words(settings: Make, few: Path, tmp_path: Path) -> None:
    """An older corpus and a newer one, in one cache: Korean is in words, or in syllables."""
    path = written(tmp_path / "open.jsonl", (marked(f"서울에서 Fram {n}", ("서울", "city")) for n in range(60)))
    words, held_out = list[int](), 0
    for splitter, seoul in (
        ("unicode-words-1", ((0, 4),)),
        ("unicode-words-2", ((0, 1), (1, 2), (2, 3), (3, 4))),
    ):
        corpus = shutil.copytree(few, tmp_path / splitter)
        manifest = json.loads((corpus / "manifest.json").read_text())
        (corpus / "manifest.json").write_text(json.dumps(manifest | {"word_splitter": splitter}))
        made = prepared(settings(corpus=corpus, cache=str(tmp_path / "cache"), open_types={"files": [path]}))
        assert made.source.open_texts
        held_out = len(made.source.open_texts.content.held_out)
        assert {each.words[:-2] for each in made.source.open_texts.content.held_out} == {seoul}
        words.append(len(made.data.windows.words))
    assert words[1] - words[0] == 3 * (60 - held_out)


def test_what_was_only_asked_for_has_the_description_of_others() -> None:
    table = ConceptTable()
    ship, bare, port = (table.add(each) for each in (Concept("ship"), Concept("port"), Concept("port", "of ships")))
    assert table.candidates([((ship,), ("port", "ship", "unknown"))]).tolist() == [ship, port]
    assert table.candidates([((bare,), None)]).tolist() == [bare]
