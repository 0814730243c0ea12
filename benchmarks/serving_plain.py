"""What `serving.py` compares `nerbert serve` with: a plain Starlette handler on uvicorn that calls a model per request.

`python serving_plain.py '{"kind": "nerbert", "folder": …, "precision": …, "processes": 2, "threads": 1, "port": …}'`.
`kind` is nerbert (`Tagger.tag`), transformers (its pipeline) or gliner (the package). Each process computes one request
at a time, in the event loop; with more than one thread it computes as many at a time, in a pool. A call computes with
one thread. Packages that this Python lacks (uvicorn and Starlette, in gliner's environment) may come from `packages`,
so all sides have the same ones. With `direct` (a file of bodies, seconds) nothing is served: a process calls the model
for each body in turn, and prints the milliseconds of each call.
"""

import asyncio
import itertools
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Tag = Callable[[Mapping[str, Any]], list[dict[str, Any]]]


def main() -> None:
    """Serve until SIGTERM, or call the model directly."""
    settings = json.loads(sys.argv[1])
    sys.path += settings.get("packages", [])
    if direct := settings.get("direct"):
        print(json.dumps(_direct(settings, *direct)))
        return
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    os.environ["PLAIN"] = sys.argv[1]  # uvicorn's processes import this module anew
    config = uvicorn.Config(
        "serving_plain:application",
        factory=True,
        port=settings["port"],
        workers=settings["processes"],
        http="h11",
        ws="none",
        access_log=False,
    )
    server, listening = uvicorn.Server(config), config.bind_socket()
    # uvicorn --workers doesn't set it, so answers to one client would take 40 ms more
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if settings["processes"] == 1:
        server.run([listening])
    else:
        Multiprocess(config, [listening]).run()


def application() -> Any:
    """Return the application, its model loaded."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    settings = json.loads(os.environ["PLAIN"])
    tag, threads = _warm(settings), settings["threads"]
    pool = ThreadPoolExecutor(threads)

    async def answer(request: Any) -> Any:
        body = await request.json()
        if threads == 1:
            spans = tag(body)
        else:
            spans = await asyncio.get_running_loop().run_in_executor(pool, tag, body)
        return JSONResponse({"results": [{"spans": spans}]})

    return Starlette(routes=[Route("/tag", answer, methods=["POST"])])


def _direct(settings: Mapping[str, Any], bodies: str, seconds: float) -> list[float]:
    tag, took = _warm(settings), list[float]()
    given = itertools.cycle(list(map(json.loads, Path(bodies).read_text().splitlines())))
    end = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        tag(next(given))
        took.append(1000 * (time.perf_counter() - begin))
    return took


def _warm(settings: Mapping[str, Any]) -> Tag:
    kinds = {"nerbert": _nerbert, "transformers": _transformers, "gliner": _gliner}
    tag: Tag = kinds[settings["kind"]](settings["folder"], settings["precision"])
    tag({"text": "Ada Lovelace came to London. " * 30, "labels": settings.get("labels")})
    return tag


def _nerbert(folder: str, precision: str) -> Tag:
    from nerbert.records import span_json
    from nerbert.tagger.tagger import Tagger

    tagger = Tagger.load(folder, backend="onnx", precision=precision, threads=1)
    return lambda body: list(map(span_json, tagger.tag(body["text"], body.get("labels"))))


def _transformers(folder: str, _: str) -> Tag:
    import torch
    from transformers import pipeline

    torch.set_num_threads(1)
    # by itself, it would leave out what doesn't fit into one window
    classify = pipeline("token-classification", model=folder, aggregation_strategy="simple", stride=32, device="cpu")

    def tag(body: Mapping[str, Any]) -> list[dict[str, Any]]:
        text = body["text"]
        return [_span(text, each, each["entity_group"], each["start"]) for each in classify(text)]

    return tag


def _gliner(folder: str, _: str) -> Tag:
    import torch
    from gliner import GLiNER

    torch.set_num_threads(1)
    model = GLiNER.from_pretrained(folder)
    room = int(model.config.max_len * 0.75)

    def tag(body: Mapping[str, Any]) -> list[dict[str, Any]]:
        text, parts = body["text"], list(_parts(body["text"], room))
        found = model.inference([part for _, part in parts], body["labels"], threshold=0.5)
        return [
            _span(text, each, each["label"], start + each["start"])
            for (start, _), spans in zip(parts, found, strict=True)
            for each in spans
        ]

    return tag


def _parts(text: str, room: int) -> Iterator[tuple[int, str]]:
    """Yield places and parts, lines of so many words together: the package leaves out what is beyond its longest."""
    start, part = 0, ""
    for line in text.splitlines(keepends=True):
        if part and len((part + line).split()) > room:
            yield start, part
            start, part = start + len(part), ""
        part += line
    yield start, part


def _span(text: str, found: Mapping[str, Any], kind: str, start: int) -> dict[str, Any]:
    end = start + found["end"] - found["start"]
    return {"text": text[start:end], "type": kind, "start": start, "end": end, "confidence": float(found["score"])}


if __name__ == "__main__":
    main()
