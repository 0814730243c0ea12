"""Data sets on the terminal or as JSON: the list, the findings of a check, a drawn sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from nerbert.finetuning.sampling import Subset
from nerbert.finetuning.sizes import SizeUnit, many
from nerbert.formats.folder import SPLITS
from nerbert.render.terminal import print_json, say, table

if TYPE_CHECKING:
    from nerbert.evaluation.datasets.check import Findings
    from nerbert.evaluation.datasets.load import Listed


def print_list(listed: Sequence["Listed"], *, as_json: bool) -> None:
    """Print the data sets, a row each."""
    if as_json:
        print_json([each.as_json() for each in listed])
        return
    looked = any(each.there for each in listed)
    heads = ("name", "paper", "train/dev/test", "types", "licence", "there" if looked else "title")
    rows = [[*_cells(each), each.there if looked else each.known and each.known.title] for each in listed]
    shown = table(heads, rows, numbers=(3,))
    for column in shown.columns[:3]:
        column.no_wrap = True  # a name is there to be copied
    console = Console(soft_wrap=True)
    console.print(shown)
    console.print(
        "paper: its name in NER-BERT's tables, with * where the split isn't quite the paper's (nerbert data check)"
    )


def _cells(listed: "Listed") -> list[object]:
    known = listed.known
    if known is None:
        return [listed.name, "", "", "", ""]
    paper = known.paper_name or ("source" if known.source_domain else "")
    sentences = "/".join(f"{known.splits[split].sentences}" for split in SPLITS)
    mark = "*" if paper and not known.fits else ""
    return [known.name, f"{paper}{mark}", sentences, len(known.types), known.licence]


def print_findings(findings: "Findings", *, as_json: bool) -> None:
    """Print what a check found: counts, entities by type, then what to know of, a line each."""
    if as_json:
        print_json(findings.as_json())
        return
    console = Console(soft_wrap=True)
    splits = [
        (split, facts.sentences, facts.tokens, facts.entities, facts.repeated, facts.long, facts.scheme.name)
        for split, facts in findings.splits.items()
    ]
    heads = ("split", "sentences", "tokens", "entities", "repeated", f"> {findings.long_above} words", "tags")
    title = f"{findings.data.name} ({findings.data.folder})"
    console.print(table(heads, splits, numbers=range(1, 6), title=title), "")
    names = dict.fromkeys(name for facts in findings.splits.values() for name in facts.types)
    types = [(name, *(facts.types.get(name, 0) for facts in findings.splits.values())) for name in names]
    title = f"{many(len(names), 'type')}, entities of each"
    console.print(table(("type", *findings.splits), types, numbers=range(1, 4), title=title), "")
    say(console, "data", findings=findings)


def print_sample(subset: Subset, output: Path) -> None:
    """Print what was drawn: sentences, entities by type, and which types fall short of k."""
    console = Console(soft_wrap=True)
    rows = [(name, count, subset.there[name]) for name, count in subset.reached.items()]
    title = f"size {subset.size}, draw {subset.draw}: {many(len(subset.places), 'sentence')}"
    console.print(table(("type", "drawn", "there"), rows, numbers=(1, 2), title=title))
    asked = subset.size.shots if subset.size.kind is SizeUnit.EACH else 0
    say(console, "sample", subset=subset, output=output, asked=asked, many=many)
