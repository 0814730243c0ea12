"""The limits of a server. They bound its memory, whatever is sent to it."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from annotated_types import Interval

from nerbert.config import Settings

TOKEN = "NERBERT_TOKEN"
"""The environment's variable with the token that clients send."""
_Count = Annotated[int, Interval(ge=1, le=1 << 30)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Settings):
    """What a server takes at most; more is refused with an error that names the limit."""

    workers: Annotated[int, Interval(ge=1, le=64)] = 2
    """Batches that are computed at once: while the model reads one, the next one is prepared."""
    batch: _Count = 2048
    """Subwords of a batch, padded: its texts times the longest of them."""
    deadline: Annotated[float, Interval(gt=0, le=3_600_000)] = 1000.0
    """Milliseconds that a new text may wait, by estimate; beyond, requests are refused (429)."""
    max_waiting: _Count = 4096
    """Texts that wait; beyond, requests are refused (429)."""
    timeout: Annotated[float, Interval(gt=0, le=86_400)] = 60.0
    """Seconds until an answer is given up (504), or a connection on which nothing is asked is closed."""
    max_requests: _Count = 1024
    """Requests that are in progress; beyond, they are refused (429)."""
    max_held: _Count = 4 << 20
    """Bytes of all requests in progress; beyond, they are refused (429)."""
    max_body: _Count = 1 << 20
    """Bytes of a request (413), or of a line of a stream."""
    max_characters: _Count = 1 << 17
    """Characters of a text (422)."""
    max_texts: _Count = 1024
    """Texts of a request (422)."""
    max_labels: _Count = 256
    """Labels of a request (422)."""
    least_threshold: Annotated[float, Interval(ge=0, le=1)] = 0.01
    """Lowest threshold for labels at run time; lower ones are raised to it: at 0 every run of words is an entity."""
    allow_training: bool = False
    """Let Label Studio start trainings (in processes of their own)."""


def is_loopback(host: str) -> bool:
    """Return whether a name or an address is this machine's own."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
