"""Data sets on the terminal or as JSON: what there is, what was found in one, what was drawn."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nerbert.evaluation.datasets.check import LONG, RARE, Findings
from nerbert.evaluation.datasets.duplicates import AT_LEAST
from nerbert.evaluation.datasets.listing import Listed
from nerbert.finetuning.sampling import Subset
from nerbert.finetuning.sizes import SizeUnit, many
from nerbert.formats.folder import SPLITS
from nerbert.terminal import plain

_SHOWN, _LONGEST = 3, 60
_NARROW = ("name", "paper", "train/dev/test")


def print_list(listed: Sequence[Listed], *, as_json: bool) -> None:
    """Print the data sets, a row each."""
    if as_json:
        _print_json([each.as_json() for each in listed])
        return
    looked = any(each.there for each in listed)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "paper", "train/dev/test", "types", "licence", *(["there"] if looked else [])):
        table.add_column(heading, justify="right" if heading == "types" else "left", no_wrap=heading in _NARROW)
    for each in listed:
        table.add_row(*_cells(each), *([plain(each.there)] if looked else []))
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(
        "paper: its name in NER-BERT's tables, with * where the split isn't quite the paper's (nerbert data check)"
    )


def _cells(listed: Listed) -> list[Text]:
    """A row: the title stands below the name."""
    known = listed.known
    if known is None:
        return [plain(listed.name), *(Text() for _ in range(4))]
    paper = known.paper_name or ("source" if known.source_domain else "")
    sentences = "/".join(f"{known.splits[split].sentences}" for split in SPLITS)
    mark = "*" if paper and not known.fits else ""
    name = Text.assemble(plain(known.name), "\n", (known.title, "dim"))
    return [name, *map(plain, (f"{paper}{mark}", sentences, len(known.types), known.licence))]


def print_findings(findings: Findings, *, as_json: bool) -> None:
    """Print what a check found: counts, entities by type, then what to know of, a line each."""
    if as_json:
        _print_json(findings.as_json())
        return
    console = Console(soft_wrap=True)
    console.print(_splits(findings))
    console.print(_types(findings))
    for name, told in _lines(findings):
        console.print(Text.assemble((f"{name}: ", "bold"), plain(told)))


def _splits(findings: Findings) -> Table:
    table = Table("split", title=plain(f"{findings.data.name} ({findings.data.folder})"), title_justify="left")
    for heading in ("sentences", "tokens", "entities", "repeated", f"> {LONG} words"):
        table.add_column(heading, justify="right")
    table.add_column("tags")
    for split, facts in findings.splits.items():
        counts = (facts.sentences, facts.tokens, facts.entities, facts.repeated, facts.long)
        table.add_row(split, *(f"{count:,}" for count in counts), facts.scheme.name)
    return table


def _types(findings: Findings) -> Table:
    counts = {split: facts.types for split, facts in findings.splits.items()}
    names = list(dict.fromkeys(name for types in counts.values() for name in types))
    table = Table("type", title=plain(f"{many(len(names), 'type')}, entities of each"), title_justify="left")
    for split in counts:
        table.add_column(split, justify="right")
    for name in names:
        table.add_row(plain(name), *(f"{types.get(name, 0):,}" for types in counts.values()))
    return table


def _lines(findings: Findings) -> Iterator[tuple[str, str]]:
    """What to know of a data set, (heading, text) each."""
    known = findings.data.known
    if known is not None:
        yield "files", f"those of the known {known.name} ({known.title}), to the byte"
        yield "split", known.split
        yield "licence", " – ".join(filter(None, (known.licence, known.licence_note)))
    else:
        yield "files", "; ".join(findings.data.notes) or "of no data set that nerbert knows"
    yield from _faults(findings)


def _faults(findings: Findings) -> Iterator[tuple[str, str]]:
    """What may spoil scores, (heading, text) each."""
    lacking = "; ".join(f"{split}: {_counts(types)}" for split, types in findings.lacking.items())
    yield "types that train lacks", lacking or "none"
    yield f"types with fewer than {RARE} entities in train", _counts(findings.rare) or "none"
    twins = ", ".join(f"{count:,} of {pair.partition('/')[2]} in {pair.partition('/')[0]}" for pair, count in
                      findings.twins.items())  # fmt: skip
    yield f"sentences of {AT_LEAST} or more tokens that stand in another part", twins or "none"
    yield "equal sentences with different tags", _conflicts(findings)
    for split, facts in findings.splits.items():
        if facts.scheme.broken:
            yield f"I- tags in {split} that continue nothing", (f"{facts.scheme.broken:,}, first at line "
                  f"{facts.scheme.first_broken}; each is read as an entity's beginning")  # fmt: skip
    if len(set(findings.schemes.values())) > 1:
        yield "tag schemes differ", ", ".join(f"{split} {name}" for split, name in findings.schemes.items())


def _conflicts(findings: Findings) -> str:
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
    drawn = many(len(subset.places), "sentence")
    table = Table("type", title=plain(f"size {subset.size}, draw {subset.draw}: {drawn}"))
    for heading in ("drawn", "there"):
        table.add_column(heading, justify="right")
    for name, count in subset.reached.items():
        table.add_row(plain(name), f"{count:,}", f"{subset.there[name]:,}")
    console.print(table)
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
