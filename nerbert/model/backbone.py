"""Model folders: plain Hugging Face folders with a `nerbert.json` beside; read as hostile, written whole.

Weights are safetensors only, no code of a model is run, and what is not a folder is taken for a hub's name, which is
resolved to a local folder before anything is loaded (`nerbert.model.download`). The price: models that ship pickled
weights alone can't be used until their owner converts them.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from nerbert.artifacts import write_json
from nerbert.errors import InputError, at, refused
from nerbert.labels import check_tags
from nerbert.metrics.calibration import HIGHEST, LOWEST
from nerbert.model.download import MODEL, TOKENIZER, check_hub_name, downloaded
from nerbert.schema import LARGEST, read_checked, read_json
from nerbert.words import SPLITTER, check_splitter

CARD = "nerbert.json"
FORMAT = 1
GLINER = "gliner_config.json"
"""What a folder of the package `gliner` holds in place of config.json."""
EXPORTED = "onnx/nerbert-onnx.json"
"""What a folder that needs no torch holds (`nerbert export`)."""
CONCEPTS = "concepts/concepts.json"
"""What the folder of a text encoder holds that has a concept encoder beside it."""
PRETRAINED = ("encoder", "untrained")
"""Kinds of folder whose head knows a corpus's categories, not a domain's types."""
EMBEDDED = {"embedded": "ner", "embedded-mlm": "mlm", "embedded-open": "open"}
"""Names of the models in the package, and their folders: encoders pre-trained on types of links and on masked words
alone, and a zero-shot tagger."""
_GLINER2 = "extractor"
_SHORTEST = 8
_LARGEST_CARD = 16 << 20
_REMEDY = "the card is damaged, or of another version of nerbert"


@dataclass(frozen=True, slots=True)
class TaggerFacts:
    """What a tagger's model card is made of: what its `nerbert.json` holds, and what it held `before`, if it did."""

    card: Mapping[str, Any]
    before: Mapping[str, Any] | None = None


TaggerHook: TypeAlias = Callable[[Path, TaggerFacts], bool]
"""Writes the model card into a tagger's unfinished folder; returns whether it did."""


def embedded(source: str) -> str:
    """Return `source`, or the package's folder if it names an embedded model; a folder of that name wins."""
    if source in EMBEDDED and not Path(source).is_dir():
        return str(Path(__file__).parent.parent / "sample" / "encoder" / EMBEDDED[source])
    return source


def local(source: str, files: tuple[str, ...] = MODEL) -> str:
    """Return a model's folder: `source` itself, the package's, or the local copy of one on the hub."""
    source = embedded(source)
    if os.path.exists(source):  # noqa: PTH110  (false, too, for what no path can be)
        return source
    check_model_folder(source)
    return downloaded(source, files)


def to_copy(source: str) -> str:
    """Return what gives a model a folder that can be written into."""
    if source in EMBEDDED:
        return f"that one is part of the package: copy {embedded(source)} into a folder, and name it"
    return "a model on the hub must be copied into one first"


def load_tokenizer(source: str) -> Any:
    """Return a fast tokenizer from a folder or a hub name."""
    from transformers import AutoTokenizer

    source = local(source, TOKENIZER)
    with _loading(source, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise InputError(f"{source}: its tokenizer isn't a fast one, so pieces have no offsets; convert it first")
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise InputError(f"{source}: holds no tokenizer (its vocabulary is empty); put tokenizer.json beside the model")
    return tokenizer


def load_tagger_model(source: str) -> Any:
    """Return the token-classification model of a tagger's folder or hub name; raise InputError if it has no head."""
    from transformers import AutoModelForTokenClassification

    from nerbert.model.joined import joined_in, joined_kind

    config = Backbone(source, None, 0).config
    layer = joined_in(config, source)
    model, report = _load(joined_kind(config, layer) if layer else AutoModelForTokenClassification, source, "model")
    _check_weights(source, model, report, with_head=True)
    return model


@dataclass(frozen=True)
class Backbone:
    """What a training starts from: a model's folder or hub name, or, with `fresh`, a configuration of random weights.

    New weights are drawn by `seed`; of the layers the lowest `num_layers` are kept (0: all).
    """

    source: str
    tokenizer: Any
    seed: int
    num_layers: int = 0
    fresh: Any = None

    @cached_property
    def config(self) -> Any:
        """Return the configuration of the model."""
        from transformers import AutoConfig

        if self.fresh is not None:
            return self.fresh
        source = local(self.source)
        _check_trainable(source)
        with _loading(source, "model"):
            return AutoConfig.from_pretrained(source, trust_remote_code=False)

    def load(self, kind: Any, *, keep_head: bool = False, **config: Any) -> Any:
        """Return a model of an Auto class of `transformers`, or of a subclass of `PreTrainedModel`, in fp32.

        Its head has fresh weights. With `keep_head` only what the folder lacks of it has, and a decoder that the
        configuration ties to the embeddings stays tied. `config` changes the configuration (`num_labels`, say). The
        weights of a fresh body follow from configuration and seed alone, so trainings with different heads start equal.
        """
        import torch

        from nerbert.model.fresh import keep_layers, renew_head
        from nerbert.model.joined import JOINED

        if self.fresh is not None:
            full = deepcopy(self.fresh)
            full.update(config)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                return kind.from_config(full) if hasattr(kind, "from_config") else kind(full)
        model, report = _load(kind, self.source, "model", ignore_mismatched_sizes=not keep_head, **config)
        _check_weights(self.source, model, report, with_head=False)
        if not hasattr(kind, JOINED):  # that of a tagger to start from
            vars(model.config).pop(JOINED, None)
        renew_head(model, self.seed, only=report["missing_keys"] if keep_head else None)
        keep_layers(model, self.num_layers)
        return model

    def load_body(self) -> Any:
        """Return the encoder without a head or a pooling layer, in fp32."""
        from transformers import AutoModelForTokenClassification

        return self.load(AutoModelForTokenClassification).base_model


def _load(kind: Any, source: str, what: str, **names: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return a model of an Auto class in fp32, and what the loader says of its weights; no code of the model is run."""
    source = local(source)
    _check_trainable(source)
    _check_kernels(source)
    fixed = {"trust_remote_code": False, "use_safetensors": True, "dtype": "float32", "return_dict": True}
    with _loading(source, what):
        model, report = kind.from_pretrained(source, output_loading_info=True, **fixed, **names)
    return model, report


def _check_kernels(source: str) -> None:
    """Raise InputError if a configuration names a repository of kernels, which the loader would fetch and run."""
    from transformers import PretrainedConfig

    with _loading(source, "model"):
        found, _ = PretrainedConfig.get_config_dict(source)
    if name := next(_kernels(found), ""):
        raise InputError(f"{source}: config.json names code on the hub, {name!r:.80}; delete that entry")


def _kernels(value: Any, name: str = "") -> Iterator[str]:
    """Yield what entries named `…implementation` hold of repositories' names, at any depth."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _kernels(each, name if name.endswith("implementation") else str(key))
    elif isinstance(value, str) and "/" in value and name.endswith("implementation"):
        yield value


def _check_weights(source: str, model: Any, report: Mapping[str, Any], *, with_head: bool) -> None:
    """Raise InputError if weights that the model needs were not in the file: the loader makes them up."""
    mismatched = (each if isinstance(each, str) else each[0] for each in report["mismatched_keys"])
    made_up = {*report["missing_keys"], *mismatched}
    inside = {id(parameter) for parameter in model.base_model.parameters()}
    body = sorted(name for name, each in model.named_parameters() if name in made_up and id(each) in inside)
    if body:
        raise InputError(
            f"{source}: config.json and weights don't belong together: {len(body)} are missing or of another shape, "
            f"say {body[0]}"
        )
    if with_head and any(name in made_up for name, _ in model.named_parameters()):
        raise InputError(f"{source}: not a tagger: its weights hold no head; fine-tune it first (`nerbert finetune`)")


def is_gliner(folder: Path | str) -> bool:
    """Return whether a folder holds a model of the package `gliner`."""
    return (Path(embedded(str(folder))) / GLINER).is_file()


def check_model_folder(source: str) -> None:
    """Raise InputError if `source` looks like a path but is no folder of a safetensors model."""
    source = embedded(source)
    path = Path(source)
    if not os.path.exists(source):  # noqa: PTH110  (false, too, for what no path can be)
        check_hub_name(source, EMBEDDED)
        return
    if path.is_file():
        raise InputError(f"{source}: is a file; give the model's folder")
    if is_gliner(path):
        from nerbert.model.gliner.config import check_gliner_folder

        check_gliner_folder(path)
        return
    if not (path / "config.json").is_file():
        if (path / Path(EXPORTED).name).is_file():
            parent = path.absolute().parent if path.parent == Path() else path.parent
            raise InputError(f"{source}: holds an exported model alone; give the tagger's own folder, {parent}")
        raise InputError(f"{source}: holds no config.json, so it is no model folder")
    if read_json(path / "config.json", dict[str, Any]).get("model_type") == _GLINER2:
        raise InputError(f"{source}: a GLiNER2 model, which nerbert can't compute; take one of the package gliner")
    if not any(path.glob("*.safetensors")) and not (path / EXPORTED).is_file():
        other = next((p.name for p in path.iterdir() if p.suffix in (".bin", ".pt", ".ckpt", ".h5")), "no weights")
        raise InputError(f"{source}: holds {other}, not model.safetensors; pickled weights are refused, convert them")


def _check_trainable(source: str) -> None:
    """Raise InputError for what `check_model_folder` refuses, and for a model of the package `gliner`."""
    check_model_folder(source)
    if is_gliner(source):
        raise InputError(f"{source}: a GLiNER model, which tags as it is (`nerbert tag --labels`); only objective = "
                         "'zero_shot' trains it on")  # fmt: skip


def write_card(folder: Path, kind: str, **facts: Any) -> None:
    """Write `nerbert.json`, last of all files: what made the folder, and what its user must know."""
    from nerbert import __version__

    write_json(folder / CARD, {"format": FORMAT, "kind": kind, "made_by": f"nerbert {__version__}", **facts})


@dataclass(frozen=True, slots=True)
class _Calibration:
    """What of a card's calibration changes a confidence."""

    temperature: Annotated[float, Field(ge=LOWEST, le=HIGHEST, allow_inf_nan=False)] = 1.0


_Bounds: TypeAlias = dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]


@dataclass(frozen=True, slots=True)
class _Previous:
    """What a card keeps of the calibration before the last one."""

    calibration: _Calibration | None = None
    thresholds: _Bounds | None = None


@dataclass(frozen=True, slots=True)
class _Card:
    """What a card must hold to be read; it may hold more."""

    format: Literal[1]
    word_splitter: str
    max_length: Annotated[int, Field(ge=_SHORTEST, lt=LARGEST)] = _SHORTEST
    num_frozen_layers: Annotated[int, Field(ge=0, lt=LARGEST)] = 0
    language: str = "en"
    types: list[str] | None = None
    calibration: _Calibration | None = None
    thresholds: _Bounds | None = None
    previous: _Previous | None = None


def read_card(source: str) -> dict[str, Any]:
    """Return the `nerbert.json` of a folder or a hub name, checked; a model without one gets the defaults."""
    source = local(source, TOKENIZER)
    path = Path(source) / CARD
    if not path.is_file():
        own = {"word_splitter": SPLITTER}
        if is_gliner(source):
            from nerbert.model.gliner.config import gliner_card

            own = gliner_card(Path(source))
        return {"format": FORMAT, "kind": "foreign", **own}
    card = read_checked(path, _Card, limit=_LARGEST_CARD, remedy=_REMEDY)
    with at(path):
        check_splitter(card["word_splitter"])
    return card


def save_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write weights (safetensors), config and tokenizer into an existing folder."""
    with quiet():
        model.save_pretrained(folder)
        save_tokenizer(folder, tokenizer)


_OF_A_CALL = ("is_local", "local_files_only", "max_length", "stride", "truncation_strategy", "truncation_side",
              "pad_to_multiple_of", "pad_token_type_id")  # fmt: skip
"""What a tokenizer keeps of how it was loaded and last called; what cuts texts must not go into its file."""


def save_tokenizer(folder: Path, tokenizer: Any) -> None:
    """Write a tokenizer, without what it keeps of its last call."""
    for name in _OF_A_CALL:
        tokenizer.init_kwargs.pop(name, None)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def tags_of(model: Any, source: str) -> list[str]:
    """Return the head's label names in order; raise InputError unless they are O, B-x, I-x."""
    names: Mapping[int, str] = {int(key): str(value) for key, value in model.config.id2label.items()}
    tags = [names.get(number, "") for number in range(model.config.num_labels)]
    try:
        check_tags(tags)
    except InputError as error:
        raise InputError(f"{source}: not a BIO tagger: {error}; fine-tune it first (`nerbert finetune`)") from error
    return tags


@contextlib.contextmanager
def _loading(source: str, what: str) -> Iterator[None]:
    """Load quietly; turn what a library raises on a bad folder into one line."""
    with quiet(), refused(f"{source}: can't be loaded as a {what}"):
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what libraries log, warn of and count on progress bars: notes on new heads, retries, traces."""
    from transformers.utils import logging as hf_logging

    disabled, bars = logging.root.manager.disable, hf_logging.is_progress_bar_enabled()
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
