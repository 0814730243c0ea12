"""A fine-tuned model is averaged with its start, where that finds entities already."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nerbert import example
from nerbert.data.splits import DataSet
from nerbert.errors import SettingsError
from nerbert.finetuning.averaging import WeightAverage, choose_share
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import Finetuned, source_settings, train_tagger
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.metrics.score import score_spans
from nerbert.model.concept_encoder import open_concepts
from nerbert.render.cards import tagger_card
from nerbert.training.sections import make_settings
from tests.encoder.objectives.test_names import NAMES
from tests.finetuning.test_data import EXAMPLES, SETTINGS, start_of
from tests.fixtures import Once
from tests.raised import raises
from tests.stages import finetune

SHIPS = [example("The Margarethe sailed", [(4, 14, "ship")]), example("Larsen & Holm", [(0, 13, "person")])]
PORT = example("The Margarethe left Oslo", [(4, 14, "ship"), (20, 24, "port")])


@pytest.fixture(scope="module")
def names(once: Once) -> str:
    """A small folder of the objective `names`."""
    return str(start_of(once, "names", NAMES) / "m")


@pytest.fixture(scope="module")
def tagger(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tagger of ships and persons."""
    (folder,) = finetune(str(tiny_encoder), SHIPS, tmp_path_factory.mktemp("tagger") / "old", settings())
    return str(folder)


def settings(**changes: Any) -> FinetuneSettings:
    return make_settings(FinetuneSettings, SETTINGS | {"learning_rate": 1e-2} | changes)


def tuned(start: str, examples: list[Any], **changes: Any) -> Finetuned:
    return train_tagger(start, Domains(DataSet(Path("data"), examples)), settings(**changes))


def test_each_weight_is_that_share_of_the_way_from_the_start_to_the_trained_one(names: str) -> None:
    start = dict(open_concepts(names).named_parameters())
    trained = dict(tuned(names, EXAMPLES, trained_share=1).model.named_parameters())
    for share in (0, 0.25):
        averaged = dict(tuned(names, EXAMPLES, trained_share=share).model.named_parameters())
        assert averaged.keys() == start.keys() == trained.keys()
        for name, weight in averaged.items():
            assert torch.allclose(weight, torch.lerp(start[name], trained[name], share), atol=1e-6), name
    assert not torch.allclose(start["boundaries.weight"], trained["boundaries.weight"], atol=1e-4)


@pytest.mark.parametrize(
    ("learnt", "sentences", "entities", "share"),
    [(0.4, 4, 8, 0.25), (0.4, 4, 792, 0.5), (0.2, 996, 1992, 0.8), (1, 100, 300, 1), (0, 4, 8, 0.15)],
)
def test_the_share_follows_from_what_is_learnt_and_how_much_there_is_to_learn(
    learnt: float, sentences: int, entities: int, share: float
) -> None:
    """The F1 rises with the share, until the sentences are learnt."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    average = WeightAverage(layer)
    torch.nn.init.ones_(layer.weight)
    average.end_training()

    def f1() -> float:
        return min(1.0, 0.9 * layer.weight.item() / learnt) if learnt else 1.0

    assert choose_share(average, f1, sentences, entities) == pytest.approx(share, abs=0.04)


def test_sentences_with_entities_show_what_is_learnt(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may come after many that have none."""
    checked = list[int]()

    def spy(gold: Any, predicted: Any) -> Any:
        gold = list(gold)
        checked.append(sum(map(len, gold)))
        return score_spans(gold, predicted)

    monkeypatch.setattr("nerbert.finetuning.averaging.score_spans", spy)
    tuned(names, [example("Nothing here.", [])] * 60 + EXAMPLES)
    assert set(checked) == {2 * len(EXAMPLES)}


def test_the_card_has_the_share_that_was_used(names: str) -> None:
    card = tuned(names, EXAMPLES).card
    assert 0.2 <= card["trained_share"] <= 1
    given = tuned(names, EXAMPLES, trained_share=1 / 3).card
    assert given["trained_share"] == 1 / 3
    assert "trained_share" not in tuned(names, EXAMPLES, trained_share=1).card


def test_the_card_says_what_was_averaged(names: str) -> None:
    def text(**changes: Any) -> str:
        done = tuned(names, EXAMPLES, **changes)
        return " ".join(tagger_card(done.card | {"kind": "tagger", "data": {"sha256": {}}}).split())

    assert "a share of 25.00 % comes from the training, the rest from the model it started" in text(trained_share=0.25)
    assert "The training sentences chose it" in text()
    assert "average (WiSE-FT" not in text(trained_share=1)


def test_a_head_that_lacks_a_type_has_nothing_to_be_averaged_with(tiny_encoder: Path, tagger: str) -> None:
    more = [*SHIPS, PORT]
    for start, examples, head in ((str(tiny_encoder), SHIPS, "new"), (tagger, SHIPS, "new"), (tagger, more, "shared")):
        assert "trained_share" not in tuned(start, examples, source_head=head).card
        with raises(SettingsError, "must be 1 or 'auto', since the start doesn't know all", setting="trained_share"):
            tuned(start, examples, source_head=head, trained_share=0.5)


@pytest.mark.parametrize("share", [-0.1, 1.01, "half", True])
def test_what_is_no_share_is_refused(share: Any) -> None:
    with raises(SettingsError, "must be 'auto' or a number, at least 0, at most 1", setting="trained_share"):
        settings(trained_share=share)


def test_a_tagger_of_the_same_types_is_averaged_with(tagger: str) -> None:
    start, averaged = (
        dict(tuned(tagger, SHIPS, source_head="shared", trained_share=share).model.named_parameters())
        for share in (0, 0.5)
    )
    trained = dict(tuned(tagger, SHIPS, source_head="shared", trained_share=1).model.named_parameters())
    assert all(weight.equal(torch.lerp(start[name], trained[name], 0.5)) for name, weight in averaged.items())
    assert 0 < tuned(tagger, SHIPS, source_head="shared").card["trained_share"] < 0.2


def test_a_given_share_is_the_targets_alone() -> None:
    """A source domain comes first, and its start may have a new head."""
    assert source_settings(settings(trained_share=0.3)).trained_share == "auto"
