"""What a check of a data set found, on the terminal: counts, then advice."""

from dataclasses import asdict, dataclass

from rich.console import Console

from nerbert.data.sampling import plural
from nerbert.formats.documents import repairs_line
from nerbert.records import Repair, Repairs
from nerbert.render import render
from nerbert.render.terminal import print_json, say, table
from nerbert_bench.datasets.check import Findings
from nerbert_bench.render import TEMPLATES


@dataclass(frozen=True, slots=True)
class Advice:
    """A finding in words: its kind, its count, and its description, effect and remedy."""

    kind: str
    count: int
    text: str


def advice_on(findings: Findings) -> list[Advice]:
    """Return advice on the findings of a check, the most harmful first."""
    repairs = Repairs(findings.repairs)
    # Overlaps lose entities, so they are advised on apart from harmless repairs.
    overlaps = repairs.pop(Repair.OVERLAP, 0)
    lines = render(
        "data_advice.txt.j2",
        TEMPLATES,
        findings=findings,
        overlaps=overlaps,
        repaired=repairs.total(),
        repairs=repairs_line(repairs),
    ).splitlines()
    return [Advice(kind, int(count), text) for kind, count, text in (line.split(" ", 2) for line in lines if line)]


def print_findings(findings: Findings, *, as_json: bool) -> None:
    """Print what a check found: counts, entities by type, then advice, one per line."""
    advice = advice_on(findings)
    if as_json:
        print_json(findings.as_json() | {"advice": [asdict(line) for line in advice]})
        return
    console = Console(soft_wrap=True)
    splits = [
        (split, facts.sentences, facts.tokens, facts.entities, facts.repeated, facts.long, facts.scheme.name)
        for split, facts in findings.splits.items()
    ]
    heads = ("split", "sentences", "tokens", "entities", "repeated", f"> {findings.long_above} words", "tags")
    title = f"{findings.name} ({findings.folder})"
    console.print(table(heads, splits, numbers=range(1, 6), title=title), "")
    names = dict.fromkeys(name for facts in findings.splits.values() for name in facts.types)
    types = [(name, *(facts.types.get(name, 0) for facts in findings.splits.values())) for name in names]
    title = f"{plural(len(names), 'type')}, entities of each"
    console.print(table(("type", *findings.splits), types, numbers=range(1, 4), title=title), "")
    say(console, "data", TEMPLATES, findings=findings, advice=advice)
