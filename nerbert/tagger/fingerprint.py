"""A tagger's fingerprint: which tagger it is, wherever its folder lies."""

import hashlib
from pathlib import Path

from nerbert.artifacts import sha256_of
from nerbert.model.backbone import GLINER, is_gliner
from nerbert.model.gliner.config import FOLDERS, PICKLED, WEIGHTS

_LOADED = ("config.json", "nerbert.json", "tokenizer*.json", "*.safetensors", "concepts/*", "onnx/*")
"""What of a tagger's folder its spans depend on."""
_LOADED_GLINER = (*_LOADED, GLINER, *(f"{each}/*.json" for each in FOLDERS))
"""What of a GLiNER folder they do."""
_DIGITS = 16


def fingerprint_of(folder: Path) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of what is loaded of a tagger's folder, wherever it lies."""
    patterns = _LOADED_GLINER if is_gliner(folder) else _LOADED
    if is_gliner(folder) and not (folder / WEIGHTS).is_file():
        patterns = (*patterns, PICKLED)
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    lines = "".join(f"{path.relative_to(folder)} {sha256_of(path)}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()[:_DIGITS]
