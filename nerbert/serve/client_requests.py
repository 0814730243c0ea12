"""What clients of `nerbert serve` send, what answers mean, and when to ask again; nothing is sent here."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic_core import to_json

from nerbert import __version__
from nerbert.config import Bounds, check
from nerbert.errors import InputError, NerbertError, Overloaded, SettingsError, TimedOut, Unavailable, at, unknown
from nerbert.records import EntityLabel, Example, Span
from nerbert.schema import LARGEST_FILE, parse_json
from nerbert.serve.answers import Refusal, ServedModel, ServedModels, TagAnswer, TextResult
from nerbert.sources.http import RetryPolicy, asked_wait, no_cookies, pause_after, without_secrets
from nerbert.tagger.pending import without_halves
from nerbert.tagger.spans import Spans, character_spans, check_offsets

if TYPE_CHECKING:
    import httpx

_MOST_TEXTS, _MOST_BYTES = 256, 1 << 17
"""Texts of a request, and their bytes; escaped in JSON these are fewer than a server's default limit."""
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_KINDS = {each.http_status: each for each in (InputError, SettingsError, Overloaded, Unavailable, TimedOut)}
_KINDS |= {401: SettingsError, 413: InputError, 502: Unavailable}
_BUSY = frozenset({429, 502, 503})
_UNREACHED = 3
"""Tries while no connection can be made."""
_STRANGE = "the answer doesn't fit what was asked"
_ELSE = "is this the address of a nerbert server?"
RETRIES = RetryPolicy(longest_pause=30.0, tell=lambda _: None)
"""Tries while a server is busy or out of reach. One that asks for a longer pause isn't asked again."""


class FailedTry(NamedTuple):
    """Why a try failed, and the seconds that the server asks to wait; None: another try would fail too."""

    error: NerbertError
    wait: float | None = None
    tries: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whom a client asks, and for what."""

    url: str
    model: str
    token: str = field(repr=False)
    timeout: float
    thresholds: float | Mapping[str, float] | None
    nested: bool
    offsets: str
    fingerprint: str
    retries: RetryPolicy
    labels: tuple[EntityLabel, ...] = ()

    def __post_init__(self) -> None:
        check_offsets(self.offsets)
        check("timeout", self.timeout, Annotated[float, Bounds(above=0)])
        if not _URL.fullmatch(self.url):
            raise SettingsError(f"server {without_secrets(self.url)!r:.200}: must be http://HOST:PORT, or https://…, "
                                "and no more than that and a path")  # fmt: skip
        if not (self.token.isascii() and self.token.isprintable()):
            raise SettingsError("the token must have printable ASCII characters only", setting="token")

    def options(self, transport: Any) -> dict[str, Any]:
        """Return the options of httpx's client. Of proxies only https makes use: they don't see what it sends."""
        import ssl

        import httpx

        headers = {"User-Agent": f"nerbert/{__version__}", "Accept-Encoding": "identity"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {
            "base_url": self.url, "headers": headers, "timeout": httpx.Timeout(self.timeout, pool=None),
            "follow_redirects": False, "trust_env": self.url.startswith("https:"),
            "verify": ssl.create_default_context(), "transport": transport,
            "cookies": no_cookies(),
        }  # fmt: skip

    def body(self, texts: list[str]) -> bytes:
        """Return the body of a request."""
        labels = [each.text for each in self.labels] or None
        return to_json({
            "text": list(map(without_halves, texts)), "model": self.model, "labels": labels,
            "thresholds": self.thresholds, "nested": self.nested, "offsets": self.offsets,
        })  # fmt: skip

    def spans(self, content: bytes, texts: list[str]) -> list[Spans]:
        """Return what was found in each text; raise InputError for an answer to something else."""
        answer = parse_json(content, TagAnswer, self.url, remedy=_ELSE)
        if self.fingerprint and answer.fingerprint != self.fingerprint:
            raise Unavailable(f"{self.url}: has another version of the model now ({answer.fingerprint:.40} in place of "
                              f"{self.fingerprint}); make a new client")  # fmt: skip
        with at(self.url):
            if len(answer.results) != len(texts) or answer.offsets != self.offsets:
                raise InputError(_STRANGE)
            return [
                _checked_spans(text, result, self.offsets) for text, result in zip(texts, answer.results, strict=True)
            ]

    def described(self, content: bytes) -> ServedModel:
        """Return what a server says of the model."""
        models = {each.name: each for each in parse_json(content, ServedModels, self.url, remedy=_ELSE).models}
        name = self.model or next(iter(models), "")
        if name not in models:
            raise SettingsError(f"{self.url}: model {name!r:.80}{unknown(name, models)}", setting="model")
        return models[name]

    def fault(self, response: "httpx.Response", content: bytes) -> FailedTry | None:
        """Return why an answer is none; None if it is one."""
        status = response.status_code
        if status == 200:
            return None
        try:
            message, kind = parse_json(content, Refusal, self.url).error, _KINDS.get(status, NerbertError)
        except InputError:
            message, kind = ("busy", _KINDS[status]) if status in _BUSY else (_ELSE, SettingsError)
        error = kind(f"{self.url}: {message} (status {status})")
        wait = asked_wait(response.headers) if status in _BUSY else None
        if isinstance(error, Overloaded):
            error.retry_after = max(1, ceil(wait or 0))
        return FailedTry(error, wait)

    def lost(self, error: Exception) -> FailedTry:
        """Return why there is no answer."""
        import httpx

        reason = f"{type(error).__name__} {error}".strip()
        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.DecodingError):
            return FailedTry(InputError(f"{self.url}: can't be requested: {reason}"))
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return FailedTry(TimedOut(f"{self.url}: no answer within {self.timeout:g} seconds"))
        if isinstance(error, RuntimeError):
            return FailedTry(SettingsError(f"{self.url}: {reason}; a client that is closed, or of another event loop, "
                                           "can't be used"))  # fmt: skip
        tries = _UNREACHED if isinstance(error, httpx.ConnectError) else self.retries.tries
        return FailedTry(Unavailable(f"{self.url}: can't be reached, or hung up: {reason}"), 0.0, tries)

    def pause(self, failed: int, fault: FailedTry) -> float:
        """Return the seconds until the next try after so many failed ones; raise the fault if there is none."""
        policy, wait = self.retries, fault.wait
        if wait is None or wait > policy.longest_pause or failed >= min(policy.tries, fault.tries):
            raise fault.error
        pause = pause_after(failed, wait, self.url, policy)
        policy.tell(f"{fault.error} (try {failed} of {policy.tries} failed; the next in {pause:g} seconds)")
        return pause


def _checked_spans(text: str, result: TextResult, offsets: str) -> Spans:
    """Return a text's entities; raise InputError if they are none of its parts."""
    found = [Span(each.start, each.end, each.type, each.text, each.confidence) for each in result.spans]
    sent, places = without_halves(text), character_spans(text, found, offsets)
    fits = all(each.end <= len(text) and sent[each.start : each.end] == each.text for each in places)
    if not fits or result.characters != len(text) or not 0 <= result.read <= len(text):
        raise InputError(_STRANGE)
    own = (replace(each, text=text[place.start : place.end]) for each, place in zip(found, places, strict=True))
    return Spans(text, own, offsets, result.read)


def in_lists(texts: Iterable[str | Example]) -> Iterator[list[str]]:
    """Return texts in lists, one for each request."""
    if isinstance(texts, str):
        raise InputError("can't tag a str letter by letter: give a list of texts, or use `tag`")
    return _filled(map(sendable, texts))


def _filled(texts: Iterable[str]) -> Iterator[list[str]]:
    held, size = list[str](), 0
    for text in texts:
        more = len(text.encode("utf-8", "surrogatepass"))
        if held and (len(held) >= _MOST_TEXTS or size + more > _MOST_BYTES):
            yield held
            held, size = [], 0
        held.append(text)
        size += more
    if held:
        yield held


def sendable(text: object) -> str:
    """Return a text; raise InputError for what is none."""
    if isinstance(text, Example):
        raise InputError("a sentence with its own words can't be sent to a server, which splits texts itself; give "
                         "its text, or use a local tagger")  # fmt: skip
    if not isinstance(text, str):
        raise InputError(f"can't tag {type(text).__name__}: give a str")
    return text


def add(content: bytearray, block: bytes, url: str) -> None:
    """Add a block to an answer; raise InputError for one that is too long."""
    content += block
    if len(content) > LARGEST_FILE:
        raise InputError(f"{url}: the answer is longer than {LARGEST_FILE:,} bytes; {_ELSE}")
