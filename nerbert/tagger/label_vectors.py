"""Vectors of labels by a concept encoder, each made once, alone, in fp32 on the CPU, and kept in the cache folder."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from nerbert.artifacts import held, publish, sha256_of
from nerbert.cache import cache_place
from nerbert.errors import InputError, NerbertError, at, refused
from nerbert.locks import ThreadLock
from nerbert.model.linear import Scorer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded
from nerbert.records import EntityLabel
from nerbert.rng import Array
from nerbert.terminal import progress, tell

_encoding = ThreadLock()
"""Held while labels are encoded: `transformers` can't load two models in two threads, nor rich show two bars."""
_FORMAT = 1
_KEY = 32
"""Bytes of a text's digest."""


class LabelEncoder:
    """A concept encoder made ready: a text, read whole or refused, has the mean of its states, or the first."""

    def __init__(self, scorer: Scorer, pieces: SubwordTokenizer, pooling: str) -> None:
        self._scorer, self._pieces, self._pooling = scorer, pieces, pooling

    def __call__(self, text: str) -> Array:
        """Return (width,) in fp32; raise InputError for a text that is too long, or that has no pieces."""
        ids = np.array([self._pieces.encode_text(text)], np.int64)
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
        keys = [sha256(each.text.encode()).digest() for each in labels]
        place, wanted = self._place(), dict(zip(keys, labels, strict=True))
        found = self._read(place, wanted)
        if wanted.keys() - found.keys():
            with _encoding:
                found |= self._read(place, wanted.keys() - found.keys())  # of another thread, made meanwhile
                if missing := {key: each for key, each in wanted.items() if key not in found}:
                    new = self._encoded(missing)
                    if place:
                        self._keep(place, new)
                    found |= new
        return np.stack([found[key] for key in keys])

    @cached_property
    def _digest(self) -> str:
        lines = "".join(f"{path.name} {sha256_of(path)}\n" for path in self._files)
        return sha256(f"{_FORMAT} {self._width} {self._facts}\n{lines}".encode()).hexdigest()

    def _encoded(self, labels: Mapping[bytes, EntityLabel]) -> dict[bytes, Array]:
        found = {}
        encode = self._encoder = self._encoder or self._open()
        with progress("labels", len(labels)) as bar:
            for key, label in labels.items():
                with at(part=f"label {label.text!r:.80}"):
                    found[key] = encode(label.text)
                bar.advance()
        return found

    def _place(self) -> Path | None:
        """Return the folder of cached vectors, None if there can't be one."""
        try:
            place = cache_place("", "labels", self._digest)
            place.mkdir(parents=True, exist_ok=True)
        except (OSError, NerbertError) as error:
            _not_kept(error)
            return None
        return place

    def _read(self, place: Path | None, wanted: Iterable[bytes]) -> dict[bytes, Array]:
        """Return what the files of some keys hold, if there can be any."""
        found = dict[bytes, Array]()
        for path in {_file(place, key[0]) for key in wanted} if place else ():
            if not path.exists():
                continue
            try:
                with at(path), refused("can't be read"), path.open("rb") as stream, np.load(stream) as content:
                    keys, vectors = content["keys"], content["vectors"]
                    _check(keys, np.uint8, (len(vectors), _KEY))
                    _check(vectors, np.float32, (len(keys), self._width))
                found.update(zip(map(bytes, keys), vectors, strict=True))
            except InputError as error:
                tell(f"{error}; it is written again")
        return found

    def _keep(self, place: Path, new: Mapping[bytes, Array]) -> None:
        """Add vectors to the files, one process after the other."""
        by_file = defaultdict[int, dict[bytes, Array]](dict)
        for key, vector in new.items():
            by_file[key[0]][key] = vector
        try:
            with held(place, "", wait=lambda: None):
                for number, some in by_file.items():
                    whole = self._read(place, some) | some
                    keys = np.frombuffer(b"".join(whole), np.uint8).reshape(-1, _KEY)
                    with publish(_file(place, number)) as draft, draft.open("wb") as stream:
                        np.savez(stream, keys=keys, vectors=np.stack(list(whole.values())))
        except (OSError, NerbertError) as error:
            _not_kept(error)


def _file(place: Path, number: int) -> Path:
    return place / f"{number:02x}.npz"


def _check(column: Array, kind: type, shape: tuple[int, ...]) -> None:
    if column.dtype != kind or column.shape != shape:
        raise InputError("holds other columns than vectors of labels")


def _not_kept(error: Exception) -> None:
    tell(f"vectors of labels are not cached: {error}")
