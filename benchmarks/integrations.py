"""What the integrations cost beside `Tagger.tag_many`: the same texts, in one process, sides in turn, medians.

`python benchmarks/integrations.py FILE.conll [--tagger embedded-open] [--labels person,…] [--sentences N] [--runs 5]`

Each side gets its library's own objects, made before, and is timed until all entities are there; models are loaded
before. `arrow` is the bare function that `datasets` (and Ray Data, and Spark) call.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document as TroveDocument
from haystack import Document as HaystackDocument

from nerbert.formats.examples import read_examples
from nerbert.integrations.arrow import Tagging
from nerbert.integrations.datatrove import TaggingStep
from nerbert.integrations.haystack import EntityTagger
from nerbert.tagger.tagger import Tagger


def main() -> None:
    """Print each side's median seconds, and their ratio to those of `tag_many`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tagger", default="embedded-open")
    parser.add_argument("--labels", default="person,location,organisation,miscellaneous")
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    texts = [each.text for each in read_examples(options.file)][: options.sentences]
    datasets.disable_progress_bars()
    datasets.disable_caching()
    with tempfile.TemporaryDirectory() as scratch:
        sides = _sides(texts, options.tagger, options.labels, Path(scratch))
        seconds = dict[str, list[float]]({name: [] for name in sides})
        for _ in range(options.runs + 1):
            for name, run in sides.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    for name, median in medians.items():
        print(f"{name:10} {median:8.3f} s  {median / medians['tag_many']:6.3f}")


def _sides(texts: Sequence[str], tagger: str, labels: str, scratch: Path) -> dict[str, Callable[[], Any]]:
    names, how = labels.split(","), {"precision": "fp32", "threads": 1}
    plain, tagging = Tagger.load(tagger, **how), Tagging(tagger, labels=labels, **how)  # type: ignore[arg-type]
    step, component = TaggingStep(tagger, names, **how), EntityTagger(tagger, names, **how)
    table = pa.table({"text": list(texts)})
    table_file = scratch / "texts.parquet"
    pq.write_table(table, table_file)
    rows = datasets.Dataset.from_parquet(str(table_file), cache_dir=str(scratch)).with_format("arrow")
    documents = [HaystackDocument(content=text) for text in texts]
    return {
        "tag_many": lambda: list(plain.tag_many(texts, names)),
        "arrow": lambda: tagging(table),
        "datasets": lambda: rows.map(tagging, batched=True),
        "datatrove": lambda: list(step.run(TroveDocument(text, "") for text in texts)),
        "haystack": lambda: component.run(documents),
    }


if __name__ == "__main__":
    main()
