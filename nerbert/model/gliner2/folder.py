"""GLiNER2's folders, read as hostile like GLiNER's: how they read words and labels, and their weights.

Entries and weights for other tasks (classes, relations, structures) are left out. A text that ends with none of `.!?`
gets a full stop, which is read but is never part of an entity.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.errors import InputError
from nerbert.model.backbone import load_tokenizer
from nerbert.model.folder import GLINER2, ModelFolder
from nerbert.model.gliner.config import (
    LABEL,
    TEXT,
    Gliner2Config,
    GlinerConfig,
    body_config,
    plain_config,
    read_gliner2,
)
from nerbert.model.gliner.folder import GlinerKind
from nerbert.model.gliner.prompt import LabelPrompt, PromptTokenizer
from nerbert.model.tokenizer import check_pieces, encode
from nerbert.records import EntityLabel, Example
from nerbert.schema import read_json

if TYPE_CHECKING:
    from nerbert.model.gliner.layers import GlinerFolder  # loads torch

ENCODER = "encoder_config/config.json"
"""The configuration of its encoder, by which the folder is known."""
WORDS = "gliner2-words-1"
"""Its word splitter."""
_PROMPT, _DESCRIPTION = "[P]", "[DESCRIPTION]"
MARKS = ("[SEP_STRUCT]", TEXT, _PROMPT, "[C]", LABEL, "[R]", "[L]", "[EXAMPLE]", "[OUTPUT]", _DESCRIPTION)
"""The package's marks, in the order in which a tokenizer gets those that it lacks."""
PARTS = {"encoder": "token_rep_layer.bert_layer.model", "span_rep": "span_rep_layer",
         "count_embed": "prompt_rep_layer"}  # fmt: skip
"""The package's names of a model's parts, and GLiNER's."""
_EMBEDDINGS = tuple(f"{PARTS['encoder']}.embeddings.{name}_embeddings.weight" for name in ("word", "tok"))


class Gliner2Pieces(PromptTokenizer):
    """Cuts examples and labels; a prompt's first place is that of its mark, which says whether there are entities."""

    reads_closing = True

    def __init__(self, tokenizer: Any, config: GlinerConfig, body: Any, **how: Any) -> None:
        super().__init__(tokenizer, config, body, **how)
        if any(len(ids) != 1 for ids in self._marks.values()):
            raise InputError(f"a mark has several pieces ({self._marks}); GLiNER2's have one each")
        self._before, self._after = (), self.pieces(["."])[0]

    def prompt(self, labels: Sequence[EntityLabel]) -> LabelPrompt:
        """Return labels' pieces, and before them those of descriptions; raise InputError if no text has room."""
        opening, closing = self.pieces(["(", ")"])
        ids, places = [*opening, *self._marks[_PROMPT], *self._describe_labels(labels), *opening], [len(opening)]
        for pieces in self.pieces([label.name for label in labels]):
            places.append(len(ids))
            ids += [*self._marks[LABEL], *pieces]
        ids += [*closing, *closing, *self._marks[TEXT]]
        self._check_room(labels, len(ids))
        return LabelPrompt(tuple(ids), self._after, tuple(places), own=1)

    def sizes(self, labels: Sequence[str]) -> list[int]:
        """Return how many pieces each label takes in a prompt; one with a description is counted twice."""
        sizes = super().sizes(labels)
        return [size * (1 + (": " in label)) for size, label in zip(sizes, labels, strict=True)]

    def _describe_labels(self, labels: Sequence[EntityLabel]) -> list[int]:
        """Return the pieces of the task's name, and of each label with a description."""
        texts = ["entities", *(f" {label.text}" for label in labels if label.description)]
        first, *others = self.pieces([*(f"{text} " for text in texts[:-1]), texts[-1]])
        return [*first, *(piece for pieces in others for piece in (*self._marks[_DESCRIPTION], *pieces))]

    @classmethod
    def mark_names(cls, config: GlinerConfig) -> Sequence[str]:
        """Return the package's marks."""
        return MARKS

    def _mark(self, mark: str) -> tuple[int, ...]:
        return (self.tokenizer.convert_tokens_to_ids(mark),)

    def _words(self, example: Example) -> list[str]:
        return [word.lower() for word in super()._words(example)]

    def _find_closing(self, prompt: LabelPrompt, text: str, end: int) -> tuple[int, ...]:
        return () if text.endswith((".", "!", "?"), 0, end) else prompt.after

    def _cut(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        rows = encode(self.tokenizer, list(words))["input_ids"]
        check_pieces([piece for row in rows for piece in row], self._vocabulary)
        return list(map(tuple, rows))


class Gliner2Kind(GlinerKind):
    """A folder of the package `gliner2`; it tags, and teaches a tagger, but isn't trained on."""

    marker = ENCODER
    config = Gliner2Config.file
    noun = "a GLiNER2 model"
    objective = ""
    folders = (Path(ENCODER).parent.name,)
    counted = (ENCODER,)

    words = WORDS
    pieces = Gliner2Pieces

    @classmethod
    def holds(cls, path: Path) -> bool:
        """Return whether its encoder's configuration is there, and its own isn't another model's."""
        if not super().holds(path):
            return False
        return not (path / cls.config).is_file() or read_json(path / cls.config, dict).get("model_type") == GLINER2

    @classmethod
    def read(cls, path: Path) -> Gliner2Config:
        """Return its configuration; raise InputError for an architecture that can't be computed."""
        return read_gliner2(path / cls.config)

    @classmethod
    def check_start(cls, folder: ModelFolder) -> None:
        """Raise InputError: no training starts from it."""
        raise InputError(f"{folder}: a GLiNER2 model, which nerbert doesn't train: tag with it (`nerbert tag --labels`)"
                         ", or let it teach a tagger (`nerbert distil`)")  # fmt: skip

    @classmethod
    def encoder(cls, path: Path) -> dict[str, Any]:
        """Return the configuration of its encoder."""
        return read_json(path / ENCODER, dict[str, Any])

    @classmethod
    def load(cls, path: Path) -> "GlinerFolder":
        """Return its model, and what cuts its texts and labels."""
        from nerbert.model.gliner.layers import GlinerFolder
        from nerbert.model.gliner.weights import build, read_weights
        from nerbert.model.gliner2.layers import BoundarySpans, CountedSpans

        config, weights = cls.read(path), dict[str, Any]()
        for path_, tensor in read_weights(path).items():
            part, _, name = path_.partition(".")
            weights[f"{PARTS.get(part, part)}.{name}"] = tensor
        tokenizer = load_tokenizer(str(path))
        tokenizer.add_tokens([*MARKS], special_tokens=True)
        body = body_config(cls.encoder(path), str(path / ENCODER))
        rows = [tensor.shape[0] for name, tensor in weights.items() if name in _EMBEDDINGS and tensor.ndim]
        body.vocab_size = rows[0] if rows else len(tokenizer)  # its file may hold that before marks were added
        config = replace(config, hidden_size=body.hidden_size, encoder_config=plain_config(body))
        model_class = BoundarySpans if config.boundary else CountedSpans
        model = build(config, body, None, weights, str(path), model_class=model_class)
        return GlinerFolder(model, Gliner2Pieces(tokenizer, config, model.body))
