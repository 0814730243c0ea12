"""Compare the passages that were marked a second time, blind, with the first marks.

`python sources/open_types/agreement.py draw FOLDER` writes the passages of the draw without their marks, a file a
domain with its header; a second annotator marks them. `… score` compares `second/` with `passages/`: a mention agrees
if its span is the same, a type if it is the same one too, or, loosely, if it is broader or narrower than the other.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from pathlib import Path

from domains import Domain, path_of, read_domain, read_domains
from nerbert.errors import InputError
from nerbert.formats.marked import write_marks
from nerbert.metrics.score import Counts
from nerbert.records import Document, Span
from nerbert.rng import uniform

SECOND = Path(__file__).with_name("second")
SEED = 20261122
DRAWN = {1: 400, 2: 600}
"""Passages that are marked twice, of those that came with each version of the English set."""
LANGUAGES_DRAWN = "ar da de es fi fr hi ja ko pl pt ru tr zh".split()
DRAWN_OF_LANGUAGE = 30
"""Other languages of which passages are marked twice, and how many of each."""


@dataclass
class Agreement:
    """Counts of a domain: marks of the first and the second annotator, equal spans, and of these equal types."""

    first: int = 0
    second: int = 0
    spans: int = 0
    types: int = 0
    related: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def mention_f1(self) -> float:
        """Exact F1 of spans; 1 where nobody marked anything."""
        return Counts(self.spans, self.second, self.first).f1 if self.first + self.second else 1.0

    @property
    def type_agreement(self) -> float:
        """Share of equal spans with equal types."""
        return self.types / self.spans if self.spans else 1.0

    def add(self, other: "Agreement") -> None:
        """Add the counts of another one."""
        for name in ("first", "second", "spans", "types", "related"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def draw(domains: Sequence[Domain]) -> dict[str, list[Document]]:
    """Draw the passages that are marked twice, by the hash of their texts; return them by domain."""
    drawn = set[str]()
    parts = [([each for each in domains if each.version == version], count) for version, count in DRAWN.items()]
    parts += [
        ([each for each in domains if each.language == language], DRAWN_OF_LANGUAGE) for language in LANGUAGES_DRAWN
    ]
    for part, count in parts:
        texts = (passage.text for domain in part for passage in domain.passages)
        drawn.update(nsmallest(count, texts, key=lambda text: uniform(SEED, "marked twice", text)))
    found = {each.name: [passage for passage in each.passages if passage.text in drawn] for each in domains}
    return {name: passages for name, passages in found.items() if passages}


def compare(domain: Domain, second: Sequence[Document]) -> Agreement:
    """Compare second marks with the first ones of the same texts."""
    firsts = {each.text: each for each in domain.passages}
    found = Agreement()
    for other in second:
        if other.text not in firsts:
            raise InputError(f"{SECOND / domain.name}.marked:{other.line}: no passage has this text")
        first = firsts[other.text]
        ours, theirs = _by_place(first.spans), _by_place(other.spans)
        found.first, found.second = found.first + len(ours), found.second + len(theirs)
        for place, span in theirs.items():
            if place in ours:
                found.spans += 1
                found.types += ours[place].type == span.type
                pair = domain.broader(ours[place].type), domain.broader(span.type)
                found.related += ours[place].type in pair[1] or span.type in pair[0]
        found.differences += _differences(first, ours, theirs)
    return found


def _by_place(spans: Sequence[Span]) -> dict[tuple[int, int], Span]:
    return {(each.start, each.end): each for each in spans}


def _differences(
    first: Document, ours: dict[tuple[int, int], Span], theirs: dict[tuple[int, int], Span]
) -> Iterator[str]:
    for place in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(place), theirs.get(place)
        if here is None or there is None or here.type != there.type:
            text = first.text[place[0] : place[1]]
            yield f"{first.line}: {text!r}: {here.type if here else '–'} / {there.type if there else '–'}"


def header_of(name: str) -> str:
    """Return the header of a domain's file."""
    lines = path_of(name).read_text(encoding="utf-8-sig").splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith("# "))


def scores() -> dict[str, Agreement]:
    """Return the agreement of each domain that has second marks."""
    return {
        path.stem: compare(read_domain(path_of(path.stem)), read_domain(path).passages)
        for path in sorted(SECOND.glob("*.marked"))
    }


def _write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, passages in draw(list(read_domains())).items():
        bare = "".join(write_marks(Document(each.text)) + "\n" for each in passages)
        (folder / f"{name}.marked").write_text(f"{header_of(name)}\n{bare}", encoding="utf-8")


def total_of(found: dict[str, Agreement], version: int) -> Agreement:
    """Return the agreement over the domains that came with a version."""
    total = Agreement()
    for name, each in found.items():
        if read_domain(path_of(name)).version == version:
            total.add(each)
    return total


def _tell(found: dict[str, Agreement]) -> None:
    pairs = Counter[str]()
    for name, each in sorted(found.items(), key=lambda item: item[1].mention_f1):
        print(f"{name}\tmentions {each.mention_f1:.2f}\ttypes {each.type_agreement:.2f}")  # noqa: T201
        for line in each.differences:
            print(f"    {line}")  # noqa: T201
            pairs[line.rsplit(": ", 1)[1]] += 1
    for pair, count in pairs.most_common(20):
        print(f"{count} times {pair}")  # noqa: T201
    for version in (*DRAWN, 3):
        total = total_of(found, version)
        print(  # noqa: T201
            f"version {version}: {total.first} first, {total.second} second marks: mention F1 {total.mention_f1:.3f}, "
            f"type agreement {total.type_agreement:.3f}, broader and narrower ones too "
            f"{total.related / max(1, total.spans):.3f}"
        )


def main() -> None:
    """Write the draw, or print the agreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("draw", "score"))
    parser.add_argument("folder", nargs="?", type=Path)
    given = parser.parse_args()
    if given.what == "score":
        _tell(scores())
    elif given.folder is None:
        sys.exit("name the folder to write")
    else:
        _write(given.folder)


if __name__ == "__main__":
    main()
