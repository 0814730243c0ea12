"""A fresh head that starts from its types' names: the vector of a type's name is added to its rows as they are drawn.

Names are read by a concept encoder if there is one, else by the encoder itself.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch

from nerbert.errors import SettingsError
from nerbert.labels import common_name, split_tag
from nerbert.model.backbone import Backbone, tags_of
from nerbert.model.concept_encoder import LONGEST_NAME, class_words, open_concepts
from nerbert.model.folder import CONCEPTS
from nerbert.model.fresh import head_of
from nerbert.model.tokenizer import room_for

_LENGTH = 8.0
"""Length of names' vectors times that of their mean states, on average: about the logit of such a state."""
_ELSE = frozenset({"misc", "other", "others", "else", "none", "unknown"})
"""Names of types that mean what no other type does."""


def type_words(type_: str) -> str:
    """Return a type's name in words (`PER` is person); "" for one that means what no other type does, as `MISC`."""
    common = common_name(type_)
    name = common if common != type_.casefold() else class_words(type_)
    return "" if name in _ELSE else name


def start_from_names(model: Any, backbone: Backbone, kept: Collection[str] = ()) -> dict[str, Any]:
    """Add the vectors of its types' names to a new head, in place; return which types have one, and whose, for a card.

    `kept` are types whose rows stay. Nothing changes, and the result is {}, where no other type has a vector. Raise
    SettingsError for a head without a linear layer over its labels.
    """
    last, own = head_of(model)
    if not last:
        why = "setting head = 'names': the head has no linear layer over labels; take 'new'"
        raise SettingsError(why, setting="head")
    layer, types = model.get_submodule(last), [split_tag(tag)[1] for tag in tags_of(model, backbone.source)]
    words = {type_: type_words(type_) for type_ in types if type_ and type_ not in kept}
    reads_states = own.keys() == {f"{last}.weight", f"{last}.bias"}
    reader, read = ("concepts", _by_concepts) if reads_states and _has_concepts(backbone) else ("encoder", _by_states)
    model.eval()
    with torch.no_grad():
        vectors, bias = read(model, backbone, layer, sorted({*words.values()} - {""}))
        for row, type_ in enumerate(types if vectors else ()):
            if type_ in words:
                layer.weight[row] += vectors.get(words[type_], 0)
                if layer.bias is not None:
                    layer.bias[row] = bias
    named = {type_: name for type_, name in words.items() if name in vectors}
    return {"head_names": {"reader": reader, "types": named}} if named else {}


def _has_concepts(backbone: Backbone) -> bool:
    """Return whether the folder has a concept encoder for the states that the head reads: those of all its layers."""
    depth = getattr(backbone.config, "num_hidden_layers", 0)
    return backbone.num_layers in (0, depth) and (Path(backbone.source) / CONCEPTS).is_file()


def _by_concepts(
    model: Any, backbone: Backbone, layer: torch.nn.Linear, names: Sequence[str]
) -> tuple[dict[str, torch.Tensor], float]:
    """Return each name's vector by the concept encoder, and b; of a joined lower layer it reads nothing."""
    both = open_concepts(backbone.source, model.base_model).eval()
    known = [name for name in names if _pieces(both.tokenizer, name, LONGEST_NAME)]
    rows = torch.zeros(len(known), layer.in_features)
    if known:
        vectors = both.name_vectors(known)
        rows[:, : vectors.shape[1]] = vectors / both.temperature
    return dict(zip(known, rows, strict=True)), float(both.bias)


def _by_states(
    model: Any, backbone: Backbone, layer: torch.nn.Linear, names: Sequence[str]
) -> tuple[dict[str, torch.Tensor], float]:
    """Return each name's vector by what the layer itself reads of it, and a bias of 0."""
    longest = min(LONGEST_NAME, room_for(backbone.tokenizer, model.config))
    pieces = {name: ids for name in names if (ids := _pieces(backbone.tokenizer, name, longest))}
    seen = list[torch.Tensor]()
    handle = layer.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0].float()))
    try:
        for ids in pieces.values():
            given = torch.tensor([ids])
            model(input_ids=given, attention_mask=torch.ones_like(given))
    finally:
        handle.remove()
    if not seen:
        return {}, 0.0
    means = torch.stack([each.flatten(0, -2).mean(0) for each in seen])
    vectors = torch.nn.functional.normalize(means) * (_LENGTH / means.norm(dim=1).mean())
    return dict(zip(pieces, vectors, strict=True)), 0.0


def _pieces(tokenizer: Any, name: str, longest: int) -> tuple[int, ...]:
    """Return a name's subwords with the special ones, cut; () where the tokenizer knows none of the name's own."""
    found = tokenizer(name, truncation=True, max_length=longest, return_special_tokens_mask=True)
    ids, special = found["input_ids"], found["special_tokens_mask"]
    known = (not mark and each != tokenizer.unk_token_id for each, mark in zip(ids, special, strict=True))
    return tuple(ids) if any(known) else ()
