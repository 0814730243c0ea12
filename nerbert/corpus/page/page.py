"""The page: one file, no request, readable without script; a policy in it forbids the browser everything else.

Style and script stand inside and are named by their digest in the policy, so that markup that would ever slip in from a
text could not run. The price: no inline styles, widths are attributes of SVG.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

from nerbert.corpus.page import sections
from nerbert.corpus.page.html import Markup, tag
from nerbert.corpus.page.overview import make_overview
from nerbert.files import check_free_file, publish

_HERE = Path(__file__).parent
_LINKS = {
    "size": "size", "topics": "topics", "categories": "categories", "sentences": "sentences", "funnel": "funnel",
    "knowledge": "types", "gaps": "gaps", "dropped": "dropped", "making": "making",
}  # fmt: skip


def write_page(corpus: Path, output: Path, *, overwrite: bool = False) -> None:
    """Write the page of a corpus as one HTML file."""
    check_free_file(output, overwrite=overwrite)
    text = page_of(make_overview(corpus))
    with publish(output) as partial:
        partial.write_text(text, encoding="utf-8")


def page_of(overview: dict[str, Any]) -> str:
    """The page as text."""
    style, script = (_inside(name) for name in ("page.css", "page.js"))
    body = [
        sections.sizes(overview), sections.contents(overview), sections.categories(overview),
        sections.sentences(overview), sections.funnel(overview), sections.knowledge(overview),
        sections.gaps(overview), sections.dropped(overview), sections.making(overview),
    ]  # fmt: skip
    shown = "".join(part for part in body if part)
    links = [tag("a", title, href=f"#{name}") for name, title in _LINKS.items() if f'id="{name}"' in shown]
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    top = tag(
        "head",
        tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"), tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"), tag("title", f"{overview['wiki']}: a silver NER corpus"),
        tag("style", style),
    )  # fmt: skip
    main = tag("main", sections.head(overview), tag("nav", links, aria_label="sections"), Markup(shown))
    whole = tag("html", top, tag("body", main, tag("script", script)), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _inside(name: str) -> Markup:
    """A file of this folder, as it goes into the page."""
    return Markup((_HERE / name).read_text(encoding="utf-8"))


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
