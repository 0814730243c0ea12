"""A tagger's fingerprint: which tagger it is, wherever its folder lies."""

import hashlib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from nerbert.artifacts import sha256_of
from nerbert.model.backbone import embedded

_LOADED = ("config.json", "nerbert.json", "tokenizer*.json", "*.safetensors", "onnx/*")
"""What of a tagger's folder its spans depend on."""
_DIGITS = 16


def local_folder(source: str) -> Path:
    """Return a tagger's folder, or the local copy of one on the hub; a path that isn't there if there is none."""
    folder = Path(embedded(source))
    if not folder.is_dir() and find_spec("huggingface_hub"):
        from huggingface_hub import try_to_load_from_cache

        with suppress(ValueError):  # no name on the hub can be that
            found = try_to_load_from_cache(source, "config.json")
            folder = Path(found).parent if isinstance(found, str) else folder
    return folder


def fingerprint_of(source: str) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of what is loaded of a tagger, wherever it lies."""
    folder = local_folder(source)
    paths = sorted({path for pattern in _LOADED for path in folder.glob(pattern) if path.is_file()})
    lines = "".join(f"{path.relative_to(folder)} {sha256_of(path)}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()[:_DIGITS]
