"""Vectors of labels by a concept encoder, each made once, alone, in fp32 on the CPU, and kept in the cache folder."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from nerbert.artifacts import publish, sha256_of
from nerbert.cache import cache_place
from nerbert.errors import InputError, NerbertError, OutputExists, at
from nerbert.locks import ThreadLock
from nerbert.model.linear import Scorer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded
from nerbert.records import EntityLabel
from nerbert.rng import Array
from nerbert.terminal import progress, tell

_encoding = ThreadLock()
"""Held while labels are encoded: `transformers` can't load two models in two threads, nor rich show two bars."""
_FORMAT = 2
_CHECKSUM = 4
"""Bytes of the CRC-32 that a file begins with."""


class LabelEncoder:
    """A concept encoder made ready: a text, read whole or refused, has the mean of its states, or the first."""

    def __init__(self, scorer: Scorer, pieces: SubwordTokenizer, pooling: str) -> None:
        self._scorer, self._pieces, self._pooling = scorer, pieces, pooling

    def __call__(self, text: str) -> Array:
        """Return (width,) in fp32; raise InputError for a text that is too long, or that has no pieces."""
        ids = np.array([self._pieces.whole(text)], np.int64)
        count = ids.shape[1] if self._pooling == "mean" else 1
        places = np.arange(count)
        states = self._scorer(Padded(ids, np.ones(ids.shape, bool), np.zeros_like(places), places))
        if not np.isfinite(states).all():
            raise InputError("its vector is no number: the concept encoder's weights are damaged")
        found: Array = states.mean(0, dtype=np.float32)
        return found


class LabelVectors:
    """The vectors of labels, from the cache, or by an encoder that is opened for new ones.

    They follow from `files`, and from what else of the encoder `facts` say.
    """

    def __init__(
        self, files: Sequence[Path], open_encoder: Callable[[], Callable[[str], Array]], width: int, facts: object = ""
    ) -> None:
        self._files, self._open, self._width, self._facts = files, open_encoder, width, facts
        self._encoder: Callable[[str], Array] | None = None

    def __call__(self, labels: Sequence[EntityLabel]) -> Array:
        """Return (labels, width); raise InputError for a label that the encoder can't read."""
        texts, place = dict.fromkeys(each.text for each in labels), self._place()
        found = self._read(place, texts)
        if texts.keys() - found.keys():
            with _encoding:
                found |= self._read(place, texts)  # another thread may have made them meanwhile
                if missing := [text for text in texts if text not in found]:
                    new = self._encoded(missing)
                    if place:
                        self._keep(place, new)
                    found |= new
        return np.stack([found[each.text] for each in labels])

    def _encoded(self, texts: Sequence[str]) -> dict[str, Array]:
        found = {}
        encode = self._encoder = self._encoder or self._open()
        with progress("labels", len(texts)) as bar:
            for text in texts:
                with at(part=f"label {text!r:.80}"):
                    found[text] = encode(text)
                bar.advance()
        return found

    @cached_property
    def _digest(self) -> str:
        lines = "".join(f"{path.name} {sha256_of(path)}\n" for path in self._files)
        return sha256(f"{_FORMAT} {self._width} {self._facts}\n{lines}".encode()).hexdigest()

    def _place(self) -> Path | None:
        """Return the folder of cached vectors, None if there can't be one."""
        try:
            place = cache_place("", "labels", self._digest)
            place.mkdir(parents=True, exist_ok=True)
        except (OSError, NerbertError) as error:
            _not_kept(error)
            return None
        return place

    def _read(self, place: Path | None, texts: Iterable[str]) -> dict[str, Array]:
        """Return the cached vectors of texts; damaged ones are left out, and made again."""
        found = dict[str, Array]()
        if place is None:
            return found
        for text in texts:
            with suppress(OSError):
                content = _file(place, text).read_bytes()
                if content[:_CHECKSUM] == _checksum(vector := content[_CHECKSUM:]) and len(vector) == 4 * self._width:
                    found[text] = np.frombuffer(vector, np.float32)
        return found

    def _keep(self, place: Path, new: Mapping[str, Array]) -> None:
        try:
            for text, vector in new.items():
                _file(place, text).parent.mkdir(exist_ok=True)
                with suppress(OutputExists), publish(_file(place, text)) as draft:  # another process makes the same
                    content = vector.astype(np.float32).tobytes()
                    draft.write_bytes(_checksum(content) + content)
        except (OSError, NerbertError) as error:
            _not_kept(error)


def _file(place: Path, text: str) -> Path:
    name = sha256(text.encode()).hexdigest()
    return place / name[:2] / name


def _not_kept(error: Exception) -> None:
    tell(f"vectors of labels are not cached: {error}")


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECKSUM, "little")
