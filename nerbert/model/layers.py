"""The layers of an encoder: found in any architecture, and fewer of them kept.

The choice: a cut encoder keeps its lowest layers. Sajjad et al. 2020 (arXiv 2004.03844) found that dropping the top
ones costs least, and layers spread over the depth were worse here too (docs/results/2026-11-21-small-and-fast.md); and
whatever hangs on a layer's number (kinds of attention in turn, relative positions that the first one holds) stays as it
was. The price: what the dropped layers had learnt is gone, so a cut encoder must be trained on; and models that have no
one list of layers (ALBERT's are one shared layer) are refused.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch

from nerbert.errors import SettingsError

_PER_LAYER = ("layer_types", "mlp_layer_types", "attention_window")
"""What configurations have a list of, with one entry a layer."""


def keep_layers(model: Any, count: int) -> None:
    """Cut off all but the lowest `count` layers of the model's body, in place; 0 leaves it as it is."""
    if count == 0:
        return
    stack = layers_of(model, "num_layers", count)
    if count == len(stack):
        return
    for name in _PER_LAYER:
        if isinstance(each := getattr(model.config, name, None), list | tuple):
            setattr(model.config, name, each[:count])
    model.config.num_hidden_layers = count
    del stack[count:]
    if dict(_shapes(model)) != dict(_shapes(_like(model))):
        raise SettingsError(
            f"setting num_layers = {count}: a {model.config.model_type} has more parts that hang on the number of "
            f"layers, so what is left of it couldn't be loaded again; take 0"
        )


def layers_of(model: Any, setting: str, count: int) -> Any:
    """The body's one list of as many modules as its configuration has layers, of which `setting` asks for `count`.

    Raise SettingsError where there is no such list, or where it is shorter.
    """
    depth = int(getattr(model.config, "num_hidden_layers", 0) or 0)
    lists = {name: each for name, each in model.base_model.named_modules()
             if isinstance(each, torch.nn.ModuleList) and len(each) == depth}  # fmt: skip
    outermost = [each for name, each in lists.items() if not any(name.startswith(f"{other}.") for other in lists)]
    if len(outermost) != 1:
        raise SettingsError(
            f"setting {setting} = {count}: {model.config.model_type} has no list of {depth} layers that could be taken "
            f"one by one (are they shared?); take 0"
        )
    if count > depth:
        raise SettingsError(f"setting {setting} = {count}: the backbone has {depth} layers")
    return outermost[0]


def _like(model: Any) -> Any:
    """A model as its configuration says, without memory for its weights."""
    with torch.device("meta"):
        return type(model)(deepcopy(model.config))


def _shapes(model: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, each in model.state_dict().items():
        yield name, tuple(each.shape)
