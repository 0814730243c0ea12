"""Make the screenshots of the documentation: `python docs/images/screenshots.py`; needs Debian's chromium, Playwright.

Each is taken of what a command makes or serves, from the package's samples.
"""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

import httpx
from playwright.sync_api import sync_playwright

from nerbert.data.splits import read_data
from nerbert.formats.jsonl import JsonLines
from nerbert.records import Document, Example

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DATA = ROOT / "docs" / "tutorial" / "data"
SAMPLE = ROOT / "nerbert" / "sample"
CONTEXT: dict[str, Any] = {"viewport": {"width": 1180, "height": 640}}
NERBERT = [sys.executable, "-m", "nerbert"]
LABELLED, TRAINED = 21, (10, 20)
SHOWN = "[...document.querySelectorAll('#sentence .word')].map(each => each.textContent).join('')"
"""The sentence on the page for labelling."""


def nerbert(folder: Path, *arguments: str) -> None:
    """Run a command of nerbert in a folder."""
    subprocess.run([*NERBERT, *arguments], cwd=folder, check=True)


def is_ready(address: str) -> bool:
    """Return whether a server answers so."""
    try:
        return httpx.get(address).is_success
    except httpx.TransportError:
        return False


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """Provide the address of a server that a command of nerbert starts in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    process = subprocess.Popen([*NERBERT, *arguments, "--port", port], cwd=folder)
    try:
        while not is_ready(f"http://127.0.0.1:{port}/ready"):
            if process.poll() is not None:
                raise SystemExit(f"nerbert {' '.join(arguments)} ended")
            sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def annotate(tab: Any, sentence: Example, types: list[str]) -> None:
    """Label a sentence's entities by keyboard; the n-th type has the key n."""
    words = [start for start, _ in sentence.words]
    for span in sentence.spans:
        first = words.index(span.start)
        last = max(place for place, start in enumerate(words) if start < span.end)
        keys = ["ArrowRight"] * (first + 1) + ["Shift+ArrowRight"] * (last - first)
        for key in ("Escape", *keys, str(types.index(span.type) + 1)):
            tab.keyboard.press(key)


def label(tab: Any, folder: Path) -> None:
    """Label sentences of the sample as its annotators did, until a second tagger has been trained."""
    gold = {each.text: each for each in read_data(SAMPLE / "domain" / "train.conll").train}
    types = list(dict.fromkeys(span.type for each in gold.values() for span in each.spans))
    JsonLines().write(folder / "museum.jsonl", (Document(each.text, (), each.words) for each in gold.values()))
    asked = ("label", "museum.jsonl", "--types", ",".join(types), "-o", "work", "--no-browser")
    with served(folder, *asked) as address:
        tab.goto(f"{address}/#label")
        tab.wait_for_selector("#sentence .word")
        for labelled in range(1, LABELLED + 1):
            before = tab.evaluate(SHOWN)
            annotate(tab, gold[before], types)
            tab.keyboard.press("Enter")
            tab.wait_for_function(f"before => {SHOWN} && {SHOWN} !== before", arg=before)
            if labelled in TRAINED:
                tab.wait_for_selector(".learning")
                tab.wait_for_selector(".learning", state="detached", timeout=1_200_000)
        tab.wait_for_selector("#sentence .suggested")
        tab.screenshot(path=HERE / "label.png")


def attempt(tab: Any, folder: Path) -> None:
    """Try a zero-shot tagger on a server's page."""
    with served(folder, "serve", "minilm") as address:
        tab.goto(f"{address}/#try")
        tab.fill("#text", "The sculptor Elena Marsh unveiled Night Heron, a bronze, in London.")
        for each in ("person", "organization"):
            tab.click(f".labels .chip:has-text('{each}') button")
        for each in ("artist", "artwork"):
            tab.fill(".labels input", each)
            tab.keyboard.press("Enter")
        tab.click("button:has-text('Find entities')")
        tab.wait_for_selector("mark.entity:has-text('artist')")
        tab.wait_for_timeout(500)  # the button's colours change slowly
        tab.screenshot(path=HERE / "try.png")


def pages(tab: Any, folder: Path) -> None:
    """Make a corpus's page and a tagger's report."""
    shutil.copytree(DATA, folder / "data")
    nerbert(
        folder,
        "corpus",
        "build",
        *map(str, sorted((SAMPLE / "wiki").glob("*.xml.bz2"))),
        "--knowledge",
        str(SAMPLE / "knowledge"),
        "-o",
        "corpus",
        "--set",
        "min_mentions=5",
    )
    nerbert(folder, "corpus", "show", "corpus", "--html", "corpus.html")
    nerbert(folder, "finetune", "embedded", "--data", "data", "-o", "tagger")
    nerbert(folder, "report", "tagger", "data/test.marked", "--train", "data", "-o", "report.html")
    for name in ("corpus", "report"):
        tab.goto((folder / f"{name}.html").as_uri())
        tab.screenshot(path=HERE / f"{name}.png")


def main(names: list[str]) -> None:
    """Take the screenshots of these names, or all."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as found:
        browser = found.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        for make in (label, attempt, pages):
            if not names or make.__name__ in names:
                context = browser.new_context(**CONTEXT)
                context.add_init_script("localStorage.setItem('nerbert-tour', 'done')")
                with TemporaryDirectory() as folder:
                    make(context.new_page(), Path(folder))
                context.close()


if __name__ == "__main__":
    main(sys.argv[1:])
