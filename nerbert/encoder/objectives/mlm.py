"""Masked language modelling (Devlin et al. 2019 §3.1): the control that trains on the text without the labels.

Masks are drawn by subword, window and step, so they don't depend on the micro-batches of a step.
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
"""Shares of the selected subwords that are masked, and replaced by a random subword; the others stay unchanged."""
_LONGEST = 1 << 20
"""Upper bound of a window's length, so that window and column can be combined in one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MlmSettings(Section):
    """Settings of masked language modelling."""

    section: ClassVar[str] = "mlm"
    reads: ClassVar[tuple[str, ...]] = ("texts",)
    texts: tuple[Path, ...] = ()
    """Texts of a domain instead of a corpus: files of any format that `nerbert tag` reads, folders of them, corpora.
    Lines of a text file are packed into windows; empty lines separate documents. Source: DAPT (Gururangan et al. 2020);
    CrossNER (Liu et al. 2021) has Wikipedia's pages of each domain."""
    probability: Annotated[float, Interval(gt=0, le=1)] = 0.15
    """Share of subwords to predict: 80 % of them masked, 10 % replaced, 10 % unchanged. Source: Devlin et al. 2019
    §3.1; CrossNER's public code has 0.2."""
    mask_style: Literal["subwords", "pairs"] = "subwords"
    """Choice of the subwords to predict: `subwords` draws each one independently; `pairs` then moves isolated ones next
    to others, with the same total share. Source: Devlin et al. 2019; CrossNER's public code has pairs."""


class Mlm(Objective, StepHooks):
    """The objective: the mean cross-entropy of the selected subwords, over the whole vocabulary.

    A `share` (0–1) of the subwords is drawn, never special ones; a random subword is any of the first `vocabulary`
    ones that isn't special, possibly the same one.
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
        """Return the objective for a task's tokenizer and model; raise InputError without a mask token."""
        settings, tokenizer, config = task.settings, task.backbone.tokenizer, task.backbone.config
        size = int(getattr(config, "vocab_size", 0) or len(tokenizer))
        # Some tokenizers have a mask that the model has no row for.
        if tokenizer.mask_token_id is None or tokenizer.mask_token_id >= size:
            name = tokenizer.name_or_path or "the tokenizer"
            raise InputError(
                f"{name}: has no mask piece that the model knows, so nothing can be masked; add one as "
                "mask_token to tokenizer_config.json, or take objective = 'tagging'"
            )
        section = settings.of(MlmSettings)
        # Random subwords must be known to both.
        vocabulary = min(len(tokenizer), size)
        return cls(
            settings.seed,
            section.probability,
            tokenizer.mask_token_id,
            vocabulary,
            tokenizer.all_special_ids,
            pairs=section.mask_style == "pairs",
        )

    def make_model(self, backbone: Backbone) -> Any:
        """Return a masked language model; keep an existing head."""
        from transformers import AutoModelForMaskedLM

        return backbone.load(AutoModelForMaskedLM, keep_head=True)

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> Batch:
        """Return the batch with this step's masks; its terms are the selected subwords, its labels their ids."""
        ids = batch.ids.numpy()
        # A number for each place in the data: how a step is cut changes no mask.
        positions = batch.numbers.numpy()[:, None] * _LONGEST + np.arange(ids.shape[1])
        ordinary = batch.mask.numpy().astype(bool) & ~np.isin(ids, self._special)
        drawn = ordinary & (uniforms(self._seed, f"masks of step {step}", positions) < self._share)
        rows, columns = np.nonzero(pair_masks(drawn) if self._pairs else drawn)
        labels = ids[rows, columns]
        filled = ids.copy()
        actions = uniforms(self._seed, f"kinds of masks of step {step}", positions[rows, columns])
        chances = uniforms(self._seed, f"random pieces of step {step}", positions[rows, columns])
        random = self._ordinary[(chances * len(self._ordinary)).astype(np.int64)]
        # Some selected subwords are shown: a model that only ever sees masks would not
        # represent visible words.
        shown = np.where(actions < _MASKED + _REPLACED, random, labels)
        filled[rows, columns] = np.where(actions < _MASKED, self._mask_id, shown)
        arrays = {"ids": filled, "rows": rows, "columns": columns, "labels": labels}
        return replace(batch, **{name: torch.from_numpy(array) for name, array in arrays.items()})

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the number of selected subwords."""
        return {"loss": len(batch.labels)}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the sum of their cross-entropies, computed in fp32."""
        return {"loss": _cross_entropy(logits_at(model, batch), batch)}

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return a scorer: the loss on masked subwords of held-out sentences; masks of step 0 aren't trained on."""
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
                hits = hits + int((logits.argmax(-1) == batch.labels).sum())
                count += len(batch.labels)
        loss, hits, count = processes.totals(loss, hits, count)
        if not count:
            raise InputError(
                "no piece of the validation sentences is masked: use a larger mlm.probability, or more sentences"
            )
        return CheckpointScore(loss / count, False, {"mlm_loss": loss / count, "mlm_accuracy": hits / count})

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        return Description(
            learnt="predict masked subwords (Devlin et al. 2019 §3.1), without labels",
            chooses="mlm_loss",
            pipeline="fill-mask",
            figures={"mlm_loss": "mean cross-entropy of a masked subword", "mlm_accuracy": "masked subwords found"},
        )


def pair_masks(drawn: Array) -> Array:
    """Return masks (windows, subwords) in which isolated selected subwords are joined in pairs, as in CrossNER's code.

    An isolated one moves next to the run of selected ones that follows in its window, which may have any length. A run
    that was joined joins nothing itself. As there, the subword before that run is selected whatever it is.
    """
    paired = drawn.copy()
    waiting = (-1, 0)
    around = np.pad(drawn, ((0, 0), (1, 1)))
    begins = drawn & ~around[:, :-2]
    alone = ~around[:, 2:]
    for row, column in np.argwhere(begins).tolist():
        # One waits in this window already: it moves in front of this run, whatever its length.
        if waiting[0] == row:
            paired[waiting], paired[row, column - 1], waiting = False, True, (-1, 0)
        elif alone[row, column]:
            waiting = row, column
    return paired


def _cross_entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits.float(), batch.labels, reduction="sum")
