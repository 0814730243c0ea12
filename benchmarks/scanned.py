"""What two versions of the wikitext scanner make of the same pages: words, mentions and templates without text.

`python benchmarks/scanned.py scan DUMP… > OUT.jsonl`, once in each checkout, then
`python benchmarks/scanned.py compare BEFORE.jsonl AFTER.jsonl [--changes] [--silent] > TABLE.csv`

A template is silent if it has an unnamed value and text before and after it in a paragraph, and none of its own, when
it is scanned alone between two words. Most are right, such as doubts and flags: `--silent` lists them by name, for a
reader. Words are compared page by page, in order; a mention is its text and its target.
"""

import argparse
import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.sites import Site
from nerbert.corpus.page_rows import drop_reason
from nerbert.corpus.wikitext.scan import scan_page

REMOVED = re.compile(r"<!--.*?-->|<ref[^<>]*/>|<ref.*?</ref\s*>|^[ \t]*[|!*#:;{=][^\n]*", re.S | re.M)
PARAGRAPH = re.compile(r"^(?!\{\{)[\w\"'\[「«„“].*\{\{.*$", re.M)
TEMPLATE = re.compile(r"(?<=[\w,.)\]'] )\{\{([^{}|]+)\|([^{}]*)\}\}(?=[ ,.;:)]*[\w\[(])")
DENSE = re.compile(r"(?<=[\w\]、。」）])\{\{([^{}|]+)\|([^{}]*)\}\}(?=[\w\[、。（「])")
"""In languages without blanks."""
REMAINS = re.compile(
    r"\([\s,;،؛、，]*\)|（[\s,;、，]*）|「」|『』|《》|''|\]\]|\[\[|\}\}|(?<=\w) [.,،、。](?=\s|$)|, ,"
)
WORD = re.compile(r"\w+|[^\w\s]")
CHANGES = ("words lost", "words gained", "mentions lost", "mentions gained")


def main() -> None:
    """Scan, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scan", "compare"])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--changes", action="store_true", help="each change instead of the table")
    parser.add_argument("--silent", action="store_true", help="silent templates instead of the table")
    options = parser.parse_args()
    if options.what == "scan":
        for path in options.files:
            for row in scan(path):
                print(json.dumps(row, ensure_ascii=False))
        return
    before, after = ([json.loads(line) for line in path.open(encoding="utf-8")] for path in options.files)
    write = write_changes if options.changes else write_silent if options.silent else write_table
    write(before, after)


def scan(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each article of a dump."""
    dump = Dump(path)
    for page in dump.pages():
        ns = page.ns if page.ns is not None else dump.site.namespace(page.title)
        if drop_reason(page, ns) is not None:
            continue
        clean = scan_page(page.title, page.text, dump.site)
        spans = zip(clean.starts, clean.ends, clean.targets, strict=True)
        mentions = [f"{clean.text[start:end]}→{target}" for start, end, target in spans]
        silent, templates = silent_templates(page.text, dump.site)
        facts = {"wiki": dump.site.wiki, "title": page.title, "text": clean.text, "mentions": mentions}
        yield facts | {"templates": templates, "silent": silent}


def silent_templates(source: str, site: Site) -> tuple[list[str], int]:
    """Return the templates inside paragraphs that have a value but no text, and how many have a value."""
    silent = []
    count = 0
    for paragraph in PARAGRAPH.findall(REMOVED.sub("", source)):
        for template in (*TEMPLATE.finditer(paragraph), *DENSE.finditer(paragraph)):
            if all("=" in value or not value.strip() for value in template[2].split("|")):
                continue
            count += 1
            if scan_page("Title", f"Aa {template.group()} bb.", site).text in ("Aa bb.", "Aabb."):
                silent.append(template.group())
    return silent, count


def count(old: dict[str, Any], new: dict[str, Any]) -> Counter[str]:
    """Return what the table says of a page."""
    counts = Counter(pages=1, words=len(WORD.findall(old["text"])), mentions=len(old["mentions"]))
    counts["templates"] = old["templates"]
    for name, row in (("before", old), ("after", new)):
        counts[f"silent {name}"] = len(row["silent"])
        counts[f"remains {name}"] = len(REMAINS.findall(row["text"]))
        counts[f"empty {name}"] = int(not row["text"])
    counts.update(dict.fromkeys(CHANGES, 0))
    for kind, text, _ in list_changes(old, new):
        counts[kind] += len(WORD.findall(text)) if kind.startswith("words") else 1
    return counts


def write_table(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """Print a row for each wiki."""
    totals: dict[str, Counter[str]] = {}
    for old, new in zip(before, after, strict=True):
        totals.setdefault(old["wiki"], Counter()).update(count(old, new))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["wiki", *next(iter(totals.values()))])
    table.writerows([wiki, *counts.values()] for wiki, counts in totals.items())


def write_changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """Print each change of words, with what is before it, and of mentions."""
    for old, new in zip(before, after, strict=True):
        for change in list_changes(old, new):
            print(old["wiki"], old["title"], *change, sep="\t")


def write_silent(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """Print the silent templates of the two."""
    for name, rows in (("before", before), ("after", after)):
        found = Counter((row["wiki"], text) for row in rows for text in row["silent"])
        for (wiki, text), number in sorted(found.items()):
            print(name, wiki, number, text, sep="\t")


def list_changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each change: its kind, its text, and the words before it."""
    first, second = (row["text"].split("\n") for row in (old, new))
    for kind, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind != "equal":
            yield from _compare_words(WORD.findall("\n".join(first[a:b])), WORD.findall("\n".join(second[c:d])))
    had, has = (Counter[str](row["mentions"]) for row in (old, new))
    for kind, mentions in zip(CHANGES[2:], (had - has, has - had), strict=True):
        for mention in mentions.elements():
            yield kind, mention, ""


def _compare_words(first: list[str], second: list[str]) -> Iterator[tuple[str, str, str]]:
    for kind, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind != "equal":
            around = " ".join(second[max(c - 6, 0) : c])
            yield from (
                (change, " ".join(words), around)
                for change, words in zip(CHANGES[:2], (first[a:b], second[c:d]), strict=True)
                if words
            )


if __name__ == "__main__":
    main()
