"""How a tagger is loaded: one object, from the command line, jobs and servers to the head that answers.

It holds what was asked for; a folder's own settings are added where the folder is opened (`HeadOptions`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Loading:
    """Options for loading a tagger: parameters of `Tagger.load`."""

    decoding: str = ""
    """legal (best path of BIO tags; default for taggers made by nerbert) or greedy (each word independently). For
    taggers that take labels at run time: flat (default), nested (also those entities inside others that the model is
    sure of: with GLiNER; hardly ever with minilm) or touching (single-word models: neighbours with the same label are
    joined)."""
    on_too_long: str = ""
    """Sentences longer than the model's window: window (in overlapping parts), error or truncate."""
    backend: str = "auto"
    """torch, onnx (after `nerbert export`) or auto: torch on a GPU, else the exported model, else torch."""
    precision: str = "auto"
    """bf16, fp32, int8 or auto."""
    device: str = ""
    """Torch's name of a device; default: the GPU if there is one."""
    threads: int = 0
    """CPU threads; 0 lets the back end choose."""
    head: str = ""
    """For a tagger whose head is your own code: its module:Class, which is imported."""


DEFAULTS = Loading()
