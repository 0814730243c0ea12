"""The settings as typed keywords of the public functions; made from them by `python docs/generate.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

from nerbert.config import Section


class CorpusKeywords(TypedDict, total=False):
    """The settings of CorpusSettings."""

    seed: int
    wiki: str
    language: str
    sentence_splitter: Literal["rules", "punkt"]
    punkt_model: str
    word_splitter: Literal["unicode", "icu"]
    glued: Literal["grow", "drop"]
    lists: bool
    captions: bool
    split_bytes: int
    label_set: str
    precedence: str
    evidence: Sequence[Literal["title", "category", "first sentence"]]
    evidence_precision: float
    split_by: Literal["page", "sentence"]
    validation_ratio: float
    min_mentions: int
    rare_category: Literal["entity", "drop"]
    keep_untyped: bool
    common_categories: int
    alpha: float
    sample_size: int
    balance: Literal["literal", "fit"]
    max_copies: int
    exclude_ngram_size: int
    steps: Sequence[str]
    unknown_min_mentions: int


class TaggingKeywords(TypedDict, total=False):
    """The settings of TaggingSettings."""

    label_all_tokens: bool
    label_smoothing: float
    outside_weight: float
    joined_layer: int


class MlmKeywords(TypedDict, total=False):
    """The settings of MlmSettings."""

    texts: str | Path | Sequence[str | Path]
    probability: float
    mask_style: Literal["subwords", "pairs"]


class ConceptsKeywords(TypedDict, total=False):
    """The settings of ConceptsSettings."""

    backbone: str
    pooling: Literal["mean", "first"]
    descriptions: bool
    temperature: float
    label_all_tokens: bool
    max_concepts: int


class NamesKeywords(ConceptsKeywords, total=False):
    """The settings of NamesSettings."""

    boundary_weight: float
    word_weight: float
    outside_weight: float


class SelfTrainingKeywords(TaggingKeywords, total=False):
    """The settings of SelfTrainingSettings."""

    threshold: float


class TypingKeywords(TaggingKeywords, total=False):
    """The settings of TypingSettings."""

    num_clusters: int
    weight: float
    dimensions: int
    iterations: int
    sample: int


class ZeroShotKeywords(TypedDict, total=False):
    """The settings of ZeroShotSettings."""

    max_types: int
    positive_weight: float
    focal_alpha: float
    focal_gamma: float
    architecture: str | Literal[""]
    max_width: int
    negative_ratio: float
    lstm: bool
    dropout: float
    labels_backbone: str
    descriptions: bool


class DistillationKeywords(TaggingKeywords, total=False):
    """The settings of DistillationSettings."""


class CdlmKeywords(TypedDict, total=False):
    """The settings of CdlmSettings."""

    mode: Literal["supervised", "unsupervised", "combined", "target"]
    texts: str | Path | Sequence[str | Path]
    source_texts: str | Path | Sequence[str | Path]
    vectors: str | Path | Sequence[str | Path]
    words: Literal["encoder", "random"]
    weights: Sequence[float]
    negatives: int
    dropout: float
    optimizer: Literal["sgd", "rmsprop"]
    sgd_above: float
    sgd_rate: float
    decay: float


class GazetteersKeywords(TypedDict, total=False):
    """The settings of GazetteersSettings."""

    files: str | Path | Sequence[str | Path]
    match: Literal["anchors", "text"]
    max_words: int


class OpenTypesKeywords(TypedDict, total=False):
    """The settings of OpenTypesSettings."""

    files: str | Path | Sequence[str | Path]
    dev: str | Path | Sequence[str | Path]
    copies: float
    asked: Literal["file", "all"]


class ReplayKeywords(TypedDict, total=False):
    """The settings of ReplaySettings."""

    files: str | Path | Sequence[str | Path]
    share: float


class TrainKeywords(TypedDict, total=False):
    """The settings of TrainSettings."""

    sections: Sequence[Section]
    objective: str
    seed: int
    epochs: float
    min_steps: int
    max_steps: int
    batch_size: int
    max_tokens_per_batch: int
    learning_rate: float
    new_layers_learning_rate: float
    weight_decay: float
    warmup_ratio: float
    schedule: Literal["linear", "cosine", "constant"]
    max_grad_norm: float
    max_length: int
    on_too_long: Literal["window", "truncate", "error"]
    precision: Literal["auto", "bf16", "fp32"]
    packing: bool
    overlap: bool
    compile: bool
    num_layers: int
    threads: int
    tagging: TaggingKeywords | Section
    concepts: ConceptsKeywords | Section
    names: NamesKeywords | Section
    zero_shot: ZeroShotKeywords | Section


class PretrainKeywords(TrainKeywords, total=False):
    """The settings of PretrainSettings."""

    corpus: str | Path | Sequence[str | Path]
    shares: Sequence[float]
    wordings: bool
    backbone: str
    label_set: str
    num_frozen_layers: int
    cache: str
    save_minutes: float
    save_steps: int
    save_total_limit: int
    tensorboard: str
    resample_each_epoch: bool
    max_eval_samples: int
    evaluation_steps: int
    select: Literal["last", "dev"]
    fresh_num_layers: int
    fresh_hidden_size: int
    fresh_vocab_size: int
    mlm: MlmKeywords | Section
    self_training: SelfTrainingKeywords | Section
    typing: TypingKeywords | Section
    gazetteers: GazetteersKeywords | Section
    open_types: OpenTypesKeywords | Section


class FinetuneKeywords(TrainKeywords, total=False):
    """The settings of FinetuneSettings."""

    source_epochs: float
    source_head: Literal["new", "shared"]
    select: Literal["last", "dev"]
    patience: int
    distillation: DistillationKeywords | Section
    cdlm: CdlmKeywords | Section
    replay: ReplayKeywords | Section


class DistilKeywords(FinetuneKeywords, total=False):
    """The settings of DistilSettings."""

    max_sentences: int
    empty_share: float
