"""Taggers whose head reads a lower layer beside the last one (NuNER's features, Bogdanov et al. 2024).

The class is made from the type's own tagging class. `transformers` alone refuses such a folder, as shapes differ.
"""

from collections.abc import Mapping
from typing import Any

import torch

from nerbert.errors import InputError, SettingsError
from nerbert.model.fresh import head_of

JOINED = "nerbert_joined_layer"
"""The key of config.json that holds the number of the layer, counted from 1."""


def joined_kind(config: Any, layer: int) -> Any:
    """Return the class of taggers of a configuration's type whose head reads `layer` and the last one.

    Raise InputError for a type that has no taggers.
    """
    from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING as KINDS
    from transformers.modeling_outputs import TokenClassifierOutput

    plain: Any = KINDS.get(type(config), None)
    if plain is None:
        why = f"a {config.model_type} has no tagging class in transformers, so no layer can be joined"
        raise InputError(f"{config.name_or_path}: {why}")

    def init(self: Any, config: Any) -> None:
        plain.__init__(self, config)
        parts = {name: each for name, each in self.named_children() if each is not self.base_model}
        self.last, _ = head_of(self)
        if self.last not in parts:
            raise ValueError(f"the head of a {config.model_type} has no one linear layer, so no layer can be joined")
        for name in parts:
            delattr(self, name)
        self.drops = torch.nn.Sequential(*(each for each in parts.values() if isinstance(each, torch.nn.Dropout)))
        setattr(self, self.last, torch.nn.Linear(2 * parts[self.last].in_features, config.num_labels))
        setattr(self.config, JOINED, layer)

    def forward(self: Any, input_ids: Any, attention_mask: Any = None) -> Any:
        found = self.base_model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        states = torch.cat([found[0], found.hidden_states[layer]], -1)
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
    if type(layer) is not int or not 0 < layer < depth:
        raise InputError(f"{source}: config.json: {JOINED} is {layer!r:.80}, not a layer below the last of {depth}")
    return layer


def layer_to_join(wanted: int, config: Any, kept: int, card: Mapping[str, Any]) -> int:
    """Return the number of the layer that the setting `tagging.joined_layer` names; it isn't 0.

    `kept` is the setting `num_layers`, `card` the start's own. Raise SettingsError if there is no such layer.
    """
    layer = wanted if wanted > 0 else int(card.get("num_frozen_layers") or 0)
    if not layer:
        why = "the encoder's nerbert.json names no frozen layers (num_frozen_layers); name a layer, or take 0"
        raise SettingsError(f"setting tagging.joined_layer = {wanted}: {why}", setting="tagging.joined_layer")
    depth = min(kept or _depth(config), _depth(config))
    if layer >= depth:
        why = f"layer {layer} isn't below the last one of {depth}, which is read in any case; take a lower one, or 0"
        raise SettingsError(f"setting tagging.joined_layer = {wanted}: {why}", setting="tagging.joined_layer")
    return layer


def _depth(config: Any) -> int:
    depth = getattr(config, "num_hidden_layers", 0)
    return depth if isinstance(depth, int) else 0
