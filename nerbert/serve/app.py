"""The server as an ASGI application: limits, tokens, uniform errors, logs and metrics around operations.

Texts and tokens are never logged. An unexpected error is one line of JSON for the client, and a traceback in the log.
Slow or too many connections are left to a proxy (docs/how-to/serve.md).
"""

import asyncio
import hmac
import re
import secrets
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nerbert.errors import NerbertError, Overloaded, TimedOut
from nerbert.schema import parse_json, parse_strings
from nerbert.serve.protocol import Call, Gone, Lifespan, Operation, describe
from nerbert.serve.protocols.status import Metrics
from nerbert.serve.service import INTERNAL, Service, log, message_of
from nerbert.serve.settings import is_loopback

_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_PACKED = 1024
"""Minimum size in bytes of answers that are compressed, for clients that accept gzip."""
_DROPPED = 16 << 20
_DROPPING = 2.0
"""Maximum bytes of a refused body that are read, and maximum seconds for reading them."""
_GONE = 499
"""Logged status of requests whose clients hung up, as in nginx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Access rules: clients with the `token` (any client, if it is ""), and pages of the listed other `origins`.

    With `local`, the server must be addressed by a name of this machine: a page under another name is refused.
    """

    token: str = ""
    origins: Sequence[str] = ()
    local: bool = False


def application(
    service: Service,
    operations: Sequence[Operation],
    access: Access,
    metrics: Metrics,
    beside: Lifespan | None = None,
) -> ASGIApp:
    """Return the application; its lifespan starts and stops the service, and runs what is `beside` it."""
    metrics.watch(service.queue)
    description = to_json(describe(operations, token=bool(access.token)))
    packed = Middleware(GZipMiddleware, minimum_size=_PACKED, compresslevel=4)
    routes = [
        Route(
            operation.path,
            partial(_reply, operation),
            methods=[operation.method],
            # gzip would hold back the lines of a stream until its buffer is full.
            middleware=[packed][operation.streams :],
        )
        for operation in operations
    ]
    routes.append(Route("/openapi.json", lambda _: Response(description, media_type="application/json")))

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        service.start()
        # It may add models to the service, so it starts after the service, and ends before it.
        async with beside(service) if beside else nullcontext():
            yield
        await service.stop()

    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    gate = _Gate(router, service, access, operations, metrics)
    if not access.origins:
        return gate
    # Outermost: a browser asks for permission (OPTIONS) without a token.
    return CORSMiddleware(
        gate,
        allow_origins=list(access.origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
        expose_headers=["Retry-After", "X-Request-Id"],
    )


class _Gate:
    """The middleware of all requests: numbers, refuses, counts and logs them, and answers errors."""

    def __init__(
        self, app: ASGIApp, service: Service, access: Access, operations: Sequence[Operation], metrics: Metrics
    ) -> None:
        self._app, self._service, self._access, self._metrics, self._busy = app, service, access, metrics, 0
        self._opened = [(item.method, compile_path(item.path)[0]) for item in operations if item.open]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        id_ = headers.get(b"x-request-id", b"").decode("latin-1")
        # With `Expect: 100-continue`, the client sends no body unless it is asked to.
        is_sending = b"expect" not in headers
        """True if the client sends the rest of its body before it reads an answer."""

        async def receive_part() -> Message:
            nonlocal is_sending
            message = await receive()
            is_sending = is_sending and message.get("more_body", False)
            return message

        # An id with other characters could forge lines of the log.
        call = Call(self._service, id_ if _ID.fullmatch(id_) else secrets.token_hex(8), receive_part)
        # With an app in the scope, a router raises errors instead of answering them.
        scope["app"], scope["nerbert"] = self, call

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", call.id.encode())]
                # A client that is still sending may not read the answer: closing now would reset its connection.
                left = _DROPPED if call.status >= 400 else 0
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DROPPING):
                        while is_sending and left > 0:
                            left -= len((await receive_part()).get("body", b""))
            await send(message)

        try:
            self._check(scope, headers)
            self._busy += 1
            try:
                await self._app(scope, receive_part, reply)
            finally:
                self._busy -= 1
        except (Gone, ClientDisconnect):
            call.status = _GONE
        except Exception as error:
            # The client gets no details of an unforeseen error; the log has its traceback.
            fault = error if isinstance(error, NerbertError | HTTPException) else NerbertError(INTERNAL)
            if fault is not error:
                log.exception("%s failed", call.id, exc_info=error)
            # Otherwise the answer has begun, and can't become an error.
            if not call.status:
                await _make_refusal(fault, call)(scope, receive_part, reply)
        finally:
            self._service.held -= call.held
            took = time.perf_counter() - call.started
            model = call.served.name if call.served else ""
            self._metrics.request(call.route, call.status, took, model, call.words)
            log.info(
                "%s %s %s %d %.1f ms %d words",
                call.id,
                scope["method"],
                call.route,
                call.status,
                took * 1000,
                call.words,
            )

    def _check(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Raise the reason for refusing a request."""
        # Starlette answers HEAD by the route of GET.
        asked = scope["method"].replace("HEAD", "GET")
        # First: health checks must work while the server is busy, and without a token.
        if any(method == asked and pattern.match(scope["path"]) for method, pattern in self._opened):
            return
        if self._busy >= self._service.limits.max_requests:
            raise Overloaded(f"{self._busy:,} requests are in progress; try again later")
        origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
        # A browser sends `Origin` with requests of any page; equal to `Host`, it is the server's own page.
        if origin and origin.partition("://")[2] != host and not {origin, "*"} & {*self._access.origins}:
            raise HTTPException(403, f"pages of {origin!r:.80} may not ask; allow them with --cors")
        # A hostile page can point its own name to 127.0.0.1 (DNS rebinding).
        if self._access.local and not _is_local(host):
            why = f"this server answers as 127.0.0.1 or localhost, not as {host!r:.80}; give it a token, or --no-token"
            raise HTTPException(403, why)
        token = _read_token(headers.get(b"authorization", b""))
        # `compare_digest` takes equally long for every wrong token.
        if self._access.token and not hmac.compare_digest(token, self._access.token.encode()):
            why = "a token is needed: send it as `Authorization: Bearer TOKEN`, or as the password of any user"
            raise HTTPException(401, why, {"WWW-Authenticate": "Bearer"})


def _read_token(authorization: bytes) -> bytes:
    """Return the token in an `Authorization` header, where it may be a user's password; b"" if there is none."""
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() == b"basic":
        with suppress(ValueError):
            # Some annotation tools can send only a user and a password.
            return b64decode(token).partition(b":")[2]
    return token.strip() if scheme.lower() == b"bearer" else b""


def _is_local(host: str) -> bool:
    """Return whether a `Host` header names this machine."""
    with suppress(ValueError):
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    return False


async def _reply(operation: Operation, request: Request) -> Response:
    """Return the response of an operation; raise TimedOut after the service's limit."""
    call: Call = request.scope["nerbert"]
    call.route, call.path = operation.path, request.path_params
    try:
        # A stream may run for hours; it is bounded line by line.
        async with asyncio.timeout(None if operation.streams else call.service.limits.timeout):
            return await _run_operation(operation, request, call)
    except TimeoutError as error:
        raise TimedOut("the answer takes longer than this server's limit") from error


async def _run_operation(operation: Operation, request: Request, call: Call) -> Response:
    """Read and check an operation's input, call it, and return its answer as a response."""
    # A small packed body could unpack to gigabytes.
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "the body is packed; send it as it is")
    call.query = parse_strings(dict(request.query_params), operation.query, "address")
    if operation.streams:
        return _Lines(await operation.run(call), media_type="application/x-ndjson")
    if operation.body is not None:
        call.body = parse_json(await _read_body(call, request), operation.body, "body")
    answer = await operation.run(call)
    if isinstance(answer, Response):
        return answer
    return Response(await call.make_answer(partial(to_json, answer)), media_type="application/json")


async def _read_body(call: Call, request: Request) -> bytes:
    """Return the body; raise HTTPException if it is too long, Overloaded if bodies in progress are."""
    limits = call.service.limits
    body = bytearray()
    # Refused by its declared length, without reading it.
    if int(request.headers.get("content-length") or 0) <= limits.max_body:
        async for part in request.stream():
            # Counted part by part: the declared length may be missing or wrong.
            call.hold(len(part))
            body += part
            if call.service.held > limits.max_held:
                raise Overloaded(f"requests of {call.service.held:,} bytes are in progress; try again later")
            if len(body) > limits.max_body:
                break
        else:
            return bytes(body)
    raise HTTPException(413, f"the body is longer than {limits.max_body:,} bytes; send several")


class _Lines(StreamingResponse):
    """A response of lines, sent as they are made; Starlette's own would also read the request's body."""

    body_iterator: AsyncGenerator[bytes, None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines."""
        # A client that hangs up must end the tasks behind the lines at once.
        async with aclosing(self.body_iterator):
            await self.stream_response(send)


def _make_refusal(error: NerbertError | HTTPException, call: Call) -> Response:
    """Return an error in the form that the clients of all protocols read."""
    if isinstance(error, HTTPException):
        message = str(error.detail)
        status = error.status_code
        headers = dict(error.headers or {})
    else:
        message = message_of(error)
        status = error.http_status
        headers = {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(error.retry_after)
    body = to_json({"error": message, "status": status, "request_id": call.id})
    return Response(body, status, headers, "application/json")
