"""`nerbert label` with a project of 100,000 sentences: start, memory of server and browser, seconds of each action.

`python benchmarks/labelling_size.py --data FILE.conll [--sentences 100000] [--answered 0 1000 10000 99900]`

Sentences are eight to twenty words that a seed draws from those of FILE, so that none is a near-duplicate. The project
is made by the command from a file; then its journal is written with so many answers (accepted, an entity in each), and
a round that puts the next training off. Chromium opens the page, accepts sentences by key, and goes back to the first
sentence of the list. Then a client does the same by HTTP. Times are medians of `--repeats`; memory is VmRSS, of
Chromium the sum of its processes, which counts what they share several times.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import sync_playwright
from report import MB, surroundings
from serving import Bench, Server, Side, _texts

from nerbert.rng import hash64
from nerbert.serve.labelling.sentences import kept_sentences

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_SEEN = "document.querySelector('#sentence')?.textContent ?? ''"


def main() -> None:
    """Measure; print a table, then a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--answered", nargs="+", type=int, default=[0, 1000, 10_000, 99_900])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, "texts.txt")
        texts.write_text("\n".join(_sentences(options)) + "\n")
        made = Path(folder, "made")
        for answered in options.answered:  # the first one makes the project
            work = Path(folder, str(answered))
            if made.exists():
                shutil.copytree(made, work)
                _answer(work, answered)
            found.append({"answered": answered, **_measured(options, work, texts)})
            print(found[-1], file=sys.stderr, flush=True)
            if not made.exists():
                shutil.copytree(work, made)
                (made / "journal.jsonl").write_text('{"do":"types","types":[["ship","","#e69f00","1"]]}\n')
            shutil.rmtree(work)
    print("| | " + " | ".join(f"{each['answered']:,} accepted" for each in found) + " |")
    print("|---" * (len(found) + 1) + "|")
    for name in found[0]:
        if name != "answered":
            print(f"| {name} | " + " | ".join(str(each[name]) for each in found) + " |")
    print(json.dumps({"found": found, "sentences": options.sentences, "seed": options.seed,
                      **surroundings([options.data], ["playwright", "starlette", "uvicorn"])}))  # fmt: skip


def _sentences(options: argparse.Namespace) -> list[str]:
    words = sorted({word for text in _texts(options.data) for word in text.split() if word.isalnum()})
    chance = random.Random(options.seed)  # noqa: S311
    return [" ".join(chance.choices(words, k=chance.randint(8, 20))) + f" {number}." for number in
            range(options.sentences)]  # fmt: skip


def _answer(work: Path, count: int) -> None:
    """Write a journal with so many sentences accepted, and a round after more."""
    with (work / "journal.jsonl").open("a") as journal:
        for id_, each in enumerate(kept_sentences(work / "sentences.jsonl")[:count]):
            start, end = each.words[0]
            for entry in (
                {"do": "draw", "id": id_, "test": id_ % 5 == 4, "text": f"{hash64(each.text):x}"},
                {"do": "set", "id": id_, "entities": [[start, end, "ship"]], "answer": "accept", "tab": "before",
                 "request": f"r{id_}"},
            ):  # fmt: skip
                journal.write(json.dumps(entry, separators=(",", ":")) + "\n")
    (work / "rounds" / "0001").mkdir(parents=True)
    (work / "rounds" / "0001" / "round.json").write_text(json.dumps({"sentences": count + 1000, "state": "cancelled"}))


def _measured(options: argparse.Namespace, work: Path, texts: Path) -> dict[str, Any]:
    """Return what it takes with a project in some state."""
    command = [sys.executable, "-m", "nerbert", "label", *([] if work.exists() else [str(texts)]), "-o", str(work),
               "--types", "ship", "--no-browser", "--port", "PORT"]  # fmt: skip
    begin = time.monotonic()
    with Bench(options, work.parent).running(Side(f"label{work.name}", command)) as server:
        found: dict[str, Any] = {
            "start to /ready, s": round(time.monotonic() - begin, 1),
            "CPU s": round(server.cpu(), 1),
        }
        return found | _in_browser(options, server) | _by_http(options, server)


def _in_browser(options: argparse.Namespace, server: Server) -> dict[str, Any]:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS, timeout=600_000)
        tab = browser.new_context().new_page()
        tab.set_default_timeout(600_000)
        tab.add_init_script("localStorage.setItem('nerbert-tour', 'done')")

        def shown(act: Callable[[], object]) -> float:
            before, begin = tab.evaluate(_SEEN), time.monotonic()
            act()
            tab.wait_for_function(f"before => ![before, ''].includes({_SEEN})", arg=before)
            return time.monotonic() - begin

        opened = shown(lambda: tab.goto(f"http://127.0.0.1:{server.ports[0]}/#label"))
        accepted = [shown(lambda: tab.keyboard.press("Enter")) for _ in range(options.repeats)]
        undone = shown(lambda: tab.keyboard.press("Control+z"))
        tab.click("summary:has-text('Labelled sentences')")
        tab.wait_for_selector(".listed button")
        listed = tab.locator(".listed button").count()
        last = shown(tab.locator(".listed button").last.click)
        memory = _memory()
        browser.close()
    return {
        "page opened, s": round(opened, 2), "accept by key until the next sentence, s": _spread(accepted),
        "undo, s": round(undone, 2), "sentences in the list": listed, "to the last of the list, s": round(last, 2),
        "browser, MB": memory,
    }  # fmt: skip


def _by_http(options: argparse.Namespace, server: Server) -> dict[str, Any]:
    took: dict[str, list[float]] = {"next": [], "save": [], "open": [], "list": [], "state": []}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.ports[0]}", timeout=300) as client:

        def ask(name: str, path: str, **body: Any) -> Any:
            begin = time.monotonic()
            answer = client.post(path, json={"tab": "http", **body}) if body else client.get(path)
            took[name].append(time.monotonic() - begin)
            return answer.raise_for_status().json()

        for number in range(options.repeats):
            item = ask("next", "/label/next", request=f"n{number}")["item"]
            start, end = item["words"][0]
            ask("save", "/label/save", id=item["id"], revision=item["revision"], answer="accept",
                entities=[{"start": start, "end": end, "type": "ship"}], request=f"s{number}")  # fmt: skip
            ask("open", "/label/open", id=item["id"])
            ask("list", "/label/list")
            ask("state", "/label")
    names = {f"HTTP: {name}, s": _spread(values) for name, values in took.items()}
    return {
        **names,
        "server, MB": round(server.memory("VmRSS") / MB),
        "its peak, MB": round(server.memory("VmHWM") / MB),
    }


def _spread(values: list[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def _memory() -> int:
    """Return the memory of this process's Chromium."""
    pids = [int(each) for each in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    found = 0
    for pid in pids:  # grows
        pids += [
            int(each) for path in Path(f"/proc/{pid}/task").glob("*/children") for each in path.read_text().split()
        ]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"chromium" in command:
            found += sum(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                         if line.startswith("VmRSS"))  # fmt: skip
    return round(found / 1000)


if __name__ == "__main__":
    main()
