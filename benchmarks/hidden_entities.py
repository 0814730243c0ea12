"""How many entities a SentencePiece tokenizer hides (they share a subword with other text), before and after it is cut.

`python benchmarks/hidden_entities.py ENCODER DATA TABLE.csv --sets gsd_ja,… [--split dev] [--limit 300]`; ENCODER is a
folder with a tokenizer, DATA the folder of data sets. Cut means that no subword has letters of two words.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from nerbert.data.catalogue import open_data
from nerbert.model.backbone import load_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer, cut_at_words, entity_borders
from nerbert.records import Example

HEADER = ("data", "split", "limit", "entities", "hidden before", "after", "subwords before", "subwords after")


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--sets", required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--limit", type=int, default=300)
    options = parser.parse_args()
    config = AutoConfig.from_pretrained(options.encoder)
    # `cut_at_words` may change the tokenizer that it gets.
    tokenizers = load_tokenizer(options.encoder), cut_at_words(load_tokenizer(options.encoder))
    with options.table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for name in options.sets.split(","):
            examples = list(open_data(name, options.data).splits[options.split])[: options.limit]
            (entities, hidden, before), (_, still, after) = (count(each, config, examples) for each in tokenizers)
            writer.writerow([name, options.split, options.limit, entities, hidden, still, before, after])


def count(tokenizer: Any, config: Any, examples: Sequence[Example]) -> tuple[int, int, int]:
    """Return the number of entities, of hidden ones, and of subwords."""
    pieces = SubwordTokenizer(tokenizer, config, 512)
    by_type = entity_borders(examples, pieces).values()
    subwords = sum(len(window.ids) for window in pieces.windows(examples))
    return sum(each.entities for each in by_type), sum(each.hidden for each in by_type), subwords


if __name__ == "__main__":
    main()
