"""Typing by clusters: the loss by hand, an epoch's start, stopped runs; clusters and entities against definitions."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nerbert_papers.cluster_typing as module
from nerbert import pretrain
from nerbert.encoder.pretrain import Preparation
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.labels import tag_names
from nerbert.model.backbone import load_tokenizer
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer
from nerbert.model.windows import IGNORED, Window, Windows
from nerbert.records import Example, Span
from nerbert.rng import Array
from nerbert.training.batches import TrainingData, collate
from nerbert.training.distributed import make_process_group
from nerbert.training.objective import FINETUNE, EpochColumns
from nerbert.training.sections import change_settings, chosen_objective, make_settings
from nerbert.training.tagging import TokenClassification
from nerbert.words import split_words
from nerbert_papers.cluster_typing import (
    Clustering,
    ClusterTyping,
    EntityPieces,
    TypingSettings,
    entities_of,
    match_clusters,
    rand_index,
    vectors_of,
    weights_of,
)
from tests.encoder.backbones import load_tagging_model, tiny_tagging
from tests.encoder.preparing import assert_cut_changes_nothing, by_two_processes, prepared
from tests.raised import raises

pytestmark = pytest.mark.extras
SMALL: dict[str, Any] = {
    "objective": "typing",
    "typing": {"num_clusters": 6, "dimensions": 4, "weight": 0.5},
    "learning_rate": 5e-3,
    "batch_size": 64,
    "precision": "fp32",
    "threads": 1,
    "fresh_num_layers": 1,
    "fresh_hidden_size": 64,
    "fresh_vocab_size": 1500,
    "max_length": 64,
    "max_eval_samples": 20,
}


@pytest.fixture
def settings(few: Path, cache: Path) -> PretrainSettings:
    return make_settings(PretrainSettings, {"corpus": few, "cache": str(cache), **SMALL})


@pytest.fixture
def work(settings: PretrainSettings) -> Preparation:
    """A pre-training that is about to start, without dropout."""
    made = prepared(settings)
    made.model.eval()
    return made


def begin(work: Preparation, epoch: int = 0, before: Any = None, processes: Any = None) -> EpochColumns:
    group = processes or make_process_group(PretrainSettings(corpus=(Path("_"),), precision="fp32", threads=1))
    assert isinstance(work.objective, ClusterTyping)
    return work.objective.begin_epoch(work.model, work.data, epoch, before or {}, group)


def batch_of(work: Preparation, numbers: Any) -> Any:
    batch = collate(work.data.windows, np.array(numbers), work.data.pad_id)
    assert isinstance(work.objective, ClusterTyping)
    return work.objective.prepare(batch, 1, work.objective.begin_step(work.data.windows, np.array(numbers), 1))


def test_an_epoch_gives_each_entity_a_cluster_where_it_begins(work: Preparation) -> None:
    begun = begin(work)
    clusters, windows = begun.columns["clusters"], work.data.windows
    assert (clusters.dtype, clusters.shape) == (np.int32, windows.labels.shape)
    trained = np.unique(work.data.numbers_of(0))
    counts = np.diff(windows.word_ends, prepend=0)
    own = np.flatnonzero(np.isin(np.repeat(np.arange(len(windows)), counts), trained))
    begins = own[windows.labels[own] % 2 == 1]
    assert np.flatnonzero(clusters >= 0).tolist() == begins.tolist()
    assert set(clusters[begins].tolist()) == set(range(6))
    assert begun.figures["entities"] == len(begins)
    assert begun.figures["clusters"] == 6
    assert "rand_index" not in begun.figures


def test_clusters_keep_their_numbers(work: Preparation) -> None:
    """Another epoch draws other centres first; the entities of one cluster stay its own, whatever k-means says."""
    first = begin(work)
    again = begin(work, 1, first.columns)
    one, other = (each.columns["clusters"] for each in (first, again))
    anew = begin(work, 1).columns["clusters"]
    assert rand_index(anew[one >= 0], other[one >= 0]) == {"rand_index": 1}
    assert (one == other)[one >= 0].mean() > (one == anew)[one >= 0].mean()
    assert again.figures["rand_index"] == pytest.approx(rand_index(one[one >= 0], other[one >= 0])["rand_index"])


def test_few_fitted_entities_are_enough_for_all(settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What isn't in the sample has the nearest centre of those that the sample has."""
    work, fitted = prepared(change_settings(settings, {"typing": {"sample": 100}})), list[Clustering]()
    real = Clustering.fit

    def fit(vectors: Any, *more: Any) -> Clustering:
        assert len(vectors) == 100
        fitted.append(real(vectors, *more))
        return fitted[-1]

    monkeypatch.setattr(Clustering, "fit", fit)
    clusters = begin(work).columns["clusters"]
    homes, terms = entities_of(work.data.windows, np.unique(work.data.numbers_of(0)), 1)
    assert len(terms) > 300
    wanted = fitted[0].assign(vectors_of(work.model, work.data, homes, terms, 1, settings))
    assert (clusters[terms] == wanted).mean() > 0.99  # rounding follows the micro-batches


def test_processes_share_the_work_and_have_the_same_columns(work: Preparation, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = begin(work).columns["clusters"]
    monkeypatch.setattr(module, "tell", lambda _: None)
    shared = by_two_processes(lambda group: begin(work, processes=group)).columns["clusters"]
    assert rand_index(shared[alone >= 0], alone[alone >= 0])["rand_index"] > 0.99


def test_the_loss_is_that_of_words_and_of_entities(work: Preparation) -> None:
    """Against loops over windows and entities; however a step is cut."""
    columns = begin(work).columns
    assert isinstance(work.objective, ClusterTyping)
    work.objective.use_columns(work.data.windows, columns)
    windows, model = work.data.windows, work.model
    numbers = np.unique(work.data.numbers_of(0))[[3, 0, 11, 4]].tolist()
    batch = batch_of(work, numbers)
    sums, terms = work.objective.loss(model, batch), work.objective.terms(batch)
    tagging = TokenClassification(work.source.types)
    assert sums["tagging"].item() == pytest.approx(tagging.loss(model, batch)["loss"].item(), rel=1e-5)
    assert terms["tagging"] == tagging.terms(batch)["loss"]
    loss, weights, starts = 0.0, [], [0, *windows.ends.tolist()]
    for number in numbers:
        ids = torch.tensor(windows.ids[starts[number] : starts[number + 1]].astype(int))[None]
        states = model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        entities = EntityPieces.of(windows, np.array([number]), 1)
        for term, first, end in zip(entities.terms, entities.firsts, entities.ends, strict=True):
            cluster = int(columns["clusters"][term])
            logits = model.cluster_layer.weight @ states[first:end].sum(0) + model.cluster_layer.bias
            weights.append(float(columns["weights"][cluster]))
            loss -= weights[-1] * torch.log_softmax(logits, 0)[cluster].item()
    assert len(weights) > 4
    assert terms["clusters"] == pytest.approx(sum(weights), rel=1e-5)
    assert sums["clusters"].item() == pytest.approx(0.5 * loss, rel=1e-4)
    sums["clusters"].backward()  # type: ignore[no-untyped-call]
    gradients = {name: each.grad for name, each in model.named_parameters()}
    assert gradients["bert.embeddings.word_embeddings.weight"].abs().sum() > 0
    assert gradients["classifier.weight"] is None
    model.zero_grad()
    whole = assert_cut_changes_nothing(work, trains=False)["figures"]  # its layer has a dropout of its own
    assert whole["loss"] == pytest.approx(whole["tagging"] + whole["clusters"])


def test_before_an_epoch_all_entities_are_in_one_cluster_and_other_windows_add_nothing(work: Preparation) -> None:
    batch, windows = batch_of(work, range(8)), work.data.windows
    assert len(batch.clusters) > 4
    assert not batch.clusters.any()
    assert batch.weights.unique().tolist() == [1]
    none = next(
        number for number in range(len(windows)) if not len(EntityPieces.of(windows, np.array([number]), 1).terms)
    )
    batch = batch_of(work, [none])
    assert work.objective.terms(batch)["clusters"] == work.objective.loss(work.model, batch)["clusters"].item() == 0


def test_the_start_is_that_of_plain_tagging(work: Preparation, settings: PretrainSettings) -> None:
    """So the control differs by the loss alone; the new layer follows the seed."""
    plain = prepared(replace(settings, objective="tagging", sections=())).model.state_dict()
    mine = work.model.state_dict()
    assert {name for name in mine if name not in plain} == {"cluster_layer.weight", "cluster_layer.bias"}
    assert all(torch.equal(mine[name], each) for name, each in plain.items())
    layers = [prepared(replace(settings, seed=seed)).model.cluster_layer.weight for seed in (1, 2)]
    assert torch.equal(layers[0], mine["cluster_layer.weight"])
    assert not torch.equal(*layers)


def test_an_encoder_comes_out_without_the_layer(settings: PretrainSettings, tmp_path: Path) -> None:
    from safetensors import safe_open

    pretrain(encoder := tmp_path / "encoder", replace(settings, epochs=2))
    with safe_open(encoder / "model.safetensors", "pt") as stream:
        assert not [name for name in stream.keys() if "cluster" in name]  # noqa: SIM118
    assert load_tagging_model(str(encoder)).num_labels > 2
    assert len(load_tokenizer(str(encoder))) > 100
    lines = [json.loads(line) for line in (encoder / "log.jsonl").read_text().splitlines()]
    epochs = [each for each in lines if each["kind"] == "epoch"]
    assert [each["epoch"] for each in epochs] == [0, 1]
    assert 0 < epochs[1]["rand_index"] <= 1


def test_what_is_refused(settings: PretrainSettings, tmp_path: Path) -> None:
    with raises(SettingsError, setting="typing.num_clusters"):
        pretrain(tmp_path / "encoder", change_settings(settings, {"typing": {"num_clusters": 99999}, "max_steps": 1}))
    assert not (tmp_path / "encoder").exists()
    with raises(SettingsError, "is for `nerbert pretrain` only", setting="objective"):
        chosen_objective(FinetuneSettings(objective="typing"), FINETUNE)


DRAW = np.random.default_rng(3)
MIXED = (DRAW.normal(size=(400, 12)) @ DRAW.normal(size=(12, 12)) + 5).astype(np.float32)


def clustering(vectors: Array, clusters: int = 2, dimensions: int = 128, seed: int = 1) -> Clustering:
    return Clustering.fit(vectors, TypingSettings(num_clusters=clusters, dimensions=dimensions), seed)


@pytest.mark.parametrize(("dimensions", "chunk"), [(3, 9999), (12, 7), (128, 9999)])
def test_whitened_vectors_are_those_of_scikit_learn_with_length_1(
    dimensions: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.decomposition import PCA

    monkeypatch.setattr(module, "_CHUNK", chunk)
    found = clustering(MIXED, dimensions=dimensions).whiten(MIXED)
    wanted = PCA(min(dimensions, 12), whiten=True, svd_solver="full").fit_transform(MIXED.astype(np.float64))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    signs = np.sign((found * wanted).sum(0))
    np.testing.assert_allclose(found * signs, wanted, atol=2e-4)


def test_flat_directions_are_left_out() -> None:
    """A layer norm's states sum to 0: what is left in that direction is rounding."""
    flat = MIXED - MIXED.mean(1, keepdims=True)
    assert clustering(flat).directions.shape == (12, 11)
    assert clustering(MIXED[:4]).directions.shape == (12, 3)
    with raises(InputError, "states of entities are no numbers"):
        clustering(np.full((9, 4), np.nan, np.float32))


def test_fewer_different_vectors_than_clusters_are_no_warning() -> None:
    """As those of a type with one entity are."""
    for vectors in (np.ones((9, 4), np.float32), MIXED[:1]):
        clusters = clustering(vectors, 3).assign(vectors)
        assert not clusters.any()
        assert weights_of(vectors, clusters, 3).tolist() == [1, 1, 1]
    assert len(np.unique(clustering(np.repeat(MIXED[:3], 5, axis=0), 6, 6).assign(MIXED[:3]))) == 3


def test_each_vector_has_the_nearest_centre() -> None:
    found, same, other = (clustering(MIXED, 7, 6, seed) for seed in (1, 1, 2))
    assert found.assign(MIXED).tolist() == same.assign(MIXED).tolist() != other.assign(MIXED).tolist()
    distances = np.linalg.norm(found.whiten(MIXED)[:, None] - found.centres, axis=-1)
    assert found.assign(MIXED).tolist() == distances.argmin(1).tolist()


def test_numbers_are_those_that_most_entities_keep() -> None:
    """Against every permutation."""
    for count in (2, 3, 5):
        new, old = DRAW.integers(0, count, 60), DRAW.integers(-1, count, 60)
        found = match_clusters(new, old, count)
        kept = [int((np.array(names)[new] == old).sum()) for names in itertools.permutations(range(count))]
        assert int((found == old).sum()) == max(kept)
        assert rand_index(found, new) == {"rand_index": 1}
    old = DRAW.integers(0, 23, 500)
    assert match_clusters(DRAW.permutation(23)[old], old, 23).tolist() == old.tolist()


def test_weights_are_inverse_variances_of_mean_1() -> None:
    clusters = np.arange(400) % 4
    vectors = MIXED * (1 + clusters[:, None])
    weights = weights_of(vectors, clusters, 4)
    variances = [np.mean([np.var(column) for column in vectors[clusters == each].T]) for each in range(4)]
    np.testing.assert_allclose(weights * variances, (weights * variances)[0], rtol=1e-4)
    assert weights[clusters].mean() == pytest.approx(1)
    assert weights[0] > weights[3]
    weights = weights_of(MIXED, np.r_[0, np.ones(399, int)], 3)  # a cluster of one, and one of none
    assert weights[0] == weights[2] == pytest.approx(100 * weights[1], rel=0.1)


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
    return [
        tokenizer.decode(windows.ids[starts[row] + first : starts[row] + end].tolist()).strip()
        for row, first, end in zip(found.rows, found.firsts, found.ends, strict=True)
    ]


@pytest.mark.parametrize("kind", ["wordpiece", "byte-level", "unigram"])
def test_an_entity_has_all_pieces_of_its_words(tokenizers: dict[str, Any], kind: str) -> None:
    tokenizer = tokenizers[kind]
    last = "Tromsø saw Larsen"
    examples = [example(), example(last, [(0, 6, "ship"), (11, 17, "person")]), example("None .", [])]
    pieces = pieces_of(tokenizer)
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
        monkeypatch.setattr(module, "_SCANNED", scanned)
        homes, terms = entities_of(windows, np.array([0, 1, 2]), 1)
        assert homes.tolist() == [0, 0, 2, 2]
        assert terms.tolist() == whole.terms.tolist()
    empty = Windows.pack([Window(0, (2, 9, 3), (0,), (1,), (0,)), Window(1, (2, 3), (), (), ())])
    for numbers in ([0, 1], [1], []):
        assert not len(EntityPieces.of(empty, np.array(numbers, int), 1).terms)


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
        (b, b, i, b2, i, i2),
        (i, b, i2, 0, b2, i2),
        (b, IGNORED, i, 0),
        (IGNORED, 0, b),
    ]
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
    data = TrainingData(windows, lambda _: np.arange(9), pieces.pad_id)
    settings = PretrainSettings(corpus=(Path("_"),), precision="fp32", max_tokens_per_batch=40)
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
