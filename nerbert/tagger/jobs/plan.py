"""What is asked of `nerbert tag`, checked; and what its outcome hangs on, so that a half-made one is never mixed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert import __version__
from nerbert.artifacts import sha256_of
from nerbert.errors import SettingsError
from nerbert.formats.lines import ERRORS
from nerbert.sources.files import writable
from nerbert.tagger.jobs.inputs import ReadOptions
from nerbert.tagger.jobs.paths import (
    JSONL,
    ON_FILES,
    PARQUET,
    SOURCES,
    TARGETS,
    TEXT,
    JobPaths,
    check_choice,
    find_sources,
    target_kind,
)
from nerbert.tagger.spans import OFFSETS

if TYPE_CHECKING:
    from nerbert.tagger.tagger import Tagger

_FORMAT = 1
"""Raise it when parts are written otherwise."""
_LOADED = ("config.json", "nerbert.json", "tokenizer.json", "*.safetensors", "**/*.onnx*")
"""What of a tagger's folder its spans hang on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagJob:
    """What is to be tagged with what, and where it goes; texts are those of the command line."""

    tagger: str
    inputs: tuple[str, ...] = ()
    output: Path | None = None
    from_: str = ""
    to: str = ""
    json: bool = False
    reading: ReadOptions = field(default_factory=ReadOptions)
    offsets: str = "characters"
    min_confidence: str = ""
    overwrite: bool = False
    loading: Mapping[str, Any] = field(default_factory=dict)
    """What else `Tagger.load` takes: back end, precision, device, threads, decoding, on_too_long."""

    @property
    def utf16(self) -> bool:
        """Return whether offsets count UTF-16 units."""
        return self.offsets == OFFSETS[1]

    def find(self) -> tuple[JobPaths, str]:
        """Return the files to tag and the kind of the output; raise SettingsError for options that clash."""
        check_choice("--from", self.from_, SOURCES)
        check_choice("--to", self.to, TARGETS)
        check_choice("--errors", self.reading.errors, ERRORS)
        check_choice("--offsets", self.offsets, OFFSETS)
        if self.json and self.to not in ("", JSONL):
            raise SettingsError(f"--json is --to jsonl, so --to {self.to} can't stand beside it; leave one out")
        found = find_sources(self.inputs, self.from_)
        kind = JSONL if self.json else self.to or self._usual_kind(found)
        if self.output is None and kind in ON_FILES:
            raise SettingsError(f"--to {kind}: is made as a whole, so name a file for it with -o")
        if self.utf16 and kind not in (JSONL, PARQUET):
            raise SettingsError(f"--offsets utf-16: {kind} has no offsets for programs; choose jsonl or parquet")
        return found, kind

    def _usual_kind(self, found: JobPaths) -> str:
        if self.output is None:
            return TEXT
        return JSONL if found.many else target_kind(self.output)


def thresholds_of(text: str) -> float | dict[str, float] | None:
    """Return what `--min-confidence` means: a number for all types, or `type=number,…`."""
    if not text:
        return None
    try:
        if "=" not in text:
            return float(text)
        pairs = [part.rpartition("=") for part in text.split(",")]
        return {name.strip(): float(number) for name, _, number in pairs}
    except ValueError:
        raise SettingsError(f"--min-confidence {text!r}: must be a number, or type=number,type=number") from None


def load_tagger(job: TagJob) -> "Tagger":
    """Load the tagger as the job wants it; its offsets are characters, since outputs mark the text with them."""
    from nerbert.tagger.tagger import Tagger

    return Tagger.load(job.tagger, thresholds=thresholds_of(job.min_confidence), **job.loading)


def fingerprint(job: TagJob, tagger: "Tagger", found: JobPaths, kind: str) -> dict[str, Any]:
    """Return all that the result depends on but the inputs' content, which each part covers by itself."""
    loading = {name: job.loading.get(name) for name in ("decoding", "on_too_long", "head")}
    return {
        "format": _FORMAT, "made_by": f"nerbert {__version__}",
        "tagger": {"sha256": _digest(job.tagger), "backend": tagger.head.name, **loading,
                   "min_confidence": writable(job.min_confidence)},
        "field": writable(job.reading.field), "to": kind, "offsets": job.offsets,
        "inputs": [{"name": writable(source.name), "kind": source.kind} for source in found.sources],
    }  # fmt: skip


def _digest(source: str) -> str:
    """Return one digest over what is loaded of a tagger's folder, or of the local copy of one on the hub."""
    folder = Path(source) if Path(source).is_dir() else _cached(source)
    files = sorted({path for pattern in _LOADED for path in folder.glob(pattern) if path.is_file()})
    lines = "".join(f"{path.relative_to(folder)} {sha256_of(path)}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _cached(name: str) -> Path:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found).parent if isinstance(found, str) else Path(name)
