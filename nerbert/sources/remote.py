"""Files at URLs, through fsspec: http and https, s3, gs, hf, and other installed protocols.

A failure is final or transient; only a transient one is retried, after a pause that doubles, with jitter. Cost: if a
server can't send parts of a file, a lost connection means reading the file again from its beginning.
"""

import math
import random
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any, TypeVar

from nerbert.about import __version__
from nerbert.errors import InputError, MissingExtra, NerbertError, need
from nerbert.terminal import tell

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    from _typeshed import WriteableBuffer

Result = TypeVar("Result")

_BUSY = frozenset({408, 425, 429})
"""The only transient statuses below 500."""
_SECRETS = re.compile(r"(?<=://)[^/\s]*@|\?[^\s'\")]*")
_SILENCE = 60.0
"""Time without a byte after which a connection counts as lost, in seconds."""
_BLOCK = 1 << 20
"""Size of one request, in bytes."""
_EXTRAS = {"s3": "s3", "gs": "gs", "gcs": "gs", "hf": "train", "http": "corpus", "https": "corpus"}
"""The extra that installs the library for each URL scheme."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Number of tries in a row, and the pauses between them.

    The pause begins with a second and doubles; a random share of up to `jitter` is added. A server may request a longer
    one, up to `longest_pause` seconds. Each pause is reported on standard error.
    """

    tries: int = 8
    longest_pause: float = 300.0
    jitter: float = 0.25
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[str], None] = tell


DEFAULT_POLICY = RetryPolicy()


class Missing(InputError):  # noqa: N818  (reads as the fact that it reports)
    """The server doesn't have the file, or refuses access."""


def file_system(address: str) -> tuple[Any, str]:
    """Return a URL's fsspec file system, and the path in it; raise MissingExtra if its library is missing."""
    need("corpus", "fsspec")
    from fsspec.core import url_to_fs

    scheme, colon, location = address.partition("://")
    web = scheme.lower() in ("http", "https")
    if web:
        need("corpus", "aiohttp")
    try:
        files, path = url_to_fs(f"{scheme.lower()}{colon}{location}", **(_web_options() if web else {}))
    except ImportError as error:
        extra = _EXTRAS.get(scheme.lower())
        remedy = f"pip install 'nerbert[{extra}]'" if extra else str(error)
        raise MissingExtra(f"{without_secrets(address)}: needs another library: {remedy}") from error
    except Exception as error:
        raise _final_error(without_secrets(address), error) from error
    return files, path


@cache
def _web_options() -> dict[str, Any]:
    import aiohttp

    traces = aiohttp.TraceConfig()
    traces.on_request_redirect.append(_check_redirect)
    # Offsets count the stored bytes, so the server must not compress them
    headers = {"User-Agent": f"nerbert/{__version__}", "Accept-Encoding": "identity"}
    # A dump takes hours: only silence ends a connection
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
    return {
        "client_kwargs": {
            "trust_env": True,
            "auto_decompress": False,
            "headers": headers,
            "timeout": timeout,
            "trace_configs": [traces],
        }
    }


async def _check_redirect(_: Any, __: Any, redirect: Any) -> None:
    target = redirect.response.headers.get("Location", "")
    # Never from https to http, where data could be changed on the way
    if redirect.response.url.scheme == "https" and target.lower().startswith("http:"):
        raise InputError(
            f"{without_secrets(str(redirect.response.url))} leads from https to "
            f"{without_secrets(target)[:80]!r}, where the data could be changed on the way; not "
            "followed: give another address"
        )


class Setback(Exception):  # noqa: N818  (reads as the fact that it reports)
    """A failure that another try may mend; `error` is raised after at most `tries` of them.

    `wait` is the pause in seconds that the server requests.
    """

    def __init__(self, error: NerbertError, wait: float = 0.0, *, tries: float = math.inf, reason: str = "") -> None:
        super().__init__(reason or error)
        self.error, self.wait, self.tries = error, wait, tries


def retry(call: Callable[[], Result], policy: RetryPolicy) -> Result:
    """Return the result of a call; after each Setback, pause and call again."""
    failed = 0
    while True:
        try:
            return call()
        except Setback as setback:
            failed += 1
            if failed >= min(policy.tries, setback.tries):
                raise setback.error from setback
            pause = pause_after(failed, setback.wait, policy)
            policy.tell(f"{setback} (try {failed} of {policy.tries} failed; the next in {pause:g} seconds)")
            policy.sleep(pause)


def retry_call(name: str, call: Callable[[], Result], policy: RetryPolicy | None = None) -> Result:
    """Return the result of a call; retry it after a transient failure, and raise InputError after a final one."""
    policy = policy or DEFAULT_POLICY

    def explained() -> Result:
        try:
            return call()
        except NerbertError:
            raise
        except Exception as error:
            raise _explain_failure(name, error, policy.tries) from error

    return retry(explained, policy)


def _explain_failure(name: str, error: Exception, tries: int) -> Setback | InputError:
    """Return the cause of a transient failure, with the pause that the server requests, or the error of a final one."""
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
        # fsspec raises FileNotFoundError for any failure to get a file's size
        error = error.__cause__
    status: int | None = getattr(error, "status", None)
    lost = isinstance(error, OSError) or type(error).__module__.startswith("aiohttp.")
    final = isinstance(error, ValueError | FileNotFoundError | IsADirectoryError | PermissionError)
    # A host name that doesn't exist won't exist on the next try
    nowhere = isinstance(getattr(error, "os_error", None), socket.gaierror)
    final = final or status is not None or "Redirect" in type(error).__name__ or hasattr(error, "certificate_error")
    if status is not None and (status >= 500 or status in _BUSY):
        reason = f"{name}: the server is busy or broken (status {status})"
    elif final or nowhere or not lost:
        return _final_error(name, error, status)
    else:
        reason = f"{name}: the connection failed: {_error_text(error)}"
    last = InputError(f"{reason} (tried {tries} times); rerun the command to resume")
    return Setback(last, asked_wait(getattr(error, "headers", None) or {}), reason=reason)


def _final_error(name: str, error: Exception, status: int | None = None) -> InputError:
    note = f" (status {status})" if status else ""
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return Missing(f"{name}: not there{note}; check the address")
    if isinstance(error, PermissionError) or status in (401, 403):
        return Missing(f"{name}: refused{note}; check the address and your rights")
    return InputError(f"{name}: can't be read: {_error_text(error)}; check address and network, and run again")


def _error_text(error: Exception) -> str:
    return without_secrets(f"{type(error).__name__} {error}").strip()[:200]


def pause_after(failed: int, wait: float, policy: RetryPolicy) -> float:
    """Return the seconds to wait after `failed` failures in a row, if the server requests `wait` seconds."""
    share = policy.jitter * random.random()  # noqa: S311  (only spreads retries)
    # The share is random, so that many workers don't try again at the same time
    return round(min(max((1 + share) * 2.0 ** (failed - 1), wait), policy.longest_pause), 1)


def asked_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds that Retry-After requests, 0 without the header."""
    value = headers.get("Retry-After", "").strip()
    return float(value[:9]) if value.isascii() and value.isdigit() else 0.0


class RemoteFile(RawIOBase):
    """A file at a URL, read from an offset; a lost block is requested again.

    Each read is a request; `open_buffered` reads ahead.
    """

    def __init__(self, address: str, start: int = 0, policy: RetryPolicy | None = None) -> None:
        self._files, self._path = file_system(address)
        self._name = without_secrets(address)
        self._at = start
        self._policy = policy
        self._stream: Any = None
        self._in_order = False
        """True if the server can't send parts of the file."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer`; return the number of bytes read."""
        data = retry_call(self._name, lambda: self._block(len(memoryview(buffer))), self._policy)
        self._at += len(data)
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the connection, too."""
        self._drop()
        super().close()

    def _block(self, length: int) -> bytes:
        try:
            if self._stream is None:
                self._open()
            block: bytes = self._stream.read(length)
        except Exception as error:
            self._drop()
            if type(error) is ValueError and not self._in_order and "http" in self._files.protocol:
                # fsspec raises ValueError if a server sends the whole file
                self._in_order = True
                return self._block(length)
            raise
        return block

    def _open(self) -> None:
        size, left = (0, self._at) if self._in_order else (_BLOCK, 0)
        self._stream = self._files.open(self._path, "rb", block_size=size, cache_type="none")
        # Such a server sends the file from its beginning: read up to the offset
        while left and (block := self._stream.read(min(left, _BLOCK))):
            left -= len(block)
        if not self._in_order:
            self._stream.seek(self._at)

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def open_buffered(
    address: str, start: int = 0, stop: int | None = None, policy: RetryPolicy | None = None
) -> "BufferedReader[RemoteFile]":
    """Open a file at a URL from an offset; the caller reads all bytes before `stop`, and possibly those after it."""
    ahead = _BLOCK if stop is None else max(1, min(_BLOCK, stop - start))
    return BufferedReader(RemoteFile(address, start, policy), ahead)


def read_small(address: str, limit: int, policy: RetryPolicy | None = None) -> bytes:
    """Return the content of a small file; raise InputError if it has more than `limit` bytes."""
    with open_buffered(address, policy=policy) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"{without_secrets(address)}: more than {limit} bytes; not read")
    return data


def facts_of(address: str, policy: RetryPolicy | None = None) -> dict[str, Any]:
    """Return fsspec's current facts about a file at a URL: its `size`, and on the web its `ETag`."""
    files, path = file_system(address)
    # fsspec caches facts, and these must be current
    files.invalidate_cache()
    facts: dict[str, Any] = retry_call(without_secrets(address), lambda: files.info(path), policy)
    return facts


def without_secrets(address: str) -> str:
    """Return a URL for messages, without passwords and signatures."""
    return _SECRETS.sub("", address)


def no_cookies() -> "CookieJar":
    """Return a jar that rejects all cookies, for httpx: a cookie with non-ASCII letters would break later requests."""
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    return CookieJar(DefaultCookiePolicy(allowed_domains=()))
