"""A request to an OpenAI-compatible server, and the interpretation of its failures; redirects aren't followed."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
from pydantic import SecretStr

from nerbert.about import __version__
from nerbert.errors import InputError, NerbertError, refused
from nerbert.sources.remote import DEFAULT_POLICY, asked_wait, no_cookies
from nerbert_annotate.answers import Failure, Fault, Reply, read_reply
from nerbert_annotate.settings import AnnotateSettings, Prompt

_MOST_BYTES = 1 << 20
_BYTES_PER_TOKEN = 256
"""Maximum size of an answer in bytes: a constant part, and one for each token that it may have."""
_BLOCK = 1 << 16
_BUSY = frozenset({408, 409, 425, 429})
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_SHORTEST_SECRET = 8
"""Minimum length of a key that is hidden, in characters."""


class ChatClient:
    """Requests labels of one text from a server."""

    def __init__(self, settings: AnnotateSettings, prompt: Prompt, key: SecretStr, http: httpx.AsyncClient) -> None:
        self._settings, self._prompt, self._key, self._http = settings, prompt, key, http
        self._fields = {name: value for name, value in settings.request_fields().items() if value is not None}
        self._most_bytes = _MOST_BYTES + _BYTES_PER_TOKEN * settings.longest_answer
        self._headers = {"User-Agent": f"nerbert/{__version__}", "Accept-Encoding": "identity"}
        if secret := key.get_secret_value():
            self._headers["Authorization"] = f"Bearer {secret}"
        self._answered = False

    async def ask(self, text: str, input_estimate: int) -> Reply:
        """Return the server's answer; raise Failure if this try failed, NerbertError if all others would fail too."""
        content = self._prompt.fill(text).encode("utf-8", "replace").decode()
        body = {"model": self._settings.model, "messages": [{"role": "user", "content": content}], **self._fields}
        try:
            request = self._http.stream(
                "POST", f"{self._settings.endpoint}/chat/completions", json=body, headers=self._headers
            )
            async with asyncio.timeout(self._settings.deadline), request as response:
                data = await self._read(response)
        except TimeoutError:
            seconds = f"{self._settings.deadline:g} seconds"
            raise Failure(Fault.TOO_SLOW, f"no whole answer within {seconds} (deadline)", lost=True) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._explain_loss(error) from None
        if not response.is_success:
            raise self._refusal(response, data)
        reply = read_reply(data.decode("utf-8", "replace"), input_estimate)
        self._answered = True
        return replace(reply, content=self._hide_key(reply.content or ""))

    async def _read(self, response: httpx.Response) -> bytes:
        """Return the bytes of an answer, even of one with an error; raise Failure if it is far too long."""
        data = bytearray()
        async for block in response.aiter_bytes(_BLOCK):
            data += block
            if len(data) > self._most_bytes:
                raise Failure(Fault.TOO_LARGE, "the answer has no end, or is far longer than asked for", lost=True)
        return bytes(data)

    def _refusal(self, response: httpx.Response, data: bytes) -> Exception:
        """Return the error for an answer with a status of 300 or more."""
        code = response.status_code
        wait = asked_wait(response.headers)
        fault = ""
        message = self._read_message(data)
        detail = f"(status {code}{message and ': ' + message})"
        if code == 401:
            fault = f"refuses the key {detail}; check the variable {self._settings.key_variable}"
        elif code == 402 or b"insufficient_quota" in data:
            fault = f"reports that the account is used up {detail}"
        elif code < 400:
            target = self._hide_key(response.headers.get("Location", ""))
            fault = f"redirects to {target!r:.200}; not followed: give that address as endpoint"
        elif code in (404, 405):
            fault = f"has no model {self._settings.model!r:.100}, or isn't an endpoint {detail}; most end in /v1"
        elif wait > DEFAULT_POLICY.longest_pause:
            fault = f"asks for a pause of {wait:.0f} seconds {detail}; rerun the command then"
        if fault:
            return self._stop(fault)
        if code in _BUSY or code >= 500:
            return Failure(Fault.BUSY, f"the server is busy or broken {detail}", tries=DEFAULT_POLICY.tries, wait=wait)
        return Failure(Fault.REJECTED, f"the server rejects the request {detail}", tries=1)

    def _explain_loss(self, error: Exception) -> Exception:
        """Return the error for a request without a complete answer."""
        message = self._hide_key(f"{type(error).__name__}: {error}")[:200]
        unreached = isinstance(error, _UNREACHED)
        if (unreached and not self._answered) or isinstance(error, httpx.InvalidURL):
            return self._stop(f"can't be reached ({message}); is the server running, and the address right?")
        return Failure(Fault.CONNECTION, f"connection lost: {message}", tries=DEFAULT_POLICY.tries, lost=not unreached)

    def _read_message(self, body: bytes) -> str:
        """Return the message of an error, "" if there is none that can be shown."""
        try:
            fault = json.loads(body)
            fault = fault.get("error", fault)
            message = fault if isinstance(fault, str) else fault.get("message") or fault.get("detail")
        except (ValueError, AttributeError, RecursionError):
            return ""
        return " ".join(self._hide_key(message).split())[:200] if isinstance(message, str) else ""

    def _hide_key(self, text: str) -> str:
        """Return a text or JSON without the key; a short key is only a dummy for servers without keys, not a secret."""
        key = self._key.get_secret_value()
        if len(key) < _SHORTEST_SECRET:
            return text
        return text.replace(key, "***").replace(json.dumps(key)[1:-1], "***")

    def _stop(self, fault: str) -> NerbertError:
        return InputError(f"{self._settings.endpoint} {fault}")


@asynccontextmanager
async def open_client(settings: AnnotateSettings, prompt: Prompt, key: SecretStr) -> AsyncIterator[ChatClient]:
    """Provide a client; its connections are closed when the block ends."""
    log = logging.getLogger("httpcore")  # its debug logs contain headers of answers, which may contain the key
    log.setLevel(max(log.level, logging.INFO))
    limits = httpx.Limits(max_connections=settings.concurrency)
    with refused("the proxies from the environment can't be used"):
        http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=30.0),
            limits=limits,
            follow_redirects=False,
            verify=ssl.create_default_context(),
            cookies=no_cookies(),
        )
    async with http:
        yield ChatClient(settings, prompt, key, http)
