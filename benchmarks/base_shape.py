"""A tagger of BERT-base's shape with random weights, for speed alone.

`python benchmarks/base_shape.py FOLDER [TOKENIZER]`

12 layers of 768, 30,522 pieces, the nine classes of CoNLL-2003; O is likely, so that entities are about as rare as in
texts. The tokenizer is that of TOKENIZER (a model's folder), or the sample encoder's, which cuts into more pieces.
"""

import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForTokenClassification

from nerbert.labels import tag_names
from nerbert.model.backbone import load_tokenizer


def main() -> None:
    """Write the folder."""
    folder, source = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "embedded"
    names = tag_names(["PER", "LOC", "ORG", "MISC"])
    torch.manual_seed(1)
    of_name = {name: number for number, name in enumerate(names)}
    model = BertForTokenClassification(BertConfig(id2label=dict(enumerate(names)), label2id=of_name))
    with torch.no_grad():
        model.classifier.bias[0] = 1.0
    model.save_pretrained(folder)
    load_tokenizer(source).save_pretrained(folder)


if __name__ == "__main__":
    main()
