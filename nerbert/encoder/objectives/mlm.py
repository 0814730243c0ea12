"""Masked language modelling (Devlin et al. 2019 §3.1): the control that sees the text without the labels.

Masks are drawn by piece, window and step, so they don't depend on how a step is cut.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from annotated_types import Interval

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone
from nerbert.model.forward import Batch, autocast, logits_at
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.rng import Array, uniforms
from nerbert.training.batches import Sources, batches_to_read
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import PRETRAIN, CheckpointScore, Description, Objective, StepHooks, Task, Traits
from nerbert.training.settings import Section, TrainSettings

_MASKED, _REPLACED = 0.8, 0.1
"""Shares of the pieces asked for that are masked, and that are replaced by a random one; the others stay."""
_LONGEST = 1 << 20
"""Windows are shorter than this, so window and column make one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MlmSettings(Section):
    """Settings of masked language modelling."""

    section: ClassVar[str] = "mlm"
    reads: ClassVar[tuple[str, ...]] = ("texts",)
    texts: tuple[Path, ...] = ()
    """Texts of a domain in place of a corpus: files of any format that `nerbert tag` reads, folders of them, corpora.
    Lines of a text file are packed into windows; empty lines divide documents. Source: DAPT (Gururangan et al. 2020);
    CrossNER (Liu et al. 2021) has Wikipedia's pages of each domain."""
    probability: Annotated[float, Interval(gt=0, le=1)] = 0.15
    """Share of subwords to predict: 80 % of them masked, 10 % replaced, 10 % unchanged. Source: Devlin et al. 2019
    §3.1; CrossNER's public code has 0.2."""
    mask_style: Literal["subwords", "pairs"] = "subwords"
    """Which subwords are predicted: each drawn by itself, or `pairs`: two that were drawn alone become neighbours, so
    that the share is the same. Source: Devlin et al. 2019; CrossNER's public code has pairs."""


class Mlm(Objective, StepHooks):
    """The objective: the mean cross-entropy of the pieces asked for, over all pieces of the vocabulary.

    `share` (0–1) of the pieces are asked for, special ones never; a random piece is any of the first `vocabulary` ones
    that isn't special, possibly the same one.
    """

    settings: ClassVar[type[Section]] = MlmSettings
    traits: ClassVar[Traits] = Traits(commands=(PRETRAIN,))

    def __init__(
        self, seed: int, share: float, mask_id: int, vocabulary: int, special_ids: Iterable[int], *, pairs: bool = False
    ) -> None:
        self._seed, self._share, self._mask_id, self._pairs = seed, share, mask_id, pairs
        self._special = np.array(sorted({*special_ids, mask_id}))
        self._ordinary = np.setdiff1d(np.arange(vocabulary), self._special)

    @classmethod
    def data(cls, sources: Sources) -> Any:
        """Return sentences without labels."""
        return sources.open_unlabelled(sources.settings.of(MlmSettings).texts)

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for a task's tokenizer and model; raise InputError if there is no mask token."""
        settings, tokenizer, config = task.settings, task.backbone.tokenizer, task.backbone.config
        size = int(getattr(config, "vocab_size", 0) or len(tokenizer))
        if tokenizer.mask_token_id is None or tokenizer.mask_token_id >= size:
            name = tokenizer.name_or_path or "the tokenizer"
            raise InputError(f"{name}: has no mask piece that the model knows, so nothing can be masked; add one as "
                             "mask_token to tokenizer_config.json, or take objective = 'tagging'")  # fmt: skip
        section, vocabulary = settings.of(MlmSettings), min(len(tokenizer), size)
        return cls(settings.seed, section.probability, tokenizer.mask_token_id, vocabulary, tokenizer.all_special_ids,
                   pairs=section.mask_style == "pairs")  # fmt: skip

    def make_model(self, backbone: Backbone) -> Any:
        """Return a masked language model; an existing head stays."""
        from transformers import AutoModelForMaskedLM

        return backbone.load(AutoModelForMaskedLM, keep_head=True)

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> Batch:
        """Return the batch with this step's masks; its terms are the pieces asked for, its labels the original ones."""
        ids = batch.ids.numpy()
        positions = batch.numbers.numpy()[:, None] * _LONGEST + np.arange(ids.shape[1])
        ordinary = batch.mask.numpy().astype(bool) & ~np.isin(ids, self._special)
        drawn = ordinary & (uniforms(self._seed, f"masks of step {step}", positions) < self._share)
        rows, columns = np.nonzero(pair_masks(drawn, ordinary) if self._pairs else drawn)
        labels, filled = ids[rows, columns], ids.copy()
        actions = uniforms(self._seed, f"kinds of masks of step {step}", positions[rows, columns])
        chances = uniforms(self._seed, f"random pieces of step {step}", positions[rows, columns])
        random = self._ordinary[(chances * len(self._ordinary)).astype(np.int64)]
        shown = np.where(actions < _MASKED + _REPLACED, random, labels)
        filled[rows, columns] = np.where(actions < _MASKED, self._mask_id, shown)
        arrays = {"ids": filled, "rows": rows, "columns": columns, "labels": labels}
        return replace(batch, **{name: torch.from_numpy(array) for name, array in arrays.items()})

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the number of pieces asked for."""
        return {"loss": len(batch.labels)}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the sum of their cross-entropies, computed in fp32."""
        return {"loss": _cross_entropy(logits_at(model, batch), batch)}

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return the loss on masked pieces of held-out sentences; the masks are those of step 0, which none trains."""
        windows = Windows.pack(pieces.windows(examples))
        return partial(self._score, windows=windows, pad_id=pieces.pad_id, settings=settings, processes=processes)

    def _score(
        self, model: Any, windows: Windows, pad_id: int, settings: TrainSettings, processes: ProcessGroup
    ) -> CheckpointScore:
        device = next(model.parameters()).device
        loss = hits = count = 0.0
        model.eval()
        with torch.inference_mode(), autocast(device.type, settings.precision):
            share = np.arange(processes.rank, len(windows), processes.count)
            for unmasked in batches_to_read(windows, share, settings, device.type, pad_id):
                batch = self.prepare(unmasked, 0).to(device)
                logits = logits_at(model, batch)
                loss += float(_cross_entropy(logits, batch))
                hits, count = hits + int((logits.argmax(-1) == batch.labels).sum()), count + len(batch.labels)
        loss, hits, count = processes.totals(loss, hits, count)
        if not count:
            raise InputError("no piece of the validation sentences is masked: use a larger mlm.probability, or more "
                             "sentences")  # fmt: skip
        return CheckpointScore(loss / count, False, {"mlm_loss": loss / count, "mlm_accuracy": hits / count})

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        return Description(
            learnt="predict masked subwords (Devlin et al. 2019 §3.1), without labels",
            chooses="mlm_loss",
            pipeline="fill-mask",
            figures={"mlm_loss": "mean cross-entropy of a masked subword", "mlm_accuracy": "masked subwords found"},
        )


def pair_masks(drawn: Array, ordinary: Array) -> Array:
    """Return masks, (windows, pieces), in which those drawn without a neighbour stand in pairs, as in CrossNER's code.

    Of two that follow each other in a window the first moves before the second, if an `ordinary` piece is there.
    """
    paired = drawn.copy()
    around = np.pad(drawn, ((0, 0), (1, 1)))
    rows, columns = np.nonzero(drawn & ~around[:, :-2] & ~around[:, 2:])
    starts = np.searchsorted(rows, rows)  # where each window's begin
    first = np.flatnonzero((np.arange(len(rows)) - starts) % 2 == 0)
    first = first[first + 1 < len(rows)]
    first = first[rows[first + 1] == rows[first]]
    row, previous = rows[first], columns[first + 1] - 1
    moves = ordinary[row, previous]
    paired[row[moves], columns[first][moves]] = False
    paired[row[moves], previous[moves]] = True
    return paired


def _cross_entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits.float(), batch.labels, reduction="sum")
