"""The objective `concepts`: its loss against a plain computation, how steps are cut, and what it writes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert import pretrain
from nerbert.artifacts import sha256_of, write_json
from nerbert.config import make_settings
from nerbert.encoder.objectives.concepts import Concepts, ConceptsSettings, StepConcepts, concept_loss
from nerbert.encoder.objectives.names import Names
from nerbert.encoder.open_texts import OpenExample, OpenTexts, OpenTypesSettings, is_held_out
from nerbert.encoder.pretrain import Preparation, prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.encoder.synonyms import read_synonyms
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError
from nerbert.model.backbone import load_tokenizer
from nerbert.model.concept_encoder import ConceptModel, open_concepts
from nerbert.model.concept_table import ROOT, Concept, ConceptTable, all_of, class_words
from nerbert.model.forward import Batch
from nerbert.records import Example, Span
from nerbert.training.distributed import make_process_group
from nerbert.training.step import train_step
from nerbert.words import SPLITTER
from tests.encoder.backbones import write_fresh
from tests.encoder.open_rows import ROWS

SMALL: dict[str, Any] = {
    "objective": "concepts", "epochs": 1, "learning_rate": 1e-3, "batch_size": 16, "precision": "fp32", "threads": 1,
    "fresh_num_layers": 2, "fresh_hidden_size": 64, "fresh_vocab_size": 1000, "max_length": 64, "max_eval_samples": 40,
}  # fmt: skip


def texts_of(path: Path, splitter: str = SPLITTER) -> OpenTexts:
    """The texts of a file, cached beside it."""
    return OpenTexts(OpenTypesSettings(files=(path,)), splitter, cache=str(path.parent / "cache"))


def settings_on(path: Path) -> PretrainSettings:
    """Settings on a file alone, cached beside it."""
    return PretrainSettings(cache=str(path.parent / "cache"), sections=(OpenTypesSettings(files=(path,)),), **SMALL)


@pytest.fixture
def table() -> ConceptTable:
    """A table of five concepts and the root."""
    made = ConceptTable()
    for concept in (Concept(ROOT), Concept("city", ancestors=("place",)), Concept("place"), Concept("ship"),
                    Concept("city", "a large town", ("place",)), Concept("harbour")):  # fmt: skip
        made.add(concept)
    return made


def known_of(table: ConceptTable, own: Sequence[int], asked: Sequence[str] | None = None) -> dict[str, int | None]:
    """What is known of a word with some concepts: 1, 0, or None for nothing, by the text of each concept."""
    everything = np.arange(len(table.concepts))
    has, known = table.masks([(tuple(own), None if asked is None else tuple(asked))], everything)
    pairs = zip(table.concepts, has[0].tolist(), known[0].tolist(), strict=True)
    return {concept.text: int(one) if sure else None for concept, one, sure in pairs}


def test_synonyms_ancestors_and_what_nobody_asked_for_are_not_negative(table: ConceptTable) -> None:
    rest = {"ship": 0, "harbour": 0}
    assert known_of(table, []) == {ROOT: 0, "city": 0, "place": 0, "city: a large town": 0, **rest}
    assert known_of(table, [1]) == {ROOT: None, "city": 1, "place": None, "city: a large town": None, **rest}
    assert known_of(table, [2]) == {ROOT: None, "city": None, "place": 1, "city: a large town": None, **rest}
    assert known_of(table, [1, 3]) == known_of(table, [1]) | {"ship": 1}
    nothing = dict.fromkeys(known_of(table, []), None)
    assert known_of(table, [], ["ship"]) == nothing | {"ship": 0}
    assert known_of(table, [1], ["city", "ship"]) == nothing | {"city": 1, "ship": 0}
    assert known_of(table, [0], [ROOT]) == nothing | {ROOT: 1}


def test_a_word_has_the_concepts_of_all_entities_around_it(table: ConceptTable) -> None:
    words = ((0, 4), (5, 7), (8, 12))
    spans = (Span(0, 12, "ship"), Span(8, 12, "city"), Span(0, 4, ROOT))
    rows = table.word_rows(OpenExample("Fram of Oslo", words, spans, ("harbour",)))
    assert rows == [((0, 3), ("harbour",)), ((3,), ("harbour",)), ((1, 3), ("harbour",))]
    assert table.word_rows(Example("Fram of Oslo", words, (Span(0, 4, "X"),)), {"X": ROOT})[0] == ((0,), (ROOT,))
    with pytest.raises(InputError, match="cuts a word"):
        table.word_rows(Example("Fram of Oslo", words, (Span(0, 3, "ship"),)))


def test_two_tables_are_one(table: ConceptTable) -> None:
    other = ConceptTable(sentences=5)
    other.add(Concept("harbour"), 2)
    other.add(Concept("sea"), 3)
    other.add_rows([((0, 1), None), ((1,), ("sea",))])
    table.extend(other)
    assert [each.text for each in table.concepts][-2:] == ["harbour", "sea"]
    assert table.counts[-2:] == [2, 3]
    assert list(table.rows) == [((), None), ((5, 6), None), ((6,), ("sea",))]


def test_a_corpus_tells_nothing_of_types_that_it_has_not(table: ConceptTable) -> None:
    words, other = ((0, 4),), ConceptTable()
    other.add_rows([((other.add(Concept("boat")),), None), ((other.add(Concept("ship")),), None)])
    table.add_rows([((1,), None), ((0,), (ROOT,))])
    table.close()
    table.extend(other)
    (mention,) = table.word_rows(Example("Oslo", words, (Span(0, 4, "City"),)), {"City": "city"})
    (outside,) = table.word_rows(Example("Oslo", words), {})
    (open_,) = table.word_rows(OpenExample("Oslo", words, (Span(0, 4, "ship"),)))
    (empty,) = table.word_rows(OpenExample("Oslo", words))
    assert {mention, outside, open_, empty, ((0,), (ROOT,))} <= set(table.rows)
    assert [each[1] for each in (mention, outside, open_, empty)] == [all_of(0), all_of(0), all_of(1), all_of(1)]
    has, known = table.masks([mention, outside, open_, empty], np.arange(len(table.concepts)))
    boat = len(table.concepts) - 1
    assert table.concepts[boat].name == "boat"
    assert known[:, boat].tolist() == [False, False, True, True]
    assert known[:, 3].tolist() == [True] * 4
    assert known[:, 5].tolist() == [True, True, False, False]
    assert has.sum(1).tolist() == [1, 0, 1, 0]
    assert boat not in table.candidates([mention, outside])


def test_ancestors_are_those_of_the_name() -> None:
    made = ConceptTable()
    for concept in (Concept("image"), Concept("image", "a picture", ("work",)), Concept("work"), Concept("sea")):
        made.add(concept)
    for own in ([0], [1]):
        known = known_of(made, own)
        assert (known["work"], known["sea"]) == (None, 0)
    same = ConceptTable()
    for concept in (Concept("image"), Concept("image", ancestors=("document",)), Concept("document")):
        same.add(concept)
    assert known_of(same, [0]) == {"image": 1, "document": None}


def test_the_expected_number_of_concepts_of_a_step() -> None:
    made = ConceptTable(sentences=100)
    made.add(Concept("often"), 1000)
    made.add(Concept("rare"), 1)
    assert made.expected(10) == pytest.approx(1 + 0.0952, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "words"),
    [("PoliticalParty", "political party"), ("NCAATeamSeason", "ncaa team season"), ("sports_Event", "sports event"),
     ("ENTITY", "entity")],
)  # fmt: skip
def test_classes_in_words(name: str, words: str) -> None:
    assert class_words(name) == words


@pytest.fixture
def work(sample_corpus: Path, tmp_path: Path) -> Preparation:
    """A pre-training that is about to start, without dropout; names are read as they are."""
    settings = PretrainSettings(corpus=(sample_corpus,), wordings=False, cache=str(tmp_path / "cache"), **SMALL)
    made = prepare(settings, make_process_group(settings))
    for each in made.model.modules():
        if isinstance(each, torch.nn.Dropout):
            each.p = 0.0
    return made


def gradients(work: Preparation, most: int, step: Callable[..., Any] = train_step, **named: Any) -> dict[str, Any]:
    """The figures and gradients of a step that is cut into micro-batches of at most some tokens."""
    settings = replace(PretrainSettings(corpus=(Path("_"),), **SMALL), max_tokens_per_batch=most, max_grad_norm=9e5)
    found: dict[str, Any] = {}

    class Keep(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            found.update(
                {name: each.grad.clone() for name, each in work.model.named_parameters() if each.grad is not None}
            )

    optimizer = Keep(work.model.parameters(), 0.0)
    numbers = work.data.numbers_of(0)[:24]
    figures = step(work.model.train(), work.data, numbers, work.objective, optimizer, 0.0, settings,
                   make_process_group(settings), 1)  # fmt: skip
    return found | {"figures": figures}


class TemperedDots(torch.nn.Module):
    """What `concept_loss` asks of a model."""

    def logits(self, vectors: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
        return vectors @ names.T / 0.5 - 1


def test_only_known_concepts_of_a_words_row_are_in_the_loss() -> None:
    names, vectors = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), torch.tensor([[0.5, -0.5], [2.0, 0.25]])
    has, known = (torch.tensor(each, dtype=torch.bool) for each in ([[0, 1, 0], [1, 0, 0]], [[1, 1, 0], [1, 0, 1]]))
    step = StepConcepts([], np.arange(2), known.any(1), has, known, vectors=names)
    model: Any = TemperedDots()
    logits, right = model.logits(vectors, names), {(0, 0): 1, (0, 2): -1, (1, 0): -1, (1, 1): 1}
    wanted = -sum(torch.nn.functional.logsigmoid(sign * logits[place]) for place, sign in right.items())
    torch.testing.assert_close(concept_loss(model, vectors, step, torch.tensor([1, 0])), wanted)
    assert float(concept_loss(model, vectors, replace(step, vectors=None), torch.tensor([1, 0]))) == 0


def test_the_cut_into_micro_batches_changes_nothing(work: Preparation) -> None:
    whole, cut = gradients(work, 1 << 20), gradients(work, 100)
    assert whole["figures"]["concepts"] == cut["figures"]["concepts"] > 5
    assert whole.keys() == cut.keys()
    assert {"bias", "names.encoder.layer.1.output.dense.weight", "text.encoder.layer.1.output.dense.weight"} < set(
        whole
    )
    assert cut["figures"]["loss"] == pytest.approx(whole["figures"]["loss"], rel=1e-5)
    for name in whole.keys() - {"figures"}:
        torch.testing.assert_close(cut[name], whole[name], rtol=1e-3, atol=1e-6)


def test_the_loss_is_the_mean_over_words_of_plain_cross_entropies(work: Preparation) -> None:
    """Against loops over words and concepts, in one graph through both encoders."""
    found = gradients(work, 100)
    model, windows = work.model.train(), work.data.windows
    table, rows = work.objective._table, list(work.objective._table.rows)  # type: ignore[attr-defined]
    numbers = work.data.numbers_of(0)[:24]
    starts = [0, *windows.ends.tolist()], [0, *windows.word_ends.tolist()]
    labelled: list[tuple[torch.Tensor, int]] = []
    for number in numbers.tolist():
        ids = torch.tensor(windows.ids[starts[0][number] : starts[0][number + 1]].astype(int))[None]
        states = model.text(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        words = slice(starts[1][number], starts[1][number + 1])
        labelled += [(states[place], label) for place, label in
                     zip(windows.positions[words].tolist(), windows.labels[words].tolist(), strict=True)]  # fmt: skip
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


def test_the_lower_half_is_frozen_by_default(work: Preparation) -> None:
    trained = {name for name, each in work.model.named_parameters() if each.requires_grad}
    assert not any(".layer.0." in name or ".embeddings." in name for name in trained)
    assert {name.split(".")[0] for name in trained if ".layer.1." in name} == {"text", "names"}
    assert work.num_frozen_layers == 1


def test_too_many_concepts_are_left_out_and_counted(work: Preparation) -> None:
    objective = work.objective
    assert isinstance(objective, Concepts)
    numbers = work.data.numbers_of(0)[:24]
    every = objective.begin_step(work.data.windows, numbers, 1)
    objective._own = replace(objective._own, max_concepts=4)
    some, other = (objective.begin_step(work.data.windows, numbers, step) for step in (1, 2))
    assert set(some.texts) < set(every.texts)
    assert len(some.texts) == 4
    assert some.texts != other.texts
    assert objective.step_figures(some) == {"concepts": 4, "concepts_left_out": len(every.texts) - 4}
    assert objective.begin_step(work.data.windows, numbers, 1).texts == some.texts


def test_a_long_name_does_not_pad_the_short_ones(work: Preparation) -> None:
    names, shapes = ["ship", "in all of the world " * 9, "polar ship", "", "of " * 99], list[torch.Size]()
    model = work.model.eval()
    work.model.names.register_forward_pre_hook(
        lambda _module, _inputs, named: shapes.append(named["input_ids"].shape), with_kwargs=True
    )
    together = model.name_vectors(names)
    assert [shape[0] for shape in shapes] == [3, 2]
    assert shapes[0][1] < 32 < shapes[1][1] == 64
    alone = torch.cat([model.name_vectors([each]) for each in names])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_too_little_memory_for_the_names_is_told_with_the_setting(
    work: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(ConceptModel, "name_vectors", no_memory)
    with pytest.raises(NerbertError, match=r"out of memory.*; try a smaller concepts.max_concepts"):
        gradients(work, 100)


def test_a_projection_follows_the_seed_alone(sample_corpus: Path, tmp_path: Path) -> None:
    named = SMALL | {"cache": str(tmp_path / "cache"), "fresh_hidden_size": 128, "objective": "tagging"}
    write_fresh(PretrainSettings(corpus=(sample_corpus,), **named), tmp_path / "wide")
    found = []
    for seed, state in ((1, 7), (1, 8), (2, 8)):
        torch.manual_seed(state)
        own = ConceptsSettings(backbone=str(tmp_path / "wide"))
        settings = PretrainSettings(corpus=(sample_corpus,), cache=str(tmp_path / "cache"), seed=seed, sections=(own,),
                                    **SMALL)  # fmt: skip
        found.append(prepare(settings, make_process_group(settings)).model.projection.weight)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_both_encoders_come_out(sample_corpus: Path, open_file: Path, tmp_path: Path) -> None:
    settings = PretrainSettings(
        corpus=(sample_corpus,),
        sections=(OpenTypesSettings(files=(open_file,)),),
        cache=str(tmp_path / "cache"),
        **(SMALL | {"max_steps": 3}),
    )
    pretrain(tmp_path / "e", settings)
    card = json.loads((tmp_path / "e" / "nerbert.json").read_text())
    assert card["num_frozen_layers"] == 1
    assert card["open_types"]["files"] == [{"file": "open.jsonl", "sha256": sha256_of(open_file)}]
    assert card["validation"].keys() == {"f1", "f1_at_half", "threshold"}
    assert card["threshold"] == card["validation"]["threshold"]
    assert str(tmp_path) not in (tmp_path / "e" / "nerbert.json").read_text()
    model = open_concepts(str(tmp_path / "e"))
    assert isinstance(model, ConceptModel)
    plain = PretrainSettings(
        corpus=(sample_corpus,), backbone=str(tmp_path / "e"), **(SMALL | {"objective": "tagging"})
    )
    again = prepare(plain, make_process_group(plain)).model.base_model.state_dict()
    assert again.keys() == model.text.state_dict().keys()
    own: dict[str, torch.Tensor] = model.text.state_dict()
    assert all(torch.equal(again[name], each) for name, each in own.items())
    for folder in (tmp_path / "e", tmp_path / "e" / "concepts"):  # names are cut in training; a text must not be
        saved = json.loads((folder / "tokenizer.json").read_text())
        assert (saved["truncation"], saved["padding"]) == (None, None)
        assert "max_length" not in json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer = load_tokenizer(str(tmp_path / "e" / "concepts"))
    assert tokenizer("ship")["input_ids"] == model.tokenizer("ship")["input_ids"]


@pytest.mark.parametrize("objective", [Concepts, Names])
def test_a_run_that_was_stopped_goes_on_as_if_it_never_had(
    open_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: type[Concepts]
) -> None:
    own = {"objective": objective.settings.section, "max_steps": 4, "save_steps": 1, "cache": str(tmp_path / "cache")}
    named = SMALL | own
    settings = PretrainSettings(sections=(OpenTypesSettings(files=(open_file,)),), **named)
    pretrain(tmp_path / "whole", settings)

    def stopping(self: Concepts, windows: Any, numbers: Any, step: int) -> Any:
        if step == 3:
            raise NerbertError("stopped")
        return real(self, windows, numbers, step)

    real = objective.begin_step
    with monkeypatch.context() as patch:
        patch.setattr(objective, "begin_step", stopping)
        with pytest.raises(NerbertError, match="stopped"):
            pretrain(tmp_path / "broken", settings)
    pretrain(tmp_path / "broken", settings)
    for file in ("model.safetensors", "concepts/model.safetensors", "concepts/scorer.safetensors"):
        assert (tmp_path / "broken" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


@pytest.mark.nightly
@pytest.mark.parametrize("objective", ["concepts", "names"])
def test_two_processes_give_the_losses_of_one(
    sample_corpus: Path, open_file: Path, tmp_path: Path, objective: str
) -> None:
    named = SMALL | {"cache": str(tmp_path / "cache"), "objective": "tagging"}
    write_fresh(PretrainSettings(corpus=(sample_corpus,), **named), tmp_path / "b")
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    drops = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "b" / "config.json").write_text(json.dumps(config | drops))
    values = {**SMALL, "objective": objective, "corpus": str(sample_corpus), "backbone": str(tmp_path / "b"),
              "max_steps": 5}  # fmt: skip
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in values.items() if not name.startswith("fresh")]
    (tmp_path / "s.toml").write_text("".join([*lines, f"[open_types]\nfiles = [{json.dumps(str(open_file))}]\n"]))
    losses = []
    for processes in (1, 2):
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = ["-m", "nerbert", "pretrain", str(tmp_path / "s.toml"), "-o", str(tmp_path / f"e{processes}")]
        done = subprocess.run([*torchrun, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        log = (tmp_path / f"e{processes}" / "log.jsonl").read_text().splitlines()
        kept = ("concepts", "boundaries", "types", "loss", "norm", "f1", "threshold")
        losses.append([{name: each[name] for name in kept if name in each} for each in map(json.loads, log)])
    assert len(losses[0]) == 6
    for one, two in zip(*losses, strict=True):
        assert two == pytest.approx(one, rel=1e-4)


def test_what_is_saved_compares_alike(work: Preparation, tmp_path: Path) -> None:
    work.model.bias.data.fill_(-1.5)
    work.model.save_pretrained(tmp_path / "m")
    work.pieces.tokenizer.save_pretrained(tmp_path / "m")
    loaded, model = open_concepts(str(tmp_path / "m")).eval(), work.model.eval()
    ids, none = torch.tensor([[2, 7, 9, 3]]), torch.empty(0)
    batch = Batch(ids, torch.ones_like(ids), torch.tensor([0, 0]), torch.tensor([1, 2]), none, none)
    words = [one.word_vectors(batch) for one in (model, loaded)]
    names = [one.name_vectors(["a ship"]) for one in (model, loaded)]
    assert torch.equal(model.logits(words[0], names[0]), loaded.logits(words[1], names[1]))


def test_open_types_alone(open_file: Path, tmp_path: Path) -> None:
    own = OpenTypesSettings(files=(open_file,), copies=2.5)
    settings = PretrainSettings(
        cache=str(tmp_path / "cache"), sections=(own, ConceptsSettings(descriptions=True)), **SMALL
    )
    made = prepare(settings, make_process_group(settings))
    trained = list(OpenTexts(own, descriptions=True).examples())
    assert made.source.open_types is not None
    assert len(trained) + len(made.source.open_types.held_out) == len(ROWS)
    table = made.source.open_types.table
    assert [each.text for each in table.concepts if "polar" in each.name] == ["polar ship: a ship for ice"]
    assert table.sentences == len(trained)
    assert sum(table.counts) == 3 * len(trained)
    copies = np.bincount(made.data.numbers_of(0), minlength=len(made.data.windows))
    assert set(copies.tolist()) == {2, 3}
    assert {asked for _, asked in table.rows} == {None, ("city", "harbour", "polar ship", "ship")}
    again = prepare(settings, make_process_group(settings))
    assert np.array_equal(again.data.windows.labels, made.data.windows.labels)
    assert again.source.open_types == made.source.open_types
    every = prepare(settings.changed({"open_types": {"asked": "all"}}), make_process_group(settings))
    assert every.source.open_types is not None
    assert {asked for _, asked in every.source.open_types.table.rows} == {None}
    assert every.data.windows.labels.max() < made.data.windows.labels.max()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"objective": "tagging"}, "setting open_types.files: .*objective = 'tagging'.*leave it out"),
     ({"tagging": {"label_smoothing": 0.1}}, "setting tagging.label_smoothing: .*objective = 'concepts'"),
     ({"tagging": {"outside_weight": 0.5}}, "setting tagging.outside_weight: .*objective = 'concepts'"),
     ({"concepts": {"backbone": "/nowhere/e"}}, "setting concepts.backbone: /nowhere/e: no such folder")],
)  # fmt: skip
def test_settings_that_do_not_go_together(
    sample_corpus: Path, open_file: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    named = {"corpus": sample_corpus, "open_types": {"files": [open_file]}, "cache": str(tmp_path / "c")}
    settings = make_settings(PretrainSettings, {**named, **SMALL, **changes})
    with pytest.raises((SettingsError, InputError), match=message):
        prepare(settings, make_process_group(settings))


def test_validation_texts_without_an_entity_are_found_before_the_training(tmp_path: Path) -> None:
    texts = [f"Oslo {number}" for number in range(40)]
    spans = [{"start": 0, "end": 4, "type": "city"}]
    rows = [{"text": text, "entities": [] if is_held_out(text) else spans} for text in texts]
    (tmp_path / "open.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    settings = settings_on(tmp_path / "open.jsonl")
    with pytest.raises(InputError, match="the validation texts have no entity of any type"):
        prepare(settings, make_process_group(settings))


def test_an_entity_is_of_the_words_in_it(tmp_path: Path) -> None:
    edges = {"text": "In  Oslo \u200b.", "entities": [{"start": 3, "end": 9, "type": "city"},
                                                      {"start": 9, "end": 10, "type": "gap"}]}  # fmt: skip
    (tmp_path / "open.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in [*ROWS, edges]))
    texts = texts_of(tmp_path / "open.jsonl")
    found = texts.read()
    assert found.dropped == {"not_in_text": 1}
    assert "gap" not in {each.name for each in found.table.concepts}
    (last,) = [each for each in [*texts.examples(), *found.held_out] if each.text == edges["text"]]
    assert [(each.start, each.end, each.type) for each in last.spans] == [(4, 8, "city")]


def test_texts_of_open_types_are_cut_as_the_corpus_beside_them(tmp_path: Path) -> None:
    text = {"text": "서울에서", "entities": [{"start": 0, "end": 2, "type": "city"}]}
    (tmp_path / "open.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in [*ROWS, text]))
    words = {}
    for splitter in ("unicode-words-1", "unicode-words-2"):
        texts = texts_of(tmp_path / "open.jsonl", splitter)
        every = [*texts.examples(), *texts.read().held_out]
        (words[splitter],) = [each.words for each in every if each.text == text["text"]]
    assert words == {"unicode-words-1": ((0, 2), (2, 4)), "unicode-words-2": ((0, 1), (1, 2), (2, 3), (3, 4))}


def test_another_splitter_has_a_table_of_its_own(tmp_path: Path) -> None:
    """What no other splitter takes for a word is one for GLiNER's."""
    text = {"text": "Oslo \u200b", "entities": [{"start": 5, "end": 6, "type": "gap"}]}
    (tmp_path / "open.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in [*ROWS, text]))
    splitters = ("unicode-words-2", "gliner-words-1")
    found = [texts_of(tmp_path / "open.jsonl", splitter).read() for splitter in splitters]
    assert [each.dropped for each in found] == [{"not_in_text": 1}, {}]


def test_open_types_beside_a_corpus_are_in_its_words(few: Path, tmp_path: Path) -> None:
    """An older corpus and a newer one, in one cache: Korean is in words, or in syllables."""
    rows = [
        {"text": f"서울에서 Fram {number}", "entities": [{"start": 0, "end": 2, "type": "city"}]}
        for number in range(60)
    ]
    (path := tmp_path / "open.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words, held_out = list[int](), 0
    for splitter in ("unicode-words-1", "unicode-words-2"):
        corpus = tmp_path / splitter
        shutil.copytree(few, corpus)
        manifest = json.loads((corpus / "manifest.json").read_text())
        (corpus / "manifest.json").write_text(json.dumps(manifest | {"word_splitter": splitter}))
        settings = PretrainSettings(
            corpus=(corpus,), cache=str(tmp_path / "cache"), sections=(OpenTypesSettings(files=(path,)),), **SMALL
        )
        made = prepare(settings, make_process_group(settings))
        assert made.source.open_types
        held_out = len(made.source.open_types.held_out)
        korean = [each.words for each in made.source.open_types.held_out]
        assert {len(each) for each in korean} == {4 if splitter.endswith("-1") else 6}
        words.append(len(made.data.windows.words))
    assert words[1] - words[0] == 2 * (60 - held_out)


def test_files_of_one_name_and_a_file_twice_are_other_data(tmp_path: Path) -> None:
    paths = []
    for place, rows in (("a", ROWS[:40]), ("b", ROWS)):
        (tmp_path / place).mkdir()
        paths.append(tmp_path / place / "open.jsonl")
        paths[-1].write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    def prepared(*files: Path) -> Preparation:
        settings = PretrainSettings(
            sections=(OpenTypesSettings(files=files),),
            cache=str(tmp_path / "cache"),
            backbone="embedded",
            **{name: each for name, each in SMALL.items() if not name.startswith("fresh")},
        )
        return prepare(settings, make_process_group(settings))

    one, two, twice = (prepared(*files) for files in (paths[1:], paths, [paths[1], paths[1]]))
    assert two.source.open_types is not None
    assert [each["file"] for each in two.source.open_types.files] == ["open.jsonl", "open.jsonl"]
    assert len(one.data.windows) < len(two.data.windows) < len(twice.data.windows)
    assert len({json.dumps(each.identity["open_types"]) for each in (one, two, twice)}) == 3


def test_an_output_around_what_is_read_is_refused(open_file: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "nerbert.json", {})
    settings = settings_on(open_file)
    with pytest.raises(OutputExists, match=r"lies in, or around, the open_types\.files"):
        pretrain(tmp_path, settings, overwrite=True)
    assert open_file.is_file()


def test_neither_corpus_nor_open_types() -> None:
    with pytest.raises(SettingsError, match="setting corpus is missing"):
        prepare(settings := PretrainSettings(objective="concepts"), make_process_group(settings))


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"text": "No entity.", "entities": []}\n' * 30, "no entity to train on"),
     ('{"text": "Oslo", "entities": [{"start": 0, "end": 4, "type": "city"}]}\n', "too few: none is held out"),
     ("Oslo B-city\n", "open.jsonl: seems to be"), ("", "holds no text")],
)  # fmt: skip
def test_files_that_give_nothing(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "open.jsonl"
    path.write_text(content)
    settings = settings_on(path)
    with pytest.raises(InputError, match=message):
        prepare(settings, make_process_group(settings))


def test_of_a_folder_the_file_is_to_be_named(open_file: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    named = open_file.rename(tmp_path / "labels" / "all.jsonl")
    said = rf"setting open_types\.files: .*labels: .*; name a file in it, such as {named}"
    with pytest.raises(InputError, match=said):
        texts_of(named.parent).read()


def test_what_was_only_asked_for_has_the_description_of_others() -> None:
    table = ConceptTable()
    ship, bare, port = (table.add(each) for each in (Concept("ship"), Concept("port"), Concept("port", "of ships")))
    assert table.candidates([((ship,), ("port", "ship", "unknown"))]).tolist() == [ship, port]
    assert table.candidates([((bare,), None)]).tolist() == [bare]


def test_new_layers_are_those_of_neither_encoder(work: Preparation) -> None:
    found = {id(each) for each in work.objective.new_parameters(work.model)}
    names = {name for name, each in work.model.named_parameters() if id(each) in found}
    assert "bias" in names
    assert names == work.model.own_parameters().keys()
