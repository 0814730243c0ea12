"""Heads that start from names: whose vectors, which rows, and what stays as it was drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.errors import SettingsError
from nerbert.model.backbone import Backbone, load_tokenizer, save_model
from nerbert.model.concept_encoder import ConceptModel
from nerbert.model.forward import Batch, logits_at
from nerbert.model.fresh import train_tokenizer
from nerbert.model.name_head import start_from_names, type_words
from nerbert.model.windows import Window, Windows
from nerbert.training.loop import collate
from nerbert.training.tagging import Tagging, TaggingSettings
from tests.encoder.backbones import tiny_config, tiny_tagging

TYPES = ["City", "MISC", "PER", "PolarShip", "ship"]
WORDS = {"City": "city", "PER": "person", "PolarShip": "polar ship", "ship": "ship"}
TEXTS = ["person city ship polar organisation", "abcdefghijklmnopqrstuvwxyz"] * 3
WIDTH = 32

Made = Callable[..., str]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """One that knows the letters of the alphabet, no capitals."""
    return train_tokenizer(TEXTS, 120)


@pytest.fixture
def encoder(tmp_path: Path, tokenizer: Any) -> Made:
    """Write an encoder of a type, with weights that are no first ones."""

    def make(kind: str = "bert", **shape: Any) -> str:
        model = tiny_tagging(kind, len(tokenizer), **shape)
        with torch.no_grad():
            for each in model.parameters():
                each.add_(torch.randn_like(each) * 0.1)
        save_model(tmp_path / "encoder", model, tokenizer)
        return str(tmp_path / "encoder")

    return make


@pytest.fixture
def concepts(tmp_path: Path, tokenizer: Any) -> tuple[str, ConceptModel]:
    """A text encoder and a concept encoder of another width, written and in memory."""
    from transformers import AutoModel

    torch.manual_seed(5)
    text, names = (
        AutoModel.from_config(
            tiny_config("bert", len(tokenizer), hidden_size=each, initializer_range=1.0), add_pooling_layer=False
        )
        for each in (WIDTH, 48)
    )
    both = ConceptModel(text, names, tokenizer, temperature=0.4, bias=-1.5).eval()
    save_model(tmp_path / "both", both, tokenizer)
    return str(tmp_path / "both"), both


@pytest.fixture
def batch() -> Batch:
    """Two sentences, one of them padded."""
    rows = [Window(0, (2, 7, 8, 9, 3), (0, 1, 2), (1, 3, 3), (0, 1, 1)), Window(1, (2, 11, 3), (0,), (1,), (0,))]
    return collate(Windows.pack(rows), np.arange(2), 0)


def fresh(source: str, types: Any = TYPES, layer: int = 0, layers: int = 0) -> tuple[Any, Backbone]:
    """A new tagger, and what it is made of."""
    backbone = Backbone(source, load_tokenizer(source), 1, layers)
    return Tagging(types, TaggingSettings(joined_layer=layer)).make_model(backbone), backbone


def head(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return model.classifier.weight.detach().clone(), model.classifier.bias.detach().clone()


def test_names_are_read_in_words() -> None:
    read = {
        "PoliticalParty": "political party", "politicalparty": "politicalparty", "RATINGS_AVERAGE": "ratings average",
        "PER": "person", "org": "organisation", "Organization": "organisation", "LOC": "location",
        "person-actor": "person-actor", "MISC": "", "Miscellaneous": "", "misc": "", "OTHER": "", "Else": "", "_": "",
    }  # fmt: skip
    assert {type_: type_words(type_) for type_ in read} == read


@pytest.mark.parametrize("layer", [0, 1])
def test_with_a_concept_encoder_the_tagger_starts_as_the_zero_shot_one(
    concepts: tuple[str, ConceptModel], batch: Batch, layer: int
) -> None:
    source, both = concepts
    model, backbone = fresh(source, layer=layer)
    with torch.no_grad():
        drawn = logits_at(model.eval(), batch)
    fact = start_from_names(model, backbone)
    assert fact == {"head_names": {"reader": "concepts", "types": WORDS}}
    with torch.no_grad():
        added = logits_at(model, batch) - drawn
        wanted = both.logits(both.word_vectors(batch), both.name_vectors([*WORDS.values()]))
    zero = torch.zeros(len(added), 1)
    city, person, polar_ship, ship = (wanted[:, each : each + 1] for each in range(4))
    columns = [zero, city, city, zero - 1.5, zero - 1.5, person, person, polar_ship, polar_ship, ship, ship]
    torch.testing.assert_close(added, torch.cat(columns, 1), rtol=1e-4, atol=1e-4)


def test_of_fewer_layers_the_encoder_reads_the_names_itself(concepts: tuple[str, ConceptModel]) -> None:
    model, backbone = fresh(concepts[0], layers=1)
    assert start_from_names(model, backbone)["head_names"]["reader"] == "encoder"
    model, backbone = fresh(concepts[0], layers=2)
    assert start_from_names(model, backbone)["head_names"]["reader"] == "concepts"


@pytest.mark.parametrize(("kind", "layer"), [("bert", 0), ("bert", 1), ("modernbert", 0), ("deberta-v2", 0)])
def test_another_encoder_reads_the_names_itself(kind: str, layer: int, encoder: Made, tokenizer: Any) -> None:
    model, backbone = fresh(encoder(kind), layer=layer)
    (drawn, _), fact = head(model), start_from_names(model, backbone)
    assert fact == {"head_names": {"reader": "encoder", "types": WORDS}}
    weights, biases = head(model)
    means = []
    with torch.no_grad():
        for name in WORDS.values():
            ids = tokenizer(name, return_tensors="pt")["input_ids"]
            found = model.base_model(input_ids=ids, output_hidden_states=True)
            states = torch.cat([found[0], found.hidden_states[layer]], -1) if layer else found[0]
            means.append((model.head(states) if kind == "modernbert" else states)[0].mean(0))
    lengths = torch.stack(means).norm(dim=1, keepdim=True)
    vectors = 8 * torch.stack(means) / lengths / lengths.mean()
    added = torch.zeros_like(weights)
    for first in (1, 2):
        added[[first, first + 4, first + 6, first + 8]] = vectors
    torch.testing.assert_close(weights - drawn, added, rtol=1e-4, atol=1e-5)
    assert not biases.any()


def test_names_that_are_equal_have_one_vector(encoder: Made) -> None:
    model, backbone = fresh(encoder(), ["PER", "Person", "PolarShip", "city", "polar_ship"])
    drawn, _ = head(model)
    types = start_from_names(model, backbone)["head_names"]["types"]
    assert types == {"PER": "person", "Person": "person", "PolarShip": "polar ship", "city": "city",
                     "polar_ship": "polar ship"}  # fmt: skip
    added = head(model)[0] - drawn
    torch.testing.assert_close(added[[1, 5]], added[[3, 9]])
    assert not torch.allclose(added[1], added[5], atol=1e-3)


@pytest.mark.parametrize("types", [["MISC", "other"], ["北京", "大学"]])
def test_a_head_without_names_stays_as_drawn(encoder: Made, types: list[str]) -> None:
    model, backbone = fresh(encoder(), types)
    before, fact = head(model), start_from_names(model, backbone)
    assert fact == {}
    assert all(one.equal(other) for one, other in zip(before, head(model), strict=True))


def test_names_of_no_known_subword_stay_as_drawn(encoder: Made, concepts: tuple[str, ConceptModel]) -> None:
    for source in (encoder(), concepts[0]):
        model, backbone = fresh(source, ["city", "ship", "北京"])
        (drawn, _), fact = head(model), start_from_names(model, backbone)
        assert list(fact["head_names"]["types"]) == ["city", "ship"]
        assert head(model)[0][5:].equal(drawn[5:])
    model, backbone = fresh(concepts[0], ["ship"])
    assert start_from_names(model, backbone)["head_names"] == {"reader": "concepts", "types": {"ship": "ship"}}
    model, backbone = fresh(concepts[0], ["北京"])
    assert start_from_names(model, backbone) == {}


def test_types_that_keep_their_rows(encoder: Made) -> None:
    model, backbone = fresh(encoder())
    drawn, _ = head(model)
    fact = start_from_names(model, backbone, ["City"])
    assert list(fact["head_names"]["types"]) == ["PER", "PolarShip", "ship"]
    weights, _ = head(model)
    assert weights[:5].equal(drawn[:5])
    assert not (weights[5:] == drawn[5:]).any()


def test_long_names_are_cut_and_the_tokenizer_is_not(encoder: Made, tmp_path: Path) -> None:
    source = encoder(max_position_embeddings=16)
    model, backbone = fresh(source, ["ship", "polar " * 30 + "ship"])
    assert start_from_names(model, backbone)["head_names"]["reader"] == "encoder"
    save_model(tmp_path, model, backbone.tokenizer)
    assert len(load_tokenizer(str(tmp_path))("polar " * 30)["input_ids"]) > 16


def test_a_head_without_a_layer_over_labels_is_refused(encoder: Made) -> None:
    model, backbone = fresh(encoder())
    model.classifier = torch.nn.Identity()
    with pytest.raises(SettingsError, match="head = 'names': the head has no linear layer over labels") as caught:
        start_from_names(model, backbone)
    assert caught.value.setting == "head"
