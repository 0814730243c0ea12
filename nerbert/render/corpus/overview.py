"""Everything that the page shows, as one JSON value: the manifest, and what follows from it and from the files."""

from pathlib import Path
from typing import Any

from nerbert.corpus.shards import read_manifest
from nerbert.render.corpus.facts import concentration, slope, table1
from nerbert.render.corpus.reading import draw_sentences, read_dropped, size_on_disk


def make_overview(corpus: Path) -> dict[str, Any]:
    """The manifest's keys as they are, and beside them those of the page."""
    manifest = read_manifest(corpus)
    made = {
        "table1": table1(manifest, size_on_disk(corpus, manifest)),
        "concentration": concentration(manifest),
        "slope": slope(manifest),
        "sentences_by_category": draw_sentences(corpus, manifest),
        "dropped_sentences": read_dropped(corpus, [step["step"] for step in manifest["steps"]]),
    }
    return manifest | made
