"""The only HTTP client: requests, their failures, and retries.

A failure is final or transient; only a transient one is retried, after a pause that doubles and varies. httpx is
imported where it is used, since the import takes a tenth of a second.
"""

import math
import os
import re
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import RawIOBase
from typing import TYPE_CHECKING, Any

from nerbert import __version__
from nerbert.errors import InputError
from nerbert.rng import uniform
from nerbert.terminal import tell

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    import httpx
    from _typeshed import WriteableBuffer

_BUSY = frozenset({408, 425, 429})
"""The only transient statuses below 500."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_SECRETS = re.compile(r"(?<=://)[^/\s]*@|\?[^\s'\")]*")
_HEADERS = {"User-Agent": f"nerbert/{__version__} (command line) httpx", "Accept-Encoding": "identity"}
_AHEAD, _BEHIND = 1 << 20, 1 << 17
"""Bytes of one request for a part of a file: before the part's end, and after it."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait for a server: seconds of silence (twice these for an answer's head), tries in a row, pauses.

    The pause begins with a second and doubles; up to the share `jitter` is added. A server may ask for a longer one, up
    to `longest_pause`. Tries are in a row until `progress` bytes have come. Each pause is shown on standard error.
    """

    silence: float = 60.0
    tries: int = 8
    longest_pause: float = 300.0
    jitter: float = 0.25
    progress: int = 1 << 20
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[str], None] = tell


DEFAULT_POLICY = RetryPolicy()


class Missing(InputError):  # noqa: N818  (reads as the fact that it reports)
    """The server has no such file, or refuses it."""


class TransientError(Exception):
    """A failure that a retry may solve. `wait` is the pause that the server asks for; with `restart` the file must be
    read from its beginning.
    """

    def __init__(self, reason: str, wait: float = 0.0, *, restart: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.restart = wait, restart


@dataclass(frozen=True, slots=True)
class Version:
    """The version of an address's content, as far as the server gives it."""

    etag: str = ""
    modified: str = ""
    size: int | None = None

    @property
    def condition(self) -> str:
        """The value for If-Range: a strong ETag (RFC 9110, 13.1.5); "" if there is none."""
        return "" if self.etag.startswith("W/") else self.etag

    @property
    def mark(self) -> str:
        """The name of the version: the ETag, else the date, else ""."""
        return self.etag or self.modified


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes of a file from `start` to `stop`, None if unknown."""

    start: int
    stop: int | None
    version: Version
    blocks: Iterator[bytes]


class ReadFile(RawIOBase):
    """A binary file from a function that returns the next bytes, at most so many, and none at the end."""

    def __init__(self, read: Callable[[int], bytes], close: Callable[[], object]) -> None:
        self._read, self._close = read, close

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer`; return the number of bytes read."""
        view = memoryview(buffer)
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the source, too."""
        if not self.closed:
            self._close()
        super().close()


def stream(
    address: str, start: int = 0, *, version: Version | None = None, policy: RetryPolicy | None = None,
    window: Callable[[int], int] | None = None, begin: Callable[[Answer], None] | None = None,
) -> Generator[bytes, None, None]:  # fmt: skip
    """Yield the bytes of one version of a file from `start` on, across lost connections. `window` gives the end of the
    next request; without it, that is the end of the file. If the file can't be continued, it is sent again from its
    beginning, and `begin` is called with each answer that begins there; without `begin` that is an InputError.
    """
    policy, version, at = policy or DEFAULT_POLICY, version or Version(), start
    failed, before, furthest = 0, start, start
    heads = _Heads(2 * policy.silence)
    with _open_client(policy) as client:
        while version.size is None or at < version.size:
            try:
                with _request(client, address, at, window(at) if window else None, version, heads) as answer:
                    if answer.start == 0 and begin is not None:
                        begin(answer)
                    elif answer.start != at:
                        raise TransientError("the server sends the whole file", restart=True)
                    at, version = answer.start, answer.version
                    for block in answer.blocks:
                        at += len(block)
                        furthest = max(furthest, at)
                        yield block
                if version.size is None:
                    return
            except TransientError as error:
                if error.restart and begin is None:
                    raise InputError(
                        f"{without_secrets(address)}: changed while it was read, or can't be read from byte {at} on: "
                        f"{error}; run again"
                    ) from error
                if error.restart or (begin is not None and not version.condition):
                    window = None if at == 0 else window
                    at, version = 0, Version()
                failed = 1 if furthest - before >= policy.progress else failed + 1
                before = furthest  # bytes sent again are no progress
                _pause(without_secrets(address), policy, failed, error)


def _pause(name: str, policy: RetryPolicy, failed: int, error: TransientError) -> None:
    """Wait after a failure; raise InputError after the last try."""
    if failed >= policy.tries:
        raise InputError(f"{name}: {error} (tried {failed} times); rerun the command to resume") from error
    pause = pause_after(failed, error.wait, name, policy)
    policy.tell(f"{name}: {error} (try {failed} of {policy.tries} failed; the next in {pause:g} seconds)")
    policy.sleep(pause)


def pause_after(failed: int, asked: float, name: str, policy: RetryPolicy) -> float:
    """Return the seconds to wait after so many failures in a row, if the server asks for `asked` seconds."""
    share = policy.jitter * uniform(0, "retry", f"{os.getpid()} {name} {failed}")
    return round(min(max((1 + share) * 2.0 ** (failed - 1), asked), policy.longest_pause), 1)


def read_small(address: str, limit: int, policy: RetryPolicy | None = None) -> bytes:
    """Return a small file; raise InputError if it has more than `limit` bytes."""
    data = bytearray()
    for block in stream(address, policy=policy, begin=lambda _: data.clear()):
        data.extend(block)
        if len(data) > limit:
            raise InputError(f"{without_secrets(address)}: more than {limit} bytes; not read")
    return bytes(data)


def probe(address: str) -> tuple[Version, bool]:
    """Return the version of a file, and whether the server sends parts of it."""
    found: list[Answer] = []
    with closing(stream(address, window=lambda _: 1, begin=found.append)) as blocks:
        next(blocks, b"")
    return found[-1].version, found[-1].stop == 1


def open_http(address: str, start: int = 0, stop: int | None = None) -> ReadFile:
    """Open a file at an address, from an offset; all bytes before `stop` will be read. Requests ask for 1 MiB up to
    `stop`, and for less after it, so that few bytes are wasted. Without `stop` one request asks for the whole.
    """
    rest = b""

    def read(length: int) -> bytes:
        nonlocal rest
        data = rest or next(blocks, b"")
        rest = data[length:]
        return data[:length]

    window = None if stop is None else lambda at: max(min(at + _AHEAD, stop), at + _BEHIND)
    blocks = stream(address, start, window=window)
    return ReadFile(read, blocks.close)


def without_secrets(address: str) -> str:
    """Return an address for messages: without passwords and signatures."""
    return _SECRETS.sub("", address)


def no_cookies() -> "CookieJar":
    """Return what keeps no cookie for httpx's clients: one of odd letters would make each later request fail."""
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


@contextmanager
def _open_client(policy: RetryPolicy) -> "Iterator[httpx.Client]":
    """Make a client, whose connections are reused until the block ends."""
    import ssl

    import httpx

    try:
        client = httpx.Client(
            headers=_HEADERS, timeout=policy.silence, follow_redirects=True, max_redirects=10,
            verify=ssl.create_default_context(), event_hooks={"response": [_check_redirect]}, cookies=no_cookies(),
        )  # fmt: skip
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise InputError(f"the proxies that the environment names can't be used: {error}") from error
    with client:
        yield client


def _check_redirect(response: "httpx.Response") -> None:
    if response.has_redirect_location and response.url.scheme == "https":
        target = response.url.join(response.headers["Location"])
        if target.scheme == "http":
            raise InputError(
                f"{without_secrets(str(response.url))} leads from https to {without_secrets(str(target))[:80]!r}, "
                "where the data could be changed on the way; not followed: give another address"
            )


class _Heads:
    """Gives up when no answer's head comes in time: slow bytes and early answers (1xx) may never end."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until = seconds, math.inf

    def follow(self, event: str, told: Mapping[str, Any]) -> None:
        """Limit how long each head is waited for, as httpcore tells of connections and requests."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            connection = told["return_value"]
            connection.read = partial(self._read, connection.read)
        elif "receive_response_headers." in event:
            self._until = time.monotonic() + self._seconds if event.endswith(".started") else math.inf

    def _read(self, read: Callable[..., bytes], max_bytes: int, timeout: float | None = None) -> bytes:
        import httpx

        if (left := self._until - time.monotonic()) <= 0:
            raise httpx.ReadTimeout("timed out")
        return read(max_bytes, timeout=min(left, timeout or left) if left < math.inf else timeout)


@contextmanager
def _request(
    client: "httpx.Client", address: str, start: int, stop: int | None, version: Version, heads: _Heads
) -> Iterator[Answer]:
    """Ask once for a file, or for its bytes from `start` to `stop`, of a version if there is one.

    An answer may begin at 0: a server that can't send a part, or has another version, sends the whole.
    """
    import httpx

    name = without_secrets(address)
    headers = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if start or stop else {}
    if start and version.condition:
        headers["If-Range"] = version.condition
    try:
        extensions = {"trace": heads.follow}
        with client.stream("GET", address, headers=headers, extensions=extensions) as response:
            if start == 0 and response.status_code == 416 and response.headers.get("Content-Range") == "bytes */0":
                yield Answer(0, 0, _version(response.headers, 0), iter(()))  # of an empty file there is no part
                return
            _check_status(name, response)
            yield _read_answer(name, response, start, version)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise _meaning(name, error) from error


def _check_status(name: str, response: "httpx.Response") -> None:
    """Raise the error of an answer without the file."""
    code = response.status_code
    if code in (401, 403, 404, 410):
        raise Missing(f"{name}: {'not there' if code in (404, 410) else 'refused'} (status {code})")
    if code == 416:
        raise TransientError("the server no longer has the rest of the file (status 416)", restart=True)
    if code >= 500 or code in _BUSY:
        raise TransientError(f"the server is busy or broken (status {code})", asked_wait(response.headers))
    if code != 200 and not (code == 206 and "Range" in response.request.headers):
        raise InputError(f"{name}: the server answers with status {code}; check the address")
    packed = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise InputError(f"{name}: is sent compressed as {packed[:40]!r}, which was not asked for; try another address")


def _read_answer(name: str, response: "httpx.Response", start: int, version: Version) -> Answer:
    """Return the bytes of an answer; raise TransientError for a part that doesn't fit `version` and `start`."""
    headers = response.headers
    length = int(headers["Content-Length"]) if "Content-Length" in headers else None
    if response.status_code == 200:
        if length is None and "chunked" not in headers.get("Transfer-Encoding", "").lower():
            raise InputError(f"{name}: the server doesn't say how long the file is; try another address")
        return Answer(0, length, _version(headers, length), _cut(response.iter_raw(), 0, length))
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    first, last, size = map(int, match.groups()) if match else (-1, -1, -1)
    now = _version(headers, size)
    fits = first == start <= last < size and length in (None, last + 1 - first)
    if not fits or version.size not in (None, size) or version.mark not in ("", now.mark):
        raise TransientError("the server sent another part of the file than requested", restart=True)
    blocks = _cut(response.iter_raw(), first, last + 1)
    return Answer(first, last + 1, now if version.size is None else version, blocks)


def _cut(blocks: Iterator[bytes], at: int, stop: int | None) -> Iterator[bytes]:
    """Yield the bytes from `at` to `stop`, or to the end; raise TransientError if some are missing."""
    for block in blocks:
        kept = block if stop is None else block[: stop - at]
        if not kept:  # a chunked answer may hold more than it says
            return
        at += len(kept)
        yield kept
    if at < (stop or 0):
        raise TransientError(f"cut off after {at:,} of {stop:,} bytes")


def _version(headers: "httpx.Headers", size: int | None) -> Version:
    etag, modified = (headers.get(name, "").strip()[:1000] for name in ("ETag", "Last-Modified"))
    return Version(etag, modified, size)


def _meaning(name: str, error: Exception) -> Exception:
    """Return the error of a failed request: InputError if it is final, else TransientError."""
    import httpx

    reason = without_secrets(f"{type(error).__name__} {error}").strip()[:200]
    if f"[Errno {socket.EAI_NONAME}]" in reason:
        return InputError(f"{name}: no server of that name was found; check the address and the network")
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return InputError(f"{name}: the server's certificate is not trusted: {reason}")
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects, UnicodeError)):
        return InputError(f"{name}: can't be requested, or leads nowhere: {reason}; not followed")
    return TransientError(f"the connection failed: {reason}")


def asked_wait(headers: "httpx.Headers") -> float:
    """Return the seconds that Retry-After asks for, 0 if none; a date counts from the server's own clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        from email.utils import parsedate_to_datetime

        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(headers["Date"])).total_seconds())
    return 0.0
