"""The operations of every server: its models, health and readiness, metrics for Prometheus; and the page's files.

The page runs only its own scripts, and connects only to this server. It needs no token; its requests do.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from nerbert.errors import Unavailable
from nerbert.serve.answers import ServedModels
from nerbert.serve.protocol import Call
from nerbert.serve.queue import Queue, QueuedBatch
from nerbert.serve.service import model_of

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_FILES = Path(__file__).parent.parent / "page"
_FILE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_INLINE = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)


class Metrics:
    """Counters, by path and status of requests, and by model."""

    def __init__(self) -> None:
        # Its own registry: the global one would refuse a second server in one process.
        self.registry = CollectorRegistry()
        common: dict[str, Any] = {"registry": self.registry, "namespace": "nerbert"}
        self._requests = Counter("requests", "Requests answered", ["path", "status"], **common)
        self._seconds = Histogram("request_seconds", "Duration of requests", ["path"], buckets=_SECONDS, **common)
        self._words = Counter("words", "Words of requests answered", ["model"], **common)
        self._batches = Histogram("batch_texts", "Texts of a batch", ["model"], buckets=_TEXTS, **common)
        self._computing = Histogram("batch_seconds", "Duration of batches", ["model"], buckets=_SECONDS, **common)
        self._queued = Histogram("queue_seconds", "Time of texts in the queue", ["model"], buckets=_SECONDS, **common)
        self._waiting = Gauge("waiting_texts", "Texts in the queue", **common)

    def request(self, path: str, status: int, seconds: float, model: str, words: int) -> None:
        """Count a request; `path` is that of its operation, `model` is "" if no model answered."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        if model:
            self._words.labels(model).inc(words)

    def batch(self, batch: QueuedBatch[Any], took: float) -> None:
        """Count a finished batch and its milliseconds."""
        model, _ = batch.group
        self._batches.labels(model).observe(len(batch.tickets))
        self._computing.labels(model).observe(took / 1000)
        for ticket in batch.tickets:
            self._queued.labels(model).observe((batch.started - ticket.entered) / 1000)

    def watch(self, queue: Queue[Any]) -> None:
        """Report the length of a queue."""
        self._waiting.set_function(lambda: len(queue))


async def list_models(call: Call) -> ServedModels:
    """Return the models, the default first."""
    return ServedModels([model_of(served) for served in call.service.models.values()])


async def send_text(text: str, _: Call) -> Response:
    """Return a text."""
    return PlainTextResponse(text)


async def is_ready(call: Call) -> Response:
    """Return whether the server accepts requests."""
    # Healthy but not ready: a balancer sends no more requests while those accepted are answered.
    if not call.service.ready:
        raise Unavailable("the server is stopping")
    return PlainTextResponse("ready")


async def send_metrics(metrics: Metrics, _: Call) -> Response:
    """Return the metrics."""
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def send_file(files: Mapping[str, bytes], policy: str, call: Call) -> Response:
    """Return the page or one of its files, with its content security policy; raise HTTPException if it is missing."""
    name = call.path.get("name", "index.html")
    # Looked up by name, never as a path, so "../" leads nowhere.
    if name not in files:
        raise HTTPException(404, f"no file {name!r:.80} on this page")
    media = f"{_FILE_TYPES.get(Path(name).suffix, 'text/plain')}; charset=utf-8"
    safety = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return Response(files[name], headers={"Content-Type": media, "Cache-Control": "no-cache", **safety})


def read_page(more: Path | None) -> tuple[dict[str, bytes], str]:
    """Return the page's files by name, with those of a folder, and its policy; only the import map is inline."""
    folders = [_FILES, *([more] if more else [])]
    files = {path.name: path.read_bytes() for folder in folders for path in folder.iterdir() if path.is_file()}
    inline = _INLINE.search(files["index.html"])
    # An import map must be inline; its digest allows this script alone.
    digest = base64.b64encode(hashlib.sha256(inline[1] if inline else b"").digest()).decode()
    return files, (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
