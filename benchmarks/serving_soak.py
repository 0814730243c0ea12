"""`nerbert serve` for an hour, under a steady load with faults: are all answers there and right, does it grow?

`python benchmarks/serving_soak.py --fixed TAGGER [--open TAGGER] --data FILE.conll --minutes 60 --log FILE.jsonl`

Clients that keep their connections (and now and then open new ones) send requests of all protocols, and compare the
entities of each answer with those that `Tagger` finds in this process. Meanwhile others do wrong (soak_faults.py), and
models are loaded again by SIGHUP, also from a folder that is damaged for a moment. TAGGER of `--fixed` is exported; its
answers in fp32 don't depend on the others of a batch. `--log` gets a line of JSON every 5 seconds: memory (VmRSS),
threads, open files, CPU seconds, requests. Medians of minutes are compared; slopes are of least squares.
"""

import argparse
import asyncio
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import linear_regression, median

from report import MB, surroundings
from serving import Bench, Server, Side
from serving_load import percentiles
from soak_faults import FAULTS, NONE, answer, connected
from soak_requests import Requests

from nerbert.tagger.tagger import Tagger

_EVERY = 5.0
_SHOWN = 20
_LATE = (429, 504)
"""What a busy server answers, as documented."""


class Soak:
    """A server that runs, its clients, and what came of them."""

    def __init__(self, server: Server, requests: Requests, work: Path, options: argparse.Namespace) -> None:
        self._server, self._requests, self._options = server, requests, options
        self._fixed, self._log = work / "fixed", work / "serve.log"
        self.port, self._pid = server.ports[0], server.processes[0].pid
        self.counts, self.faults = defaultdict[str, Counter[str]](Counter), list[str]()
        self.took, self.samples, self.compared = list[float](), list[dict[str, float]](), 0
        self._chance, self._folder = random.Random(options.seed), asyncio.Lock()  # noqa: S311

    async def run(self) -> None:
        """Run all for so long, then wait until the server is idle."""
        self._start = time.monotonic()
        self._end = self._start + 60 * self._options.minutes
        await self._sample("before")
        work = [self._client() for _ in range(self._options.clients)]
        work += [
            self._again(each.__name__, lambda each=each: each(self.port), pause)  # type: ignore[misc]
            for each, pause in FAULTS.items()
        ]
        work += [
            self._again("reload", self._reload, 60),
            self._again("reload, damaged", self._damaged, 240),
            self._watch(),
        ]
        await asyncio.gather(*work)
        await asyncio.to_thread(self._server.rest)
        await asyncio.sleep(2)
        await self._sample("after")

    def _note(self, kind: str, outcome: str, *, good: bool, why: str = "") -> None:
        self.counts[kind][outcome] += 1
        if not good:
            self.faults.append(f"{time.monotonic() - self._start:.0f} s: {kind}: {outcome} {why}"[:2000])
            print(self.faults[-1], file=sys.stderr, flush=True)

    async def _client(self) -> None:
        """Send requests one after the other; a connection is kept for twenty of them on average."""
        pause = self._options.clients / self._options.rate
        while time.monotonic() < self._end:
            try:
                async with connected(self.port) as streams:
                    while time.monotonic() < self._end and self._chance.random() > 0.05:
                        await asyncio.sleep(self._chance.expovariate(1 / pause))
                        await self._ask(*streams)
            except Exception as error:
                traceback.print_exc()
                self._note("a client", NONE, good=False, why=repr(error))

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = self._requests.draw()
        begin = time.monotonic()
        writer.write(asked.content())
        status, _, body = await answer(reader)
        if status == 200:
            self.took.append(time.monotonic() - begin)
            if late := asked.refused(body):
                self._note(asked.kind, f"200, lines with {late}", good=late in _LATE)
                return
            wrong = asked.wrong(body)
            self.compared += asked.expected is not None
            self._note(asked.kind, "200, wrong" if wrong else "200", good=not wrong, why=wrong)
        else:
            self._note(asked.kind, str(status), good=status in _LATE, why=body[:300].decode())

    async def _again(self, name: str, work: Callable[[], Awaitable[tuple[str, bool]]], pause: float) -> None:
        """Do something again and again."""
        while (left := self._end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self._chance.expovariate(1 / pause)))
            try:
                outcome, good = await work()
            except Exception as error:
                outcome, good = f"{error!r:.100}", False
                traceback.print_exc()
            self._note(name, outcome, good=good)

    async def _reload(self) -> tuple[str, bool]:
        async with self._folder:
            line = await self._load_again()
        return "loaded again" if "loaded again" in line else line, "loaded again" in line

    async def _load_again(self) -> str:
        """Send SIGHUP; return what the log then says of the model `fixed`, when it says so of both."""
        before = len(self._logged())
        self._server.processes[0].send_signal(signal.SIGHUP)
        while len(lines := self._logged()) < before + 2:
            await asyncio.sleep(0.1)
        return next(each for each in lines[before:] if "model fixed:" in each)

    def _logged(self) -> list[str]:
        return re.findall(r".* model (?:fixed|open): .*\n", self._log.read_text(errors="replace"))

    async def _damaged(self) -> tuple[str, bool]:
        """Load from a folder whose settings are cut off; the old model must go on."""
        path = self._fixed / "config.json"
        async with self._folder:
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            try:
                line = await self._load_again()
            finally:
                path.write_bytes(whole)
        return "refused" if "config.json" in line else line, "config.json" in line

    async def _watch(self) -> None:
        while time.monotonic() < self._end:
            await asyncio.sleep(_EVERY)
            await self._sample("")

    async def _sample(self, name: str) -> None:
        found = {
            "name": name,
            "minute": round((time.monotonic() - self._start) / 60, 3),
            "rss_mb": round(self._server.memory("VmRSS") / MB, 2),
            "cpu_s": round(self._server.cpu(), 2),
            "threads": len(list(Path(f"/proc/{self._pid}/task").iterdir())),
            "files": len(list(Path(f"/proc/{self._pid}/fd").iterdir())),
            "answers": len(self.took),
            "client_cpu_s": round(time.process_time(), 2),
            "faults": len(self.faults),
        }
        self.samples.append(found)  # type: ignore[arg-type]
        with self._options.log.open("a") as log:
            log.write(json.dumps(found) + "\n")

    def between(self, first: float, last: float, what: str) -> float:
        """Return the median of something in these minutes, 0 if there is none."""
        return median([each[what] for each in self.samples[1:-1] if first <= each["minute"] < last] or [0])

    def slope(self, what: str, after: float) -> float:
        """Return by how much something grows in an hour, after so many minutes."""
        chosen = [each for each in self.samples[1:-1] if each["minute"] >= after]
        if len(chosen) < 2:
            return 0.0
        return 60 * linear_regression([each["minute"] for each in chosen], [each[what] for each in chosen]).slope


def main() -> None:
    """Run, print tables, then a line of JSON; exit with 1 if an answer was missing or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixed", type=Path, required=True)
    parser.add_argument("--open", default="embedded-open")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--rate", type=float, default=12, help="requests a second, without the faults'")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as work:
        fixed = Path(work, "fixed")
        shutil.copytree(options.fixed, fixed)
        bench = Bench(options, Path(work))
        requests = Requests(
            bench.texts["short"],
            Tagger.load(fixed, backend="onnx", precision="fp32"),
            Tagger.load(options.open),
            options.seed,
        )
        command = [
            sys.executable,
            "-m",
            "nerbert",
            "serve",
            f"fixed={fixed}",
            f"open={options.open}",
            "--port",
            "PORT",
            "--precision",
            "fp32",
            "--threads",
            "1",
        ]
        with bench.running(Side("serve", command)) as server:
            soak = Soak(server, requests, Path(work), options)
            asyncio.run(soak.run())
            log = Path(work, "serve.log").read_text(errors="replace")
    report(soak, requests, log, options)
    sys.exit(bool(soak.faults))


def report(soak: Soak, requests: Requests, log: str, options: argparse.Namespace) -> None:
    """Print what came of it."""
    whole, early = options.minutes, min(10.0, options.minutes / 4)
    print("| requests | outcomes |\n|---|---|")
    for kind, outcomes in soak.counts.items():
        print(f"| {kind} | {', '.join(f'{name}: {count:,}' for name, count in sorted(outcomes.items()))} |")
    names = (
        "before",
        f"minutes {early - 1:g}–{early + 1:g}",
        "the last two",
        "growth in an hour, later",
        "idle afterwards",
    )
    print(f"\n| | {' | '.join(names)} |\n|---|---|---|---|---|---|")
    for what in ("rss_mb", "threads", "files"):
        print(
            f"| {what} | {soak.samples[0][what]} | {soak.between(early - 1, early + 1, what):g} | "
            f"{soak.between(whole - 2, whole, what):g} | {soak.slope(what, early):+.2f} | "
            f"{soak.samples[-1][what]} |"
        )
    last = soak.samples[-1]
    found = {
        "compared": soak.compared,
        "entities of the texts": requests.entities,
        "seconds of answers": percentiles(soak.took),
        "tracebacks in the log": log.count("Traceback"),
        "answers with 5xx in the log": _server_faults(log),
        "server CPU s": round(last["cpu_s"] - soak.samples[0]["cpu_s"], 1),
        "client CPU s": last["client_cpu_s"],
        "peak of samples, MB": max(each["rss_mb"] for each in soak.samples),
        "faults": soak.faults[:_SHOWN],
        "number of faults": len(soak.faults),
        "seed": options.seed,
        "minutes": whole,
        **surroundings([options.fixed / "config.json"], ["onnxruntime", "torch", "starlette", "uvicorn", "h11"]),
    }
    print()
    print(json.dumps(found, default=str))


def _server_faults(log: str) -> int:
    return len(re.findall(r" 5\d\d [\d.]+ ms ", log))


if __name__ == "__main__":
    main()
