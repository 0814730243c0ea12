"""A GLiNER model as the training loop takes it: its forward pass on micro-batches, and windows of the pieces it reads.

Labels are put before windows for each step. Cost: micro-batches are longer than `max_tokens_per_batch` says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from nerbert.errors import InputError, SettingsError
from nerbert.model.forward import Batch, OverEncoder
from nerbert.model.gliner.config import WORDS, GlinerConfig
from nerbert.model.gliner.layers import GlinerFolder, row_tensors
from nerbert.model.gliner.prompt import LEAST, LabelPrompt, PromptTokenizer
from nerbert.model.gliner.weights import save_gliner
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import Window
from nerbert.records import Example
from nerbert.words import words_between

AnyExample = TypeVar("AnyExample", bound=Example)


def with_gliner_words(example: AnyExample) -> AnyExample:
    """Return an example cut into GLiNER's words, none over an entity's edge; control characters are left out."""
    text = example.text
    edges = (edge for span in example.spans for edge in (span.start, span.end))
    words = ((start, end) for start, end in words_between(text, edges, WORDS) if text[start].isprintable())
    return replace(example, words=tuple(words))


class PromptedPieces(SubwordTokenizer):
    """Cuts examples into windows of a GLiNER model's pieces, word by word; at most half of its room is a window's.

    With `recut` examples are cut into GLiNER's words first. Words of a sentence that is longer than a window lie in
    several, labelled in each of them.
    """

    word_by_word: ClassVar[bool] = True

    def __init__(self, pieces: PromptTokenizer, config: Any, max_length: int, *, recut: bool) -> None:
        super().__init__(pieces.tokenizer, config, min(max_length, max(1, pieces.room // 2)))
        self._prompts = pieces
        self._recut = recut
        self._around = pieces.plain()

    def windows(self, examples: Sequence[Example], labels: WordLabels | None = None) -> Iterator[Window]:
        """Yield the windows of all examples, in order; with `labels`, labelled by them."""
        most = self.body + len(self._around.before) + len(self._around.after)
        for number, example in enumerate(map(with_gliner_words, examples) if self._recut else examples):
            word_labels = None if labels is None else labels.label_words(example)
            for window in self._prompts.windows([example], self._around, most):
                read = window.read.tolist()
                labelled = () if word_labels is None else tuple(word_labels[word] for word in read)
                yield Window(number, window.ids, tuple(read), tuple(window.places.tolist()), labelled)

    @property
    def room_for_labels(self) -> int:
        """Return how many pieces labels may take before a window of any length."""
        return self._prompts.room - self._prompts.around - max(LEAST, self.body)

    def key(self) -> dict[str, Any]:
        """Return all that decides how texts are cut."""
        values = {name: value for name, value in super().key().items() if name not in ("_prompts", "_around")}
        return values | {"prompted": self._prompts.key()}


@dataclass(frozen=True, slots=True)
class PromptBatch(Batch):
    """A micro-batch with a prompt for each window: `places` are those of its labels' marks, in `ids`.

    `counts` (windows,) says how many words each has; rows and columns are those of the words.
    """

    counts: torch.Tensor
    places: tuple[tuple[int, ...], ...]


def with_prompts(batch: Batch, prompts: Sequence[LabelPrompt], pieces: PromptTokenizer) -> PromptBatch:
    """Return a micro-batch of texts with a prompt before each of them; labels stay."""
    before = len(pieces.plain().before)
    lengths = batch.mask.sum(1).tolist()
    # The windows were cut with special pieces in front; a prompt brings its own.
    texts = [ids[before:length] for ids, length in zip(batch.ids.tolist(), lengths, strict=True)]
    ids, mask = row_tensors(
        [(*prompt.before, *text) for prompt, text in zip(prompts, texts, strict=True)],
        pieces.pad_id,
        torch.device("cpu"),
    )
    shifts = torch.tensor([len(prompt.before) - before for prompt in prompts])
    return PromptBatch(
        ids,
        mask,
        batch.rows,
        batch.columns + shifts[batch.rows],
        batch.labels,
        batch.numbers,
        counts=torch.bincount(batch.rows, minlength=len(prompts)),
        places=tuple(prompt.places for prompt in prompts),
    )


class GlinerTrainee(OverEncoder):
    """A GLiNER model that is trained; `loaded` is what its folder will hold."""

    def __init__(self, loaded: GlinerFolder) -> None:
        super().__init__()
        self.loaded, self.gliner = loaded, loaded.model

    @property
    def base_model(self) -> Any:
        """Return the encoder of texts."""
        return self.gliner.body

    def own_parameters(self) -> list[torch.nn.Parameter]:
        """Return the parameters that are in neither encoder; GLiNER's code counts a projection to its encoder."""
        bodies = [body for body in (self.gliner.body, self.gliner.labels_body) if body is not None]
        inside = {id(parameter) for body in bodies for parameter in body.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in inside]

    def expect_prompts(self, types: int, pieces: int) -> None:
        """Note in the configuration how many types and pieces prompts have, if it says how long they were before."""
        current = self.gliner.config
        # A folder that never said how long its prompts were can't say so now: earlier ones
        # may have been longer.
        pieces = max(current.max_prompt_len, pieces) if current.max_prompt_len else 0
        config = replace(current, max_types=max(current.max_types, types), max_prompt_len=pieces)
        self.gliner.config = self.loaded.pieces.config = config

    def label_vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """Return (texts, width): labels by their own encoder."""
        pieces = self.loaded.labels_pieces
        if pieces is None:
            raise InputError("this model reads labels together with the text: they have no vectors of their own")
        return self.gliner.label_vectors(*row_tensors(pieces.alone(texts), pieces.pad_id, self.device)).float()

    def scores(self, batch: PromptBatch, vectors: Sequence[torch.Tensor] | None) -> Iterator[torch.Tensor]:
        """Yield (words, widths, labels) log-odds of each window, in fp32; `vectors` are those of labels read apart."""
        model = self.gliner
        states = model.body(input_ids=batch.ids, attention_mask=batch.mask)[0]
        words = model.project(states[batch.rows, batch.columns])
        if vectors is None:
            vectors = [model.project(states[row, list(places)]) for row, places in enumerate(batch.places)]
        yield from model.scores_of_texts(words, batch.counts.cpu(), list(map(model.prepare_labels, vectors)))

    def save_pretrained(self, folder: Path) -> None:
        """Write a folder of the package `gliner`."""
        save_gliner(folder, self.loaded)


def check_trainable(config: GlinerConfig, source: str) -> None:
    """Raise SettingsError for a folder that can tag, but can't be trained here."""
    what = "scores tokens as first, last and inner ones" if config.token_level else ""
    if config.subtoken_pooling not in ("first", "last"):
        what = f"reads the {config.subtoken_pooling} of a word's subwords"
    if what:
        raise SettingsError(
            f"{source}: a GLiNER model that {what}: nerbert tags with it, but doesn't train it; take "
            "one of spans or single words, read off first or last subwords"
        )
