"""The data card: `README.md` in a corpus's folder, with the front matter of dataset cards on the Hugging Face hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nerbert.corpus.build import BuiltCorpus
from nerbert.render import render, write
from nerbert.render.corpus.facts import corpus_facts, size_rows, table1, used_knowledge

NAME = "README.md"
_TEMPLATE = "corpus_card.md.j2"
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "n>1B")


def write_corpus_card(folder: Path, corpus: BuiltCorpus) -> None:
    """Write the data card of a corpus into `folder`: the hook of `nerbert.corpus.build.build_corpus`."""
    write(folder / NAME, _TEMPLATE, **_facts(corpus.manifest))


def card_of(manifest: Mapping[str, Any]) -> str:
    """Return the card's text; every figure in it is the manifest's."""
    return render(_TEMPLATE, **_facts(manifest))


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    sizes = table1(manifest, 0)
    digits = len(str(max(1, sizes["ours"]["examples"])))
    return corpus_facts(manifest) | {
        "sizes": size_rows(sizes)[:-1], "size_category": _SIZES[min(max(0, digits - 3), len(_SIZES) - 1)],
        "used": used_knowledge(manifest, "typed", "sha256"),
    }  # fmt: skip
