"""A browser, labelling servers, one of which can be killed and started again, and the page as people use it."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from nerbert.entity_labels import parse_labels
from nerbert.serve.labelling.labelling import LabelJob, Labelling
from nerbert.serve.labelling.routes import label_routes
from nerbert.tagger.tagger import Tagger
from tests.serve.heads import DEADLINE, until
from tests.serve.servers import ROOT, environment, inside, is_ready

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@dataclass
class LabelServer:
    """A server of a labelling project, in the folder `work`."""

    url: str
    work: Path

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = httpx.get(f"{self.url}/label", timeout=DEADLINE).json()
        return state

    def labels(self) -> list[dict[str, Any]]:
        """Return the rows that are exported; each entity's text is where it says."""
        answer = httpx.get(f"{self.url}/label/export?format=jsonl", timeout=DEADLINE)
        rows = [json.loads(line) for line in answer.text.splitlines()] if answer.status_code == 200 else []
        assert all(row["text"][span["start"] : span["end"]] == span["text"] for row in rows for span in row["spans"])
        return rows


class LabelProcess(LabelServer):
    """`nerbert label` in a process of its own, always at the same port."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        super().__init__(f"http://127.0.0.1:{port}", folder / "work")
        self._log = folder / "log"
        self._asked = [
            sys.executable,
            "-m",
            "nerbert",
            "label",
            *arguments,
            "-o",
            str(self.work),
            "--no-browser",
            "--port",
            str(port),
        ]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._asked, cwd=ROOT, env=environment(), stdout=log, stderr=log)
        with httpx.Client(base_url=self.url) as client:
            until(lambda: is_ready(client) or self.process.poll() is not None, "the server is ready")
        assert self.process.poll() is None, self._log.read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End its process."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(DEADLINE)


@dataclass
class Page:
    """A tab on the page of a server; `faults` are errors in its console, `asked` all addresses that it asked."""

    tab: Any
    url: str
    faults: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.tab.on("request", lambda request: self.asked.append(request.url))

    def open(self, view: str) -> "Page":
        self.tab.goto(f"{self.url}/#{view}")
        self.tab.wait_for_selector("#sentence" if view == "label" else ".try")
        return self

    def text(self) -> str:
        """Return the sentence that is shown, without the marks' names."""
        found: str = self.tab.evaluate(
            "[...document.querySelectorAll('#sentence .word')].map((each) => each.textContent).join('')"
        )
        return found

    def marks(self, kind: str = ".entity:not(.suggested)") -> list[tuple[str, str]]:
        """Return the words and type of each label, or suggestion (`.suggested`)."""
        found = self.tab.evaluate(
            "(kind) => [...document.querySelectorAll('#sentence ' + kind)].map((each) => [[...each.querySelectorAll("
            "'.word')].map((one) => one.textContent).join(''), each.querySelector('.type').textContent])",
            kind,
        )
        return [(words, type_.removesuffix("?")) for words, type_ in found]

    def press(self, *keys: str) -> None:
        for each in keys:
            self.tab.keyboard.press(each)

    def word(self, number: int) -> Any:
        return self.tab.locator(f"#sentence [data-word='{number}']").first

    def click(self, number: int) -> None:
        self.word(number).click()

    def drag(self, first: int, last: int) -> None:
        """Drag from one word to another."""
        for place, act in ((first, "down"), (last, "up")):
            box = self.word(place).bounding_box()
            self.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            getattr(self.tab.mouse, act)()

    def shows(self, what: Callable[[], object], why: str, seconds: float = DEADLINE) -> None:
        """Wait until something is so, while the page goes on."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, f"{why}: in vain; the page says {self.tab.inner_text('body')!r:.2000}"
            self.tab.wait_for_timeout(50)

    def after(self, act: Callable[[], object]) -> str:
        """Act, wait for the next sentence, and return it."""
        before = self.text()
        act()
        self.shows(lambda: self.text() not in ("", before), "the next sentence")
        return self.text()

    def violations(self) -> list[str]:
        """Return what axe-core finds."""
        found = self.tab.evaluate(f"{axe()}; axe.run(document, {{resultTypes: ['violations']}})")
        return [f"{each['id']}: {each['nodes'][0]['html']:.200}" for each in found["violations"]]


def modules() -> Path:
    """Return the folder of the npm packages that tests need; skip the test where they can't be had."""
    folder = ROOT / ".pytest_cache" / "page"
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm isn't installed")
    wanted = (Path(__file__).parent / "package.json").read_text()
    if not (folder / "package.json").exists() or (folder / "package.json").read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(Path(__file__).parent / "package.json", folder / "package.json")
        made = subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if made.returncode:
            (folder / "package.json").unlink()
            pytest.skip(f"npm can't install: {made.stderr:.300}")
    return folder / "node_modules"


def axe() -> str:
    return (modules() / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium. Playwright runs an event loop until it is closed, so no other module's tests may share it."""
    if CHROMIUM is None:
        pytest.skip("chromium isn't installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        one = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield one
        one.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """What opens a tab: `visit(server, **context)`; at the test's end it had no fault, and asked only its server."""
    with ExitStack() as stack:
        pages = list[tuple[Page, bool]]()

        def make(server: Any, *, faults: bool = False, **context: Any) -> Page:
            options: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "bypass_csp": False} | context
            surroundings = browser.new_context(**options)
            surroundings.set_default_timeout(1000 * DEADLINE)
            stack.callback(surroundings.close)
            surroundings.add_init_script("localStorage.getItem('seen') || localStorage.setItem('nerbert-tour', 'done')")
            page = Page(surroundings.new_page(), server.url)
            page.watch()
            pages.append((page, faults))
            return page

        yield make
        for page, faults in pages:
            assert faults or page.faults == []
            assert all(each.startswith((page.url, "data:", "blob:")) for each in page.asked), page.asked


@pytest.fixture(scope="module")
def labelling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LabelServer]]:
    """What serves lines of text, or files, to label: `labelling(lines, types)`; `nerbert label` with `process`."""
    tagger = Tagger.load("embedded-open", threads=1)
    with ExitStack() as stack:

        def make(lines: Sequence[str], types: str = "", *more: str, process: bool = False) -> LabelServer:
            folder = tmp_path_factory.mktemp("label")
            texts = folder / "texts.jsonl"
            texts.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
            files = (texts,) if lines else ()
            if process:
                server = LabelProcess(folder, *map(str, files), "--types", types, *more)
                stack.callback(server.stop)
                server.start()
                return server
            labels = tuple(parse_labels(types)) if types else ()
            work = Labelling(LabelJob(folder=folder / "work", files=files, types=labels))
            how: dict[str, Any] = {"operations": label_routes(work), "lifespan": work.run}
            running = stack.enter_context(inside(folder / "served", lambda _: tagger, **how))
            return LabelServer(running.url, folder / "work")

        yield make
