"""Words against names of concepts (NuNER, Bogdanov et al. 2024): two encoders of one space, P = σ(tᵢ·cⱼ/τ + b)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from nerbert.artifacts import write_json
from nerbert.errors import InputError, refused
from nerbert.model.backbone import Backbone, load_tokenizer, save_tokenizer
from nerbert.model.concept_head import BOUNDARIES
from nerbert.model.folder import CONCEPTS, ModelFolder
from nerbert.model.forward import Batch, OverEncoder, states_at
from nerbert.model.windows import START_COST, cheapest_cuts
from nerbert.schema import read_json

FOLDER, _FACTS = CONCEPTS.split("/")
"""The concept encoder's place in the folder of its text encoder, and a file there."""
Pooling = Literal["mean", "first"]
"""A name's vector: the mean of its last states, or the first one."""
_SCORER = "scorer.safetensors"
LONGEST_NAME = 64
"""Subwords of a name that are read, the special ones included."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The content of `concepts.json`: how names are compared, besides the weights."""

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    pooling: Pooling
    boundaries: bool = False
    shared: bool = False
    """Whether the text encoder reads names, too."""
    format: Literal[1] = 1


class ConceptModel(OverEncoder):
    """Encoders `text` and `names` (with its `tokenizer`), and what compares their vectors; `bias` is b's initial value.

    With `boundaries` a layer of its own says of each word whether it is outside of entities, begins one or is in one.
    """

    def __init__(
        self,
        text: Any,
        names: Any,
        tokenizer: Any,
        *,
        temperature: float,
        bias: float,
        pooling: Pooling = "mean",
        boundaries: bool = False,
    ) -> None:
        super().__init__()
        self.text, self.names, self.tokenizer = text, names, tokenizer
        self.temperature, self.pooling = temperature, pooling
        width = int(text.config.hidden_size)
        inner = int(names.config.hidden_size)
        self.projection = torch.nn.Linear(inner, width, bias=False) if inner != width else torch.nn.Identity()
        self.bias = torch.nn.Parameter(torch.tensor(bias))
        self.boundaries = torch.nn.Linear(width, len(BOUNDARIES)) if boundaries else None

    def own_parameters(self) -> dict[str, Any]:
        """Return the parameters that are neither encoder's."""
        named = self.named_parameters()
        return {name: parameter for name, parameter in named if not name.startswith(("text.", "names."))}

    def name_vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """Return (texts, width) in fp32, one vector a name; names of similar length are encoded together.

        Otherwise long names would pad the short ones, and a step of `names` reads about half as many subwords of names
        as of texts.
        """
        starts = self.tokenizer(list(texts), truncation=True, max_length=LONGEST_NAME)["input_ids"]
        lengths = [len(ids) for ids in starts]
        groups = cheapest_cuts(lengths, max(1, sum(lengths)) * LONGEST_NAME, START_COST)
        order = torch.tensor([number for group in groups for number in group])
        return torch.cat([self._vectors([texts[number] for number in group]) for group in groups])[order.argsort()]

    def _vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the vectors of names that are padded to the longest of them."""
        batch = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=LONGEST_NAME,
            return_tensors="pt",
            return_token_type_ids=False,
        ).to(self.device)
        states = self.names(**batch).last_hidden_state
        # Padding must not change a mean: a name's vector is the same in any group.
        if self.pooling == "mean":
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            states = (states * mask).sum(1) / mask.sum(1)
        else:
            states = states[:, 0]
        vectors: torch.Tensor = self.projection(states).float()
        return vectors

    def name_states(self, batch: Batch) -> torch.Tensor:
        """Return (terms, width): what names' vectors are pooled from, the projection being linear."""
        states: torch.Tensor = self.projection(states_at(self.names, batch))
        return states

    def logits(self, words: torch.Tensor, concepts: torch.Tensor) -> torch.Tensor:
        """Return (words, concepts) in fp32: tᵢ·cⱼ/τ + b; the product itself has the precision of the words."""
        return (words @ concepts.to(words.dtype).T).float() / self.temperature + self.bias

    def save_pretrained(self, folder: Path) -> None:
        """Write the text encoder into a folder, and into one inside it the concept encoder and what compares."""
        from safetensors.torch import save_file

        self.text.save_pretrained(folder)
        inside = Path(folder) / FOLDER
        shared = self.names is self.text
        inside.mkdir(exist_ok=True)
        if not shared:
            self.names.save_pretrained(inside)
            save_tokenizer(inside, self.tokenizer)
        tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in self.own_parameters().items()}
        save_file(tensors, inside / _SCORER)
        facts = Comparison(self.temperature, self.pooling, self.boundaries is not None, shared)
        write_json(inside / _FACTS, asdict(facts))


class WordModel(OverEncoder):
    """A text encoder, and the layer of boundary tags, if there is one."""

    def __init__(self, text: Any, boundaries: torch.nn.Linear | None) -> None:
        super().__init__()
        self.text, self.boundaries = text, boundaries

    @classmethod
    def of(cls, text: Any, tensors: Mapping[str, torch.Tensor]) -> "WordModel":
        """Return it with the layer that is among the tensors of a folder, if any, in fp32."""
        # The file is read as hostile: shapes and types are checked before they reach a layer.
        weight = tensors.get("boundaries.weight")
        bias = tensors.get("boundaries.bias")
        if weight is None or bias is None:
            return cls(text, None)
        if not (weight.is_floating_point() and bias.is_floating_point()):
            raise InputError(f"{_SCORER}: its layer of boundaries doesn't hold floating-point numbers")
        if weight.shape != (len(BOUNDARIES), int(text.config.hidden_size)) or bias.shape != (len(BOUNDARIES),):
            raise InputError(f"{_SCORER}: its layer of boundaries doesn't fit the text encoder")
        layer = torch.nn.Linear(weight.shape[1], len(BOUNDARIES))
        layer.weight.data = weight.float()
        layer.bias.data = bias.float()
        return cls(text, layer)

    def scores(self, batch: Batch) -> torch.Tensor:
        """Return (terms, width, or width + 3): words' vectors, and the logits of their boundary tags."""
        return self.with_boundaries(states_at(self.text, batch))

    def with_boundaries(self, states: torch.Tensor) -> torch.Tensor:
        """Return states, (…, width), and the logits of boundary tags after them, (…, width + 3)."""
        return states if self.boundaries is None else torch.cat([states.float(), self.boundaries(states).float()], -1)


def open_concepts(source: str, text: Any = None) -> ConceptModel:
    """Load both encoders of a folder (`text`: the first, if loaded); raise InputError without a concept encoder."""
    source = ModelFolder.open(source).name
    facts, tensors = open_comparison(source)
    inside = Path(source) / FOLDER
    # The bias given here is replaced by the folder's own right after.
    text = Backbone(source, None, seed=0).load_body() if text is None else text
    names = text if facts.shared else Backbone(str(inside), None, seed=0).load_body()
    model = ConceptModel(
        text,
        names,
        load_tokenizer(source if facts.shared else str(inside)),
        temperature=facts.temperature,
        bias=0.0,
        pooling=facts.pooling,
        boundaries=facts.boundaries,
    )
    _take_own(model, tensors, inside)
    return model


def _take_own(model: ConceptModel, tensors: Mapping[str, torch.Tensor], inside: Path) -> None:
    """Put a folder's parameters of neither encoder into a model; raise InputError if they are others."""
    parameters = model.own_parameters()
    shapes, expected = ({name: tensor.shape for name, tensor in named.items()} for named in (tensors, parameters))
    # `copy_` would broadcast a tensor of another shape in silence.
    if shapes != expected:
        raise InputError(f"{inside / _SCORER}: its tensors are not those of the two encoders")
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[name])


def go_on(model: ConceptModel) -> None:
    """Give a model of one encoder the layers that its folder trained with it, if it compares names in the same way."""
    source = str(model.text.config.name_or_path)
    # A fresh encoder has no folder.
    if not source or not (Path(source) / CONCEPTS).is_file():
        return
    facts, tensors = open_comparison(source)
    alike = Comparison(model.temperature, model.pooling, model.boundaries is not None, shared=True)
    # Another temperature or pooling needs another bias.
    if facts == alike:
        _take_own(model, tensors, Path(source) / FOLDER)


def open_comparison(source: str) -> tuple[Comparison, dict[str, torch.Tensor]]:
    """Return how a folder compares, and the tensors of neither encoder; raise InputError without a concept encoder."""
    from safetensors.torch import load_file

    inside = Path(source) / FOLDER
    if not (inside / _FACTS).is_file():
        raise InputError(f"{source}: holds no concept encoder; make one with objective = 'names' or 'concepts'")
    facts = read_json(inside / _FACTS, Comparison)
    if not facts.shared:
        ModelFolder.open(inside).check()
        if not any(path.name != _SCORER for path in inside.glob("*.safetensors")):
            raise InputError(f"{inside}: holds no weights of a concept encoder; copy the folder again, with all files")
    with refused(f"{inside / _SCORER}: can't be read"):
        tensors = load_file(inside / _SCORER)
    bias = tensors.get("bias")
    if bias is None or bias.numel() != 1 or not bias.isfinite().all():
        raise InputError(f"{inside / _SCORER}: holds no bias that is a number")
    return facts, tensors
