"""Models of `transformers`: loaded from a folder as a training or a tagger needs them, and saved; safetensors only."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, refused
from nerbert.labels import check_tags
from nerbert.model.folder import ModelFolder, weight_files
from nerbert.model.int8 import read_int8, to_fp32
from nerbert.model.tokenizer import cut_at_words
from nerbert.rng import Array


def load_tokenizer(source: str) -> Any:
    """Return a fast tokenizer from a folder or a hub name."""
    from transformers import AutoTokenizer

    source = ModelFolder.open(source).name
    with _load_quietly(source, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise InputError(f"{source}: its tokenizer isn't a fast one, so pieces have no offsets; convert it first")
    # A damaged tokenizer_config.json may hold a string or null here, which comparisons fail on later.
    if not isinstance(tokenizer.model_max_length, int | float):
        raise InputError(f"{source}: model_max_length = {tokenizer.model_max_length!r:.80}: must be a number")
    # Without tokenizer.json the loader makes an empty tokenizer of special pieces alone instead of failing.
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise InputError(f"{source}: holds no tokenizer (its vocabulary is empty); put tokenizer.json beside the model")
    return tokenizer


def load_tagger_model(source: str) -> Any:
    """Return the token-classification model of a tagger's folder or hub name; raise InputError if it has no head."""
    from transformers import AutoModelForTokenClassification

    from nerbert.model.surgery import joined_in, joined_kind

    config = Backbone(source, None, 0).config
    layer = joined_in(config, source)
    model, report = _load(joined_kind(config, layer) if layer else AutoModelForTokenClassification, source)
    _check_weights(source, model, report, with_head=True)
    return model


@dataclass(frozen=True)
class Backbone:
    """What a training starts from: a model's folder or hub name, or a `fresh` configuration; `num_layers` 0: all."""

    source: str
    tokenizer: Any
    seed: int
    num_layers: int = 0
    fresh: Any = None

    @classmethod
    def of(cls, source: str, seed: int, num_layers: int = 0, *, cut: bool = True) -> "Backbone":
        """Return what a training starts from, checked; an objective that alone trains it on loads the tokenizer.

        With `cut` that is cut at words; an objective that reads words one by one has no need of it.
        """
        folder = ModelFolder.open(source, "model").check()
        folder.kind.check_start(folder)
        # GLiNER folders have tokenizers and marks of their own, which their objective loads.
        tokenizer = None if folder.kind.objective else load_tokenizer(source)
        return cls(source, cut_at_words(tokenizer) if tokenizer and cut else tokenizer, seed, num_layers)

    @property
    def objective(self) -> str:
        """Return the only objective that trains it on, "" if any may start from it."""
        return "" if self.fresh is not None else ModelFolder.open(self.source).kind.objective

    @cached_property
    def config(self) -> Any:
        """Return the configuration of the model."""
        from transformers import AutoConfig

        if self.fresh is not None:
            return self.fresh
        source = ModelFolder.open(self.source, "model").check_trainable().name
        with _load_quietly(source, "model"):
            return AutoConfig.from_pretrained(source, trust_remote_code=False)

    def load(self, model_class: Any, *, keep_head: bool = False, **config: Any) -> Any:
        """Return a model of an Auto class of `transformers`, or of a subclass of `PreTrainedModel`, in fp32.

        Its head has fresh weights. With `keep_head` only missing parts have, and a decoder that the configuration ties
        to the embeddings stays tied. `config` changes the configuration (`num_labels`, say). The weights of a fresh
        body follow from configuration and seed alone, so trainings with different heads start equal.
        """
        import torch

        from nerbert.model.surgery import JOINED, keep_layers, renew_head

        if self.fresh is not None:
            # A fresh model has no file: its weights follow from the seed. The fork keeps
            # the caller's random state untouched.
            full = deepcopy(self.fresh)
            full.update(config)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                return model_class.from_config(full) if hasattr(model_class, "from_config") else model_class(full)
        model, report = _load(model_class, self.source, ignore_mismatched_sizes=not keep_head, **config)
        _check_weights(self.source, model, report, with_head=False)
        # A tagger that joins two layers may be the start of a plain one; its key would make
        # the new one load wrongly.
        if not hasattr(model_class, JOINED):
            vars(model.config).pop(JOINED, None)
        # The loader draws missing weights from torch's own state; ours are drawn by the seed.
        renew_head(model, self.seed, only=report["missing_keys"] if keep_head else None)
        keep_layers(model, self.num_layers)
        return model

    def load_body(self) -> Any:
        """Return the encoder without a head or a pooling layer, in fp32."""
        from transformers import AutoModelForTokenClassification

        return self.load(AutoModelForTokenClassification).base_model


def _load(model_class: Any, source: str, **names: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return a model of an Auto class in fp32, and the loader's report on its weights; no code of the model is run."""
    from transformers import PretrainedConfig

    source = ModelFolder.open(source, "model").check_trainable().name
    with _load_quietly(source, "model"):
        config, _ = PretrainedConfig.get_config_dict(source)
    # The loader would fetch such code from the hub, and run it.
    if name := next(_kernels(config), ""):
        raise InputError(f"{source}: config.json names code on the hub, {name!r:.80}; delete that entry")
    fixed = {"trust_remote_code": False, "use_safetensors": True, "dtype": "float32", "return_dict": True, **names}
    place = source
    compact = read_int8(weight_files(Path(source)))
    with _load_quietly(source, "model"):
        if compact is not None:
            model_class, fixed, place = _with_weights(model_class, source, to_fp32(compact), fixed)
        model, report = model_class.from_pretrained(place, output_loading_info=True, **fixed)
        model.config.name_or_path = source
    # transformers before 5 leaves numbers of 8 bits as they are.
    return model.float(), report


_OF_WEIGHTS = {"use_safetensors", "dtype", "ignore_mismatched_sizes"}
"""Options of loading weights; others are the configuration's."""


def _with_weights(model_class: Any, source: str, weights: Mapping[str, Array], options: dict[str, Any]) -> Any:
    """Return what loads a model with weights in memory: its own class, options for that, and no place."""
    import torch
    from transformers import AutoConfig

    of_config = {name: options[name] for name in options.keys() - _OF_WEIGHTS}
    config = AutoConfig.from_pretrained(source, **of_config)
    if hasattr(model_class, "from_config"):
        with torch.device("meta"):
            # An Auto class takes no weights in memory; an empty model on "meta" only tells
            # the class itself.
            model_class = type(model_class.from_config(config))
    tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
    kept = {name: option for name, option in options.items() if name not in of_config}
    return model_class, kept | {"config": config, "state_dict": tensors}, None


def _kernels(value: Any, name: str = "") -> Iterator[str]:
    """Yield what entries named `…implementation` hold of names of repositories of kernels, at any depth."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            # The outer name stays: `attn_implementation` may be a mapping with a name of
            # code for each part.
            yield from _kernels(entry, name if name.endswith("implementation") else str(key))
    elif isinstance(value, str) and "/" in value and name.endswith("implementation"):
        yield value


def _check_weights(source: str, model: Any, report: Mapping[str, Any], *, with_head: bool) -> None:
    """Raise InputError if weights of the model were not in the file: the loader gives them random values."""
    # Versions of transformers report a mismatch as a name, or as a name with both shapes.
    mismatched = (entry if isinstance(entry, str) else entry[0] for entry in report["mismatched_keys"])
    made_up = {*report["missing_keys"], *mismatched}
    inside = {*map(id, model.base_model.parameters())}
    # By identity, not name: a decoder tied to the embeddings belongs to the body.
    body = sorted(name for name, parameter in model.named_parameters() if name in made_up and id(parameter) in inside)
    if body:
        unfit = f"{len(body)} are missing or of another shape, say {body[0]}"
        raise InputError(f"{source}: config.json and weights don't belong together: {unfit}")
    if with_head and not made_up.isdisjoint(dict(model.named_parameters())):
        raise InputError(f"{source}: not a tagger: its weights hold no head; fine-tune it first (`nerbert finetune`)")


def save_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write weights (safetensors), config and tokenizer into an existing folder."""
    with quiet():
        model.save_pretrained(folder)
        save_tokenizer(folder, tokenizer)


_OF_A_CALL = (
    "is_local",
    "local_files_only",
    "max_length",
    "stride",
    "truncation_strategy",
    "truncation_side",
    "pad_to_multiple_of",
    "pad_token_type_id",
)
"""How a tokenizer was loaded and last called; that must not go into its file."""


def save_tokenizer(folder: Path, tokenizer: Any) -> None:
    """Write a tokenizer, without options of its last call."""
    # Else a file differs with what was last tagged, and so would its digest.
    for name in _OF_A_CALL:
        tokenizer.init_kwargs.pop(name, None)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def tags_of(model: Any, source: str) -> list[str]:
    """Return the head's label names in order, by the model's `config`; raise InputError unless they are O, B-x, I-x."""
    names: Mapping[int, str] = {int(key): str(value) for key, value in model.config.id2label.items()}
    tags = [names.get(number, "") for number in range(model.config.num_labels)]
    try:
        check_tags(tags)
    except InputError as error:
        raise InputError(f"{source}: not a BIO tagger: {error}; fine-tune it first (`nerbert finetune`)") from error
    return tags


@contextlib.contextmanager
def _load_quietly(source: str, noun: str) -> Iterator[None]:
    """Load quietly; turn what a library raises on a bad folder into one line."""
    with quiet(), refused(f"{source}: can't be loaded as a {noun}"):
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence logs, warnings and progress bars of libraries: notes on new heads, retries, traces."""
    from transformers.utils import logging as hf_logging

    disabled = logging.root.manager.disable
    bars = hf_logging.is_progress_bar_enabled()
    logging.disable(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if bars:
            hf_logging.enable_progress_bar()
