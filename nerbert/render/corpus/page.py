"""The page: one file, no request, readable without script."""

from pathlib import Path
from typing import Any

from nerbert.artifacts import check_free_file, publish
from nerbert.render.corpus import sections
from nerbert.render.corpus.overview import make_overview
from nerbert.render.markup import Markup, document, tag

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
    body = [
        sections.sizes(overview), sections.contents(overview), sections.categories(overview),
        sections.sentences(overview), sections.funnel(overview), sections.knowledge(overview),
        sections.gaps(overview), sections.dropped(overview), sections.making(overview),
    ]  # fmt: skip
    shown = "".join(part for part in body if part)
    links = [tag("a", title, href=f"#{name}") for name, title in _LINKS.items() if f'id="{name}"' in shown]
    main = tag("main", sections.head(overview), tag("nav", links, aria_label="sections"), Markup(shown))
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return document(f"{overview['wiki']}: a silver NER corpus", main, style=style(), script=script)


def style() -> str:
    """The style sheet, which the tour's page has too."""
    return (_HERE / "page.css").read_text(encoding="utf-8")
