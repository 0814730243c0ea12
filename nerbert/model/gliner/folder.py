"""Folders of the packages `gliner` and `gliner2`: known, opened and cut into pieces; both are read as hostile.

Unsupported architectures are refused before weights are read. Of GLiNER2, entries and weights for other tasks (classes,
relations, structures) are left out. There a text that ends with none of `.!?` gets a full stop, which is read but is
never part of an entity.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nerbert.errors import InputError, refused
from nerbert.model.backbone import load_tokenizer
from nerbert.model.folder import EXPORTED, GLINER2, MARKERS, WEIGHTS, ModelFolder, ModelKind
from nerbert.model.gliner.config import FOLDERS, PICKLED, WORDS, Gliner2Config, GlinerConfig, body_config, plain_config
from nerbert.model.gliner.prompt import LabelPrompt, PromptTokenizer
from nerbert.model.tokenizer import check_pieces, encode
from nerbert.records import EntityLabel, Example
from nerbert.schema import read_json

if TYPE_CHECKING:
    from nerbert.model.gliner.layers import GlinerFolder  # loads torch

_REMEDY = "nerbert reads GLiNER models that score spans (marker, markerV0) or tokens by given labels"
ENCODER = MARKERS["gliner2"]
"""The configuration of GLiNER2's encoder, by which its folder is known."""
GLINER2_WORDS = "gliner2-words-1"
"""GLiNER2's word splitter."""
_PROMPT, _DESCRIPTION = "[P]", "[DESCRIPTION]"
MARKS = ("[SEP_STRUCT]", "[SEP_TEXT]", _PROMPT, "[C]", "[E]", "[R]", "[L]", "[EXAMPLE]", "[OUTPUT]", _DESCRIPTION)
"""GLiNER2's marks, in the order in which a tokenizer gets those that it lacks."""
PARTS = {"encoder": "token_rep_layer.bert_layer.model", "span_rep": "span_rep_layer", "count_embed": "prompt_rep_layer"}
"""GLiNER2's names of a model's parts, and GLiNER's."""
_EMBEDDINGS = tuple(f"{PARTS['encoder']}.embeddings.{name}_embeddings.weight" for name in ("word", "tok"))


class GlinerKind(ModelKind):
    """A folder of the package `gliner`."""

    marker = GlinerConfig.file
    config = GlinerConfig.file
    head = "gliner"
    noun = "a GLiNER model"
    objective = "zero_shot"
    folders: ClassVar[tuple[str, ...]] = FOLDERS
    counted = tuple(f"{folder}/*.json" for folder in FOLDERS)
    pickled = (PICKLED,)
    words: ClassVar[str] = WORDS
    pieces: ClassVar[type[PromptTokenizer]] = PromptTokenizer
    """What cuts its texts."""

    @classmethod
    def check(cls, folder: ModelFolder) -> None:
        """Raise InputError if it has no weights, or an architecture that can't be computed."""
        cls.read(folder.path)
        # A folder with an exported model alone still tags.
        if not any((folder.path / name).is_file() for name in (WEIGHTS, PICKLED, EXPORTED[0])):
            raise InputError(
                f"{folder}: holds {cls.config}, but neither {WEIGHTS} nor {PICKLED}: its weights are missing"
            )

    @classmethod
    def read(cls, path: Path) -> GlinerConfig:
        """Return its configuration; raise InputError for an architecture that can't be computed."""
        file = path / cls.config
        config = read_json(file, GlinerConfig, remedy=_REMEDY)
        problem = (
            f"span_mode {config.span_mode!r:.40}"
            if config.span_mode not in ("marker", "markerV0", "token_level")
            else "a streaming decoder"
            if "streaming" in (config.model_type or "")
            else "post-fusion"
            if config.two_encoders and config.post_fusion_schema
            else ""
        )
        if problem:
            raise InputError(f"{file}: a GLiNER model with {problem}; {_REMEDY}")
        return config

    @classmethod
    def card(cls, path: Path) -> dict[str, Any]:
        """Return its head, its word splitter and its decoding."""
        return {"head": cls.head, "word_splitter": cls.words, "decoding": "flat"}

    @classmethod
    def encoder(cls, path: Path) -> dict[str, Any]:
        """Return the configuration of its encoder of texts, or its own if it only names that one."""
        return cls.read(path).encoder_config or super().encoder(path)

    @classmethod
    def describe_scoring(cls, path: Path) -> str:
        """Return what it scores, and how it reads labels."""
        config = cls.read(path)
        together = f"labels are read with the text, {config.max_types} at a time"
        cost = "each label is encoded once, so thousands cost little" if config.two_encoders else together
        return f"{config.scored}; {cost}"

    @classmethod
    def load(cls, path: Path) -> "GlinerFolder":
        """Return its model, and what cuts its texts and labels."""
        from nerbert.model.gliner.weights import read_gliner

        return read_gliner(path, cls.read(path))

    @classmethod
    def convert(cls, source: Path, folder: Path) -> None:
        """Write pickled weights into another folder, as safetensors."""
        from safetensors.torch import save_file

        from nerbert.model.gliner.weights import read_weights

        # Pickled tensors may share memory, which safetensors refuses: each gets its own.
        save_file({name: data.contiguous().clone() for name, data in read_weights(source).items()}, folder / WEIGHTS)


class Gliner2Pieces(PromptTokenizer):
    """GLiNER2's: a prompt's first place is that of its mark, which says whether there are entities."""

    reads_closing = True

    def __init__(self, tokenizer: Any, config: GlinerConfig, body: Any, **options: Any) -> None:
        super().__init__(tokenizer, config, body, **options)
        if any(len(ids) != 1 for ids in self._marks.values()):
            raise InputError(f"a mark has several pieces ({self._marks}); GLiNER2's have one each")
        # GLiNER2 has no special pieces around a text; what closes one is a full stop.
        self._before, self._after = (), self.pieces(["."])[0]

    def prompt(self, labels: Sequence[EntityLabel]) -> LabelPrompt:
        """Return labels' pieces, and before them those of descriptions; raise InputError if no text has room."""
        opening, closing = self.pieces(["(", ")"])
        ids = [*opening, *self._marks[_PROMPT], *self._describe_labels(labels), *opening]
        places = [len(opening)]
        for pieces in self.pieces([label.name for label in labels]):
            places.append(len(ids))
            ids += [*self._marks[self.config.ent_token], *pieces]
        ids += [*closing, *closing, *self._marks[self.config.sep_token]]
        self._check_room(labels, len(ids))
        return LabelPrompt(tuple(ids), self._after, tuple(places), own=1)

    def sizes(self, labels: Sequence[str]) -> list[int]:
        """Return how many pieces each label takes in a prompt; one with a description is counted twice."""
        sizes = super().sizes(labels)
        # A described label stands twice in a prompt: in the descriptions, and as a label.
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

    words = GLINER2_WORDS
    pieces = Gliner2Pieces

    @classmethod
    def holds(cls, path: Path) -> bool:
        """Return whether its encoder's configuration is there, and its own isn't another model's."""
        # A folder "encoder_config" may stand in other models' folders, too: their
        # config.json names another type.
        if not super().holds(path):
            return False
        return not (path / cls.config).is_file() or read_json(path / cls.config, dict).get("model_type") == GLINER2

    @classmethod
    def read(cls, path: Path) -> Gliner2Config:
        """Return its configuration; raise InputError for an architecture that can't be computed."""
        return Gliner2Config.read(path / cls.config)

    @classmethod
    def check_start(cls, folder: ModelFolder) -> None:
        """Raise InputError: no training starts from it."""
        raise InputError(
            f"{folder}: a GLiNER2 model, which nerbert doesn't train: tag with it (`nerbert tag --labels`)"
            ", or let it teach a tagger (`nerbert distil`)"
        )

    @classmethod
    def encoder(cls, path: Path) -> dict[str, Any]:
        """Return the configuration of its encoder."""
        return read_json(path / ENCODER, dict[str, Any])

    @classmethod
    def load(cls, path: Path) -> "GlinerFolder":
        """Return its model, and what cuts its texts and labels."""
        from nerbert.model.gliner.gliner2_layers import BoundarySpans, CountedSpans
        from nerbert.model.gliner.layers import GlinerFolder
        from nerbert.model.gliner.weights import build, read_weights

        config = cls.read(path)
        weights = dict[str, Any]()
        for path_, tensor in read_weights(path).items():
            part, _, name = path_.partition(".")
            weights[f"{PARTS.get(part, part)}.{name}"] = tensor
        tokenizer = load_tokenizer(str(path))
        # Marks that the tokenizer has already keep their numbers.
        tokenizer.add_tokens([*MARKS], special_tokens=True)
        body = body_config(cls.encoder(path), str(path / ENCODER))
        rows = [tensor.shape[0] for name, tensor in weights.items() if name in _EMBEDDINGS and tensor.ndim]
        # The encoder's file may hold the size from before the marks were added; the weights
        # have the true one.
        body.vocab_size = rows[0] if rows else len(tokenizer)
        config = replace(config, hidden_size=body.hidden_size, encoder_config=plain_config(body))
        model_class = BoundarySpans if config.boundary else CountedSpans
        model = build(config, body, None, weights, str(path), model_class=model_class)
        return GlinerFolder(model, Gliner2Pieces(tokenizer, config, model.body))


def gliner_kind(folder: ModelFolder) -> type[GlinerKind]:
    """Return which kind of GLiNER's folders one is; raise InputError for another kind."""
    kind = folder.kind
    if not issubclass(kind, GlinerKind):
        raise InputError(f"{folder}: {kind.noun}, not a GLiNER model")
    return kind


def load_gliner(folder: Path) -> "GlinerFolder":
    """Return the model of a folder; raise InputError for what can't be loaded or computed."""
    source = ModelFolder.open(folder, "tagger").check()
    # A first pass shows here, not at the first text, that a model can't be computed.
    with refused(f"{source}: the model of {source.kind.config} can't be computed"):
        loaded = gliner_kind(source).load(source.path)
        loaded.try_encoders()
    return loaded
