"""What a page says, for tests: its text and tables, whatever its markup. And what every page must hold to."""

import re
from typing import Any

from lxml import html


def text_of(page: str) -> str:
    """Return the text that a reader sees, with single spaces."""
    root = _parsed(page)
    for hidden in root.xpath("//style | //script | //title"):
        hidden.drop_tree()
    return " ".join(" ".join(root.itertext()).split())


def tables_of(page: str) -> list[list[list[str]]]:
    """Return the cells of each table, row by row, heads first."""
    return [
        [[" ".join(cell.text_content().split()) for cell in row.xpath("./th | ./td")] for row in table.xpath(".//tr")]
        for table in _parsed(page).xpath("//table")
    ]


def markdown_tables_of(card: str) -> list[list[list[str]]]:
    """Return the cells of each Markdown table, row by row, heads first."""
    tables: list[list[list[str]]] = []
    before = ""
    for line in card.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                tables.append([])
            if not set(line) <= set("|-: "):
                tables[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))])
        before = line
    return tables


def front_of(card: str) -> Any:
    """Return a card's front matter as the hub reads it."""
    from huggingface_hub import ModelCard

    return ModelCard(card).data


def section(card: str, name: str) -> str:
    """Return the text below a heading of the second level."""
    return card.split(f"\n## {name}\n")[1].split("\n## ")[0]


def said(text: str) -> str:
    """Return the text on one line."""
    return " ".join(text.split())


def check_harmless(page: str) -> None:
    """Raise AssertionError for a page that asks for something, or that runs what its policy doesn't name."""
    root = _parsed(page)
    policy = root.xpath("string(//meta[@http-equiv='Content-Security-Policy']/@content)")
    assert "default-src 'none'" in policy
    assert not root.xpath("//@onclick | //@onload | //@onerror | //@style | //iframe | //object | //embed | //img")
    assert all(link.get("href") == "data:," for link in root.xpath("//link"))
    assert not [source for source in root.xpath("//@src") if not source.startswith("data:")]


def _parsed(page: str) -> Any:
    return html.document_fromstring(page)
