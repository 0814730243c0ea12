"""The site: `sphinx-build docs FOLDER` makes it from the same Markdown, with Sphinx, furo and myst-parser.

The pages' own lists of links are the navigation. Links that leave this folder lead to the repository.
"""

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import nerbert  # noqa: E402  (found by the line above)

project, release = "nerbert", nerbert.__version__
project_copyright = "the authors of nerbert, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "README"
html_theme, html_title, html_copy_source = "furo", "nerbert", False
html_theme_options = {"source_repository": nerbert.HOMEPAGE, "source_branch": "main", "source_directory": "docs/"}
html_use_index, html_show_sphinx = False, False
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False

_LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")
_PAGE = re.compile(r"\]\((?!\.\.)([^)#:\s]+)\.md[)#]")


def _leads(page: Path, link: re.Match[str]) -> str:
    """Return a link of a page as it is, or to the repository if it leaves the site."""
    target = (page.parent / link[2]).resolve()
    if target.is_relative_to(HERE) and not target.is_dir():
        return link[0]
    return f"{link[1]}{nerbert.HOMEPAGE}/blob/main/{target.relative_to(HERE.parent).as_posix()}{link[3]}"


def _navigation(page: Path, text: str) -> str:
    """Return the pages that an index page links to, by its sections, as the navigation."""
    if page.name != "README.md":
        return ""
    found, known = "", set[str]()
    for section in f"\n{text}".split("\n## "):
        links = [each for each in dict.fromkeys(_PAGE.findall(section)) if each not in known]
        known.update(links)
        if links:
            title = section.strip("# \n").partition("\n")[0]
            found += "\n\n```{toctree}\n:hidden:\n:caption: " + "\n".join([title, "", *links, "```"])
    return found


def _read(app: Any, name: str, source: list[str]) -> None:
    page = HERE / f"{name}.md"
    text = source[0]
    source[0] = _LINK.sub(lambda link: _leads(page, link), text) + _navigation(page, text)


def setup(app: Any) -> None:
    """Let the site read pages so."""
    app.connect("source-read", _read)
