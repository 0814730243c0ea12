"""A process that serves taggers: it loads models, opens a port, and answers requests until it is stopped.

uvicorn parses HTTP with h11: with httptools, bodies of clients that offer HTTP/2 (Java's, with `Upgrade: h2c`) would be
lost (uvicorn's issue 2722). SIGTERM and Ctrl-C finish accepted requests; SIGHUP reloads all models.
"""

import asyncio
import logging
import os
import re
import signal
import socket
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.entity_labels import parse_labels
from nerbert.errors import InputError, SettingsError, need, refused
from nerbert.model.loading import DEFAULTS, Loading
from nerbert.serve.settings import TOKEN, Limits, is_loopback
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import parse_thresholds

if TYPE_CHECKING:
    from nerbert.serve.app import Access
    from nerbert.serve.protocol import Lifespan, Operation
    from nerbert.serve.protocols.status import Metrics
    from nerbert.serve.service import Service

_SHORTEST_TOKEN, _LONGEST_TOKEN = 16, 1000
_LAST_PORT = 65_535
_NAME = re.compile(r"[\w.+-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeJob:
    """The models to serve, access to them, and options."""

    taggers: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    no_token: bool = False
    cors: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    labels: str = ""
    min_confidence: str = ""
    loading: Loading = DEFAULTS
    limits: Limits
    operations: "Sequence[Operation]" = ()
    """Operations besides those of the protocols."""
    lifespan: "Lifespan | None" = None
    """What runs as long as the server."""
    browser: bool = False
    """True to open the page in the browser."""

    def sources(self) -> dict[str, str]:
        """Return the folders or hub names of `[NAME=]TAGGER`, by name; raise SettingsError for an invalid name."""
        sources = dict[str, str]()
        if not self.taggers:
            raise SettingsError("TAGGERS is missing: name the folder of a tagger at least (see nerbert serve --help)")
        for tagger in self.taggers:
            name, equals, source = tagger.partition("=")
            if not equals or "/" in name:
                name = Path(tagger).absolute().name
                source = tagger
            if not _NAME.fullmatch(name) or not source or name in sources:
                raise SettingsError(
                    f"model {name!r:.80}: must be one model's name, of letters, digits and . _ + - "
                    "only; give another one (NAME=TAGGER)"
                )
            sources[name] = source
        return sources

    def token(self) -> str:
        """Return the token that clients must send, "" for none; raise SettingsError if one is required."""
        token = os.environ.get(TOKEN, "").strip()
        where = f"{TOKEN} or --token-file"
        if self.token_file is not None:
            with refused(f"{self.token_file}: can't be read", of=OSError):
                token = self.token_file.read_text(encoding="utf-8").strip()
        if self.no_token and token:
            raise SettingsError(f"--no-token: there is one, in {where}; leave one of them out")
        if not self.no_token and (token or self.token_file is not None):
            if not (_SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN and token.isascii() and token.isprintable()):
                raise SettingsError(
                    f"the token must have {_SHORTEST_TOKEN} to {_LONGEST_TOKEN:,} printable ASCII characters"
                )
        elif not self.no_token and not is_loopback(self.host):
            raise SettingsError(
                f"--host {self.host}: others could use this server; set a token in {where}, or give --no-token"
            )
        return token

    def load(self, source: str) -> Tagger:
        """Load a tagger, with the labels to find by default unless it has its own types."""
        tagger = Tagger.load(source, thresholds=parse_thresholds(self.min_confidence), **vars(self.loading))
        own_types = tagger.with_default_labels().types
        return tagger if own_types or not self.labels else tagger.with_labels(parse_labels(self.labels))


def serve(job: ServeJob, *, check: bool = False) -> None:
    """Serve taggers until SIGTERM or Ctrl-C; with `check`, load them, print what would be served, and return.

    Raise SettingsError for a job that can't be served, and for a port that is in use.
    """
    need("serve", "starlette", "uvicorn", "prometheus_client")
    from nerbert.serve.app import Access, application
    from nerbert.serve.protocols.status import Metrics
    from nerbert.serve.service import Service, log

    sources = job.sources()
    token = job.token()
    metrics = Metrics()
    operations = _plan_operations(job, metrics)
    if not check:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until models are loaded
    with nullcontext() if check else _open_socket(job.host, job.port) as listening:
        service = Service(sources, job.load, job.limits, metrics.batch)
        access = Access(token=token, origins=job.cors, local=not (token or job.no_token))
        app = application(service, operations, access, metrics, job.lifespan)
        host, port, *_ = listening.getsockname() if listening else (job.host, job.port)
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        lines = _announce(service, access, address)
        if listening is None:
            lines += [f"{operation.method:4} {address}{operation.path}" for operation in operations]
            print("\n".join(lines))  # noqa: T201
            return
        _log_to_terminal(log)
        for line in lines:
            log.info(line)
        if job.browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        try:
            asyncio.run(_run(app, service, listening, job.limits))
        except (KeyboardInterrupt, SystemExit):  # raised by uvicorn after the signal that stopped it
            if not service.draining:
                raise
        log.info("stopped")


def _plan_operations(job: ServeJob, metrics: "Metrics") -> "list[Operation]":
    """Return the operations of all protocols; raise SettingsError if two have the same path."""
    from nerbert.serve.protocol import PROTOCOLS, operations_of
    from nerbert.serve.routes import status_routes

    operations = [
        *(operation for name in job.protocols or PROTOCOLS for operation in operations_of(name)),
        *status_routes(metrics),
        *job.operations,
    ]
    paths = [f"{operation.method} {operation.path}" for operation in operations]
    if twice := next((path for path in paths if paths.count(path) > 1), ""):
        raise SettingsError(f"--protocols: two of them answer {twice}; leave one out")
    return operations


def _announce(service: "Service", access: "Access", address: str) -> list[str]:
    """Return what is served, where and to whom, one fact a line."""
    from nerbert.serve.service import model_of

    others = "from this machine" if access.local else "anyone who reaches it"
    return [
        *(
            f"{served.name}: {served.source}, {served.fingerprint}, {model_of(served).answering}"
            for served in service.models.values()
        ),
        f"access: {'with a token' if access.token else others}",
        f"address: {address}",
    ]


def _log_to_terminal(log: logging.Logger) -> None:
    """Print the server's log with the time, and of uvicorn's only errors."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def _open_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket that sends data without waiting for acknowledgements of earlier data."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not 0 <= port <= _LAST_PORT:
        raise InputError(f"{port}: a port is at most {_LAST_PORT:,}")
    with refused(f"{host}:{port}: can't be listened on", of=OSError, remedy="give another --port or --host"):
        listening = socket.create_server((host, port), family=family, backlog=2048)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


async def _run(app: Any, service: Any, listening: socket.socket, limits: Limits) -> None:
    import uvicorn

    seconds = int(limits.timeout) + 1
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=seconds,
        timeout_keep_alive=seconds,
    )
    reloads = list[asyncio.Future[Any]]()

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            service.draining = True
            super().handle_exit(sig, frame)

    asyncio.get_running_loop().add_signal_handler(
        signal.SIGHUP, lambda: reloads.append(asyncio.ensure_future(service.reload()))
    )
    await Server(config).serve(sockets=[listening])
