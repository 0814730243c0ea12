"""Vectors of labels by a concept encoder, each computed once, by itself, in fp32 on the CPU, and kept in the cache."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from nerbert.artifacts import held, publish, sha256_once
from nerbert.cache import cache_place
from nerbert.errors import InputError, NerbertError, at, refused
from nerbert.locks import ThreadLock
from nerbert.model.linear import Scorer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded
from nerbert.records import EntityLabel
from nerbert.rng import Array
from nerbert.terminal import progress, tell

_lock = ThreadLock()
"""Held while labels are encoded: `transformers` can't load two models in two threads, nor rich show two bars."""
_FORMAT = 1
_KEY = 32
"""Bytes of a text's digest."""
_FILE, _NOT_CACHED = "{:02x}.npz", "vectors of labels are not cached: {}"


class LabelEncoder:
    """A ready concept encoder: the vector of a text, which must fit, is the mean of its hidden states, or the first."""

    def __init__(self, scorer: Scorer, pieces: SubwordTokenizer, pooling: str) -> None:
        self._scorer, self._pieces, self._pooling = scorer, pieces, pooling

    def __call__(self, text: str) -> Array:
        """Return (width,) in fp32; raise InputError for a text that is too long, or that has no pieces."""
        ids = np.array([self._pieces.encode_text(text)], np.int64)
        indices = np.arange(ids.shape[1] if self._pooling == "mean" else 1)
        states = self._scorer(Padded(ids, np.ones(ids.shape, bool), np.zeros_like(indices), indices))
        if not np.isfinite(states).all():
            raise InputError("its vector is no number: the concept encoder's weights are damaged")
        vector: Array = states.mean(0, dtype=np.float32)
        return vector


class LabelVectors:
    """The vectors of labels, from the cache, or by an encoder that is opened for new ones.

    They depend on `files`, and on other properties of the encoder, in `facts`.
    """

    def __init__(
        self, files: Sequence[Path], open_encoder: Callable[[], Callable[[str], Array]], width: int, facts: object = ""
    ) -> None:
        self._files, self._open, self._width, self._facts = files, open_encoder, width, facts
        self._encoder: Callable[[str], Array] | None = None

    def __call__(self, labels: Sequence[EntityLabel]) -> Array:
        """Return (labels, width); raise InputError for a label that the encoder can't read."""
        keys = [sha256(label.text.encode()).digest() for label in labels]
        folder = self._make_folder()
        by_key = dict(zip(keys, labels, strict=True))
        vectors = self._read(folder, by_key)
        if by_key.keys() - vectors.keys():
            with _lock:
                vectors |= self._read(folder, by_key.keys() - vectors.keys())  # another thread may have made them
                if missing := {key: label for key, label in by_key.items() if key not in vectors}:
                    new = self._encode(missing)
                    if folder:
                        self._keep(folder, new)
                    vectors |= new
        return np.stack([vectors[key] for key in keys])

    @cached_property
    def _digest(self) -> str:
        lines = "".join(f"{path.name} {sha256_once(path)}\n" for path in self._files)
        return sha256(f"{_FORMAT} {self._width} {self._facts}\n{lines}".encode()).hexdigest()

    def _encode(self, labels: Mapping[bytes, EntityLabel]) -> dict[bytes, Array]:
        vectors = {}
        encode = self._encoder = self._encoder or self._open()
        with progress("labels", len(labels)) as bar:
            for key, label in labels.items():
                with at(part=f"label {label.text!r:.80}"):
                    vectors[key] = encode(label.text)
                bar.advance()
        return vectors

    def _make_folder(self) -> Path | None:
        """Return the folder of cached vectors, None if there can't be one."""
        try:
            folder = cache_place("", "labels", self._digest)
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, NerbertError) as error:
            tell(_NOT_CACHED.format(error))
            return None
        return folder

    def _read(self, folder: Path | None, digests: Iterable[bytes]) -> dict[bytes, Array]:
        """Return the content of the files of these keys, if there is a folder."""
        by_key = dict[bytes, Array]()
        paths = {folder / _FILE.format(digest[0]) for digest in digests} if folder else set[Path]()
        for path in filter(Path.exists, paths):
            try:
                with at(path), refused("can't be read"), path.open("rb") as stream, np.load(stream) as content:
                    keys = content["keys"]
                    vectors = content["vectors"]
                    right = [(np.uint8, (len(vectors), _KEY)), (np.float32, (len(keys), self._width))]
                    if [(column.dtype, column.shape) for column in (keys, vectors)] != right:
                        raise InputError("holds other columns than vectors of labels")
                by_key.update(zip(map(bytes, keys), vectors, strict=True))
            except InputError as error:
                tell(f"{error}; it is written again")
        return by_key

    def _keep(self, folder: Path, new: Mapping[bytes, Array]) -> None:
        """Add vectors to the files, one process after the other."""
        by_file = defaultdict[int, dict[bytes, Array]](dict)
        for key, vector in new.items():
            by_file[key[0]][key] = vector
        try:
            with held(folder, "", wait=lambda: None):
                for number, added in by_file.items():
                    vectors = self._read(folder, added) | added
                    keys = np.frombuffer(b"".join(vectors), np.uint8).reshape(-1, _KEY)
                    with publish(folder / _FILE.format(number)) as draft, draft.open("wb") as stream:
                        np.savez(stream, keys=keys, vectors=np.stack(list(vectors.values())))
        except (OSError, NerbertError) as error:
            tell(_NOT_CACHED.format(error))
