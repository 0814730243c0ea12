"""A browser, a labelling server that can be killed and started again, and the page as people use it."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.heads import DEADLINE, until
from tests.serve.servers import ROOT, environment, is_ready

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_WAIT = 30_000


@dataclass
class LabelServer:
    """`nerbert label` in a process of its own, in a folder of its own, always at the same port."""

    folder: Path
    arguments: Sequence[str]
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        asked = [sys.executable, "-m", "nerbert", "label", *self.arguments, "-o", str(self.work), "--no-browser",
                 "--port", str(self.port)]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(asked, cwd=ROOT, env=environment(), stdout=log, stderr=log)
        with httpx.Client(base_url=self.url) as client:
            until(lambda: is_ready(client) or self._ended(), "the server is ready")
        assert not self._ended(), self.log()

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End its process."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(DEADLINE)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/label").json()
        return found

    def labels(self) -> list[dict[str, Any]]:
        """Return the rows of labels.jsonl; each entity's text is where it says."""
        path = self.work / "labels.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        assert all(row["text"][each["start"] : each["end"]] == each["text"] for row in rows for each in row["spans"])
        return rows


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
            "'.word')].map((one) => one.textContent).join(''), each.querySelector('.type').textContent])", kind,
        )  # fmt: skip
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

    def shows(self, what: Callable[[], object], why: str, seconds: int = 30) -> None:
        """Wait until something is so, while the page goes on."""
        for _ in range(20 * seconds):
            if what():
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"{why}: in vain; the page says {self.tab.inner_text('body')!r:.2000}")

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
        made = subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, capture_output=True,
                              text=True, timeout=300, check=False)  # fmt: skip
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
    with playwright.sync_playwright() as found:
        one = found.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
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
            surroundings.set_default_timeout(_WAIT)
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
    """What starts `nerbert label` on lines of text, or on files: `labelling(lines, *arguments)`."""
    with ExitStack() as stack:

        def make(lines: Sequence[str], *arguments: str) -> LabelServer:
            folder = tmp_path_factory.mktemp("label")
            texts = folder / "texts.jsonl"
            texts.write_text("".join(json.dumps({"text": each}) + "\n" for each in lines))
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            server = LabelServer(folder, [*([str(texts)] if lines else []), *arguments], port)
            stack.callback(server.stop)
            server.start()
            return server

        yield make
