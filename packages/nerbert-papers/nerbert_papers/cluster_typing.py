"""Typing by clusters, CoFEE's third stage (Xue et al. 2020): tagging, and predicting an entity's cluster.

Entities are clustered at the start of each epoch, by the sums of their subwords' last hidden states, whitened and of
length 1; clusters keep their numbers. Cost: a forward pass over all windows.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch
from annotated_types import Interval

from nerbert.config import refuse
from nerbert.errors import InputError
from nerbert.metrics.score import decode_columns
from nerbert.model.backbone import Backbone
from nerbert.model.forward import Batch, autocast, states_at
from nerbert.model.tokenizer import special_pieces
from nerbert.model.windows import Windows, places_of
from nerbert.rng import Array, uniform, uniforms
from nerbert.terminal import tell
from nerbert.training.batches import TrainingData, batches_to_read
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import PRETRAIN, Columns, EpochColumns, EpochHooks, StepHooks, Task, Traits
from nerbert.training.settings import Section, TrainSettings
from nerbert.training.tagging import TaggingSettings, TokenClassification

NO_CLUSTER = -1
"""Cluster number of words that have no cluster."""
_DROPOUT = 0.1
"""Share of an entity's vector that is dropped before the layer over clusters, as in CoFEE's public code."""
_SCANNED = 1 << 16
"""Windows whose entities are listed at once."""
_FLAT = 1e-6
"""Minimum variance of a direction, as a share of the largest; other directions are left out."""
_EQUAL = 1e-12
"""Largest variance that is only rounding error."""
_TIGHTEST = 0.01
"""Minimum variance of a cluster in its weight, as a share of the variance of all vectors."""
_CHUNK = 8192
"""Rows converted to double precision at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypingSettings(TaggingSettings):
    """Settings of typing with clusters."""

    section: ClassVar[str] = "typing"
    num_clusters: Annotated[int, Interval(ge=2, le=100_000)] = 23
    """Clusters of entities, computed at each epoch's start. Source: CoFEE's public code."""
    weight: Annotated[float, Interval(ge=0, lt=1e6)] = 0.001
    """γ, the weight of the clusters' loss; that of the tags' is 1. Source: CoFEE's public code."""
    dimensions: Annotated[int, Interval(ge=1, lt=1e6)] = 128
    """Maximum number of dimensions of an entity's vector after whitening. Source: CoFEE's public code."""
    iterations: Annotated[int, Interval(ge=1, lt=1e6)] = 60
    """Maximum number of k-means iterations. Source: CoFEE's public code."""
    sample: Annotated[int, Interval(ge=100, lt=1e9)] = 200_000
    """Maximum number of entities to fit whitening and k-means on, drawn by seed, and to keep vectors of at once; others
    join the nearest cluster. Source: ours."""


@dataclass(frozen=True, slots=True)
class TypingBatch(Batch):
    """A micro-batch with its entities: `clusters` and `weights` are (entities,), the other fields (their subwords,).

    `entities` is the entity of each subword, `entity_rows` and `entity_columns` are the subword's position in `ids`.
    """

    entities: torch.Tensor
    entity_rows: torch.Tensor
    entity_columns: torch.Tensor
    clusters: torch.Tensor
    weights: torch.Tensor


class ClusterTyping(TokenClassification, EpochHooks, StepHooks):
    """The objective; `after` is the number of special tokens at a window's end."""

    learnt: ClassVar[str] = "tag entities, and to predict their clusters (CoFEE, arXiv 2010.08210)"
    parts: ClassVar[tuple[str, ...]] = ("tagging", "clusters")
    settings: ClassVar[type[Section]] = TypingSettings
    traits: ClassVar[Traits] = replace(TokenClassification.traits, commands=(PRETRAIN,))

    def __init__(self, types: Sequence[str], section: TypingSettings, settings: TrainSettings, after: int) -> None:
        super().__init__(types, section)
        self._typing, self._settings, self._after = section, settings, after
        self._columns: Columns = {}

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the types of a task."""
        section = cls.read_section(task)
        after = len(special_pieces(task.backbone.tokenizer)[1])
        return cls(task.types, section, task.settings, after)

    def make_model(self, backbone: Backbone) -> Any:
        """Return a token-classification model with a layer over clusters, drawn by seed and not saved with it."""
        model = super().make_model(backbone)
        width, clusters = model.config.hidden_size, self._typing.num_clusters
        drawn = torch.randn((clusters, width), generator=torch.Generator().manual_seed(self._settings.seed))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            # Drawn from the seed alone, so that the start is that of plain tagging whatever
            # was drawn before.
            model.cluster_layer = torch.nn.Linear(width, clusters)
            model.cluster_layer.weight.copy_(drawn * float(getattr(model.config, "initializer_range", 0.02)))
            model.cluster_layer.bias.zero_()
        added = {"cluster_layer.weight", "cluster_layer.bias"}
        # The layer serves this training only; a saved encoder has no use for it.
        model._keys_to_ignore_on_save = added | set(model._keys_to_ignore_on_save or ())
        return model

    def begin_epoch(
        self, model: Any, data: TrainingData, epoch: int, before: Columns, processes: ProcessGroup
    ) -> EpochColumns:
        """Return entities' clusters and starts, and clusters' weights; raise SettingsError if entities are too few.

        Processes share the entities. Those outside the sample are read in order, so that few windows are read twice.
        """
        section, settings, count = self._typing, self._settings, processes.count
        homes, terms = entities_of(data.windows, np.unique(data.numbers_of(epoch)), self._after)
        refuse(
            len(terms) < section.num_clusters,
            "typing.num_clusters",
            section.num_clusters,
            f"at most {len(terms)}, the number of entities in the training data",
        )
        order = np.argsort(uniforms(settings.seed, f"sample of epoch {epoch}", terms), kind="stable")
        sample, others = (np.sort(part) for part in np.split(order, [section.sample]))
        clusters = np.full(len(terms), NO_CLUSTER, np.int32)
        clustering = None

        def of_all(mine: Array) -> Array:
            return mine if count == 1 else np.concatenate(processes.gather([mine]))

        for part in (sample, *np.split(others, range(section.sample, len(others), section.sample))):
            share = np.array_split(part, count)[processes.rank]
            mine = vectors_of(model, data, homes[share], terms[share], self._after, settings)
            if clustering is None:
                vectors = of_all(mine)
                seed = int(uniform(settings.seed, f"clusters of epoch {epoch}", "") * (1 << 32))
                fitted = Clustering.fit(vectors, section, seed) if processes.is_first else None
                clustering = processes.gather([fitted])[0]
            clusters[part] = of_all(clustering.assign(mine))
        old = before["clusters"][terms] if before else np.full(len(terms), NO_CLUSTER)
        # K-means numbers clusters anew each time; the layer over clusters has learnt the old numbers.
        clusters = match_clusters(clusters, old, section.num_clusters)
        column = np.full(len(data.windows.labels), NO_CLUSTER, np.int32)
        column[terms] = clusters
        sizes = np.unique(clusters, return_counts=True)[1]
        figures = {
            "entities": float(len(clusters)),
            "clusters": float(len(sizes)),
            "smallest_cluster": float(sizes.min()),
            "largest_cluster": float(sizes.max()),
            **rand_index(clusters, old),
        }
        if processes.is_first:
            counts = "{entities:,.0f} entities in {clusters:,.0f} clusters of {smallest_cluster:,.0f} to "
            like = "; adjusted Rand index with the epoch before: {rand_index:.3f}" if "rand_index" in figures else ""
            tell(f"epoch {epoch + 1}: {counts}{{largest_cluster:,.0f}}{like}".format_map(figures))
        weights = weights_of(vectors, clusters[sample], section.num_clusters)
        return EpochColumns({"clusters": column, "weights": weights}, figures)

    def use_columns(self, windows: Windows, columns: Columns) -> Windows:
        """Store the clusters; the windows don't change."""
        self._columns = columns
        return windows

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> Windows:
        """Return the windows, from which `prepare` reads the entities."""
        return windows

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> TypingBatch:
        """Return the batch with its entities; before the first epoch (in a dry run) all are in one cluster."""
        entities = EntityPieces.of(shared, batch.numbers.numpy(), self._after)
        if self._columns:
            clusters = self._columns["clusters"][entities.terms]
            kept = np.flatnonzero(clusters >= 0)
            clusters, weights = clusters[kept], self._columns["weights"][clusters[kept]]
        else:
            kept = np.arange(len(entities.terms))
            clusters = np.zeros(len(entities.terms))
            weights = np.ones(len(kept), np.float32)
        numbers, rows, columns = (torch.from_numpy(array) for array in entities.list_pieces(kept))
        return batch.extend(
            TypingBatch,
            entities=numbers,
            entity_rows=rows,
            entity_columns=columns,
            clusters=torch.from_numpy(clusters.astype(np.int64)),
            weights=torch.from_numpy(weights),
        )

    def terms(self, batch: Any) -> dict[str, float]:
        """Return the sum of the weights of all labelled words, and that of all entities."""
        return {"tagging": super().terms(batch)["loss"], "clusters": float(batch.weights.sum())}

    def loss(self, model: Any, batch: Any) -> dict[str, torch.Tensor]:
        """Return the weighted sums of the cross-entropies of words and (times γ) of entities, computed in fp32."""
        # The last states, before any other hook (that which keeps the chosen pieces) changes them.
        seen = list[torch.Tensor]()
        read = model.base_model.register_forward_hook(lambda _, __, output: seen.append(output[0]), prepend=True)
        with read:
            tagging = super().loss(model, batch)["loss"]
        pieces = seen[0][batch.entity_rows, batch.entity_columns]
        vectors = sum_states(pieces, batch.entities, len(batch.clusters))
        logits = model.cluster_layer(torch.nn.functional.dropout(vectors, _DROPOUT, model.training)).float()
        losses = torch.nn.functional.cross_entropy(logits, batch.clusters, reduction="none")
        return {"tagging": tagging, "clusters": self._typing.weight * (losses * batch.weights).sum()}


@dataclass(frozen=True, slots=True)
class EntityPieces:
    """The entities of windows, in order; each array is (entities,).

    `terms` are the indices of their first words in the windows' column of labels, `rows` the indices of their windows
    among the requested ones, `firsts` and `ends` their subwords there.
    """

    terms: Array
    rows: Array
    firsts: Array
    ends: Array

    @classmethod
    def of(cls, windows: Windows, numbers: Array, after: int) -> "EntityPieces":
        """Return the entities of windows; `after` is the number of special tokens at a window's end."""
        terms, counts = places_of(windows.word_ends, numbers)
        labels = windows.labels[terms]
        columns = windows.positions[terms]
        rows = np.repeat(np.arange(len(numbers)), counts)
        same = rows[1:] == rows[:-1]
        # A word in the piece of the word before is no word of its own here.
        firsts = np.r_[True, ~same | (columns[1:] != columns[:-1])][: len(rows)]
        labels = labels[firsts]
        columns = columns[firsts]
        rows = rows[firsts]
        terms = terms[firsts]

        spans = decode_columns(labels, np.flatnonzero(np.diff(rows, prepend=-1)))
        spans = spans.where(spans.opened)
        # An entity ends where the next word's first piece stands, so all pieces of its last
        # word belong to it.
        begins, nexts = spans.starts, spans.ends
        # A window that is followed by one of the same sentence may cut an entity at its end.
        following = np.minimum(numbers + 1, len(windows) - 1)
        goes_on = (following > numbers) & (windows.sentences[following] == windows.sentences[numbers])
        text_ends = np.where(goes_on, -1, windows.lengths_of(numbers) - after)  # -1: in another window
        inside = np.r_[rows, -1][nexts] == rows[begins]
        ends = np.where(inside, np.r_[columns, 0][nexts], text_ends[rows[begins]])
        # Of an entity that goes on in the next window, only the pieces up to its last
        # word's first are sure.
        cut = ends < 0
        ends[cut] = columns[nexts[cut] - 1] + 1
        return cls(terms[begins], rows[begins], columns[begins], ends)

    def list_pieces(self, kept: Array) -> tuple[Array, Array, Array]:
        """Return (subwords,) three times: the entity, row and column of each subword of the entities `kept`."""
        ends = self.ends[kept]
        lengths = ends - self.firsts[kept]
        entities = np.repeat(np.arange(len(lengths)), lengths)
        columns = np.repeat(ends - np.cumsum(lengths), lengths) + np.arange(len(entities))
        return entities, self.rows[kept][entities], columns


def entities_of(windows: Windows, numbers: Array, after: int) -> tuple[Array, Array]:
    """Return (entities,) twice, in order: the numbers of their windows, and their terms."""
    parts = list[tuple[Array, Array]]()
    for start in range(0, len(numbers), _SCANNED):
        share = numbers[start : start + _SCANNED]
        entities = EntityPieces.of(windows, share, after)
        parts.append((share[entities.rows], entities.terms))
    homes, terms = (np.concatenate(column) for column in zip(*parts, strict=True))
    return homes, terms


def sum_states(states: torch.Tensor, entities: torch.Tensor, count: int) -> torch.Tensor:
    """Return (count, width): the sum of each entity's states, given as (subwords, width), in fp32."""
    return states.new_zeros(count, states.shape[-1], dtype=torch.float32).index_add_(0, entities, states.float())


def vectors_of(
    model: Any, data: TrainingData, homes: Array, terms: Array, after: int, settings: TrainSettings
) -> Array:
    """Return (entities, width): the vectors of the entities that begin at `terms`, sorted, in the windows `homes`."""
    device = next(model.parameters()).device
    vectors = np.empty((len(terms), int(model.config.hidden_size)), np.float32)
    with torch.inference_mode(), autocast(device.type, settings.precision):
        for batch in batches_to_read(data.windows, np.unique(homes), settings, device.type, data.pad_id):
            entities = EntityPieces.of(data.windows, batch.numbers.numpy(), after)
            indices = np.minimum(np.searchsorted(terms, entities.terms), len(terms) - 1)
            kept = np.flatnonzero(terms[indices] == entities.terms)
            numbers, rows, columns = (torch.from_numpy(array) for array in entities.list_pieces(kept))
            chosen = replace(batch, rows=rows, columns=columns).to(device)
            sums = sum_states(states_at(model.base_model, chosen), numbers.to(device), len(kept))
            vectors[indices[kept]] = sums.cpu().numpy()
    return vectors


@dataclass(frozen=True, slots=True)
class Clustering:
    """K-means of whitened vectors: principal components, each of variance 1; each whole vector has length 1.

    `mean` is (width,); `directions` is (width, components), divided by the components' standard deviations; `centres`
    is (clusters, components).
    """

    mean: Array
    directions: Array
    centres: Array

    @classmethod
    def fit(cls, vectors: Array, settings: TypingSettings, seed: int) -> Self:
        """Return the clusters of (count, width) vectors; raise InputError for a vector that isn't finite."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        mean = vectors.mean(0, dtype=np.float64)
        chunks = (vectors[start : start + _CHUNK] - mean for start in range(0, len(vectors), _CHUNK))
        covariance = sum(chunk.T @ chunk for chunk in chunks) / max(1, len(vectors) - 1)
        if not np.isfinite(covariance).all():
            raise InputError("the model's states of entities are no numbers: there is nothing to cluster")
        values, directions = np.linalg.eigh(covariance)
        values = values[::-1][: settings.dimensions]
        directions = directions[:, ::-1][:, : settings.dimensions]
        # Dividing by the deviation of a flat direction would blow up rounding errors.
        kept = values > _FLAT * values[0]
        scaled = directions[:, kept] / np.sqrt(values[kept]) if values[0] > _EQUAL else np.zeros((len(mean), 1))
        clustering = cls(mean.astype(np.float32), scaled.astype(np.float32), np.zeros(0))
        clusters = min(settings.num_clusters, len(vectors))
        kmeans = KMeans(clusters, n_init=1, max_iter=settings.iterations, random_state=seed)
        # The order of several threads' sums varies, and with it the last bits. With fewer
        # different vectors than clusters the library warns.
        with warnings.catch_warnings(), threadpool_limits(1, "openmp"):
            warnings.simplefilter("ignore", ConvergenceWarning)
            kmeans.fit(clustering.whiten(vectors))
        return replace(clustering, centres=kmeans.cluster_centers_)

    def whiten(self, vectors: Array) -> Array:
        """Return (count, components) points of length 1; the mean itself becomes 0."""
        points: Array = (vectors - self.mean) @ self.directions
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        points /= np.where(lengths > 0, lengths, 1)
        return points

    def assign(self, vectors: Array) -> Array:
        """Return (count,): the number of the nearest centre of each vector."""
        # The nearest centre by the largest product less half the centre's square: no table of differences.
        return np.asarray((self.whiten(vectors) @ self.centres.T - (self.centres**2).sum(1) / 2).argmax(1), np.int32)


def match_clusters(clusters: Array, before: Array, count: int) -> Array:
    """Return clusters renumbered, below `count`, to share the most entities with those before (Kuhn's method)."""
    from scipy.optimize import linear_sum_assignment

    pairs = (clusters.astype(np.int64) * count + before)[before >= 0]
    overlap = np.bincount(pairs, minlength=count * count).reshape(count, count)
    return np.asarray(linear_sum_assignment(overlap, maximize=True)[1][clusters], np.int32)


def weights_of(vectors: Array, clusters: Array, count: int) -> Array:
    """Return (count,): each cluster's weight, 1 ÷ its variance, of mean 1 over vectors; empty ones have the largest."""
    parts = (vectors[clusters == number] for number in range(count))
    variances = np.array([part.var(0, dtype=np.float64).mean() if len(part) else 0.0 for part in parts])
    # A cluster of equal vectors would have an infinite weight.
    weights = 1 / np.maximum(variances, max(_EQUAL, _TIGHTEST * vectors.var(0, dtype=np.float64).mean()))
    return np.asarray(weights / weights[clusters].mean(), np.float32)


def rand_index(clusters: Array, before: Array) -> dict[str, float]:
    """Return the adjusted Rand index with the clusters before (1 equal, 0 chance) as a figure, if there are any."""
    from sklearn.metrics import adjusted_rand_score

    seen = before >= 0
    return {"rand_index": float(adjusted_rand_score(before[seen], clusters[seen]))} if seen.any() else {}
