"""A tokenizer without `transformers`: the part of its interface that `SubwordTokenizer` needs, on `tokenizers` alone.

The choice: an exported tagger holds the tokenizer as `transformers` had set it up, so the same pieces come out where
only `tokenizers` is installed; what else is needed of tokenizer and configuration (special pieces, room) is told in
numbers. The price: it is no general tokenizer, it cuts texts into pieces and nothing else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nerbert.artifacts import read_json
from nerbert.errors import InputError, need

_LARGEST = 256 << 20


class LightTokenizer:
    """Pieces and offsets of plain text; `before` and `after` are the special pieces around a text."""

    is_fast = True

    def __init__(self, inner: Any, *, before: Sequence[int], after: Sequence[int], pad_id: int, room: int) -> None:
        self._inner, self._before, self._after = inner, list(before), list(after)
        self.pad_token_id, self.model_max_length = pad_id, room

    def __call__(self, texts: str | Sequence[str], **wanted: Any) -> Mapping[str, list[Any]]:
        """Return one text's pieces with the special ones marked; of several texts, pieces and offsets without."""
        if isinstance(texts, str):
            ids = self._inner.encode(texts, add_special_tokens=False).ids
            mask = [1] * len(self._before) + [0] * len(ids) + [1] * len(self._after)
            return {"input_ids": [*self._before, *ids, *self._after], "special_tokens_mask": mask}
        self._inner.encode_special_tokens = bool(wanted.get("split_special_tokens"))
        try:
            found = self._inner.encode_batch(list(texts), add_special_tokens=False)
        except Exception as error:
            raise InputError(f"the exported tokenizer.json can't cut a text: {error!s:.200}") from error
        return {"input_ids": [each.ids for each in found], "offset_mapping": [each.offsets for each in found]}


def light_tokenizer(
    path: Path, *, before: Sequence[int], after: Sequence[int], pad_id: int, room: int
) -> LightTokenizer:
    """Return the tokenizer in a `tokenizer.json`; raise InputError for a file that is none."""
    need("onnx", "tokenizers")
    from tokenizers import Tokenizer

    read_json(path, limit=_LARGEST)
    try:
        inner = Tokenizer.from_file(str(path))
        inner.no_padding()
        inner.no_truncation()
    except Exception as error:
        raise InputError(f"{path}: can't be loaded as a tokenizer: {error!s:.200}") from error
    return LightTokenizer(inner, before=before, after=after, pad_id=pad_id, room=room)


def light_config(room: int, vocabulary: int) -> SimpleNamespace:
    """Return what `SubwordTokenizer` reads of a model's configuration."""
    return SimpleNamespace(model_type="onnx", max_position_embeddings=room, vocab_size=vocabulary, name_or_path="")
