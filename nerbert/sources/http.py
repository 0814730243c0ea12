"""The only HTTP client: a request, what its failure means, and when it is sent again.

The choice: a failure is final (gone, refused, no such server) or may pass (a lost connection, silence, a busy server).
Only the second kind is tried again, after a pause that doubles and varies, so that many workers don't ask at once.
Redirects lead to http and https only, proxies come from the environment, and certificates are checked against the
system's store. httpx is imported where it is used, since the import takes a tenth of a second.
"""

import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from nerbert import __version__
from nerbert.errors import InputError
from nerbert.rng import uniform
from nerbert.sources.files import ReadFile
from nerbert.terminal import tell

if TYPE_CHECKING:
    import httpx

_BUSY = frozenset({408, 425, 429})
"""The only statuses below 500 that may be others a moment later."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_SECRETS = re.compile(r"(?<=://)[^/\s]*@|\?[^\s'\")]*")
_HEADERS = {"User-Agent": f"nerbert/{__version__} (command line) httpx", "Accept-Encoding": "identity"}
_AHEAD = 1 << 20


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait for a server: seconds of silence, tries in a row, pauses between them.

    The pause begins with a second and doubles; up to the share `jitter` is added, drawn by `seed`, process and address.
    A server may ask for a longer one, up to `longest_pause`. Tries are in a row until `progress` bytes have come. Each
    failure that is followed by a pause is shown on standard error.
    """

    silence: float = 60.0
    tries: int = 8
    longest_pause: float = 300.0
    jitter: float = 0.25
    seed: int = 0
    progress: int = 1 << 20
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[str], None] = tell


DEFAULT_POLICY = RetryPolicy()


class Missing(InputError):  # noqa: N818  (reads as the fact that it reports)
    """The server says that there is no such file, or not for us."""


class TransientError(Exception):
    """A failure that may be over at the next try.

    `wait` is the pause that the server asks for; with `anew` the file must be read from its beginning.
    """

    def __init__(self, reason: str, wait: float = 0.0, *, anew: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.anew = wait, anew


class _Tries:
    """The tries for one address: counts failures in a row, and pauses after each."""

    def __init__(self, address: str, policy: RetryPolicy, start: int) -> None:
        self._name, self._policy = without_secrets(address), policy
        self._failed, self._before, self._furthest = 0, start, start

    def reach(self, at: int) -> None:
        """Note how far the file has come; what had come before the last failure, and comes again, is no progress."""
        self._furthest = max(self._furthest, at)
        if self._furthest - self._before >= self._policy.progress:
            self._failed = 0

    def pause(self, error: TransientError) -> None:
        """Wait after a failure; raise InputError after the last try."""
        policy, self._before = self._policy, self._furthest
        self._failed += 1
        if self._failed >= policy.tries:
            tries = f"tried {self._failed} times"
            raise InputError(f"{self._name}: {error} ({tries}); run the same command again to go on") from error
        share = policy.jitter * uniform(policy.seed, "retry", f"{os.getpid()} {self._name} {self._failed}")
        pause = round(min(max((1 + share) * 2 ** (self._failed - 1), error.wait), policy.longest_pause), 1)
        tries = f"try {self._failed} of {policy.tries} failed; the next in {pause:g} seconds"
        policy.tell(f"{self._name}: {error} ({tries})")
        policy.sleep(pause)


@dataclass(frozen=True, slots=True)
class Version:
    """What distinguishes one content of an address from another; `sure` if two contents can't share the date."""

    etag: str = ""
    modified: str = ""
    size: int | None = None
    sure: bool = False

    @property
    def condition(self) -> str:
        """What If-Range may ask for (RFC 9110, 13.1.5); "" without a strong ETag, or a sure date and no ETag."""
        if self.etag:
            return "" if self.etag.startswith("W/") else self.etag
        return self.modified if self.sure else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes of a file from `start` to `stop`, None where only their end will tell."""

    start: int
    stop: int | None
    version: Version
    blocks: Iterator[bytes]


@contextmanager
def open_client(policy: RetryPolicy) -> "Iterator[httpx.Client]":
    """Make a client, whose connections are used again until the block ends."""
    import httpx

    try:
        client = httpx.Client(
            headers=_HEADERS, timeout=policy.silence, follow_redirects=True, max_redirects=10,
            verify=ssl.create_default_context(),
            event_hooks={"request": [_check_scheme], "response": [_check_redirect]},
        )  # fmt: skip
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise InputError(f"the proxies that the environment names can't be used: {error}") from error
    with client:
        yield client


@contextmanager
def request(
    client: "httpx.Client", address: str, start: int = 0, stop: int | None = None, version: Version | None = None
) -> Iterator[Answer]:
    """Ask once for a file, or for its bytes from `start` to `stop`, of a version if there is one.

    An answer may begin elsewhere: a server that can't send a part, or has another version, sends the whole.
    """
    import httpx

    name, version = without_secrets(address), version or Version()
    headers = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if start or stop else {}
    if start and version.condition:
        headers["If-Range"] = version.condition
    try:
        with client.stream("GET", address, headers=headers) as response:
            if start == 0 and response.status_code == 416 and response.headers.get("Content-Range") == "bytes */0":
                yield Answer(0, 0, _version(response.headers, 0), iter(()))  # of an empty file there is no part
                return
            _check_status(name, response)
            yield _read_answer(name, response, start, version)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise _meaning(name, error) from error


def _to_the_end(_: int) -> int | None:
    """Return that no request stops before the end of the file."""
    return None


def stream(
    address: str, start: int = 0, *, version: Version | None = None, policy: RetryPolicy | None = None,
    window: Callable[[int], int | None] = _to_the_end, begin: Callable[[Answer], None] | None = None,
) -> Generator[bytes, None, None]:  # fmt: skip
    """Yield the bytes of one version of a file from `start` on, through lost connections.

    `window` says to which place the next request asks, None for the end of the file. Where the file can't be continued
    it comes again from its beginning (whole, if no part can be had from there), and `begin` is called with each answer
    that begins there; without `begin` that is an InputError.
    """
    policy, version, at = policy or DEFAULT_POLICY, version or Version(), start
    tries = _Tries(address, policy, start)
    with open_client(policy) as client:
        while version.size is None or at < version.size:
            try:
                with request(client, address, at, window(at), version) as answer:
                    if answer.start == 0 and begin is not None:
                        begin(answer)
                    elif answer.start != at:
                        raise TransientError("the server sends the whole file", anew=True)
                    at, version = answer.start, answer.version
                    for block in answer.blocks:
                        at += len(block)
                        tries.reach(at)
                        yield block
                if at < (answer.stop or 0):
                    raise TransientError(f"cut off after {at:,} of {answer.stop:,} bytes")
                if version.size is None:
                    return
            except TransientError as error:
                if error.anew and begin is None:
                    raise InputError(
                        f"{without_secrets(address)}: changed while it was read, or can't be read from byte {at} on: "
                        f"{error}; run again"
                    ) from error
                if error.anew or (begin is not None and not version.condition):
                    window = _to_the_end if error.anew and at == 0 else window
                    at, version = 0, Version()
                tries.pause(error)


def read_small(address: str, limit: int, policy: RetryPolicy) -> bytes:
    """Return the whole of a small file."""
    data = bytearray()
    for block in stream(address, policy=policy, begin=lambda _: data.clear()):
        data.extend(block)
        if len(data) > limit:
            raise InputError(f"{address}: more than {limit} bytes; not read")
    return bytes(data)


def probe(address: str) -> tuple[Version, bool]:
    """Return the version of a file, and whether the server sends parts of it."""
    found: list[Answer] = []
    with closing(stream(address, window=lambda _: 1, begin=found.append)) as blocks:
        next(blocks, b"")
    return found[-1].version, found[-1].stop == 1


def open_http(address: str, start: int = 0, stop: int | None = None) -> ReadFile:
    """Open a file at an address at a place; what lies before `stop` is wanted for sure.

    Requests ask for 1 MiB up to `stop`, and behind it for what is read next, so that little is sent in vain. Without
    `stop` one request asks for the whole.
    """
    wanted, rest = 0, b""

    def window(at: int) -> int | None:
        return None if stop is None else at + max(wanted, min(_AHEAD, stop - at))

    def read(length: int) -> bytes:
        nonlocal wanted, rest
        wanted, data = length, rest or next(blocks, b"")
        rest = data[length:]
        return data[:length]

    blocks = stream(address, start, window=window)
    return ReadFile(read, blocks.close)


def without_secrets(address: str) -> str:
    """Return an address as messages name it: without passwords and signatures."""
    return _SECRETS.sub("", address)


def _check_scheme(request: "httpx.Request") -> None:
    if request.url.scheme not in ("http", "https"):
        raise InputError(
            f"an address leads to {without_secrets(str(request.url))[:80]!r}, which is not on the web; not followed"
        )


def _check_redirect(response: "httpx.Response") -> None:
    if response.has_redirect_location and response.url.scheme == "https":
        target = response.url.join(response.headers["Location"])
        if target.scheme == "http":
            raise InputError(
                f"{without_secrets(str(response.url))} leads from https to {without_secrets(str(target))[:80]!r}, "
                "where others may change what is sent; not followed: give another address"
            )


def _check_status(name: str, response: "httpx.Response") -> None:
    """Raise what an answer without the file means."""
    code = response.status_code
    if code in (401, 403, 404, 410):
        raise Missing(f"{name}: {'not there' if code in (404, 410) else 'refused'} (status {code})")
    if code == 416:
        raise TransientError("the server no longer has the rest of the file (status 416)", anew=True)
    if code >= 500 or code in _BUSY:
        raise TransientError(f"the server is busy or broken (status {code})", _asked_wait(response.headers))
    if code not in (200, 206):
        raise InputError(f"{name}: the server answers with status {code}; check the address")
    packed = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise InputError(f"{name}: comes packed as {packed[:40]!r}, which was not asked for; try another address")


def _read_answer(name: str, response: "httpx.Response", start: int, version: Version) -> Answer:
    """Return which bytes an answer holds; raise TransientError for a part that doesn't fit `version` and `start`."""
    headers = response.headers
    length = int(headers["Content-Length"]) if "Content-Length" in headers else None
    if response.status_code == 200:
        if length is None and "chunked" not in headers.get("Transfer-Encoding", "").lower():
            raise InputError(f"{name}: the server doesn't say how long the file is; try another address")
        return Answer(0, length, _version(headers, length), response.iter_raw())
    if "Range" not in response.request.headers:
        raise InputError(f"{name}: the server answers with status {response.status_code}; check the address")
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    first, last, size = map(int, match.groups()) if match else (-1, -1, -1)
    now = _version(headers, size)
    same = now.etag in ("", version.etag) and (now.etag or now.modified in ("", version.modified))
    fits = first == start <= last < size and size == (version.size or size) and length in (None, last + 1 - first)
    if not fits or (version != Version() and not same):
        raise TransientError("the server sent another part of the file than it was asked for", anew=True)
    return Answer(first, last + 1, version if version.size else now, _cut(response.iter_raw(), last + 1 - first))


def _cut(blocks: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Yield no more than `length` bytes; a chunked answer may hold more than it says."""
    for block in blocks:
        if not length:
            return
        yield block[:length]
        length -= len(block[:length])


def _version(headers: "httpx.Headers", size: int | None) -> Version:
    etag, modified = (headers.get(name, "").strip()[:1000] for name in ("ETag", "Last-Modified"))
    sure = False
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        sure = (parsedate_to_datetime(headers["Date"]) - parsedate_to_datetime(modified)).total_seconds() >= 1
    return Version(etag, modified, size, sure)


def _meaning(name: str, error: Exception) -> Exception:
    """Return what a failed request means: InputError for what lasts, TransientError for what may pass."""
    import httpx

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return InputError(f"{name}: no server of that name is known here; check the address and the net")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return InputError(f"{name}: the server's certificate is not trusted: {cause.verify_message}")
        cause = cause.__cause__ or cause.__context__
    reason = without_secrets(f"{type(error).__name__} {error}").strip()[:200]
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects, UnicodeError)):
        return InputError(f"{name}: can't be asked for, or leads nowhere: {reason}; not followed")
    return TransientError(f"the connection failed: {reason}")


def _asked_wait(headers: "httpx.Headers") -> float:
    """Return the seconds that Retry-After asks for, 0 if none; a date counts from the server's own clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(headers["Date"])).total_seconds())
    return 0.0
