"""`nerbert serve` against a plain handler around `Tagger.tag`, transformers' pipeline and the package gliner.

`python benchmarks/serving.py --fixed TAGGER --data FILE.conll [--light TAGGER --gliner FOLDER --gliner-python PYTHON]`;
TAGGER is exported (fp32 and int8) and has its weights, `--light` is the export of `--gliner`. `--part` chooses:

- closed: as many clients as `--clients`, each of which sends its next request when it has its answer (wrk). In each
  group all sides have the same model and precision, and two threads that compute, in one process or in two. The
  deadline of nerbert's queue is out of reach here, so it refuses nothing, as the other sides don't.
- direct: one client's median, less that of `Tagger.tag` in a process of its own.
- overload: Poisson arrivals at twice the capacity that wrk has just found, for `--minutes`, with nerbert's defaults.
- start: CPU seconds of a process until /ready answers.

Servers of a group are started once; then each is measured in turn, forwards and backwards, while the others are idle.
Short texts are sentences of 8 to 30 words, long ones 40 sentences; requests take them in turn.
CPU seconds are those of a server's process tree, memory the sum of its processes' peaks (VmHWM, so what they share
counts twice) until then. wrk adds to slow answers those that it thinks it missed, for all sides alike.
"""

import argparse
import http.client
import itertools
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import starlette
from report import MB, digest, ratio, surroundings

HERE = Path(__file__).resolve().parent
PACKAGES = ("onnxruntime", "tokenizers", "numpy", "starlette", "uvicorn", "h11", "torch", "transformers")
LABELS = ("person", "organization", "location", "event")
LINES, COMPARED, TICKS = 40, 40, os.sysconf("SC_CLK_TCK")
WRK = """
local requests, at, n, ports = {}, 0, 0, {}
for each in os.getenv("PORTS"):gmatch("%d+") do ports[#ports + 1] = each end
function setup(thread)
  thread.addr = wrk.lookup("127.0.0.1", ports[n % #ports + 1])[1]
  n = n + 1
end
function init()
  for line in io.lines(os.getenv("BODIES")) do
    requests[#requests + 1] = wrk.format("POST", "/tag", {["Content-Type"] = "application/json"}, line)
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(s, latency)
  local e = s.errors
  io.write(string.format('\\n{"seconds": %f, "answers": %d, "refused": %d, "broken": %d, ', s.duration / 1e6,
    s.requests, e.status, e.connect + e.read + e.write + e.timeout))
  io.write(string.format('"p50": %f, "p95": %f, "p99": %f}\\n', latency:percentile(50) / 1e3,
    latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True, slots=True)
class Side:
    """Servers that share the load, each started by `command`; ready when their logs say so `ready` times, or /ready."""

    name: str
    command: Sequence[str]
    servers: int = 1
    ready: int = 0


@dataclass(slots=True)
class Server:
    """A side that runs."""

    side: Side
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def pids(self) -> list[int]:
        """Return those of all its processes."""
        found = [each.pid for each in self.processes]
        for pid in found:  # grows
            found += map(
                int,
                itertools.chain(*(each.read_text().split() for each in Path(f"/proc/{pid}/task").glob("*/children"))),
            )
        return found

    def cpu(self) -> float:
        """Return the seconds that they have computed."""
        return sum(_cpu(pid) for pid in self.pids())

    def memory(self, what: str) -> int:
        """Return their bytes, of VmRSS or VmHWM."""
        texts = (Path(f"/proc/{pid}/status").read_text() for pid in self.pids())
        return sum(int(found[1]) * 1024 for text in texts if (found := re.search(rf"{what}:\s+(\d+)", text)))

    def rest(self) -> None:
        """Wait until they compute nothing: most go on with requests whose clients have gone."""
        before = -1.0
        while self.cpu() - before > 0.02:
            before = self.cpu()
            time.sleep(0.5)


@dataclass(frozen=True, slots=True)
class Cell:
    """What wrk found in one run: answers in ms, CPU in seconds."""

    group: str
    length: str
    clients: int
    side: str
    found: Mapping[str, float]
    cpu: float
    wrk_cpu: float
    peak: int

    @property
    def good(self) -> float:
        """Requests that were answered with what was asked for."""
        return max(1.0, self.found["answers"] - self.found["refused"])

    @property
    def speed(self) -> float:
        """Of these, so many a second."""
        return self.good / self.found["seconds"]


class Bench:
    """The options, and the texts as files of bodies."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        (work / "wrk.lua").write_text(WRK)
        texts = _texts(options.data)
        self.texts = {
            "short": [each for each in texts if 8 <= len(each.split()) <= 30][:1000],
            "long": ["\n".join(texts[at : at + LINES]) for at in range(0, 40 * LINES, LINES)],
        }

    def bodies(self, length: str, labels: Sequence[str] = ()) -> Path:
        """Return a file with a JSON body for each text."""
        path = self.work / f"{length}{len(labels)}.jsonl"
        more = {"labels": list(labels)} if labels else {}
        path.write_text("".join(json.dumps({"text": each, **more}) + "\n" for each in self.texts[length]))
        return path

    def wrk(self, server: Server, bodies: Path, clients: int, seconds: float) -> tuple[dict[str, float], float]:
        """Return what wrk found, and its CPU seconds."""
        threads = min(len(server.ports), clients)
        command = [
            "wrk",
            "-t",
            threads,
            "-c",
            clients,
            "-d",
            f"{seconds:.0f}s",
            "--timeout",
            "120s",
            "-s",
            self.work / "wrk.lua",
            f"http://127.0.0.1:{server.ports[0]}",
        ]
        environment = os.environ | {"PORTS": " ".join(map(str, server.ports)), "BODIES": str(bodies)}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return json.loads(done.stdout.strip().splitlines()[-1]), cpu

    @contextmanager
    def running(self, side: Side) -> Iterator[Server]:
        """Start a side's servers, wait until they are ready, and stop them at the end."""
        server = Server(side)
        log = self.work / f"{side.name}.log".replace("/", "-")
        try:
            for _ in range(side.servers):
                with socket.create_server(("127.0.0.1", 0)) as free:
                    port = free.getsockname()[1]
                command = [each.replace("PORT", str(port)) for each in side.command]
                with log.open("wb") as output:
                    server.processes.append(subprocess.Popen(command, stdout=output, stderr=output))
                server.ports.append(port)
                _wait(lambda port=port: _is_ready(side, port, log), server.processes[-1], log)  # type: ignore[misc]
            yield server
        finally:
            for each in server.processes:
                each.terminate()
            for each in server.processes:
                try:
                    each.wait(20)
                except subprocess.TimeoutExpired:
                    each.kill()
                    each.wait()


def main() -> None:
    """Measure what is wanted; print tables, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixed", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--light", type=Path)
    parser.add_argument("--gliner", type=Path)
    parser.add_argument("--gliner-python", type=Path)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--groups", nargs="+", choices=["int8", "fp32", "gliner"], default=["int8", "fp32", "gliner"])
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--lengths", nargs="+", choices=["short", "long"], default=["short", "long"])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--json", type=Path, help="file for the JSON, which is printed anyway")
    options = parser.parse_args()
    if not options.light:
        options.groups = [each for each in options.groups if each != "gliner"]
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(options, Path(work))
        found = {part: PARTS[part](bench) for part in options.part}
    folders = [each for each in (options.fixed, options.light, options.gliner) if each]
    weights = {
        str(path): digest(path)
        for each in folders
        for path in sorted(each.rglob("*"))
        if path.suffix in {".onnx", ".safetensors"}
    }
    around = surroundings([options.data], PACKAGES) | {"models": weights, "load": os.getloadavg()}
    settings = {name: str(value) for name, value in vars(options).items()}
    text = json.dumps({**around, "settings": settings, "found": found}, ensure_ascii=False)
    if options.json:
        options.json.write_text(text + "\n")
    print("\n" + text)


def groups(options: argparse.Namespace) -> Iterator[tuple[str, Sequence[Side], Sequence[str]]]:
    """Yield each group's name, its sides with nerbert's first, and the labels that it asks for."""
    for precision in ("int8", "fp32"):
        folder = options.fixed
        sides = [_nerbert("nerbert serve", folder, precision), *_plain("Tagger.tag", "nerbert", folder, precision)]
        if precision == "int8":
            sides += [
                _nerbert("2 × nerbert serve --workers 1", folder, precision, workers=1, servers=2),
                _nerbert("nerbert serve --threads 0", folder, precision, threads=0),
            ]
        else:
            sides += _plain("pipeline", "transformers", folder, precision)
        if precision in options.groups:
            yield precision, sides, ()
    if "gliner" in options.groups:
        side = _nerbert("nerbert serve", options.light, "fp32")
        python = str(options.gliner_python or sys.executable)
        yield "gliner", [side, *_plain("gliner", "gliner", options.gliner, "fp32", python)], LABELS


def _nerbert(
    name: str,
    folder: Path,
    precision: str,
    *,
    workers: int = 2,
    threads: int = 1,
    servers: int = 1,
    more: Sequence[str] = ("--deadline", "600000"),
) -> Side:
    command = [
        sys.executable,
        "-m",
        "nerbert",
        "serve",
        f"model={folder.resolve()}",
        "--port",
        "PORT",
        "--backend",
        "onnx",
        "--precision",
        precision,
        "--workers",
        str(workers),
        "--threads",
        str(threads),
        *more,
    ]
    return Side(name, command, servers)


def _plain(name: str, kind: str, folder: Path, precision: str, python: str = sys.executable) -> list[Side]:
    found = []
    for processes, threads in ((2, 1), (1, 2)):
        # a Python of its own may lack these; at the end of the path, they replace nothing
        packages = [] if python == sys.executable else [str(Path(starlette.__file__).parents[1])]
        settings = {
            "kind": kind,
            "folder": str(folder.resolve()),
            "precision": precision,
            "processes": processes,
            "threads": threads,
            "port": 0,
            "packages": packages,
            "labels": LABELS if kind == "gliner" else None,
        }
        text = json.dumps(settings).replace('"port": 0', '"port": PORT')
        what = "2 processes" if processes == 2 else "2 threads"
        found.append(Side(f"{name}, {what}", [python, str(HERE / "serving_plain.py"), text], ready=processes))
    return found


def closed(bench: Bench) -> Any:
    """Measure all groups, with their answers compared first."""
    options, cells, agreement = bench.options, list[Cell](), []
    for group, sides, labels in groups(options):
        with ExitStack() as stack:
            servers = [stack.enter_context(bench.running(each)) for each in sides]
            for length in options.lengths:
                bodies = bench.bodies(length, labels)
                agreement += _compared(group, length, servers, bodies)
                for server in servers:
                    bench.wrk(server, bodies, 8, max(1, options.seconds / 5))
                    server.rest()
                for number, clients in itertools.product(range(options.rounds), options.clients):
                    for server in servers[:: -1 if number % 2 else 1]:
                        cells.append(_cell(bench, group, length, clients, server, bodies))
    print("| group | texts | side | equal answers | entities in both | only nerbert's | only its |")
    print("|---|---|---|---|---|---|---|")
    for row in agreement:
        print("| " + " | ".join(map(str, row)) + " |")
    _show(cells)
    return {"agreement": agreement, "cells": [asdict(each) for each in cells]}


def _cell(bench: Bench, group: str, length: str, clients: int, server: Server, bodies: Path) -> Cell:
    before = server.cpu()
    found, wrk_cpu = bench.wrk(server, bodies, clients, bench.options.seconds)
    cell = Cell(group, length, clients, server.side.name, found, server.cpu() - before, wrk_cpu, server.memory("VmHWM"))
    print(f"{group} {length} {clients} {cell.side}: {cell.speed:.1f}/s {found}", file=sys.stderr, flush=True)
    server.rest()
    return cell


def _compared(group: str, length: str, servers: Sequence[Server], bodies: Path) -> list[list[Any]]:
    """Return how well each side's answers agree with the first's."""
    some = bodies.read_bytes().splitlines()[: COMPARED if length == "short" else 8]
    first, *others = ([_spans(server.ports[-1], body) for body in some] for server in servers)
    return [
        [
            group,
            length,
            server.side.name,
            f"{sum(map(set.__eq__, first, other))} of {len(some)}",
            *(
                sum(len(part(a, b)) for a, b in zip(first, other, strict=True))
                for part in (set.intersection, set.difference, lambda a, b: b - a)
            ),
        ]
        for server, other in zip(servers[1:], others, strict=True)
    ]


def _show(cells: Sequence[Cell]) -> None:
    by: dict[tuple[str, str, int], dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        by[cell.group, cell.length, cell.clients][cell.side].append(cell)
    titles = (
        "group",
        "texts",
        "clients",
        "side",
        "requests/s",
        "nerbert's / its",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "server CPU ms/request",
        "wrk CPU ms/request",
        "peak MB",
        "refused or broken",
    )
    print("\n| " + " | ".join(titles) + " |\n|" + "---|" * len(titles))
    for (group, length, clients), sides in by.items():
        speeds = {name: [each.speed for each in own] for name, own in sides.items()}
        base = next(iter(speeds.values()))
        for name, own in sides.items():
            row = [
                group,
                length,
                clients,
                name,
                _spread(speeds[name]),
                ratio(base, speeds[name]),
                *(_spread([each.found[p] for each in own]) for p in ("p50", "p95", "p99")),
                _spread([1000 * each.cpu / each.good for each in own]),
                f"{median(1000 * each.wrk_cpu / each.good for each in own):.3f}",
                f"{max(each.peak for each in own) / MB:.0f}",
                f"{sum(each.found['refused'] + each.found['broken'] for each in own):.0f}",
            ]
            print("| " + " | ".join(map(str, row)) + " |")


def direct(bench: Bench) -> Any:
    """Measure one client's wait, and the call without a server."""
    options, bodies, found = bench.options, bench.bodies("short"), defaultdict[str, list[float]](list)
    side = _nerbert("nerbert serve", options.fixed, "int8")
    settings = {
        "kind": "nerbert",
        "folder": str(options.fixed),
        "precision": "int8",
        "direct": [str(bodies), options.seconds],
    }
    command = [sys.executable, str(HERE / "serving_plain.py"), json.dumps(settings)]
    with bench.running(side) as server:
        bench.wrk(server, bodies, 1, 2)
        for _ in range(options.rounds):
            found["server"].append(bench.wrk(server, bodies, 1, options.seconds)[0]["p50"])
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found["direct"].append(median(json.loads(done.stdout.splitlines()[-1])))
    found["more"] = [a - b for a, b in zip(found["server"], found["direct"], strict=True)]
    print("\n| one client, short texts, int8 | p50 ms |\n|---|---|")
    for name, took in found.items():
        print(f"| {name} | {_spread(took)} |")
    return found


def overload(bench: Bench) -> Any:
    """Send twice what the server can answer."""
    options, bodies, memory = bench.options, bench.bodies("short"), list[int]()
    with bench.running(_nerbert("nerbert serve", options.fixed, "int8", more=())) as server:
        capacity = bench.wrk(server, bodies, 64, max(5, options.seconds))[0]
        rate = 2 * (capacity["answers"] - capacity["refused"]) / capacity["seconds"]
        arguments = [str(server.ports[0]), str(bodies), str(rate), str(60 * options.minutes)]
        ended, cpu = threading.Event(), server.cpu()

        def watch() -> None:
            while not ended.wait(1):
                memory.append(server.memory("VmRSS"))

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            command = [sys.executable, str(HERE / "serving_load.py"), *arguments]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            ended.set()
            watching.join()
        batches, peak = _buckets(_get(server.ports[0], "/metrics")[1].decode()), server.memory("VmHWM")
        cpu = server.cpu() - cpu
    sent = json.loads(done.stdout)
    first, last = median(memory[:60]), median(memory[: int(60 * options.minutes)][-60:])
    statuses = {int(status): count for status, count in sent["statuses"].items()}
    bound = 3.0 + batches["p99"]  # nerbert's default deadline is a second
    rows = {
        "arrivals/s (twice the capacity)": f"{rate:.0f}",
        "sent": f"{sent['sent']:,}",
        "answered with 200": f"{statuses.get(200, 0):,}",
        "with 429": f"{statuses.get(429, 0):,}",
        "with 429 that lack Retry-After": sent["without_retry_after"],
        "otherwise, or not at all": sum(count for status, count in statuses.items() if status not in {200, 429}),
        "accepted, from arrival to answer, s": sent["accepted_seconds"],
        "bound of their p99: 3 × deadline + a batch (bucket of its p99), s": bound,
        "batches, buckets of p99 and of the longest, s": batches,
        "refused, s": sent["refused_seconds"],
        "sent later than due, s": sent["late_seconds"],
        "connections": sent["connections"],
        "CPU s of the generator, of the server": [sent["generator_cpu_seconds"], round(cpu, 1)],
        "memory, median of the first and of the last minute, MB": [round(first / MB, 1), round(last / MB, 1)],
        "last / first, peak MB": [round(last / first, 3), round(peak / MB)],
    }
    print("\n| overload | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    return {**rows, **sent, "memory": memory}


def start(bench: Bench) -> Any:
    """Start servers, and read what they have computed when they are ready."""
    found = defaultdict[str, list[float]](list)
    side = _nerbert("nerbert serve", bench.options.fixed, "int8", more=())
    for _ in range(bench.options.rounds + 1):  # the first one compiles modules
        begin = time.monotonic()
        with bench.running(side) as server:
            found["CPU s"].append(server.cpu())
            found["wall s"].append(time.monotonic() - begin)
            found["memory MB"].append(server.memory("VmRSS") / MB)
    print("\n| from the start to /ready, int8 | |\n|---|---|")
    for name, took in found.items():
        print(f"| {name} | {_spread(took[1:])} |")
    return found


PARTS: dict[str, Callable[[Bench], Any]] = {"closed": closed, "direct": direct, "overload": overload, "start": start}


def _texts(path: Path) -> list[str]:
    sentences = path.read_text(encoding="utf-8").split("\n\n")
    return [" ".join(line.split("\t")[0] for line in each.splitlines()) for each in sentences if each.strip()]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _get(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def _spans(port: int, body: bytes) -> set[tuple[int, int, str]]:
    status, answer = _get(port, "/tag", body)
    if status != 200:
        sys.exit(f"status {status}: {answer[:300]!r}")
    return {(each["start"], each["end"], each["type"]) for each in json.loads(answer)["results"][0]["spans"]}


def _is_ready(side: Side, port: int, log: Path) -> bool:
    if side.ready:
        return log.read_bytes().count(b"startup complete") >= side.ready
    try:
        return _get(port, "/ready")[0] == 200
    except OSError:
        return False


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 1800) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"a server didn't start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.005)


def _buckets(metrics: str) -> dict[str, float]:
    """Return the upper edges, in seconds, of the buckets that hold the 99th percentile and the longest batch."""
    found = re.findall(r'nerbert_batch_seconds_bucket\{le="([^"]+)".*?\} (\S+)', metrics)
    edges = [(float(edge), float(count)) for edge, count in found]
    total = edges[-1][1]
    return {
        name: next(edge for edge, count in edges if count >= share * total)
        for name, share in (("p99", 0.99), ("longest", 1.0))
    }


def _spread(values: Sequence[float]) -> str:
    digits = 0 if median(values) >= 100 else 1 if median(values) >= 10 else 2
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


if __name__ == "__main__":
    main()
