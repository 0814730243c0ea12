"""Words and labels → pieces, as GLiNER2 reads them: labels in brackets, words in lower case, a full stop at the end.

A text that ends with none of `.!?` gets a full stop, which is read but is never part of an entity.
"""

from collections.abc import Sequence
from typing import Any

from nerbert.errors import InputError
from nerbert.model.gliner.config import GlinerConfig
from nerbert.model.gliner.prompt import LabelPrompt, PromptTokenizer
from nerbert.model.gliner2.config import LABEL, TEXT
from nerbert.records import EntityLabel, Example

PROMPT, DESCRIPTION = "[P]", "[DESCRIPTION]"
MARKS = ("[SEP_STRUCT]", TEXT, PROMPT, "[C]", LABEL, "[R]", "[L]", "[EXAMPLE]", "[OUTPUT]", DESCRIPTION)
"""The package's marks, in the order in which a tokenizer gets those that it lacks."""
_ENDS = (".", "!", "?")


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
        ids, places = [*opening, *self._marks[PROMPT], *self._described(labels), *opening], [len(opening)]
        for pieces in self.pieces([each.name for each in labels]):
            places.append(len(ids))
            ids += [*self._marks[LABEL], *pieces]
        ids += [*closing, *closing, *self._marks[TEXT]]
        self._check_room(labels, len(ids))
        return LabelPrompt(tuple(ids), self._after, tuple(places), own=1)

    def sizes(self, labels: Sequence[str]) -> list[int]:
        """Return how many pieces each label takes in a prompt; one with a description is counted twice."""
        sizes = super().sizes(labels)
        return [size * (1 + (": " in label)) for size, label in zip(sizes, labels, strict=True)]

    def _described(self, labels: Sequence[EntityLabel]) -> list[int]:
        """Return the pieces of the task's name, and of each label with a description."""
        texts = ["entities", *(f" {each.text}" for each in labels if each.description)]
        first, *others = self.pieces([*(f"{each} " for each in texts[:-1]), texts[-1]])
        return [*first, *(piece for each in others for piece in (*self._marks[DESCRIPTION], *each))]

    @classmethod
    def mark_names(cls, config: GlinerConfig) -> Sequence[str]:
        """Return the package's marks."""
        return MARKS

    def _mark(self, mark: str) -> tuple[int, ...]:
        return (self.tokenizer.convert_tokens_to_ids(mark),)

    def _words(self, example: Example) -> list[str]:
        return [each.lower() for each in super()._words(example)]

    def _closing(self, prompt: LabelPrompt, text: str, end: int) -> tuple[int, ...]:
        return () if text.endswith(_ENDS, 0, end) else prompt.after

    def _cut(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        found = list(map(tuple, self._apart(words)))
        self._check_known(max((max(each, default=0) for each in found), default=0))
        return found
