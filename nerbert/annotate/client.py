"""One request to an OpenAI-compatible server, and what its failure means.

The library `openai` speaks the protocol; tries, pauses and limits are ours. What the library takes from the environment
is left out, and no redirect is followed, so the key goes to the endpoint alone.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import openai
from pydantic import SecretStr

from nerbert import __version__
from nerbert.annotate.answers import Failure, Fault, Reply, read_reply, response_format
from nerbert.annotate.settings import AnnotateSettings, Prompt
from nerbert.errors import InputError, NerbertError, refused
from nerbert.sources.remote import DEFAULT_POLICY, asked_wait, no_cookies

_HEADERS = frozenset({"host", "content-type", "content-length", "connection", "accept", "x-stainless-raw-response"})
"""The library's headers that are sent; the last one tells it how it was called."""
_MOST_BYTES, _BYTES_PER_TOKEN = 1 << 20, 256
"""Bytes of an answer: these, and so many for each token that it may have."""
_MOST_STRANGE = 3
"""Answers that are not completions, after which a server that never sent one isn't asked again."""
_BUSY = frozenset({408, 409, 425, 429})
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_SHORTEST_SECRET = 8
"""Characters."""


class _Limited(httpx.AsyncByteStream):
    """The bytes of an answer; reading more than `left` of them is a failure."""

    def __init__(self, stream: Any, left: int) -> None:
        self._stream, self._left = stream, left

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._stream:
            self._left -= len(block)
            if self._left < 0:
                raise Failure(Fault.TOO_LARGE, "the answer has no end, or is far longer than asked for", lost=True)
            yield block

    async def aclose(self) -> None:
        """Close the connection's stream."""
        await self._stream.aclose()


class ChatClient:
    """Asks a server for labels of one text."""

    def __init__(self, settings: AnnotateSettings, prompt: Prompt, key: SecretStr, http: httpx.AsyncClient) -> None:
        self._settings, self._prompt, self._key = settings, prompt, key
        fields = {"response_format": response_format() if prompt.form == "json" else None} | settings.request_fields()
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self._most_bytes = _MOST_BYTES + _BYTES_PER_TOKEN * settings.longest_answer
        self._answered, self._strange = False, 0
        http.event_hooks = {"request": [self._dress], "response": [self._limit]}
        self._openai = openai.AsyncOpenAI(api_key="none", base_url=settings.endpoint, max_retries=0, http_client=http)

    async def ask(self, text: str, input_estimate: int) -> Reply:
        """Return the server's answer; raise Failure if this try failed, NerbertError if all others would too."""
        content = self._prompt.filled(text).encode("utf-8", "replace").decode()
        asked = self._openai.chat.completions.with_streaming_response.create(
            model=self._settings.model, messages=[{"role": "user", "content": content}], extra_body=self._fields
        )
        try:
            async with asyncio.timeout(self._settings.deadline), asked as response:
                data = await response.read()
        except TimeoutError:
            seconds = f"{self._settings.deadline:g} seconds"
            raise Failure(Fault.TOO_SLOW, f"no whole answer within {seconds} (deadline)", lost=True) from None
        except openai.APIStatusError as error:
            raise self._refusal(error.response) from None
        except (openai.APIError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._broken(error) from None
        try:
            reply = read_reply(data.decode("utf-8", "replace"), input_estimate)
        except Failure as failure:
            failure.lost = self._answered
            self._strange += not self._answered
            if self._strange >= _MOST_STRANGE and not self._answered:
                raise self._stop(f"does not answer as a model does ({failure}); "
                                 "is it OpenAI-compatible? most addresses end in /v1") from None  # fmt: skip
            raise
        self._answered = True
        return replace(reply, content=self._hidden(reply.content or ""))

    async def _dress(self, request: httpx.Request) -> None:
        """Send our own headers alone; the key goes to the endpoint and nowhere else."""
        for name in [each for each in request.headers if each not in _HEADERS]:
            del request.headers[name]
        request.headers.update({"User-Agent": f"nerbert/{__version__}", "Accept-Encoding": "identity"})
        if key := self._key.get_secret_value():
            request.headers["Authorization"] = f"Bearer {key}"

    async def _limit(self, response: httpx.Response) -> None:
        """Bound what is read of an answer, also of one with an error."""
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise self._stop("sends compressed answers, which were not requested; try another server")
        response.stream = _Limited(response.stream, self._most_bytes)

    def _refusal(self, response: Any) -> Exception:
        """Return what an answer with a status of 300 or more means."""
        code, wait, what = response.status_code, asked_wait(response.headers), ""
        message, kind = self._said(response.content)
        detail = f"(status {code}{message and ': ' + message})"
        if code == 401:
            what = f"refuses the key {detail}; check the variable {self._settings.key_variable}"
        elif code == 402 or kind == "insufficient_quota":
            what = f"reports that the account is used up {detail}"
        elif code < 400:
            place = self._hidden(response.headers.get("Location", ""))
            what = f"redirects to {place!r:.200}; not followed: give that address as endpoint"
        elif code in (404, 405):
            what = f"has no model {self._settings.model!r:.100}, or isn't an endpoint {detail}; most end in /v1"
        elif wait > DEFAULT_POLICY.longest_pause:
            what = f"asks for a pause of {wait:.0f} seconds {detail}; rerun the command then"
        if what:
            return self._stop(what)
        if code in _BUSY or code >= 500:
            return Failure(Fault.BUSY, f"the server is busy or broken {detail}", tries=DEFAULT_POLICY.tries, wait=wait)
        return Failure(Fault.REJECTED, f"the server rejects the request {detail}", tries=1)

    def _broken(self, error: Exception) -> Exception:
        """Return what a request without a whole answer means."""
        cause = error.__cause__ or error
        if isinstance(cause, Failure | NerbertError):  # from our own hooks
            return cause
        message = self._hidden(f"{type(cause).__name__}: {cause}")[:200]
        unreached = isinstance(cause, _UNREACHED)
        if (unreached and not self._answered) or isinstance(cause, httpx.InvalidURL):
            return self._stop(f"can't be reached ({message}); is the server running, and the address right?")
        return Failure(Fault.CONNECTION, f"connection lost: {message}", tries=DEFAULT_POLICY.tries, lost=not unreached)

    def _said(self, body: bytes) -> tuple[str, str]:
        """Return the message and the code of an error, "" where there is none that can be shown."""
        try:
            fault = json.loads(self._hidden(json.dumps(json.loads(body))))
            fault = fault.get("error", fault)
            message = fault if isinstance(fault, str) else fault.get("message") or fault.get("detail") or ""
            code = "" if isinstance(fault, str) else fault.get("code") or fault.get("type") or ""
        except (ValueError, AttributeError, RecursionError):
            return "", ""
        return " ".join(str(message).split())[:200], str(code)

    def _hidden(self, text: str) -> str:
        """Return a text or JSON without the key; a short one is a word for servers without keys, and no secret."""
        key = self._key.get_secret_value()
        if len(key) < _SHORTEST_SECRET:
            return text
        return text.replace(key, "***").replace(json.dumps(key)[1:-1], "***")

    def _stop(self, what: str) -> NerbertError:
        return InputError(f"{self._settings.endpoint} {what}")


@asynccontextmanager
async def open_client(settings: AnnotateSettings, prompt: Prompt, key: SecretStr) -> AsyncIterator[ChatClient]:
    """Make a client, whose connections are closed when the block ends."""
    for name in ("openai", "httpcore"):  # their debug logs have headers of answers, which may hold the key
        logging.getLogger(name).setLevel(max(logging.getLogger(name).level, logging.INFO))
    limits = httpx.Limits(max_connections=settings.concurrency)
    with refused("the proxies from the environment can't be used"):
        http = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=30.0), limits=limits, follow_redirects=False,
                                 verify=ssl.create_default_context(), cookies=no_cookies())  # fmt: skip
    async with http:
        yield ChatClient(settings, prompt, key, http)
