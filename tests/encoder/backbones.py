"""Tiny encoders of many types with random weights, made on the spot."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

from nerbert.encoder.objectives.mlm import Mlm, MlmSettings
from nerbert.encoder.pretrain import prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.backbone import Backbone, load_tagger_model, save_model
from nerbert.model.folder import write_card
from nerbert.model.linear import LinearHead, Scorer
from nerbert.model.surgery import fresh_config
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import IGNORED, Label
from nerbert.records import Example
from nerbert.training.distributed import make_process_group
from nerbert.training.objective import Task

_SHAPES: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "big_bird": {"attention_type": "original_full"},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "electra": {"embedding_size": 16},
    "longformer": {"attention_window": [8, 8]},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8},
    "roformer": {"embedding_size": 32},
    "squeezebert": {"embedding_size": 32},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
}
_SPECIAL_IDS = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "mask_token_id")


def tiny_config(kind: str, vocabulary: int = 60, **more: Any) -> Any:
    """Two layers, 32 wide, 64 positions."""
    from transformers import AutoConfig

    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 66,
        "pad_token_id": 0,
        **dict.fromkeys(_SPECIAL_IDS, 1),
    }
    return AutoConfig.for_model(kind, **{**shape, **_SHAPES.get(kind, {}), **more})


def tiny_tagging(kind: str, vocabulary: int = 60, **more: Any) -> Any:
    """A model for token classification, in eval mode."""
    from transformers import AutoModelForTokenClassification

    torch.manual_seed(3)
    return AutoModelForTokenClassification.from_config(tiny_config(kind, vocabulary, **more)).eval()


def write_fresh(settings: PretrainSettings, output: Path) -> None:
    """Write the encoder of random weights that pre-training would start from."""
    work = prepare(settings, make_process_group(settings))
    output.mkdir()
    save_model(output, work.model, work.pieces.tokenizer)
    write_card(output, "untrained", word_splitter=work.source.word_splitter, language=work.source.language)


def tiny_mlm(kind: str, vocabulary: int = 60, **more: Any) -> Any:
    """A masked language model, in eval mode."""
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(3)
    return AutoModelForMaskedLM.from_config(tiny_config(kind, vocabulary, **more)).eval()


def load_tagging_model(source: str, tags: Sequence[str] | None = None) -> Any:
    """A tagger's model; with `tags` a model with a new head for them."""
    return load_tagger_model(source) if tags is None else _tagging(Backbone(source, None, 1), tags)


def load_mlm_model(source: str, seed: int) -> Any:
    """A masked language model to train."""
    from transformers import AutoModelForMaskedLM

    return Backbone(source, None, seed).load(AutoModelForMaskedLM, keep_head=True)


def fresh_model(vocabulary: int, layers: int, width: int, tags: Sequence[str] | None, seed: int) -> Any:
    """A BERT with random weights: a tagger, or without `tags` a masked language model."""
    from transformers import AutoModelForMaskedLM

    backbone = Backbone("fresh", None, seed, fresh=fresh_config(vocabulary, layers, width))
    return _tagging(backbone, tags) if tags else backbone.load(AutoModelForMaskedLM, keep_head=True)


def _tagging(backbone: Backbone, tags: Sequence[str]) -> Any:
    from transformers import AutoModelForTokenClassification

    label2id = {tag: number for number, tag in enumerate(tags)}
    names = {"id2label": dict(enumerate(tags)), "label2id": label2id}
    return backbone.load(AutoModelForTokenClassification, num_labels=len(tags), **cast("dict[str, Any]", names))


def mlm_of(tokenizer: Any, config: Any, seed: int, share: float) -> Mlm:
    """The objective for a tokenizer and a model's configuration."""
    settings = PretrainSettings(corpus=(Path("corpus"),), seed=seed, sections=(MlmSettings(probability=share),))
    return Mlm.of(Task((), settings, cast("Backbone", SimpleNamespace(tokenizer=tokenizer, config=config))))


def predict(
    scorer: Scorer,
    pieces: SubwordTokenizer,
    examples: Sequence[Example],
    names: Sequence[str],
    decoding: str = "greedy",
) -> Any:
    """Tags of words."""
    return LinearHead(scorer, pieces, list(names), decoding=decoding).tag(examples)


class Given(WordLabels):
    """Labels by tags that are given, one list an example, in their order."""

    ignored: Label = IGNORED

    def __init__(self, tags: Sequence[Sequence[str]], names: Sequence[str]) -> None:
        self._tags, self._names = iter(tags), list(names)

    def of(self, example: Example) -> list[Label]:
        return [self._names.index(tag) if tag in self._names else IGNORED for tag in next(self._tags)]

    def key(self) -> list[str]:
        return self._names
