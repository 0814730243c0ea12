"""What a conversion may lose: nothing that its summary doesn't name."""

from collections import Counter
from collections.abc import Iterable, Sequence

from nerbert.records import Document


def told(losses: Iterable[str], *words: str) -> bool:
    return any(all(word in each for word in words) for each in losses)


def characters(documents: Iterable[Document]) -> Counter[str]:
    return Counter("".join("".join(each.text.split()) for each in documents))


def marked(documents: Iterable[Document]) -> list[tuple[str, str]]:
    return [(document.text[each.start : each.end], each.type) for document in documents for each in document.spans]


def groups(documents: Sequence[Document]) -> list[list[int]]:
    """The places of texts that belong together."""
    names = [each.group or f"\0{place}" for place, each in enumerate(documents)]
    return [[place for place, each in enumerate(names) if each == name] for name in dict.fromkeys(names)]


def stay_together(before: Sequence[Document], after: Sequence[Document]) -> bool:
    """Return whether texts of one group are in one group again."""
    new = [{*each} for each in groups(after)]
    return all(any(each.issuperset(old) for each in new) for old in groups(before))


def check_same(
    before: list[Document], after: list[Document], losses: list[str], written: Sequence[Document] | None = None
) -> None:
    """Fail for what is neither equal nor told; `written` are the sentences that were written, if entities grew."""
    written = before if written is None else written
    assert marked(after) == marked(written)
    left_out = told(losses, "texts without a word")
    assert characters(after) == characters(before) or left_out or told(losses, "invisible characters")
    whole = [each.text for each in after] == [each.text for each in before]
    assert whole or left_out or told(losses, "spaces")
    tagged = {each.tagged for each in before}
    assert not after or {each.tagged for each in after} == tagged or told(losses, "a model alone tagged")
    sure = [[span.confidence for each in documents for span in each.spans] for documents in (written, after)]
    assert sure[0] == sure[1] or told(losses, "confidences")
    if whole:
        assert stay_together(before, after) or told(losses, "belong together")
        for one, other in zip(before, after, strict=True):
            for name, value in one.fields.items():
                if name not in other.fields or other.fields[name] != value:
                    assert told(losses, "fields", name), (name, value, other.fields, losses)
    else:
        fewer = left_out or told(losses, "belong together")
        assert fewer or any(each.group for each in after) or len(groups(before)) == 1 or len(before) == len(after)
