"""Words compared with names of concepts (NuNER, Bogdanov et al. 2024): two encoders of one space, P = σ(tᵢ·cⱼ/τ + b).

A word's label is the number of its row in a table of concepts; row 0 is no concept.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from nerbert.artifacts import write_json
from nerbert.errors import InputError, refused
from nerbert.formats.open_types import normalised
from nerbert.labels import word_spans
from nerbert.model.backbone import Backbone, load_tokenizer, save_tokenizer
from nerbert.model.folder import CONCEPTS, ModelFolder
from nerbert.model.forward import Batch, states_at
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.schema import read_json

FOLDER, _FACTS = CONCEPTS.split("/")
"""The concept encoder's place in the folder of its text encoder, and a file there."""
Pooling = Literal["mean", "first"]
"""A name's vector: the mean of its last states, or the first one."""
ROOT = "entity"
"""The concept of a word whose own is not known, and the ancestor of all others."""
_SCORER = "scorer.safetensors"
LONGEST_NAME = 64
"""Subwords of a name that are read, the special ones included."""
_SHORT = 32
"""Subwords of names that are encoded together."""
_EDGES = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s_]+")


def class_words(name: str) -> str:
    """Return the name of a class in words: `PoliticalParty` → `political party`."""
    return normalised(" ".join(_EDGES.split(name)))


@dataclass(frozen=True, slots=True)
class Concept:
    """A word's class: a normalised name, a description ("": none), and the names of its ancestors."""

    name: str
    description: str = ""
    ancestors: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return what the concept encoder reads."""
        return f"{self.name}: {self.description}" if self.description else self.name


Row = tuple[tuple[int, ...], tuple[str, ...] | None]
"""The numbers of a word's concepts, sorted, and the names that were asked for; None: all were."""
_CLOSED = ("",)
"""In place of names that were asked for: all of the corpus."""


@dataclass(slots=True)
class ConceptTable:
    """Concepts by number, how many mentions each has in so many `sentences`, and the rows that words are labelled with.

    Row 0 is that of a word with no concept. Of a name all concepts have the same ancestors. The first `closed` concepts
    are those of a corpus to which others were added.
    """

    concepts: list[Concept] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    rows: dict[Row, int] = field(default_factory=lambda: {((), None): 0})
    sentences: int = 0
    closed: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _described: dict[str, list[int]] = field(default_factory=dict)
    _above: dict[str, set[str]] = field(default_factory=dict)

    def add(self, concept: Concept, count: int = 0) -> int:
        """Return the number of a concept, a new one if none has its text; `count` more mentions have it."""
        number = self._numbers.setdefault(concept.text, len(self.concepts))
        if number == len(self.concepts):
            self.concepts.append(concept)
            self.counts.append(0)
            if concept.description:
                self._described.setdefault(concept.name, []).append(number)
        self.counts[number] += count
        self._above.setdefault(concept.name, set()).update(concept.ancestors)
        return number

    def number_of(self, text: str) -> int:
        """Return the number of the concept with a text."""
        return self._numbers[text]

    def close(self) -> None:
        """Limit the labels of corpus texts to the present concepts: others were not annotated there."""
        self.closed, rows = len(self.concepts), list(self.rows)
        self.rows = {rows[0]: 0}
        self.add_rows((own, _CLOSED if asked is None else asked) for own, asked in rows)

    def extend(self, other: "ConceptTable") -> None:
        """Add all of another table."""
        numbers = [self.add(concept, count) for concept, count in zip(other.concepts, other.counts, strict=True)]
        for own, asked in other.rows:
            self.rows.setdefault((tuple(sorted(numbers[each] for each in own)), asked), len(self.rows))
        self.sentences += other.sentences

    def word_rows(self, example: Example, texts: Mapping[str, str] | None = None) -> list[Row]:
        """Return the rows of an example's words; its spans may overlap, and `texts` gives the concepts of their types.

        Without `texts` a type is the text of its concept. What an example was `asked` for counts, if known. A mention
        with only `ROOT` leaves other concepts unknown. Raise InputError for a span that cuts a word.
        """
        found: list[set[int]] = [set() for _ in example.words]
        for start, end, type_ in word_spans(example):
            for each in found[start:end]:
                each.add(self._numbers[texts[type_] if texts is not None else type_])
        asked = _CLOSED if example.asked is None and texts is not None and self.closed else example.asked
        return [(tuple(sorted(each)), (ROOT,) if self._is_root(each) else asked) for each in found]

    def _is_root(self, own: Collection[int]) -> bool:
        return bool(own) and all(self.concepts[number].name == ROOT for number in own)

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Number rows that have none yet."""
        for each in rows:
            self.rows.setdefault(each, len(self.rows))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of concepts and rows."""
        content = [[[each.text, each.ancestors] for each in self.concepts], list(self.rows)]
        return sha256(json.dumps(content).encode()).hexdigest()

    def expected(self, sentences: int) -> float:
        """Return the expected number of different concepts in so many sentences: each mention falls into any of
        them."""
        shares = np.array(self.counts, np.float64) * sentences / max(1, self.sentences)
        return float((1 - np.exp(-shares)).sum())

    def masks(self, rows: Sequence[Row], concepts: Array) -> tuple[Array, Array]:
        """Return (rows, concepts) twice: whether a row has a concept, and whether that is known.

        Unknown are concepts that were not asked for, and those with the name of a row's concept or of its ancestors.
        """
        columns: dict[str, list[int]] = {}
        for column, number in enumerate(concepts.tolist()):
            columns.setdefault(self.concepts[number].name, []).append(column)
            if number < self.closed:
                columns.setdefault(_CLOSED[0], []).append(column)
        places = {number: column for column, number in enumerate(concepts.tolist())}
        has = np.zeros((len(rows), len(concepts)), bool)
        known = np.ones((len(rows), len(concepts)), bool)
        for place, (own, asked) in enumerate(rows):
            if asked is not None:
                known[place] = False
                known[place, [column for name in asked for column in columns.get(name, ())]] = True
            known[place, [column for name in self.unknown_beside(own) for column in columns.get(name, ())]] = False
            mine = [places[each] for each in own if each in places]
            has[place, mine] = known[place, mine] = True
        return has, known

    def unknown_beside(self, own: Iterable[int]) -> set[str]:
        """Return the names of some concepts and of their ancestors."""
        names = {self.concepts[each].name for each in own}
        return names.union({ROOT}, *(self._above[name] for name in names)) if names else set()

    def candidates(self, rows: Iterable[Row]) -> Array:
        """Return the numbers of all concepts that some rows have or were asked for, in order.

        A concept that was only asked for has no description. Those of its name with one replace it: else a model would
        learn that a name without a description is always absent.
        """
        found = set[int]()
        for own, asked in rows:
            found.update(own)
            for name in asked or ():
                bare = [self._numbers[name]] if name in self._numbers else []
                found.update(self._described.get(name, bare))
        return np.array(sorted(found), np.int64)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The content of `concepts.json`: how names are compared, besides the weights."""

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    pooling: Pooling
    format: Literal[1] = 1


class ConceptModel(torch.nn.Module):
    """Encoders `text` and `names` (with its `tokenizer`), and what compares their vectors; `bias` is b's initial
    value."""

    def __init__(
        self, text: Any, names: Any, tokenizer: Any, *, temperature: float, bias: float, pooling: Pooling = "mean"
    ) -> None:
        super().__init__()
        self.text, self.names, self.tokenizer = text, names, tokenizer
        self.temperature, self.pooling = temperature, pooling
        width, own = int(text.config.hidden_size), int(names.config.hidden_size)
        self.projection = torch.nn.Linear(own, width, bias=False) if own != width else torch.nn.Identity()
        self.bias = torch.nn.Parameter(torch.tensor(bias))

    @property
    def config(self) -> Any:
        """Return the text encoder's configuration."""
        return self.text.config

    def own_parameters(self) -> dict[str, Any]:
        """Return the parameters that are neither encoder's."""
        return {name: each for name, each in self.named_parameters() if not name.startswith(("text.", "names."))}

    @property
    def base_model(self) -> Any:
        """Return the text encoder."""
        return self.text

    @property
    def device(self) -> torch.device:
        """Return where the model lies."""
        return self.bias.device

    def name_vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """Return (texts, width) in fp32, one vector a name; long names, which are cut, are encoded apart."""
        starts = self.tokenizer(list(texts), truncation=True, max_length=_SHORT + 1)["input_ids"]
        order = sorted(range(len(texts)), key=lambda place: len(starts[place]) > _SHORT)
        short = sum(len(each) <= _SHORT for each in starts)
        if short in (0, len(texts)):
            return self._vectors(texts)
        groups = ([texts[place] for place in some] for some in (order[:short], order[short:]))
        return torch.cat([self._vectors(each) for each in groups])[torch.tensor(order).argsort()]

    def _vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the vectors of names that are padded to the longest of them."""
        batch = self.tokenizer(list(texts), padding=True, truncation=True, max_length=LONGEST_NAME, return_tensors="pt",
                               return_token_type_ids=False).to(self.device)  # fmt: skip
        states = self.names(**batch).last_hidden_state
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

    def word_vectors(self, batch: Batch) -> torch.Tensor:
        """Return (terms, width): the text encoder's last states at the batch's places."""
        return states_at(self.text, batch)

    def logits(self, words: torch.Tensor, concepts: torch.Tensor) -> torch.Tensor:
        """Return (words, concepts) in fp32: tᵢ·cⱼ/τ + b; the product itself has the precision of the words."""
        return (words @ concepts.to(words.dtype).T).float() / self.temperature + self.bias

    def save_pretrained(self, folder: Path) -> None:
        """Write the text encoder into a folder and the concept encoder into one inside it."""
        from safetensors.torch import save_file

        self.text.save_pretrained(folder)
        inside = Path(folder) / FOLDER
        self.names.save_pretrained(inside)
        save_tokenizer(inside, self.tokenizer)
        own = {name: each.detach().cpu().contiguous() for name, each in self.own_parameters().items()}
        save_file(own, inside / _SCORER)
        write_json(inside / _FACTS, asdict(Comparison(self.temperature, self.pooling)))


def first_bias(concepts: float) -> float:
    """Return b's initial value: −ln of the number of concepts, so about one is expected for each word."""
    return -math.log(max(1.0, concepts))


def open_concepts(source: str, text: Any = None) -> ConceptModel:
    """Load both encoders of a folder (`text`: the first, if loaded); raise InputError without a concept encoder."""
    facts, own = open_comparison(source)
    inside = Path(source) / FOLDER
    text = Backbone(source, None, seed=0).load_body() if text is None else text
    names = Backbone(str(inside), None, seed=0).load_body()
    model = ConceptModel(
        text, names, load_tokenizer(str(inside)), temperature=facts.temperature, bias=0.0, pooling=facts.pooling
    )
    wanted = model.own_parameters()
    if {name: each.shape for name, each in own.items()} != {name: each.shape for name, each in wanted.items()}:
        raise InputError(f"{inside / _SCORER}: its tensors are not those of the two encoders")
    for name, each in wanted.items():
        each.data.copy_(own[name])
    return model


def open_comparison(source: str) -> tuple[Comparison, dict[str, torch.Tensor]]:
    """Return how a folder compares, and the tensors of neither encoder; raise InputError without a concept encoder."""
    from safetensors.torch import load_file

    inside = Path(source) / FOLDER
    if not (inside / _FACTS).is_file():
        raise InputError(f"{source}: holds no concept encoder; make one with objective = 'concepts'")
    facts = read_json(inside / _FACTS, Comparison)
    ModelFolder.open(inside).check()
    if not any(path.name != _SCORER for path in inside.glob("*.safetensors")):
        raise InputError(f"{inside}: holds no weights of a concept encoder; copy the folder again, with all its files")
    with refused(f"{inside / _SCORER}: can't be read"):
        own = load_file(inside / _SCORER)
    bias = own.get("bias")
    if bias is None or bias.numel() != 1 or not bias.isfinite().all():
        raise InputError(f"{inside / _SCORER}: holds no bias that is a number")
    return facts, own
