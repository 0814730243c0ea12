"""The settings as typed keywords of the public functions; made from them by `python docs/generate.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


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
    extra_steps: Sequence[str]


class TrainKeywords(TypedDict, total=False):
    """The settings of TrainSettings."""

    objective: str
    label_all_tokens: bool
    label_smoothing: float
    outside_weight: float
    max_types: int
    positive_weight: float
    seed: int
    epochs: float
    min_steps: int
    max_steps: int
    batch_size: int
    max_tokens_per_batch: int
    learning_rate: float
    weight_decay: float
    warmup_ratio: float
    schedule: Literal["linear", "constant"]
    max_grad_norm: float
    max_length: int
    precision: Literal["auto", "bf16", "fp32"]
    num_layers: int
    threads: int


class PretrainKeywords(TrainKeywords, total=False):
    """The settings of PretrainSettings."""

    corpus: str | Path | None
    open_types: Sequence[str | Path]
    open_types_dev: Sequence[str | Path]
    open_types_copies: float
    open_types_asked: Literal["file", "all"]
    backbone: str
    label_set: str
    gazetteers: Sequence[str | Path]
    gazetteer_match: Literal["anchors", "text"]
    gazetteer_max_words: int
    self_training_threshold: float
    mlm_probability: float
    num_frozen_layers: int
    architecture: str | Literal[""]
    max_width: int
    negative_ratio: float
    concept_backbone: str
    concept_pooling: Literal["mean", "first"]
    concept_descriptions: bool
    temperature: float
    max_concepts: int
    num_clusters: int
    cluster_weight: float
    cluster_by_type: bool
    cluster_dimensions: int
    cluster_iterations: int
    cluster_sample: int
    cache: str
    save_minutes: float
    save_steps: int
    save_total_limit: int
    tensorboard: str
    resample_each_epoch: bool
    max_eval_samples: int
    select: Literal["last", "dev"]
    fresh_num_layers: int
    fresh_hidden_size: int
    fresh_vocab_size: int


class FinetuneKeywords(TrainKeywords, total=False):
    """The settings of FinetuneSettings."""

    source_epochs: float
    source_head: Literal["new", "shared"]
    head: Literal["new", "names"]
    joined_layer: int
    on_too_long: Literal["window", "truncate", "error"]
    select: Literal["last", "dev"]
    patience: int
    replay: Sequence[str | Path]
    replay_share: float


class DistilKeywords(FinetuneKeywords, total=False):
    """The settings of DistilSettings."""

    max_sentences: int
    empty_share: float
