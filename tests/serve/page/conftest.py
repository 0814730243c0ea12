"""A browser, the page as people use it, and the checker of its types."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nerbert import __file__ as package
from tests.serve.heads import DEADLINE
from tests.serve.servers import ROOT

PAGE = Path(package).parent / "serve" / "page"
CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


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


def check_types(folder: Path, more: Sequence[Path], broken: str) -> None:
    """Assert that the page with a package's files is well typed, and that a fault in the file `broken` is seen."""
    packages = modules()
    paths = {
        "preact": "preact/src/index.d.ts",
        "preact/hooks": "preact/hooks/src/index.d.ts",
        "htm": "htm/dist/htm.d.ts",
    }
    options = {
        "checkJs": True,
        "allowJs": True,
        "noEmit": True,
        "strict": True,
        "target": "es2023",
        "skipLibCheck": True,
        "lib": ["es2023", "dom", "dom.iterable"],
        "module": "esnext",
        "moduleResolution": "bundler",
        "types": [],
        "paths": {name: [str(packages / place)] for name, place in paths.items()},
    }
    for fails in (False, True):
        copy = folder / str(fails)
        copy.mkdir()
        for each in [*PAGE.glob("*.js"), *more]:
            (copy / each.name).write_text(
                each.read_text() + ("\nconst n = 1 + location.hash; n.x;\n" if fails and each.name == broken else "")
            )
        (copy / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["app.js"]}))
        found = subprocess.run(
            [packages / ".bin" / "tsc", "-p", copy], capture_output=True, text=True, timeout=300, check=False
        )
        assert bool(found.returncode) == fails, found.stdout


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
