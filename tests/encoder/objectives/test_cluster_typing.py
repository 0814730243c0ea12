"""Typing by clusters: the loss by hand, what moves, what an epoch's start gives, and runs that were stopped."""

import json
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nerbert.encoder.objectives.cluster_typing.cluster_typing as module
from nerbert import pretrain
from nerbert.config import make_settings
from nerbert.corpus.shards import read_sentences
from nerbert.encoder.objectives.cluster_typing.cluster_typing import ClusterTyping
from nerbert.encoder.objectives.cluster_typing.clustering import Clustering, rand_index
from nerbert.encoder.objectives.cluster_typing.entity_vectors import EntityPieces, entities_of, vectors_of
from nerbert.encoder.pretrain import Preparation
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import MissingExtra, NerbertError, SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.backbone import load_tokenizer
from nerbert.model.packing import packing
from nerbert.records import ENTITY
from nerbert.training.batches import collate
from nerbert.training.distributed import make_process_group
from nerbert.training.objective import FINETUNE, EpochColumns, chosen_objective
from nerbert.training.tagging import TokenClassification
from tests.encoder.backbones import load_tagging_model
from tests.encoder.preparing import assert_cut_changes_nothing, by_two_processes, prepared
from tests.raised import raises

pytestmark = pytest.mark.extras


SMALL: dict[str, Any] = {
    "objective": "typing", "typing": {"num_clusters": 6, "dimensions": 4, "weight": 0.5}, "learning_rate": 5e-3,
    "batch_size": 64, "precision": "fp32", "threads": 1, "fresh_num_layers": 1, "fresh_hidden_size": 64,
    "fresh_vocab_size": 1500, "max_length": 64, "max_eval_samples": 20,
}  # fmt: skip


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
    begun = work.objective.begin_epoch(work.model, work.data, epoch, before or {}, group)
    assert begun is not None
    return begun


def batch_of(work: Preparation, numbers: Any) -> Any:
    batch = collate(work.data.windows, np.array(numbers), work.data.pad_id)
    return work.objective.prepare(batch, 1, work.objective.begin_step(work.data.windows, np.array(numbers), 1))


def test_packed_windows_have_the_loss_of_padded_ones(work: Preparation) -> None:
    begin(work)
    batch, model = batch_of(work, np.unique(work.data.numbers_of(0))[:6]), work.model.eval()
    wanted = {name: each.item() for name, each in work.objective.loss(model, batch).items()}
    with packing(model) as packs:
        assert packs
        found = {name: each.item() for name, each in work.objective.loss(model, batch).items()}
    assert found == pytest.approx(wanted, rel=1e-5)
    assert min(wanted.values()) > 0


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
    assert rand_index(anew, other) == 1
    assert (one == other)[one >= 0].mean() > (one == anew)[one >= 0].mean()
    assert again.figures["rand_index"] == pytest.approx(rand_index(one, other))


def test_few_fitted_entities_are_enough_for_all(settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What isn't in the sample has the nearest centre of those that the sample has."""
    work, fitted = prepared(settings.changed({"typing": {"sample": 100}})), list[Clustering]()
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
    assert rand_index(shared, alone) > 0.99


def test_the_loss_is_that_of_words_and_of_entities(work: Preparation) -> None:
    """Against loops over windows and entities; however a step is cut."""
    columns = begin(work).columns
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
    whole = assert_cut_changes_nothing(work, trains=False)["figures"]  # its layer has a dropout of its own
    assert whole["loss"] == pytest.approx(whole["tagging"] + whole["clusters"])


def test_the_clusters_alone_move_the_encoder(work: Preparation, settings: PretrainSettings) -> None:
    """A step of the clusters' loss changes weights of the body, and none of the tags' layer."""
    work.objective.use_columns(work.data.windows, begin(work).columns)
    before = {name: each.detach().clone() for name, each in work.model.named_parameters()}
    batch = batch_of(work, range(16))
    loss = work.objective.loss(work.model, batch)["clusters"] / work.objective.terms(batch)["clusters"]
    loss.backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(work.model.parameters(), 1e-4).step()
    moved = {name for name, each in work.model.named_parameters() if not torch.equal(each, before[name])}
    assert {"bert.encoder.layer.0.attention.self.query.weight", "bert.embeddings.word_embeddings.weight",
            "cluster_layer.weight"} <= moved  # fmt: skip
    assert not {name for name in moved if name.startswith("classifier")}
    after = work.objective.loss(work.model, batch)["clusters"] / work.objective.terms(batch)["clusters"]
    assert after.item() < loss.item()


def test_before_an_epoch_all_entities_are_in_one_cluster_and_other_windows_add_nothing(work: Preparation) -> None:
    batch, windows = batch_of(work, range(8)), work.data.windows
    assert len(batch.clusters) > 4
    assert not batch.clusters.any()
    assert batch.weights.unique().tolist() == [1]
    none = next(number for number in range(len(windows)) if not len(EntityPieces.of(windows, np.array([number]), 1)))
    batch = batch_of(work, [none])
    assert work.objective.terms(batch)["clusters"] == work.objective.loss(work.model, batch)["clusters"].item() == 0
    with pytest.raises(TypeError, match="isn't prepared"):
        work.objective.terms(collate(windows, np.arange(2), work.data.pad_id))


def test_the_start_is_that_of_plain_tagging(work: Preparation, settings: PretrainSettings) -> None:
    """So the control differs by the loss alone; the new layer follows the seed."""
    plain = prepared(replace(settings, objective="tagging", sections=())).model.state_dict()
    mine = work.model.state_dict()
    assert {name for name in mine if name not in plain} == {"cluster_layer.weight", "cluster_layer.bias"}
    assert all(torch.equal(mine[name], each) for name, each in plain.items())
    layers = [prepared(replace(settings, seed=seed)).model.cluster_layer.weight for seed in (1, 2)]
    assert torch.equal(layers[0], mine["cluster_layer.weight"])
    assert not torch.equal(*layers)


def epochs_of(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [each for each in lines if each["kind"] == "epoch"]


@pytest.fixture(scope="module")
def trained(few: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[PretrainSettings, Path]:
    """An encoder of two epochs, and its settings."""
    values = {"corpus": few, "cache": str(cache), "epochs": 2, "save_steps": 2, "save_total_limit": 1, **SMALL}
    settings, folder = make_settings(PretrainSettings, values), tmp_path_factory.mktemp("trained") / "encoder"
    pretrain(folder, settings)
    return settings, folder


def test_an_encoder_comes_out_without_the_layer(trained: tuple[PretrainSettings, Path]) -> None:
    from safetensors import safe_open

    _, encoder = trained
    with safe_open(encoder / "model.safetensors", "pt") as stream:
        assert not [name for name in stream.keys() if "cluster" in name]  # noqa: SIM118
    assert load_tagging_model(str(encoder)).num_labels > 2
    assert len(load_tokenizer(str(encoder))) > 100
    epochs = epochs_of(encoder)
    assert [each["epoch"] for each in epochs] == [0, 1]
    assert 0 < epochs[1]["rand_index"] <= 1


def test_a_run_that_was_stopped_goes_on_as_if_it_never_had(
    trained: tuple[PretrainSettings, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it clusters for the second epoch, then inside that epoch."""
    settings, whole = trained
    second = epochs_of(whole)[1]["step"]
    begin_step, begin_epoch, begun = ClusterTyping.begin_step, ClusterTyping.begin_epoch, list[int]()

    def stopping_epoch(self: ClusterTyping, model: Any, data: Any, epoch: int, *more: Any) -> Any:
        begun.append(epoch)
        found = begin_epoch(self, model, data, epoch, *more)
        if begun == [0, 1]:
            raise NerbertError("", path="clustering")
        return found

    def stopping_step(self: ClusterTyping, windows: Any, numbers: Any, step: int) -> Any:
        if step == second + 3:
            raise NerbertError("", path="step")
        return begin_step(self, windows, numbers, step)

    monkeypatch.setattr(ClusterTyping, "begin_epoch", stopping_epoch)
    monkeypatch.setattr(ClusterTyping, "begin_step", stopping_step)
    for _ in range(2):
        with pytest.raises(NerbertError):
            pretrain(tmp_path / "broken", settings)
    monkeypatch.setattr(ClusterTyping, "begin_step", begin_step)
    pretrain(tmp_path / "broken", settings)
    assert begun == [0, 1, 1], "columns of an epoch that was begun are read, never computed anew"
    assert (tmp_path / "broken" / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_entities_of_lists_of_names_are_clustered(settings: PretrainSettings, tmp_path: Path) -> None:
    """As in CoFEE's third stage, after its second."""
    sentences = [*read_sentences(settings.corpus_folder, "train")]
    names = {each.text[m.start : m.end] for each in sentences for m in each.mentions if m.category != ENTITY}
    (tmp_path / "name.txt").write_text("".join(f"{name}\n" for name in sorted(names)))
    pretrain(tmp_path / "encoder", settings.changed({"gazetteers": {"files": [tmp_path / "name.txt"]}, "max_steps": 1}))
    assert epochs_of(tmp_path / "encoder")[0]["entities"] > 100


def test_what_is_refused(settings: PretrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(SettingsError, setting="typing.num_clusters"):
        pretrain(tmp_path / "encoder", settings.changed({"typing": {"num_clusters": 99999}, "max_steps": 1}))
    assert not (tmp_path / "encoder").exists()
    with raises(SettingsError, "is for `nerbert pretrain` only", setting="objective"):
        chosen_objective(FinetuneSettings(objective="typing"), FINETUNE)
    real = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "sklearn" else real(name))
    with raises(MissingExtra, "pip install 'nerbert[cluster]'"):
        prepared(settings)
