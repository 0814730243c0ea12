"""The objective `names`: its losses against a plain computation, unknown stretches, resuming, what comes out."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert import Tagger, pretrain
from nerbert.encoder.concept_table import Concept, ConceptTable
from nerbert.encoder.objectives.names import BoundaryLabels, Names, NamesSettings, boundary_tags
from nerbert.encoder.open_texts import OpenExample, OpenTypesSettings
from nerbert.encoder.pretrain import Preparation
from nerbert.encoder.settings import PretrainSettings
from nerbert.labels import spans_from_bio
from nerbert.metrics.calibration import scaling_of
from nerbert.model.backbone import save_model
from nerbert.model.concept_encoder import open_concepts
from nerbert.model.threshold_fit import calibrate_threshold
from nerbert.model.tokenizer import BioLabels
from nerbert.model.windows import IGNORED, Windows
from nerbert.records import Example, Span
from nerbert.training.sections import make_settings
from tests.encoder.objectives.test_concepts import SMALL
from tests.encoder.open_rows import ROWS
from tests.encoder.preparing import assert_cut_changes_nothing, gradients, prepared, written

NAMES: dict[str, Any] = SMALL | {"objective": "names", "wordings": False}


def settings_of(corpus: Path | None, open_file: Path, **more: Any) -> PretrainSettings:
    """Settings on a corpus and open types, cached beside these."""
    folder = open_file.parent / "cache"
    sections = (
        OpenTypesSettings(files=(open_file,)),
        NamesSettings(shared=more.pop("shared", False), temperature=more.pop("temperature", 4.0)),
    )
    values = NAMES | {"cache": str(folder), "sections": sections} | more
    return PretrainSettings(corpus=(corpus,), **values) if corpus else PretrainSettings(**values)


@pytest.fixture(params=[False, True], ids=["two encoders", "one"])
def work(few: Path, open_file: Path, request: pytest.FixtureRequest) -> Preparation:
    """A pre-training on links and open types that is about to start."""
    return prepared(settings_of(few, open_file, shared=request.param))


WORDS = ((0, 4), (5, 7), (8, 12), (13, 17), (18, 22))
TEXT = "Bank of Oslo near Oslo"


def test_of_nested_entities_the_outermost_has_the_tags() -> None:
    spans = (Span(8, 12, "city"), Span(0, 12, "bank"), Span(0, 4, "word"), Span(18, 22, "city"))
    assert boundary_tags(OpenExample(TEXT, WORDS, spans)) == [1, 2, 2, 0, 1]
    assert boundary_tags(OpenExample(TEXT, WORDS)) == [0] * 5
    overlapping = (Span(0, 7, "a"), Span(5, 12, "b"), Span(8, 17, "c"))
    assert boundary_tags(OpenExample(TEXT, WORDS, overlapping)) == [1, 2, 1, 2, 0]


def test_where_nobody_looked_for_anything_no_tag_is_known() -> None:
    table = ConceptTable()
    examples = [OpenExample(TEXT, WORDS, (), asked) for asked in ((), ("city",), None)]
    examples.append(replace(examples[2], partial=True))
    for each in examples:
        table.add_rows(table.word_rows(each))
    labels = BoundaryLabels(table, {}, 0)
    tags = [set(np.array(labels.of(each))[:, 2].tolist()) for each in examples]
    assert tags == [{IGNORED}, {0}, {0}, {3}]


def test_words_of_an_unknown_stretch_have_no_label() -> None:
    table = ConceptTable()
    table.add(Concept("city"))
    spans = (Span(8, 12, "city"), Span(18, 22, "city"))
    example = OpenExample(TEXT, WORDS, spans, unknown=((6, 9), (22, 25)))
    table.add_rows(table.word_rows(example))
    found = BoundaryLabels(table, {}, 0).label_words(example)
    nothing = (IGNORED, 0, IGNORED)
    assert found == [(0, 0, 0), nothing, nothing, (0, 0, 0), (1, (1 << 12) + 1, 1)]
    assert BioLabels(["O", "B-city", "I-city"]).label_words(example) == [0, IGNORED, IGNORED, 0, 1]


def plain_spans(windows: Windows, number: int, rows: list[Any]) -> Iterator[tuple[int, int, set[int], Any]]:
    """The entities of a window by its labels, in another way than the objective's."""
    start = int(windows.word_ends[number - 1]) if number else 0
    labels = np.asarray(windows.labels[start : windows.word_ends[number]])
    for first in range(len(labels)):
        for last in range(first, len(labels)):
            inside = [rows[row][0] if row >= 0 else () for row in labels[first : last + 1, 0].tolist()]
            own = set()
            for concept in set(inside[0]).intersection(*inside):
                begins = [bool(mark >> rows[row][0].index(concept) & 1) for row, mark in labels[first : last + 1, :2]]
                ends = [
                    bool(mark >> (12 + rows[row][0].index(concept)) & 1) for row, mark in labels[first : last + 1, :2]
                ]
                if begins[0] and ends[-1] and not any(begins[1:]) and not any(ends[:-1]):
                    own.add(concept)
            if own:
                yield first, last + 1, own, rows[labels[first, 0]][1]


Vectors = list[tuple[torch.Tensor, set[int], Any]]
"""Vectors with their concepts, and what was asked for there."""


def plain_targets(
    work: Preparation, number: int, rows: list[Any]
) -> tuple[list[tuple[torch.Tensor, float]], Vectors, Vectors]:
    """The losses and weights of a window's tags; the vectors of its entities and of spans found beside these, and of
    words.
    """
    windows, model = work.data.windows, work.model
    pieces = slice(windows.ends[number - 1] if number else 0, windows.ends[number])
    words = slice(windows.word_ends[number - 1] if number else 0, windows.word_ends[number])
    ids = torch.tensor(windows.ids[pieces].astype(int))[None]
    states = model.text(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
    read, labels = states[windows.positions[words].tolist()], np.asarray(windows.labels[words])
    logits, own_rows = model.boundaries(read), labels[:, 0].tolist()
    losses = [
        (-logit.log_softmax(0)[tag % 3], 0.1 if tag == 3 else 1.0)
        for tag, logit in zip(labels[:, 2].tolist(), logits, strict=True)
        if tag >= 0
    ]
    spans = [(read[first:last].mean(0), own, asked) for first, last, own, asked in plain_spans(windows, number, rows)]
    guessed = ["OBI"[each] + ("-x" if each else "") for each in logits.argmax(1).tolist()]
    for first, last, _ in spans_from_bio(guessed):
        of_words = [rows[row] for row in own_rows[first:last]]
        if not any(own for own, _ in of_words):
            spans.append((read[first:last].mean(0), set(), of_words[0][1]))
    every = [(vector, set(rows[row][0]), rows[row][1]) for vector, row in zip(read, own_rows, strict=True) if row >= 0]
    return losses, spans, every


def plain_loss(work: Preparation, vectors: Vectors, concepts: list[int]) -> tuple[torch.Tensor, int]:
    """The sum of vectors' losses, and how many of them have a known concept, without spans that are no entity."""
    model, table = work.model, work.objective._table  # type: ignore[attr-defined]
    names = [model.name_vectors([table.concepts[number].text])[0] for number in concepts]
    losses, count = list[torch.Tensor](), 0
    for vector, own, asked in vectors:
        (has,), (known,) = table.masks([(tuple(sorted(own)), asked)], np.array(concepts))
        count += bool(known.any())
        logits = [vector @ each / model.temperature + model.bias for each in names]
        losses += [
            -torch.nn.functional.logsigmoid(logit if yes else -logit)
            for logit, yes, sure in zip(logits, has, known, strict=True)
            if sure
        ]
    return torch.stack(losses).sum(), count


def test_the_losses_are_plain_means_over_words_and_entities(work: Preparation) -> None:
    """Against loops over words, spans and concepts, in one graph through both encoders; however a step is cut."""
    found = assert_cut_changes_nothing(work)
    reader = "text" if work.model.names is work.model.text else "names"
    assert {"boundaries.weight", f"{reader}.encoder.layer.1.output.dense.weight", "bias"} < found.keys()
    model, windows, objective = work.model.train(), work.data.windows, work.objective
    assert isinstance(objective, Names)
    table, numbers = objective._table, work.data.numbers_of(0)[:24]
    targets = [plain_targets(work, number, list(table.rows)) for number in numbers.tolist()]
    texts = objective.begin_step(windows, numbers, 1).texts
    concepts = [number for number, each in enumerate(table.concepts) if each.text in texts]
    assert len(concepts) == len(texts) > 5
    tags, spans, words = ([each for some in column for each in some] for column in zip(*targets, strict=True))
    assert {weight for _, weight in tags} == {1.0, 0.1}
    boundaries = torch.stack([loss * weight for loss, weight in tags]).sum() / sum(weight for _, weight in tags)
    of_spans, of_words = plain_loss(work, spans, concepts), plain_loss(work, words, concepts)
    gold = plain_loss(work, [each for each in spans if each[1]], concepts)[1]
    assert gold < of_spans[1]
    wanted = {"boundaries": boundaries, "types": of_spans[0] / gold, "words": of_words[0] / of_words[1]}
    for name, loss in wanted.items():
        assert found["figures"][name] == pytest.approx(loss.item(), rel=1e-4)
    model.zero_grad()
    torch.stack([*wanted.values()]).sum().backward()  # type: ignore[no-untyped-call]
    for name, each in model.named_parameters():
        if each.grad is not None:
            torch.testing.assert_close(found[name], each.grad, rtol=2e-3, atol=2e-6)


def test_a_text_of_which_nothing_is_known_has_no_loss(work: Preparation, monkeypatch: pytest.MonkeyPatch) -> None:
    objective, real = work.objective, BoundaryLabels.label_words
    assert isinstance(objective, Names)

    def hidden(self: BoundaryLabels, example: Example) -> Any:
        stretch = ((0, len(example.text)),) if "Fram" in example.text else ()
        return real(self, replace(example, unknown=stretch))

    monkeypatch.setattr(BoundaryLabels, "label_words", hidden)
    examples = [OpenExample(f"Fram {number}.", ((0, 4), (5, 6), (6, 7)), (Span(0, 4, "ship"),)) for number in range(3)]
    examples.append(OpenExample("A boat.", ((0, 1), (2, 6), (6, 7))))
    windows = Windows.pack(work.pieces.windows(examples, objective.labels))
    step = objective.begin_step(windows, np.arange(3), 1)
    assert not any(len(gold) or (outside != -1).any() for gold, _, outside in step.targets.values())


def test_nothing_is_frozen_by_default_and_the_weight_counts(work: Preparation) -> None:
    assert work.num_frozen_layers == 0
    assert all(each.requires_grad for each in work.model.parameters())
    objective = work.objective
    assert isinstance(objective, Names)
    once = gradients(work, 1 << 20)["figures"]
    objective._section = replace(objective._section, boundary_weight=3.0, word_weight=2.0)
    other = gradients(work, 1 << 20)["figures"]
    assert other["boundaries"] == pytest.approx(3 * once["boundaries"])
    assert other["types"] == pytest.approx(once["types"])
    assert other["words"] == pytest.approx(2 * once["words"])


def test_one_encoder_is_frozen_and_written_once(few: Path, open_file: Path, tmp_path: Path) -> None:
    work = prepared(settings_of(few, open_file, shared=True, num_frozen_layers=1))
    assert not any(parameter.requires_grad for parameter in work.model.names.encoder.layer[0].parameters())
    for parameter in work.model.own_parameters().values():
        parameter.data += 1
    save_model(tmp_path, work.model.eval(), work.model.tokenizer)
    assert {path.name for path in (tmp_path / "concepts").iterdir()} == {"concepts.json", "scorer.safetensors"}
    opened = open_concepts(str(tmp_path))
    assert opened.names is opened.text
    assert torch.equal(opened.name_vectors(["ship"]), work.model.name_vectors(["ship"]))
    more = prepared(settings_of(few, open_file, shared=True, backbone=str(tmp_path)))
    for name, parameter in more.model.own_parameters().items():
        torch.testing.assert_close(parameter, work.model.own_parameters()[name])
    other = prepared(settings_of(few, open_file, shared=True, backbone=str(tmp_path), temperature=9.0))
    assert other.model.bias != work.model.bias


@pytest.fixture(scope="module")
def folder(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short pre-training writes."""
    folder = tmp_path_factory.mktemp("names")
    open_file = written(folder / "open.jsonl", ROWS)
    more = {"max_steps": 60, "epochs": 9, "evaluation_steps": 60, "learning_rate": 3e-3}
    pretrain(folder / "e", settings_of(few, open_file, **more))
    return folder / "e"


def test_a_folder_is_a_tagger_and_an_encoder(folder: Path, few: Path) -> None:
    card = json.loads((folder / "nerbert.json").read_text())
    assert card["validation"].keys() == {"f1", "f1_at_half", "threshold"}
    assert card["validation"]["f1"] > 0.05
    assert card["threshold"] == calibrate_threshold(card["validation"]["threshold"], scaling_of(card))
    tagger = Tagger.load(folder, precision="fp32").with_labels(["ship", "city"])
    assert set(tagger.thresholds.values()) == {card["threshold"]}
    assert ("Oslo", "city") in [(span.text, span.type) for span in tagger.tag(ROWS[0]["text"])]
    prepared(PretrainSettings(corpus=(few,), backbone=str(folder), **(SMALL | {"objective": "tagging"})))


def test_a_model_learns_nothing_from_itself_as_teacher(
    folder: Path, open_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second training of minilm: where both answer alike, its gradients are those of the labels alone."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "models" / "minilm"))
    values = {"objective": "taught:Taught", "backbone": str(folder), "taught": {"teacher": str(folder)}}
    work = prepared(make_settings(PretrainSettings, NAMES | values | {"open_types": {"files": [str(open_file)]}}))
    found, objective = gradients(work, 1 << 20), type(work.objective)
    taught = dict.fromkeys(sorted({*objective.parts} - {*Names.parts}), torch.zeros(()))
    assert len(taught) == 3
    assert all(found["figures"][name] > 0 for name in taught)
    monkeypatch.setattr(objective, "loss", lambda self, model, batch: Names.loss(self, model, batch) | taught)
    alone = gradients(work, 1 << 20)
    for name in alone.keys() - {"figures"}:
        torch.testing.assert_close(found[name], alone[name], rtol=1e-3, atol=1e-6)
