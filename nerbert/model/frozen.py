"""Frozen layers: what the lowest ones compute stays as the backbone has it.

The choice: frozen is all that the output of the last frozen layer hangs on, as torch's own graph tells it, so the
embeddings go with it in any architecture, and so do relative positions that all layers share. A language model's
decoder that is tied to the embeddings is the same parameter and is frozen with them; its bias is trained. The price: a
pass over two pieces, and models that have no one list of layers (ALBERT's are one shared layer) are refused.
"""

from typing import Any

import torch

from nerbert.model.layers import layers_of


def freeze(model: Any, layers: int) -> None:
    """Stop the training of the embeddings and the lowest `layers` layers; 0 leaves the model as it is."""
    if layers == 0:
        return
    stack = layers_of(model, "num_frozen_layers", layers)
    for parameter in [*_causes_of(model, stack[layers - 1]), *stack[:layers].parameters()]:
        parameter.requires_grad_(False)


def _causes_of(model: Any, layer: Any) -> list[torch.nn.Parameter]:
    """The parameters of the body that a layer's output depends on."""
    found: list[torch.Tensor] = []
    handle = layer.register_forward_hook(
        lambda _layer, _inputs, output: found.append(output[0] if isinstance(output, tuple) else output)
    )
    ids = torch.zeros((1, 2), dtype=torch.long, device=next(model.parameters()).device)
    trained, was_training = [each for each in model.parameters() if each.requires_grad], model.training
    try:
        model.eval()
        with torch.enable_grad():
            model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids))
            gradients = torch.autograd.grad(found[0].sum(), trained, allow_unused=True)
    finally:
        handle.remove()
        model.train(was_training)
    return [each for each, gradient in zip(trained, gradients, strict=True) if gradient is not None]
