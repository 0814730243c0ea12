"""How well the scanner agrees with the oracle of tests/corpus/oracle.py, as Markdown for docs/results.

`python benchmarks/agreement.py FOLDER [--languages en de it] [--worst 50]`; FOLDER holds the samples. Prints agreement
by language, then the pages with most faults, each with what kind of faults they are and with the templates that stand
beside the faulty links in the source, most frequent first: a hint at the cause. What was found by reading a page stands
in agreement-notes.json and takes the hint's place. The last line is the same as JSON.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from report import commit, digest, installed

from nerbert.corpus.wikitext.scan import SCANNER, clean_page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "corpus"))
_TEMPLATE = re.compile(r"\{\{\s*([^{}|<>\n]{1,30})")
_NEAR = 150


@dataclass(frozen=True, slots=True)
class Row:
    """A page with faults: `moved` links differ in place or anchor only."""

    title: str
    both: int
    moved: int
    ours: int
    theirs: int
    beside: str
    example: str

    @property
    def faults(self) -> int:
        """Links that one side lacks, a moved one counted on both."""
        return 2 * self.moved + self.ours + self.theirs


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--languages", nargs="+", default=["en", "de", "it"])
    parser.add_argument("--worst", type=int, default=50)
    parser.add_argument("--notes", type=Path, default=Path(__file__).with_name("agreement-notes.json"))
    options = parser.parse_args()
    notes = json.loads(options.notes.read_text())
    found = {language: compare(options.folder, language) for language in options.languages}
    print("| language | pages | perfect | links in both | only ours | only the oracle's | precision | recall | F |")
    print("|---|---|---|---|---|---|---|---|---|")
    for language, (summary, _) in found.items():
        print(f"| {language} | " + " | ".join(str(each) for each in summary.values()) + " |")
    for language, (_, rows) in found.items():
        print(f"\n## {language}: the {min(options.worst, len(rows))} worst of {len(rows)} pages with a fault\n")
        print(worst(rows[: options.worst], notes.get(language, {})))
    around = {"scanner": SCANNER, "commit": commit(), "mwparserfromhell": installed("mwparserfromhell")}
    samples = {path.name: digest(path) for path in sorted(options.folder.glob("*.xml.bz2"))}
    details = {language: [summary, [asdict(row) for row in rows]] for language, (summary, rows) in found.items()}
    print("\n" + json.dumps({**around, "sha256": samples, "found": details}, ensure_ascii=False))


def compare(folder: Path, language: str) -> tuple[dict[str, Any], list[Row]]:
    """Sums over all articles of a language, and the pages with faults, worst first."""
    from oracle import Agreement, agreement, article_pages, oracle_links, scanner_links

    total, rows, pages = Agreement(), [], 0
    for site, page in article_pages(folder, language):
        clean = clean_page(page.title, page.text, site)
        ours = scanner_links(clean.text, clean.links)
        result = agreement(ours, oracle_links(page.title, page.text, site))
        total.add(result)
        pages += 1
        if result.faults:
            rows.append(_row(page.title, page.text, result))
    precision, recall, f1 = (f"{100 * score:.2f} %" for score in total.scores())
    rows.sort(key=lambda row: -row.faults)
    extra, missing = total.extra.total(), total.missing.total()
    summary = {"pages": pages, "perfect": pages - len(rows), "both": total.both, "extra": extra, "missing": missing}
    return {**summary, "precision": precision, "recall": recall, "f1": f1}, rows


def _row(title: str, source: str, result: Any) -> Row:
    extra, missing = (Counter(link[0] for link in links.elements()) for links in (result.extra, result.missing))
    moved = (extra & missing).total()
    faults = [*result.extra, *result.missing]
    beside = ", ".join(f"{{{{{name}}}}}" for name, _ in _beside(faults, source).most_common(3))
    example = min((link[1] for link in faults), key=len)[:30]
    return Row(title, result.both, moved, extra.total() - moved, missing.total() - moved, beside, example)


def _beside(faults: Iterable[tuple[str, str, Any]], source: str) -> Counter[str]:
    """Names of the templates that stand near the faulty links, each counted once a link."""
    names: Counter[str] = Counter()
    for target, anchor, _ in faults:
        places = [match.start() for match in re.finditer(re.escape(anchor), source)][:1]
        places = places or [max(source.find(target), 0)]
        for place in places:
            near = source[max(place - _NEAR, 0) : place + _NEAR]
            names.update({name.strip().lower() for name in _TEMPLATE.findall(near)})
    return names


def worst(rows: Sequence[Row], notes: Mapping[str, str]) -> str:
    """Markdown table of pages; `notes` say what was found by reading a page."""
    lines = [
        "| page | faults | in both | moved | only ours | only the oracle's | for instance | why, as read |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {_cell(row.title)} | {row.faults} | {row.both} | {row.moved} | {row.ours} | {row.theirs} | "
            f"{_cell(row.example)} | {_cell(notes.get(row.title) or f'not read; beside {row.beside}')} |"
        )
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
