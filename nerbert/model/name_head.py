"""A fresh head that starts from its types' names: B and I of a type start from the vector of its name, O from zero.

Where a concept encoder stands beside the encoder, a name's vector is cⱼ/τ, and b its bias. So logits are those of
NuNER's two encoders (Bogdanov et al. 2024), and the tagger starts as the zero-shot one. Any other encoder reads the
names itself: a name's vector is the mean of what the head's layer reads at its subwords, less the mean of all names.
The choice: all these vectors have one length, so that a logit's size doesn't depend on the encoder. They tell types
apart, but hardly entities from other words. The price: where a data set's names mislead, training must unlearn them.

A type stays as drawn if its name says nothing (`misc`), or if the tokenizer knows no subword of it. Where fewer than
two names differ, an encoder that reads them itself has nothing to tell apart, and all types stay as drawn.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch

from nerbert.errors import SettingsError
from nerbert.labels import common_name, split_tag
from nerbert.model.backbone import CONCEPTS, Backbone, tags_of
from nerbert.model.concepts import LONGEST_NAME, class_words, open_concepts
from nerbert.model.fresh import head_of
from nerbert.model.tokenizer import room_for

_LENGTH = 8.0
"""Length of a row times that of a name's states: the logit of a state of that length and of the row's direction."""
_ELSE = frozenset({"misc", "other", "others", "else", "none", "unknown"})
"""Names of types that mean what no other type does."""


def type_words(type_: str) -> str:
    """Return a type's name in words (`PER` is person); "" for one that means what no other type does, as `MISC`."""
    common = common_name(type_)
    name = common if common != type_.casefold() else class_words(type_)
    return "" if name in _ELSE else name


def start_from_names(model: Any, backbone: Backbone, kept: Collection[str] | None = None) -> dict[str, Any]:
    """Give a new head the vectors of its types' names, in place; return which types have one, and whose, for a card.

    `kept` are types whose rows stay, and then O's does too; their names still count for the mean. Nothing changes where
    no name has a vector. Raise SettingsError for a head without a linear layer over its labels.
    """
    last, own = head_of(model)
    if not last:
        why = "setting head = 'names': the head has no linear layer over labels; take 'new'"
        raise SettingsError(why, setting="head")
    layer, tags = model.get_submodule(last), [split_tag(tag)[1] for tag in tags_of(model, backbone.source)]
    words = {type_: type_words(type_) for type_ in tags if type_}
    reads_states = own.keys() == {f"{last}.weight", f"{last}.bias"}
    reader, read = ("concepts", _by_concepts) if reads_states and _has_concepts(backbone) else ("encoder", _by_states)
    model.eval()
    with torch.no_grad():
        vectors, bias = read(model, backbone, layer, sorted({*words.values()} - {""}))
        for row, type_ in enumerate(tags if vectors else ()):
            if kept is not None and (not type_ or type_ in kept):
                continue
            layer.weight[row] = vectors.get(words[type_], layer.weight[row]) if type_ else 0
            if layer.bias is not None:
                layer.bias[row] = bias if type_ else 0
    types = {type_: name for type_, name in words.items() if name in vectors and type_ not in (kept or ())}
    return {"head_names": {"reader": reader, "types": types}} if types else {}


def _has_concepts(backbone: Backbone) -> bool:
    """Return whether the folder has a concept encoder for the states that the head reads: those of all its layers."""
    depth = getattr(backbone.config, "num_hidden_layers", 0)
    return backbone.num_layers in (0, depth) and (Path(backbone.source) / CONCEPTS).is_file()


def _by_concepts(
    model: Any, backbone: Backbone, layer: torch.nn.Linear, names: Sequence[str]
) -> tuple[dict[str, torch.Tensor], float]:
    """Return each name's row by the concept encoder, and b; of a joined lower layer the rows read nothing."""
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
    """Return each name's row by what the layer itself reads of it, and a bias of 0."""
    longest = min(LONGEST_NAME, room_for(backbone.tokenizer, model.config))
    pieces = {name: ids for name in names if (ids := _pieces(backbone.tokenizer, name, longest))}
    if len({*pieces.values()}) < 2:
        return {}, 0.0
    seen = list[torch.Tensor]()
    handle = layer.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0].float()))
    try:
        for ids in (different := sorted({*pieces.values()})):
            given = torch.tensor([ids])
            model(input_ids=given, attention_mask=torch.ones_like(given))
    finally:
        handle.remove()
    states = torch.stack([each.flatten(0, -2).mean(0) for each in seen])
    rows = torch.nn.functional.normalize(states - states.mean(0)) * (_LENGTH / states.norm(dim=1).mean())
    found = dict(zip(different, rows, strict=True))
    return {name: found[ids] for name, ids in pieces.items()}, 0.0


def _pieces(tokenizer: Any, name: str, longest: int) -> tuple[int, ...]:
    """Return a name's subwords with the special ones, cut; () where the tokenizer knows none of the name's own."""
    found = tokenizer(name, truncation=True, max_length=longest, return_special_tokens_mask=True)
    ids, special = found["input_ids"], found["special_tokens_mask"]
    known = (not mark and each != tokenizer.unk_token_id for each, mark in zip(ids, special, strict=True))
    return tuple(ids) if any(known) else ()
