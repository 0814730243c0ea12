"""Typing by clusters, CoFEE's third stage (Xue et al. 2020): tagging, and predicting an entity's cluster.

Entities are clustered at each epoch's start; clusters keep their numbers. Cost: a forward pass over all windows.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch

from nerbert.config import Bounds, Section, refuse
from nerbert.encoder.objectives.cluster_typing.clustering import NO_CLUSTER, Clustering, matched, rand_index, weights_of
from nerbert.encoder.objectives.cluster_typing.entity_vectors import EntityPieces, entities_of, summed, vectors_of
from nerbert.model.backbone import Backbone
from nerbert.model.forward import Batch
from nerbert.model.packing import places_in
from nerbert.model.tokenizer import special_pieces
from nerbert.model.windows import Windows
from nerbert.rng import Array, uniform, uniforms
from nerbert.terminal import tell
from nerbert.training.batches import TrainingData
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import PRETRAIN, Columns, Description, EpochColumns, Task
from nerbert.training.settings import TrainSettings
from nerbert.training.tagging import TaggingSettings, TokenClassification

_DROPOUT = 0.1
"""Share of an entity's vector that is dropped before the layer over clusters, as in CoFEE's public code."""


class ClusterLayer(torch.nn.Module):
    """Logits of clusters from entities' vectors; drawn by `seed` with the model's own range."""

    def __init__(self, width: int, clusters: int, spread: float, seed: int) -> None:
        super().__init__()
        drawn = torch.randn((clusters, width), generator=torch.Generator().manual_seed(seed))
        self.weight = torch.nn.Parameter(drawn * spread)
        self.bias = torch.nn.Parameter(torch.zeros(clusters))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return (entities, clusters)."""
        dropped = torch.nn.functional.dropout(vectors, _DROPOUT, self.training)
        return torch.nn.functional.linear(dropped, self.weight, self.bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypingSettings(TaggingSettings):
    """Settings of typing with clusters."""

    section: ClassVar[str] = "typing"
    num_clusters: Annotated[int, Bounds(at_least=2, at_most=100_000)] = 23
    """Clusters of entities, computed at each epoch's start. Source: CoFEE's public code."""
    weight: Annotated[float, Bounds(at_least=0, below=1e6)] = 0.001
    """γ, the weight of the clusters' loss; that of the tags' is 1. Source: CoFEE's public code."""
    dimensions: Annotated[int, Bounds(at_least=1, below=1e6)] = 128
    """Most dimensions of an entity's vector after whitening. Source: CoFEE's public code."""
    iterations: Annotated[int, Bounds(at_least=1, below=1e6)] = 60
    """Most iterations of k-means. Source: CoFEE's public code."""
    sample: Annotated[int, Bounds(at_least=100, below=1e9)] = 200_000
    """Most entities to fit whitening and k-means on, drawn by seed, and to hold vectors of at once; others are assigned
    to the nearest cluster. Source: ours."""


@dataclass(frozen=True, slots=True)
class TypingBatch(Batch):
    """A micro-batch with its entities: `clusters` and `weights` are (entities,), the rest is (their pieces,).

    `entities` is the entity of each piece, `entity_rows` and `entity_columns` say where it is in `ids`.
    """

    entities: torch.Tensor
    entity_rows: torch.Tensor
    entity_columns: torch.Tensor
    clusters: torch.Tensor
    weights: torch.Tensor


class ClusterTyping(TokenClassification):
    """The objective; `after` is the number of special pieces at a window's end."""

    parts: ClassVar[tuple[str, ...]] = ("tagging", "clusters")
    needs: ClassVar[tuple[str, ...]] = ("cluster", "sklearn")
    settings: ClassVar[type[Section]] = TypingSettings
    commands: ClassVar[tuple[str, ...]] = (PRETRAIN,)

    def __init__(self, types: Sequence[str], own: TypingSettings, settings: TrainSettings, after: int) -> None:
        super().__init__(types, own)
        self._typing, self._settings, self._after = own, settings, after
        self._columns: Columns = {}

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the types of a task."""
        own, after = cls.own_settings(task, TypingSettings), len(special_pieces(task.backbone.tokenizer)[1])
        return cls(task.types, own, task.settings, after)

    def make_model(self, backbone: Backbone) -> Any:
        """Return a token-classification model with a layer over clusters, which isn't saved with it."""
        model = super().make_model(backbone)
        config = model.config
        model.cluster_layer = ClusterLayer(
            config.hidden_size, self._typing.num_clusters, float(getattr(config, "initializer_range", 0.02)),
            self._settings.seed,
        )  # fmt: skip
        own = {f"cluster_layer.{name}" for name, _ in model.cluster_layer.named_parameters()}
        model._keys_to_ignore_on_save = own | set(model._keys_to_ignore_on_save or ())
        return model

    def begin_epoch(
        self, model: Any, data: TrainingData, epoch: int, before: Columns, processes: ProcessGroup
    ) -> EpochColumns:
        """Return entities' clusters and beginnings, and clusters' weights; raise SettingsError for too few entities."""
        own = self._typing
        homes, terms = entities_of(data.windows, np.unique(data.numbers_of(epoch)), self._after)
        refuse(len(terms) < own.num_clusters, "typing.num_clusters", own.num_clusters,
               f"at most {len(terms)}, the number of entities in the training data")  # fmt: skip
        vectors = partial(vectors_of, model, data, after=self._after, settings=self._settings)
        work = _Clusterer(homes, terms, vectors, own, self._settings.seed, processes)
        old = before["clusters"][terms] if before else np.full(len(terms), NO_CLUSTER)
        clusters, weights = work.cluster(old, epoch)
        column = np.full(len(data.windows.labels), NO_CLUSTER, np.int32)
        column[terms] = clusters
        sizes, index = np.unique(clusters, return_counts=True)[1], rand_index(clusters, old)
        figures = {"entities": float(len(clusters)), "clusters": float(len(sizes)),
                   "smallest_cluster": float(sizes.min()), "largest_cluster": float(sizes.max()),
                   **({} if np.isnan(index) else {"rand_index": index})}  # fmt: skip
        if processes.is_first:
            counts = "{entities:,.0f} entities in {clusters:,.0f} clusters of {smallest_cluster:,.0f} to "
            like = "; adjusted Rand index with the epoch before: {rand_index:.3f}" if "rand_index" in figures else ""
            tell(f"epoch {epoch + 1}: {counts}{{largest_cluster:,.0f}}{like}".format_map(figures))
        return EpochColumns({"clusters": column, "weights": weights}, figures)

    def use_columns(self, windows: Windows, columns: Columns) -> Windows:
        """Take the clusters; the windows stay as they are."""
        self._columns = columns
        return windows

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> Windows:
        """Return the windows, which entities are read off."""
        return windows

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> TypingBatch:
        """Return the batch with its entities; before any epoch has begun (a dry run) all are in one cluster."""
        entities = EntityPieces.of(shared, batch.numbers.numpy(), self._after)
        if self._columns:
            clusters = self._columns["clusters"][entities.terms]
            entities, clusters = entities.chosen(clusters >= 0), clusters[clusters >= 0]
            weights = self._columns["weights"][clusters]
        else:
            clusters, weights = np.zeros(len(entities)), np.ones(len(entities), np.float32)
        which, rows, columns = (torch.from_numpy(each) for each in entities.places())
        own = {each.name: getattr(batch, each.name) for each in fields(Batch)}
        return TypingBatch(
            **own, entities=which, entity_rows=rows, entity_columns=columns,
            clusters=torch.from_numpy(clusters.astype(np.int64)), weights=torch.from_numpy(weights),
        )  # fmt: skip

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the weights of all labelled words together, and those of all entities."""
        return {"tagging": super().terms(batch)["loss"], "clusters": float(_typed(batch).weights.sum())}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted sums of cross-entropies of words and, times γ, of entities, computed in fp32."""
        batch = _typed(batch)
        with _states_of(model.base_model) as seen:
            tagging = super().loss(model, batch)["loss"]
        pieces = seen[0][places_in(model, batch.packing, batch.entity_rows, batch.entity_columns)]
        logits = model.cluster_layer(summed(pieces, batch.entities, len(batch.clusters))).float()
        losses = torch.nn.functional.cross_entropy(logits, batch.clusters, reduction="none")
        return {"tagging": tagging, "clusters": self._typing.weight * (losses * batch.weights).sum()}

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        coarse = super().describe()
        return replace(coarse, learnt="tag entities, and to predict their clusters (CoFEE, arXiv 2010.08210)")


class _Clusterer:
    """Clusters entities, which processes share by their windows, `homes`; `vectors`: windows and terms → vectors."""

    def __init__(
        self, homes: Array, terms: Array, vectors: Callable[[Array, Array], Array], settings: TypingSettings,
        seed: int, processes: ProcessGroup,
    ) -> None:  # fmt: skip
        self._homes, self._terms, self._vectors = homes, terms, vectors
        self._settings, self._seed, self._processes = settings, seed, processes

    def cluster(self, before: Array, epoch: int) -> tuple[Array, Array]:
        """Return entities' clusters and clusters' weights, the same in all processes; `before`: an epoch ago."""
        settings, processes, what = self._settings, self._processes, f"of epoch {epoch}"
        order = np.argsort(uniforms(self._seed, f"sample {what}", self._terms), kind="stable")
        sample, others = (np.sort(part) for part in np.split(order, [settings.sample]))
        rest = (others[start : start + settings.sample]  # neighbours, so that few windows are read twice
                for start in range(0, len(others), settings.sample))  # fmt: skip
        mine = self._of_share(sample)
        vectors, fitted = self._of_all(sample, mine), None
        if processes.is_first:
            seed = int(uniform(self._seed, f"clusters {what}", "") * (1 << 32))
            fitted = clusters_of(vectors, settings, seed)
        clustering: Clustering = processes.gather([fitted])[0]
        clusters = np.full(len(self._terms), NO_CLUSTER, np.int32)
        clusters[sample] = self._of_all(sample, clustering.assign(mine))
        for part in rest:
            clusters[part] = self._of_all(part, clustering.assign(self._of_share(part)))
        clusters = matched(clusters, before, settings.num_clusters)
        return clusters, weights_of(vectors, clusters[sample], settings.num_clusters)

    def _of_share(self, entities: Array) -> Array:
        """Return the vectors of this process's share of some entities."""
        share = entities[self._homes[entities] % self._processes.count == self._processes.rank]
        return self._vectors(self._homes[share], self._terms[share])

    def _of_all(self, entities: Array, mine: Array) -> Array:
        """Return what all processes have of some entities, in the order of the entities; `mine` is of the share."""
        if self._processes.count == 1:
            return mine
        shares = np.concatenate(self._processes.gather([mine]))
        found = np.empty_like(shares)
        found[np.argsort(self._homes[entities] % self._processes.count, kind="stable")] = shares
        return found


def clusters_of(vectors: Array, settings: TypingSettings, seed: int) -> Clustering:
    """Return the clusters of vectors as the settings of `typing` want them."""
    return Clustering.fit(vectors, min(settings.num_clusters, len(vectors)), settings.dimensions,
                          settings.iterations, seed)  # fmt: skip


def _typed(batch: Batch) -> TypingBatch:
    if not isinstance(batch, TypingBatch):
        raise TypeError("the batch isn't prepared")
    return batch


@contextmanager
def _states_of(body: Any) -> Iterator[list[torch.Tensor]]:
    """Yield a list that gets the body's last states of each call, before any other hook changes them."""
    seen: list[torch.Tensor] = []
    handle = body.register_forward_hook(lambda _body, _inputs, output: seen.append(output[0]), prepend=True)
    try:
        yield seen
    finally:
        handle.remove()
