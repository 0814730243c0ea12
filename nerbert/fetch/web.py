"""One request to a web server, and what its failures mean: gone, refused, or worth another try.

The choice: the standard library's HTTP, with nothing in it but http and https, so a redirect leads to no file and no
other protocol; and only what may pass (a dropped connection, silence, a busy server) is asked for again. The price: no
compression, no more than one connection, no HTTP/2; for large files that are packed already none of them is missed.
"""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import IO, TYPE_CHECKING, cast
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from nerbert import __version__
from nerbert.errors import InputError
from nerbert.terminal import tell

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 16
_BUSY = frozenset({408, 425, 429})
"""The only statuses below 500 that may be others a moment later."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited: seconds of silence, pauses between failures in a row, the longest that a server may ask for.

    Failures are in a row until `progress` bytes have come; every `step` bytes what has come is on the disk for sure.
    `tell` gets a line about each failure that is followed by a pause; standard error shows it.
    """

    silence: float = 60.0
    pauses: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 60)
    longest: float = 300.0
    progress: int = 1 << 20
    step: int = 16 << 20
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[str], None] = tell


class Missing(InputError):  # noqa: N818  (reads as the fact that it reports)
    """The server says that there is no such file, or not for us."""


class Passing(Exception):  # noqa: N818
    """A failure that may be over at the next try; `wait` is what the server asks for, `anew` spoils what has come."""

    def __init__(self, told: str, wait: float = 0.0, *, anew: bool = False) -> None:
        super().__init__(told)
        self.wait, self.anew = wait, anew


class Tries:
    """Counts failures in a row, tells each, and pauses after it."""

    def __init__(self, patience: Patience) -> None:
        self._patience, self._failed = patience, 0

    def reset(self) -> None:
        """Say that there was progress."""
        self._failed = 0

    def pause(self, address: str, fault: Passing) -> None:
        """Wait after a failure; raise InputError after one too many."""
        pauses = self._patience.pauses
        if self._failed >= len(pauses):
            tries = f"tried {self._failed + 1} times"
            raise InputError(f"{address}: {fault} ({tries}); run the same command again to go on") from fault
        wait = min(max(pauses[self._failed], fault.wait), self._patience.longest)
        self._failed += 1
        told = f"try {self._failed} of {len(pauses) + 1} failed; the next in {wait:g} seconds"
        self._patience.tell(f"{address}: {fault} ({told})")
        self._patience.sleep(wait)


@contextmanager
def ask(address: str, patience: Patience, headers: Mapping[str, str] | None = None) -> "Iterator[HTTPResponse]":
    """Open an address; Missing, InputError or Passing for what the server or the net says instead."""
    told = {"User-Agent": f"nerbert/{__version__} (command line) Python-urllib", "Accept-Encoding": "identity"}
    try:
        request = Request(address, headers=told | dict(headers or {}))  # noqa: S310
        answer = cast("HTTPResponse", _opener().open(request, timeout=patience.silence))
    except HTTPError as error:
        with error:
            raise _of_status(address, error) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _of_net(address, error) from error
    with answer:
        packed = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if packed not in ("", "identity"):
            raise InputError(
                f"{address}: comes packed as {packed[:40]!r}, which was not asked for; try another --mirror"
            )
        yield answer


def read_block(answer: HTTPResponse, most: int) -> bytes:
    """What has come, at most so many bytes (none if none are wanted); b"" where the connection was closed."""
    try:
        return answer.read1(min(most, _BLOCK)) if most else b""
    except (OSError, HTTPException, ValueError) as error:
        raise Passing(f"the connection broke: {_told(error)}") from error


def read_small(address: str, limit: int, patience: Patience) -> bytes:
    """The whole of a small file, which is kept in memory; tried again as large ones are."""
    tries = Tries(patience)
    while True:
        try:
            with ask(address, patience) as answer:
                expected, data = answer.length, b""
                while block := read_block(answer, min(limit + 1, expected or limit + 1) - len(data)):
                    data += block
                if len(data) > limit:
                    raise InputError(f"{address}: more than {limit} bytes; that is no such list")
                if expected is not None and len(data) < expected:
                    raise Passing(f"cut off after {len(data)} of {expected} bytes")
                return data
        except Passing as fault:
            tries.pause(address, fault)


class _WebOnly(HTTPRedirectHandler):
    """Follows redirects to http and https; the library's own follows them to FTP too."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:  # fmt: skip
        """The request to follow up with; an error where that leads out of the web."""
        if not newurl.lower().startswith(("http://", "https://")):
            fp.close()
            raise InputError(f"{req.full_url}: leads to {newurl[:80]!r}, which is not on the web; not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener() -> OpenerDirector:
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor, _WebOnly,
                    UnknownHandler):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _of_status(address: str, error: HTTPError) -> Exception:
    code = error.code
    if code in (401, 403, 404, 410):
        return Missing(f"{address}: {'not there' if code in (404, 410) else 'refused'} (status {code})")
    if code == 416:
        return Passing("the server no longer has the rest of the file (status 416)", anew=True)
    if code >= 500 or code in _BUSY:
        return Passing(f"the server is busy or broken (status {code})", _asked_wait(error.headers))
    if 300 <= code < 400:
        return InputError(f"{address}: leads out of the web, in a circle or nowhere (status {code}); not followed")
    return InputError(f"{address}: the server answers with status {code}; check the address")


def _of_net(address: str, error: Exception) -> Exception:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
        return InputError(f"{address}: no server of that name is known here; check the net, or name a --mirror")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return InputError(f"{address}: the server's certificate is not trusted: {cause.verify_message}")
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return InputError(f"{address}: can't be asked for: {_told(error)}")
    return Passing(f"no answer: {_told(cause)}")


def _told(error: object) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]


def _asked_wait(headers: Message) -> float:
    """Seconds that Retry-After asks for, 0 if none; a date is taken relative to the server's own clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    with suppress(TypeError, ValueError, OverflowError):
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(headers["Date"])).total_seconds())
    return 0.0
