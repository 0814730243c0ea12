"""What to do about the findings of a check: a sentence each, the most harmful first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nerbert.formats.documents import repairs_line
from nerbert.records import Repair, Repairs

if TYPE_CHECKING:
    from nerbert.evaluation.datasets.check import Findings

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """A finding in words: its kind, how often it was found, and what it is, does, and asks for."""

    kind: str
    count: int
    text: str


def advice_on(findings: "Findings") -> list[Advice]:
    """Return what is to be done, the most harmful first."""
    parts = (_on_splits, _on_types, _on_mentions, _on_the_rest)
    return [each for part in parts for each in part(findings)]


def _on_splits(findings: "Findings") -> Iterator[Advice]:
    """Yield what makes scores wrong."""
    for split, facts in findings.splits.items():
        if not facts.entities:
            yield Advice("no_entity", 0, f"{split} holds no entity: is this the annotated file? export it again")
    if findings.conflicts:
        such = "; ".join(
            f"“{_short(each.text)}” ({_first(each.lines)})" for each in findings.conflict_examples[:_SHOWN]
        )
        yield Advice(
            "conflicts", findings.conflicts,
            f"equal sentences with different labels: {findings.conflicts:,}, such as {such}. No tagger can have all of "
            "them right; label them alike, or delete all but one",
        )  # fmt: skip
    for pair, count in findings.duplicates.items():
        first, second = pair.split("/")
        if count:
            yield Advice(
                f"in_{first}_and_{second}", count,
                f"sentences of {findings.duplicates_at_least} or more words of {second} that are in {first} too: "
                f"{count:,}. What is learnt by heart counts as found; delete them from {first}",
            )  # fmt: skip


def _on_types(findings: "Findings") -> Iterator[Advice]:
    """Yield what is amiss with types."""
    for split, types in findings.lacking.items():
        yield Advice(
            "lacking", len(types),
            f"types of {split} that train lacks: {_counts(types)}. They can't be learnt, so all of them count as "
            "missed; add sentences with them to train, or give them a type that train has",
        )  # fmt: skip
    if findings.similar_types:
        such = "; ".join(" and ".join(each) for each in findings.similar_types[:_SHOWN])
        yield Advice(
            "similar_types", len(findings.similar_types),
            f"types whose names differ in case, plural or hyphens alone: {such}. They are learnt as different types; "
            "use one name",
        )  # fmt: skip
    if count := findings.repairs[Repair.OVERLAP]:
        yield Advice(
            "overlap", count,
            f"entities left out, as they overlap one that is kept: {count:,}. Training stops at them; unmark one of "
            "each two, or say which to keep: --overlaps longest or --overlaps first",
        )  # fmt: skip
    if findings.rare:
        yield Advice(
            "rare", len(findings.rare),
            f"types with fewer than {findings.rare_below} entities in train: {_counts(findings.rare)}. They can hardly "
            "be learnt, and weigh as much as others in macro F1; label more of them, or join them with others",
        )  # fmt: skip


def _on_mentions(findings: "Findings") -> Iterator[Advice]:
    """Yield what annotators may have missed or mixed up."""
    cut = " (of the most frequent mentions; rare ones aren't compared)" if findings.mentions_cut else ""
    if findings.slips:
        such = "; ".join(
            f"“{_short(each.text)}” ({_counts(each.types)}; unlabelled {each.unlabelled:,}: {_first(each.places)})"
            for each in findings.slip_examples[:_SHOWN]
        )
        yield Advice(
            "slips", findings.slips,
            f"mentions that are labelled in one place and not in another: {findings.slips:,}{cut}, such as {such}. A "
            "tagger learns to miss them; label these places too, unless something else is meant there",
        )  # fmt: skip
    if findings.many_types:
        such = "; ".join(
            f"“{_short(each.text)}” ({_typed(each.types, each.places)})"
            for each in findings.many_types_examples[:_SHOWN]
        )
        yield Advice(
            "many_types", findings.many_types,
            f"mentions with several types: {findings.many_types:,}{cut}, such as {such}. If they mean the same thing, "
            "give them the same type",
        )  # fmt: skip


def _on_the_rest(findings: "Findings") -> Iterator[Advice]:
    """Yield what does little harm."""
    for split, facts in findings.splits.items():
        if facts.scheme.name == "mixed" and facts.scheme.broken:
            yield Advice(
                "broken_tags", facts.scheme.broken,
                f"I- tags in {split} that continue nothing: {facts.scheme.broken:,}, first at line "
                f"{facts.scheme.first_broken}. Each is read as an entity's beginning; write B- there",
            )  # fmt: skip
    if len(set(findings.schemes.values())) > 1:
        schemes = ", ".join(f"{split} {scheme}" for split, scheme in findings.schemes.items())
        yield Advice("schemes", len(set(findings.schemes.values())),
                     f"tag schemes differ: {schemes}. Make sure that all mean the same")  # fmt: skip
    for split, facts in findings.splits.items():
        if facts.repeated:
            yield Advice(
                "repeated", facts.repeated,
                f"sentences of {split} equal to an earlier one: {facts.repeated:,}. They count that much more; delete "
                "them unless that is meant",
            )  # fmt: skip
    for split, facts in findings.splits.items():
        if facts.long:
            yield Advice(
                "long", facts.long,
                f"sentences of {split} with more than {findings.long_above} words: {facts.long:,}, first at "
                f"{facts.first_long}. A model sees them in pieces; cut them where sentences end",
            )  # fmt: skip
    others = Repairs({each: count for each, count in findings.repairs.items() if each is not Repair.OVERLAP})
    if line := repairs_line(others):
        yield Advice("repairs", others.total(), f"put right while reading, as in training: {line}. Nothing needs to be "
                     "done, if that is what you meant")  # fmt: skip
    if list(findings.splits) == ["train"]:
        yield Advice("splits", 1, "there is train alone: to measure what is learnt, keep some texts apart; "
                     "--split 80/10/10 cuts a file")  # fmt: skip


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _first(places: tuple[str, ...]) -> str:
    return ", ".join(places[:_SHOWN]) + (", …" if len(places) > _SHOWN else "")


def _counts(numbers: Mapping[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in list(numbers.items())[:10]]
    return ", ".join(shown) + (", …" if len(numbers) > 10 else "")


def _typed(types: Mapping[str, int], places: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {count:,}: {places[name]}" for name, count in types.items())
