"""GLiNER models: read as hostile, and written so that the package `gliner` reads them; and new ones on encoders.

Pickled weights are read as numbers alone. Shapes must be the weights' own before memory is taken for a model.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nerbert.artifacts import write_json
from nerbert.errors import InputError, refused
from nerbert.hub import is_hub_name
from nerbert.model.backbone import Backbone, load_tokenizer, quiet, save_tokenizer
from nerbert.model.folder import WEIGHTS, ModelFolder, find_named
from nerbert.model.gliner.config import FOLDERS, GLINER, PICKLED, Architecture, GlinerConfig, body_config, plain_config
from nerbert.model.gliner.layers import GlinerFolder, GlinerModel, SpanModel, TokenModel
from nerbert.model.gliner.prompt import PromptTokenizer

_BACKBONE, _LABELS_BACKBONE, _LABELS_TOKENIZER = FOLDERS
_PRIOR = 0.01
"""The probability that a new model gives a span of being of a type. Source: RetinaNet (Lin et al. 2017 §4.1)."""


def read_gliner(folder: Path, config: GlinerConfig) -> GlinerFolder:
    """Return the model of a folder that is checked."""
    tokenizer = load_tokenizer(_tokenizer_of(folder, folder, config.model_name, _BACKBONE))
    body = _body(folder, "encoder_config", config.encoder_config, config.model_name, _BACKBONE)
    # The encoder's own configuration has the size from before the marks were added.
    if config.encoder_config is None and config.vocab_size > 0:
        body.vocab_size = config.vocab_size
    if not config.two_encoders and min(config.class_token_index, config.vocab_size) < 0:
        # as the package does: the marks are the last two pieces, after one that is unused
        tokenizer.add_tokens(["[FLERT]", config.ent_token, config.sep_token], special_tokens=True)
        body.vocab_size = len(tokenizer)
        config = dataclasses.replace(config, class_token_index=len(tokenizer) - 2, vocab_size=len(tokenizer))
    config = dataclasses.replace(config, encoder_config=plain_config(body))
    labels_body, labels_tokenizer = None, None
    if config.labels_encoder is not None:
        name, subfolder = config.labels_encoder, _LABELS_BACKBONE
        labels_body = _body(folder, "labels_encoder_config", config.labels_encoder_config, name, subfolder)
        labels_tokenizer = load_tokenizer(_tokenizer_of(folder, folder / _LABELS_TOKENIZER, name, subfolder))
        config = dataclasses.replace(config, labels_encoder_config=plain_config(labels_body))
    model = build(config, body, labels_body, read_weights(folder), str(folder))
    apart = PromptTokenizer(labels_tokenizer, config, model.labels_body, for_labels=True) if labels_body else None
    return GlinerFolder(model, PromptTokenizer(tokenizer, config, model.body), apart)


def save_gliner(folder: Path, loaded: GlinerFolder) -> None:
    """Write a model into an existing folder; the package `gliner` reads it too."""
    from safetensors.torch import save_file

    config = dataclasses.asdict(loaded.model.config)
    config["model_type"] = "_".join(
        (
            "gliner",
            "bi" if loaded.labels_pieces else "uni",
            "encoder",
            "token" if loaded.model.config.token_level else "span",
        )
    )
    write_json(folder / GLINER, json.loads(json.dumps(config, default=str)))
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in loaded.model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    with quiet():
        save_tokenizer(folder, loaded.pieces.tokenizer)
        if loaded.labels_pieces:
            save_tokenizer(folder / _LABELS_TOKENIZER, loaded.labels_pieces.tokenizer)


def build(
    config: GlinerConfig,
    body: Any,
    labels_body: Any,
    weights: Mapping[str, torch.Tensor] | None,
    source: str,
    model_class: type[GlinerModel] | None = None,
) -> GlinerModel:
    """Return a model of encoders' configurations with these weights, or with random ones if there are none."""
    from transformers import AutoModel

    made = model_class or (TokenModel if config.token_level else SpanModel)

    def make() -> GlinerModel:
        with refused(f"{source}: can't be built"), quiet():
            return made(config, *(AutoModel.from_config(encoder) for encoder in (body, labels_body) if encoder)).float()

    if weights is not None:
        with torch.device("meta"):
            # Shapes are compared before memory is taken: a configuration may promise terabytes.
            _check_shapes(make(), weights, source)
    with torch.random.fork_rng(devices=[]):
        model = make()
    if weights is not None:
        model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return model.eval().requires_grad_(False)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a folder by name; pickled ones as numbers alone."""
    from safetensors import safe_open

    path = folder / WEIGHTS
    if path.is_file():
        with refused(f"{path}: can't be read as weights"), safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            # The package lists tensors that share memory under one name and notes the others here.
            for name, same in (stream.metadata() or {}).items():
                if same in tensors:
                    tensors.setdefault(name, tensors[same])
            return tensors
    path = folder / PICKLED
    if not path.is_file():
        raise InputError(
            f"{folder}: holds an exported model alone, without the weights that torch needs; use the "
            "folder that it was exported from"
        )
    try:
        # `weights_only` unpickles numbers alone; whatever else is in the file raises.
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"{path}: damaged, or holds more than weights (pickled code), so it is refused; use a folder with {WEIGHTS}"
        ) from error
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in weights.items()
    ):
        raise InputError(f"{path}: holds no weights by name; use a folder with {WEIGHTS}")
    return weights


def _check_shapes(model: GlinerModel, weights: Mapping[str, torch.Tensor], source: str) -> None:
    """Raise InputError unless all weights are present, in the shapes of the configuration."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing = [name for name in shapes if name not in weights]
    if missing:
        architecture = "token-level" if model.config.token_level else f"{model.config.span_mode} span"
        raise InputError(
            f"{source}: {len(missing)} of {len(shapes)} weights are missing for a {architecture} model on "
            f"{model.body.config.model_type!r}, say {missing[-1]}: another architecture, or a file that "
            "is cut off"
        )
    for name, shape in shapes.items():
        # Complex numbers would lose their imaginary parts with a warning only.
        if tuple(weights[name].shape) != shape or weights[name].is_complex():
            raise InputError(
                f"{source}: {model.config.file} and weights don't belong together: {name} is "
                f"{tuple(weights[name].shape)}, not {shape}"
            )


def _body(folder: Path, key: str, values: dict[str, Any] | None, name: str, subfolder: str) -> Any:
    """Return an encoder's configuration: what `key` holds, or that of `subfolder`, or that of the model `name`."""
    entry = f"{folder / GLINER}: {key}"
    if values is not None:
        return body_config(values, entry)
    from transformers import AutoConfig

    with quiet(), refused(f"{entry} is missing: {_remedy(folder, name, subfolder)}"):
        source = _find_encoder(folder, name, subfolder)
        return body_config(AutoConfig.from_pretrained(source, trust_remote_code=False).to_dict(), entry)


def _tokenizer_of(folder: Path, path: Path, name: str, subfolder: str) -> str:
    """Return the folder of a tokenizer: `path`, or `subfolder`, or that of the model `name`."""
    if (path / "tokenizer_config.json").is_file() or (path / "tokenizer.json").is_file():
        return str(path)
    return _find_encoder(folder, name, subfolder)


def _find_encoder(folder: Path, name: str, subfolder: str) -> str:
    """Return the subfolder, or that of a model on the hub by its name; raise InputError for a path elsewhere."""
    if (folder / subfolder).is_dir():
        # nerbert's own way to hold what a folder only names: no network is needed.
        return str(folder / subfolder)
    # Read as hostile: a folder must not choose which other folders of this machine are read.
    if not is_hub_name(name) or Path(name).exists():
        remedy = _remedy(folder, name, subfolder)
        raise InputError(f"{folder / GLINER}: {name!r:.100} must be a model on the hub; {remedy}")
    try:
        return ModelFolder.open(name).name
    except InputError as error:
        raise InputError(f"{folder / GLINER}: {error}; {_remedy(folder, name, subfolder)}") from error


def _remedy(folder: Path, name: str, subfolder: str) -> str:
    return f"it names only {name!r:.100}; put that model's config.json and tokenizer into {folder / subfolder}"


def new_gliner(
    backbone: Backbone,
    labels: Backbone | None,
    *,
    architecture: Architecture,
    max_width: int,
    max_len: int,
    max_types: int = 25,
    lstm: bool = False,
    dropout: float = 0.1,
) -> GlinerFolder:
    """Return a model on the encoder of `backbone`, for two encoders with another one that reads `labels`.

    `max_len` is how many words it reads at once, `max_types` how many types a prompt has in training. With `lstm` one
    layer reads the words of a text in both directions, if labels have no encoder. `dropout` is that of the layers above
    the encoder. Raise InputError for an encoder that can't be part of such a model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(backbone.seed)
        body = _whole_body(backbone)
        tokenizer = backbone.tokenizer
        labels_body = _whole_body(labels) if labels else None
        config = GlinerConfig(
            model_name=_name_of(backbone),
            hidden_size=int(body.config.hidden_size),
            max_len=max_len,
            max_types=max_types,
            # Not 0, which means "not known": training raises it to the longest prompt that it had.
            max_prompt_len=1,
            num_rnn_layers=int(lstm and labels is None),
            dropout=dropout,
            span_mode="marker" if architecture == "zero" else "markerV0",
            max_width=1 if architecture == "zero" else max_width,
            **(
                {"labels_encoder": _name_of(labels), "labels_encoder_config": plain_config(labels_body.config)}
                if labels and labels_body
                else _with_marks(tokenizer, body)
            ),
            encoder_config=plain_config(body.config),
        )
        model = SpanModel(config, body, labels_body)
        model.expect(_PRIOR)
    apart = PromptTokenizer(labels.tokenizer, config, labels_body, for_labels=True) if labels else None
    return GlinerFolder(model, PromptTokenizer(tokenizer, config, body), apart)


def _with_marks(tokenizer: Any, body: Any) -> dict[str, Any]:
    """Give tokenizer and encoder the marks of a prompt, if they lack them, and return what a configuration says."""
    config = GlinerConfig()
    tokenizer.add_tokens([config.ent_token, config.sep_token], special_tokens=True)
    # Some encoders have rows to spare for new pieces.
    if len(tokenizer) > int(body.config.vocab_size):
        body.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    ids = tokenizer.convert_tokens_to_ids([config.ent_token])
    return {"class_token_index": ids[0], "vocab_size": len(tokenizer)}


def _whole_body(backbone: Backbone) -> Any:
    """Return an encoder as `AutoModel` makes it, which the package loads; a part that it lacks is not trained."""
    from transformers import AutoModel

    encoder = backbone.load_body()
    body_config(encoder.config.to_dict(), backbone.source)
    whole = AutoModel.from_config(encoder.config)
    missing, strange = whole.load_state_dict(encoder.state_dict(), strict=False)
    if strange:
        raise InputError(f"{backbone.source}: {len(strange)} weights have no place in an encoder, say {strange[0]}")
    for name, parameter in whole.named_parameters():
        # A part that the encoder lacks (a pooling layer) has random weights and gives no
        # output that is used.
        parameter.requires_grad_(name not in missing)
    return whole.float()


def _name_of(backbone: Backbone) -> str:
    """Return the name of an encoder on the hub, or the last part of its folder's."""
    path = Path(find_named(backbone.source))
    return path.resolve().name if path.is_dir() else backbone.source
