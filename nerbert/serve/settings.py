"""The limits of a server. They bound its memory, whatever clients send."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from annotated_types import Interval

from nerbert.config import Settings

TOKEN = "NERBERT_TOKEN"
"""Environment variable with the token that clients must send."""
_Count = Annotated[int, Interval(ge=1, le=1 << 30)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Settings):
    """A server's limits; requests that exceed them get an error that names the limit."""

    workers: Annotated[int, Interval(ge=1, le=64)] = 2
    """Batches computed in parallel: while the model reads one, the next one is prepared."""
    batch: _Count = 2048
    """Maximum size of a batch in subwords, padded: its number of texts times the longest of them."""
    deadline: Annotated[float, Interval(gt=0, le=3_600_000)] = 1000.0
    """Maximum estimated wait of a new text, in milliseconds; beyond, requests are refused (429)."""
    max_waiting: _Count = 4096
    """Maximum number of waiting texts; beyond, requests are refused (429)."""
    timeout: Annotated[float, Interval(gt=0, le=86_400)] = 60.0
    """Seconds until a request is given up (504), or an idle connection is closed."""
    max_requests: _Count = 1024
    """Maximum number of requests in progress; beyond, they are refused (429)."""
    max_held: _Count = 4 << 20
    """Maximum number of bytes of all requests in progress; beyond, they are refused (429)."""
    max_body: _Count = 1 << 20
    """Maximum number of bytes of a request (413), or of a line of a stream."""
    max_characters: _Count = 1 << 17
    """Maximum number of characters in a text (422)."""
    max_texts: _Count = 1024
    """Maximum number of texts in a request (422)."""
    max_labels: _Count = 256
    """Maximum number of labels in a request (422)."""
    least_threshold: Annotated[float, Interval(ge=0, le=1)] = 0.01
    """Minimum threshold of labels at run time; lower ones are raised to it: at 0 every run of words is an entity."""
    allow_training: bool = False
    """Let Label Studio start training (in separate processes)."""


def is_loopback(host: str) -> bool:
    """Return whether a name or address is this machine's own."""
    try:
        # A name other than localhost may resolve to anything, so only addresses are trusted.
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
