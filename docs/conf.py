"""The site: `sphinx-build docs FOLDER` makes it from the same Markdown, with Sphinx, furo and myst-parser.

The first page is the repository's README. The lists of links in README.md and results/README.md are the navigation.
Links that leave this folder lead to the repository.
"""

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import nerbert  # noqa: E402  (found by the line above)
from nerbert import about  # noqa: E402

project, release = "nerbert", about.__version__
project_copyright = "the authors of nerbert, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
html_theme, html_title, html_copy_source = "furo", "nerbert", False
html_theme_options = {"source_repository": about.HOMEPAGE, "source_branch": "main", "source_directory": "docs/"}
html_use_index, html_show_sphinx, smartquotes = False, False, False
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]
maximum_signature_line_length = 80
autodoc_member_order = "bysource"
default_role = "code"  # one backtick in docstrings, as in Markdown
autodoc_typehints_format, autodoc_preserve_defaults = "short", True
autodoc_inherit_docstrings = False

README, FIRST = HERE.parent / "README.md", HERE / "index.md"
_ALL = "\n\n```{toctree}\n:hidden:\nAll pages <README>\n```"
_LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")
_NAME = re.compile(r"^- `((nerbert\w*)\.(\w+).*)`$", re.MULTILINE)
_PAGE = re.compile(r"\[([^\]]+)\]\((?!\.\.)([^)#:\s]+)\.md[)#]")


def _leads(page: Path, link: re.Match[str], folder: Path) -> str:
    """Return a link of a page for the site, where the page lies in `folder`, or to the repository if it leaves it."""
    target = (page.parent / link[2]).resolve()
    target = FIRST if target == README else target
    if target.is_relative_to(HERE) and not target.is_dir():
        return f"{link[1]}{os.path.relpath(target, folder)}{link[3]}"
    return f"{link[1]}{about.HOMEPAGE}/blob/main/{target.relative_to(HERE.parent).as_posix()}{link[3]}"


def _navigation(text: str) -> str:
    """Return the pages that an index page links to, by its sections, as the navigation."""
    found, known = "", set[str]()
    for section in f"\n{text}".split("\n## ")[1:]:
        links = [f"{' '.join(text.split())} <{page}>" for text, page in _PAGE.findall(section) if page not in known]
        known.update(page for _, page in _PAGE.findall(section))
        if links:
            title = section.strip("# \n").partition("\n")[0]
            found += "\n\n```{toctree}\n:hidden:\n:caption: " + "\n".join([title, "", *links, "```"])
    return found


def _document(name: re.Match[str]) -> str:
    """Return the directive for a public name in the list of a page: its signature and docstring."""
    thing = getattr(import_module(name[2]), name[3])
    kind = "function" if isinstance(thing, FunctionType) else "exception" if thing is nerbert.NerbertError else "class"
    members = "   :members:\n" if kind == "class" and "(" not in name[1] else ""
    return f"```{{eval-rst}}\n.. auto{kind}:: {name[1]}\n{members}```"


def _read(app: Any, name: str, source: list[str]) -> None:
    """Read a page; the first one is the repository's README with the navigation of all pages."""
    page, more = HERE / f"{name}.md", ""
    if page == FIRST:
        page, lists = README, HERE / "README.md"
        more = _ALL + _navigation(lists.read_text(encoding="utf-8"))
        for each in (page, lists):
            app.env.note_dependency(str(each))
    elif name == "results/README":
        more = _navigation(source[0])
    text = page.read_text(encoding="utf-8")
    if name == "api":
        text = _NAME.sub(_document, text)
    source[0] = _LINK.sub(lambda link: _leads(page, link, (HERE / name).parent), text) + more


def _described(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let docstrings link to the page of settings."""
    lines[:] = [line.replace("docs/settings.md", ":doc:`settings`") for line in lines]


def setup(app: Any) -> None:
    """Let the site read pages and docstrings so."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _described)
