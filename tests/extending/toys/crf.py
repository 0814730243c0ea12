"""A head of its own, in one file: a layer over BIO tags and what may follow what (CRF, Lafferty et al. 2001)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import BertForTokenClassification

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone, load_tokenizer, tags_of
from nerbert.model.folder import ModelFolder
from nerbert.model.forward import Batch, TorchScorer, logits_at
from nerbert.model.linear import LinearHead, WordScores, owners
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import IGNORED
from nerbert.rng import Array
from nerbert.tagger import onnx
from nerbert.tagger.backends import HeadKind, Wanted, on_back_end, placed
from nerbert.tagger.export import ExportedHead, ExportTask
from nerbert.training.settings import TrainSettings
from nerbert.training.tagging import TokenClassification


class CrfModel(BertForTokenClassification):  # type: ignore[misc]
    """A BERT with a layer over tags, and a number for each pair of them: (tag, tag before)."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.follows = torch.nn.Linear(config.num_labels, config.num_labels, bias=False)
        self.post_init()


class Crf(TokenClassification):
    """The negative log-likelihood of each window's tags."""

    head_name: ClassVar[str] = "tests.extending.toys.crf:CrfKind"

    def make_model(self, backbone: Backbone) -> Any:
        return backbone.load(
            CrfModel, num_labels=len(self._tags), id2label=dict(enumerate(self._tags)),
            label2id={tag: number for number, tag in enumerate(self._tags)},
        )  # fmt: skip

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        kept = batch.labels != IGNORED
        logits, tags, rows = logits_at(model, batch).float()[kept], batch.labels[kept], batch.rows[kept]
        windows = [(logits[rows == row], tags[rows == row]) for row in torch.unique(rows)]
        return {"loss": torch.stack([_surprise(*each, model.follows.weight.float()) for each in windows]).sum()}

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> LinearHead:
        return CrfHead(TorchScorer(model, settings.precision), pieces, self._tags, follows=_numbers(model))


def _surprise(logits: torch.Tensor, tags: torch.Tensor, follows: torch.Tensor) -> torch.Tensor:
    """Return −log p of a window's tags."""
    found = logits.gather(1, tags[:, None]).sum() + follows[tags[1:], tags[:-1]].sum()
    total = logits[0]
    for each in logits[1:]:
        total = each + torch.logsumexp(follows + total, 1)
    return torch.logsumexp(total, 0) - found


def _numbers(model: Any) -> Array:
    found: Array = model.follows.weight.detach().cpu().numpy()
    return found


@dataclass(frozen=True)
class CrfHead(LinearHead):
    """The best path; `follows` is (tags, tags before)."""

    name: str = "crf"
    follows: Array | None = None

    def path(self, scores: WordScores, decoding: str) -> Array:
        codes, places = np.zeros(scores.words, np.int32), np.searchsorted(scores.read, scores.offsets)
        for start, end in pairwise(places.tolist()):
            codes[scores.read[start:end]] = self.classes.codes[self._best(scores.logits[start:end])]
        owner = codes[owners(scores)]
        codes[scores.followers] = owner + owner % 2
        return codes

    def _best(self, logits: Array) -> list[int]:
        """Return the classes of a sentence's words."""
        total, back = np.zeros(logits.shape[1]), list[Array]()
        for each in logits:
            pairs = total + (0 if not back else self.follows)
            back.append(np.broadcast_to(pairs, (logits.shape[1],) * 2).argmax(1))
            total = each + np.broadcast_to(pairs, (logits.shape[1],) * 2).max(1)
        path = [int(total.argmax())]
        for each in back[:0:-1]:
            path.append(int(each[path[-1]]))
        return path[: len(logits)][::-1]

    def projections(self, texts: Any) -> list[float | None]:
        assert self.follows is not None
        return [(each or 0.0) + float(np.abs(self.follows).mean()) for each in super().projections(texts)]


class CrfKind(HeadKind):
    """How its taggers are opened and exported."""

    @classmethod
    def open(cls, folder: ModelFolder, wanted: Wanted) -> CrfHead:
        return on_back_end(folder, wanted, _on_onnx, _on_torch)

    @classmethod
    def export(cls, task: ExportTask) -> ExportedHead:
        model = CrfModel.from_pretrained(task.source, use_safetensors=True).eval()
        tags, pieces, follows = tags_of(model, task.source), task.pieces(model.config), _numbers(model)

        def logits(ids: Any, mask: Any) -> Any:
            return model(input_ids=ids, attention_mask=mask).logits

        scorers = task.graphs([model], logits, TorchScorer(model, "fp32"), pieces, len(tags))
        heads = {name: CrfHead(each, pieces, tags, onnx.MAX_TOKENS, follows=follows) for name, each in scorers.items()}
        return {"tags": tags, "own": {"follows": follows.tolist()}, **pieces.facts()}, heads


def _on_torch(source: str, wanted: Wanted) -> CrfHead:
    model = CrfModel.from_pretrained(source, use_safetensors=True)
    pieces = SubwordTokenizer(load_tokenizer(source), model.config, wanted.longest, on_too_long=wanted.on_too_long)
    follows, (name, tokens) = _numbers(model), placed(model, wanted)
    scorer = TorchScorer(model, wanted.precision)
    return CrfHead(scorer, pieces, tags_of(model, source), tokens, "legal", name, follows=follows)


def _on_onnx(exported: onnx.Exported, precision: str, wanted: Wanted) -> CrfHead:
    tags = exported.tags()
    follows = np.array(exported.card.own.get("follows"), np.float32)
    if follows.shape != (len(tags), len(tags)):
        raise InputError(f"{exported.folder}: of another shape than its tags: follows")
    scorer = onnx.OnnxScorer(exported.graphs[precision], len(tags), threads=wanted.threads)
    pieces = exported.pieces(wanted.longest, wanted.on_too_long)
    return CrfHead(scorer, pieces, tags, onnx.MAX_TOKENS, "legal", f"onnx {precision} cpu", follows=follows)
