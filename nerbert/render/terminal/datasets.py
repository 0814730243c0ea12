"""Data sets on the terminal or as JSON: the list, the findings of a check, a drawn sample."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from nerbert.finetuning.sampling import Subset
from nerbert.finetuning.sizes import SizeUnit, many
from nerbert.formats.folder import SPLITS
from nerbert.render.terminal import table
from nerbert.terminal import plain

if TYPE_CHECKING:
    from nerbert.evaluation.datasets.check import Findings
    from nerbert.evaluation.datasets.load import Listed

_SHOWN, _LONGEST = 3, 60


def print_list(listed: Sequence["Listed"], *, as_json: bool) -> None:
    """Print the data sets, a row each."""
    if as_json:
        _print_json([each.as_json() for each in listed])
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
        _print_json(findings.as_json())
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
    for name, told in _lines(findings):
        console.print(Text.assemble((f"{name}: ", "bold"), plain(told)))


def _lines(findings: "Findings") -> Iterator[tuple[str, str]]:
    """Yield (heading, text) of what to know of a data set."""
    known = findings.data.known
    if known is not None:
        yield "files", f"those of the known {known.name} ({known.title}), to the byte"
        yield "split", known.split
        yield "licence", " – ".join(filter(None, (known.licence, known.licence_note)))
    else:
        yield "files", "; ".join(findings.data.notes) or "of no data set that nerbert knows"
    yield from _faults(findings)


def _faults(findings: "Findings") -> Iterator[tuple[str, str]]:
    """Yield (heading, text) of what may spoil scores."""
    lacking = "; ".join(f"{split}: {_counts(types)}" for split, types in findings.lacking.items())
    if "train" in findings.splits:
        yield "types that train lacks", lacking or "none"
        yield f"types with fewer than {findings.rare_below} entities in train", _counts(findings.rare) or "none"
    duplicates = ", ".join(f"{count:,} of {pair.partition('/')[2]} in {pair.partition('/')[0]}" for pair, count in
                      findings.duplicates.items())  # fmt: skip
    yield f"sentences of {findings.duplicates_at_least} or more tokens that are in another part", duplicates or "none"
    yield "equal sentences with different tags", _conflicts(findings)
    for split, facts in findings.splits.items():
        if facts.scheme.broken:
            yield f"I- tags in {split} that continue nothing", (f"{facts.scheme.broken:,}, first at line "
                  f"{facts.scheme.first_broken}; each is read as an entity's beginning")  # fmt: skip
    if len(set(findings.schemes.values())) > 1:
        yield "tag schemes differ", ", ".join(f"{split} {name}" for split, name in findings.schemes.items())


def _conflicts(findings: "Findings") -> str:
    if not findings.conflicts:
        return "none"
    told = []
    for each in findings.conflict_examples[:_SHOWN]:
        text = each.text if len(each.text) <= _LONGEST else f"{each.text[: _LONGEST - 1]}…"
        places = ", ".join(f"{split} {place}" for split, place in each.places[:_SHOWN])
        told.append(f"“{text}” ({places}{', …' if len(each.places) > _SHOWN else ''})")
    return f"{findings.conflicts:,}, such as {'; '.join(told)}"


def print_sample(subset: Subset, output: Path) -> None:
    """Print what was drawn: sentences, entities by type, and which types fall short of k."""
    console = Console(soft_wrap=True)
    rows = [(name, count, subset.there[name]) for name, count in subset.reached.items()]
    title = f"size {subset.size}, draw {subset.draw}: {many(len(subset.places), 'sentence')}"
    console.print(table(("type", "drawn", "there"), rows, numbers=(1, 2), title=title))
    if subset.size.kind is SizeUnit.EACH:
        fewest, most = min(subset.reached.values(), default=0), max(subset.reached.values(), default=0)
        console.print(
            f"k reached: {fewest:,} to {many(most, 'entity', 'entities')} a type, {subset.size.shots:,} asked for"
        )
    if subset.short:
        console.print(plain(f"the whole has no more than: {_counts(subset.short)}"))
    console.print(plain(f"sample: {output}"))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _print_json(value: Any) -> None:
    """Print JSON in ASCII, so that nothing in it drives the terminal."""
    print(json.dumps(value, indent=2))
