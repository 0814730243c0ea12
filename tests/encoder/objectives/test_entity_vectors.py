"""Entities of windows, by the words themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.encoder.objectives.cluster_typing.entity_vectors import EntityPieces, entities_of, vectors_of
from nerbert.encoder.settings import PretrainSettings
from nerbert.labels import tag_names
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer
from nerbert.model.windows import IGNORED, Window, Windows
from nerbert.records import Example, Span
from nerbert.training.batches import TrainingData
from nerbert.words import split_words
from tests.encoder.backbones import tiny_tagging

TYPES = ("person", "ship")
TAGS = tag_names(TYPES)
TEXT = "The Margarethe was built by Larsen Andersen in Tromsø"
SPANS = [(4, 14, "ship"), (28, 43, "person")]


def example(text: str = TEXT, spans: Any = SPANS) -> Example:
    found = tuple(Span(start, end, type_, text[start:end]) for start, end, type_ in spans)
    return Example(text, tuple(split_words(text)), found)


def pieces_of(tokenizer: Any, longest: int = 64, **more: Any) -> SubwordTokenizer:
    config = tiny_tagging("bert", len(tokenizer), pad_token_id=tokenizer.pad_token_id).config
    return SubwordTokenizer(tokenizer, config, longest, **more)


def read(tokenizer: Any, windows: Windows, found: EntityPieces) -> list[str]:
    """The text of each entity, by its pieces."""
    starts = [0, *windows.ends.tolist()]
    return [tokenizer.decode(windows.ids[starts[row] + first : starts[row] + end].tolist()).strip()
            for row, first, end in zip(found.rows, found.firsts, found.ends, strict=True)]  # fmt: skip


@pytest.mark.parametrize("kind", ["wordpiece", "byte-level", "unigram"])
@pytest.mark.parametrize("further", [False, True])
def test_an_entity_has_all_pieces_of_its_words(tokenizers: dict[str, Any], kind: str, further: bool) -> None:
    tokenizer = tokenizers[kind]
    last = "Tromsø saw Larsen"
    examples = [example(), example(last, [(0, 6, "ship"), (11, 17, "person")]), example("None .", [])]
    pieces = pieces_of(tokenizer, further=further)
    windows = Windows.pack(pieces.windows(examples, BioLabels(TAGS)))
    found = EntityPieces.of(windows, np.arange(3), len(pieces._after))
    assert read(tokenizer, windows, found) == ["Margarethe", "Larsen Andersen", "Tromsø", "Larsen"]
    assert [TAGS[label][0] for label in windows.labels[found.terms]] == ["B"] * 4


def test_some_windows_in_any_order_have_their_own(tokenizers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizers["wordpiece"]
    windows = Windows.pack(pieces_of(tokenizer).windows([example(), example("No .", []), example()], BioLabels(TAGS)))
    whole, some = (EntityPieces.of(windows, np.array(each), 1) for each in ([0, 1, 2], [2, 1, 2]))
    assert some.terms.tolist() == [*whole.terms[2:], *whole.terms[2:]]
    assert some.rows.tolist() == [0, 0, 2, 2]
    assert some.firsts.tolist() == whole.firsts.tolist()
    for scanned in (1000, 2, 1):  # windows that are looked through at once
        monkeypatch.setattr("nerbert.encoder.objectives.cluster_typing.entity_vectors._SCANNED", scanned)
        homes, terms = entities_of(windows, np.array([0, 1, 2]), 1)
        assert homes.tolist() == [0, 0, 2, 2]
        assert terms.tolist() == whole.terms.tolist()
    empty = Windows.pack([Window(0, (2, 9, 3), (0,), (1,), (0,)), Window(1, (2, 3), (), (), ())])
    for numbers in ([0, 1], [1], []):
        assert len(EntityPieces.of(empty, np.array(numbers, int), 1)) == 0


def test_an_entity_that_a_window_cuts_is_of_the_window_where_it_begins(tokenizers: dict[str, Any]) -> None:
    """Each window has whole words of its entities; no piece is counted that is read elsewhere."""
    text = " ".join(["Larsen"] * 40)
    tokenizer = tokenizers["wordpiece"]
    pieces = pieces_of(tokenizer, 16)
    windows = Windows.pack(pieces.windows([example(text, [(0, len(text), "person")])], BioLabels(TAGS)))
    assert len(windows) > 3
    found = EntityPieces.of(windows, np.arange(len(windows)), 1)
    assert found.rows.tolist() == [0]
    own = windows.positions[: windows.word_ends[0]]
    assert (found.firsts[0], found.ends[0]) == (own[0], own[-1] + 1)
    assert found.ends[0] < windows.ends[0] - 1


def test_neighbours_types_and_shared_pieces() -> None:
    b, i, b2, i2 = (TAGS.index(tag) for tag in ("B-person", "I-person", "B-ship", "I-ship"))
    rows = [
        (b, b, i, b2, i, i2), (i, b, i2, 0, b2, i2), (b, IGNORED, i, 0), (IGNORED, 0, b),
    ]  # fmt: skip
    places = [(1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6), (1, 1, 2, 3), (1, 2, 4)]
    windows = Windows.pack(
        Window(number, (2, *[9] * 7, 3), tuple(range(len(labels))), columns, labels)
        for number, (labels, columns) in enumerate(zip(rows, places, strict=True))
    )
    found = EntityPieces.of(windows, np.arange(4), 1)
    spans = list(zip(found.rows.tolist(), found.firsts.tolist(), found.ends.tolist(), strict=True))
    assert spans == [(0, 1, 2), (0, 2, 4), (0, 4, 5), (1, 2, 3), (1, 5, 8), (2, 1, 3), (3, 4, 8)]


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_vectors_are_sums_of_last_states_window_by_window(tokenizers: dict[str, Any], kind: str) -> None:
    tokenizer = tokenizers["wordpiece"]
    model = tiny_tagging(kind, len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    examples = [example(), example("Tromsø saw Larsen", [(11, 17, "person")]), example("None .", [])] * 3
    pieces = SubwordTokenizer(tokenizer, model.config, 64)
    windows = Windows.pack(pieces.windows(examples, BioLabels(TAGS)))
    data, settings = TrainingData(windows, lambda _: np.arange(9), pieces.pad_id), settings_of(40)
    homes, terms = entities_of(windows, np.arange(9), 1)
    some = np.array([0, 2, 3, 7])
    found = vectors_of(model, data, homes[some], terms[some], 1, settings)
    entities, starts, wanted = EntityPieces.of(windows, np.arange(9), 1), [0, *windows.ends.tolist()], []
    for row, first, end in zip(entities.rows, entities.firsts, entities.ends, strict=True):
        ids = torch.tensor(windows.ids[starts[row] : starts[row + 1]].astype(int))[None]
        with torch.no_grad():
            states = model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        wanted.append(states[first:end].sum(0).numpy())
    np.testing.assert_allclose(found, np.array(wanted)[some], rtol=1e-4, atol=1e-4)


def settings_of(most: int) -> PretrainSettings:
    return PretrainSettings(corpus=(Path("_"),), precision="fp32", max_tokens_per_batch=most)
