"""Changes to a model before training: fewer layers, frozen ones, a fresh or joined head; and new small encoders."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from itertools import accumulate, islice
from typing import Any

import torch

from nerbert.errors import InputError, SettingsError
from nerbert.words import SCRIPTS_ALONE

_PER_LAYER = ("layer_types", "mlp_layer_types", "attention_window")
"""What configurations have a list of, with one entry a layer."""
_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_UNKNOWN = _SPECIALS[1]
_POSITIONS = 512
_ALPHABET = 1000
"""Characters that pieces are made of, if so many are wanted for the share below or fewer."""
_COVERED = 0.9995
"""The share of a corpus's characters that are pieces; Chinese needs more of them than the number above."""
_LETTERS = 0.75
"""The largest share of the vocabulary that single characters take, at a word's begin and inside."""
_MOST_TEXTS = 1_000_000


def keep_layers(model: Any, count: int) -> None:
    """Remove all but the lowest `count` layers of the model's body, in place; 0 keeps all."""
    if count == 0:
        return
    stack = layers_of(model, "num_layers", count)
    if count == len(stack):
        return
    for name in _PER_LAYER:
        # Such a list must have as many entries as there are layers, or the model can't be loaded again.
        if isinstance(entries := getattr(model.config, name, None), list | tuple):
            setattr(model.config, name, entries[:count])
    model.config.num_hidden_layers = count
    del stack[count:]
    # Some models have parts beside the list that depend on the depth. Loading would fail on
    # these later, so the shapes are compared now; "meta" takes no memory for weights.
    with torch.device("meta"):
        loaded_again = type(model)(deepcopy(model.config))
    if _shapes(model) != _shapes(loaded_again):
        why = f"a {model.config.model_type} has more parts that hang on the number of layers, so what is left"
        raise SettingsError(f"setting num_layers = {count}: {why} of it couldn't be loaded again; take 0")


def layers_of(model: Any, setting: str, count: int) -> Any:
    """Return the body's list of layers; raise SettingsError if it has none, or fewer than `setting` asks for."""
    depth = int(getattr(model.config, "num_hidden_layers", 0) or 0)
    lists = {
        name: module
        for name, module in model.base_model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth
    }
    # A list inside another one's layers (experts, say, if there are as many) isn't the stack.
    outermost = [layers for name, layers in lists.items() if not any(name.startswith(f"{other}.") for other in lists)]
    # ALBERT's layers share their weights: there is no list to take some of.
    if len(outermost) != 1:
        why = f"{model.config.model_type} has no list of {depth} layers that could be taken one by one"
        raise SettingsError(f"setting {setting} = {count}: {why} (are they shared?); take 0")
    if count > depth:
        raise SettingsError(f"setting {setting} = {count}: the backbone has {depth} layers", setting=setting)
    return outermost[0]


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def freeze(model: Any, layers: int) -> None:
    """Freeze the embeddings and the lowest `layers` layers; 0 freezes nothing."""
    if layers == 0:
        return
    stack = layers_of(model, "num_frozen_layers", layers)
    # Not only the embeddings: whatever the layer's output depends on (projections, position
    # tables) is frozen.
    for parameter in [*_causes_of(model, stack[layers - 1]), *stack[:layers].parameters()]:
        parameter.requires_grad_(False)


def _causes_of(model: Any, layer: Any) -> list[torch.nn.Parameter]:
    """Return the parameters of the body that a layer's output depends on."""
    outputs: list[torch.Tensor] = []
    handle = layer.register_forward_hook(
        lambda _layer, _inputs, output: outputs.append(output[0] if isinstance(output, tuple) else output)
    )
    # Gradients tell what a layer depends on, for any architecture; names of parameters would not.
    ids = torch.zeros((1, 2), dtype=torch.long, device=next(model.parameters()).device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    was_training = model.training
    try:
        model.eval()
        with torch.enable_grad():
            model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids))
            gradients = torch.autograd.grad(outputs[0].sum(), trained, allow_unused=True)
    finally:
        handle.remove()
        model.train(was_training)
    return [parameter for parameter, gradient in zip(trained, gradients, strict=True) if gradient is not None]


def renew_head(model: Any, seed: int, only: Collection[str] | None = None) -> None:
    """Give the head (`only`: its parts of these names) random weights; those shared with the encoder stay."""
    generator = torch.Generator().manual_seed(seed)
    spread = float(getattr(model.config, "initializer_range", 0.02))
    inside = {id(parameter) for parameter in model.base_model.parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if id(parameter) in inside or (only is not None and name not in only):
                continue
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def copy_head(model: Any, other: Any, rows: Mapping[int, int]) -> None:
    """Give the head the weights of another model's, in place; of its last layer only `rows`, own → the other's.

    Raise SettingsError unless both have a head with a linear layer over the labels.
    """
    (last, parameters), (their_last, theirs) = head_of(model), head_of(other)
    # Heads of several layers, or of other shapes, have no rows that belong to labels.
    if not last or last != their_last or parameters.keys() != theirs.keys():
        raise SettingsError(
            "setting source_head = 'shared': the head has no linear layer over labels; use 'new'", setting="source_head"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            if name.startswith(f"{last}."):
                # Rows of labels that only one of both has keep their fresh weights.
                parameter[list(rows)] = theirs[name][list(rows.values())]
            else:
                parameter.copy_(theirs[name])


def head_of(model: Any) -> tuple[str, dict[str, torch.nn.Parameter]]:
    """Return the name of the head's linear layer over the labels ("" if there is none), and the head's parameters."""
    body = {id(part) for part in [*model.base_model.modules(), *model.base_model.parameters()]}
    head = {name: parameter for name, parameter in model.named_parameters() if id(parameter) not in body}
    layers = [
        name
        for name, module in model.named_modules()
        if id(module) not in body
        and isinstance(module, torch.nn.Linear)
        and module.out_features == model.config.num_labels
    ]
    return (layers or [""])[-1], head


JOINED = "nerbert_joined_layer"
"""The key of config.json that holds the number of the layer, counted from 1."""


def joined_kind(config: Any, layer: int) -> Any:
    """Return the class of taggers whose head reads `layer` and the last one; raise InputError if there is none."""
    from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING as KINDS
    from transformers.modeling_outputs import TokenClassifierOutput

    plain: Any = KINDS.get(type(config), None)
    if plain is None:
        why = f"a {config.model_type} has no tagging class in transformers, so no layer can be joined"
        raise InputError(f"{config.name_or_path}: {why}")

    def init(self: Any, config: Any) -> None:
        plain.__init__(self, config)
        parts = {name: part for name, part in self.named_children() if part is not self.base_model}
        self.last, _ = head_of(self)
        # A head in a module of its own is computed in ways that aren't known here.
        if self.last not in parts:
            raise ValueError(f"the head of a {config.model_type} has no one linear layer, so no layer can be joined")
        for name in parts:
            delattr(self, name)
        self.drops = torch.nn.Sequential(*(part for part in parts.values() if isinstance(part, torch.nn.Dropout)))
        setattr(self, self.last, torch.nn.Linear(2 * parts[self.last].in_features, config.num_labels))
        setattr(self.config, JOINED, layer)

    def forward(self: Any, input_ids: Any, attention_mask: Any = None) -> Any:
        output = self.base_model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        states = torch.cat([output[0], output.hidden_states[layer]], -1)
        return TokenClassifierOutput(logits=getattr(self, self.last)(self.drops(states)))

    # transformers looks into the class's module for whether attention can be switched
    body = {"__init__": init, "forward": forward, "__module__": plain.__module__, JOINED: layer}
    return type(f"Joined{plain.__name__}", (plain,), body)


def joined_in(config: Any, source: str) -> int:
    """Return the layer that a tagger's configuration names, 0 for none; raise InputError if it can't be one."""
    layer = getattr(config, JOINED, 0)
    if layer == 0:
        return 0
    depth = _depth(config)
    # `true` is an int in Python, too, and would be layer 1.
    if type(layer) is not int or not 0 < layer < depth:
        raise InputError(f"{source}: config.json: {JOINED} is {layer!r:.80}, not a layer below the last of {depth}")
    return layer


def layer_to_join(setting: int, config: Any, kept: int, card: Mapping[str, Any]) -> int:
    """Return the layer that `tagging.joined_layer` names, not 0 (`kept`: `num_layers`); raise SettingsError if none."""
    # −1 asks for the highest frozen layer of pre-training, as the card has it.
    layer = setting if setting > 0 else int(card.get("num_frozen_layers") or 0)
    if not layer:
        why = "the encoder's nerbert.json names no frozen layers (num_frozen_layers); name a layer, or take 0"
        raise SettingsError(f"setting tagging.joined_layer = {setting}: {why}", setting="tagging.joined_layer")
    depth = min(kept or _depth(config), _depth(config))
    if layer >= depth:
        why = f"layer {layer} isn't below the last one of {depth}, which is read in any case; take a lower one, or 0"
        raise SettingsError(f"setting tagging.joined_layer = {setting}: {why}", setting="tagging.joined_layer")
    return layer


def _depth(config: Any) -> int:
    depth = getattr(config, "num_hidden_layers", 0)
    return depth if isinstance(depth, int) else 0


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Train a cased WordPiece tokenizer (BERT's normalisation and splitting) as a fast `transformers` one.

    The same texts give the same pieces: the library numbers the inner forms of characters (`##a`) in the order of a
    hash table and breaks ties by these numbers (huggingface/tokenizers#1794), so they are given to it, in order. Of
    more than a million texts the first million are read.
    """
    from tokenizers import Tokenizer, models, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = _bert_like(models.WordPiece(unk_token=_UNKNOWN))
    texts = list(islice(texts, _MOST_TEXTS))
    first, inner = _characters(tokenizer, texts, int((vocabulary - len(_SPECIALS)) * _LETTERS))
    specials = [*_SPECIALS, *(f"##{char}" for char in inner)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        special_tokens=specials,
        show_progress=False,
        initial_alphabet=sorted({*first, *inner}),
        limit_alphabet=len({*first, *inner}),
    )
    tokenizer.train_from_iterator(texts, trainer)
    # In training the `##` forms were special pieces, which match anywhere in a text; the
    # trained vocabulary goes into a new tokenizer, where they are ordinary.
    pieces = models.WordPiece(vocab=tokenizer.get_vocab(), unk_token=_UNKNOWN, max_input_chars_per_word=100)
    trained: Tokenizer = _bert_like(pieces)
    trained.add_special_tokens(_SPECIALS)
    start = ("[CLS]", trained.token_to_id("[CLS]"))
    end = ("[SEP]", trained.token_to_id("[SEP]"))
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[start, end]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=trained, model_max_length=_POSITIONS, **names)


def _bert_like(model: Any) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    # BERT's own rule cuts only at ASCII signs and what Unicode calls punctuation, so "100€"
    # would stay one word; marks stay with the character that they stand on.
    alone = pre_tokenizers.Split(Regex(rf"[{SCRIPTS_ALONE}]\p{{M}}*|[^\s\p{{L}}\p{{M}}\p{{N}}_]"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([alone, pre_tokenizers.BertPreTokenizer()])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _characters(tokenizer: Any, texts: Iterable[str], most: int) -> tuple[list[str], list[str]]:
    """Return the characters that words begin with, and those inside them: the frequent ones, at most `most` in all."""
    first = Counter[str]()
    inner = Counter[str]()
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            first[word[0]] += 1
            inner.update(word[1:])
    counts = first + inner
    ranked = sorted(counts, key=lambda char: (-counts[char], char))
    enough = bisect_left(list(accumulate(counts[char] for char in ranked)), _COVERED * counts.total()) + 1
    # A character that words begin with and have inside takes two places in the vocabulary.
    forms = accumulate((char in first) + (char in inner) for char in ranked)
    kept = {char for char, taken in zip(ranked[: max(_ALPHABET, enough)], forms, strict=False) if taken <= most}
    return sorted(kept & first.keys()), sorted(kept & inner.keys())


def fresh_config(vocabulary: int, layers: int, width: int) -> Any:
    """Return the configuration of a BERT of `layers` × `width`; `Backbone.load` makes a model of random weights."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        max_position_embeddings=_POSITIONS,
        pad_token_id=0,
    )
