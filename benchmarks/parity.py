"""How often nerbert's greedy entities differ from those of `transformers.pipeline` on the same folder, and why.

`python benchmarks/parity.py MODEL FILE [--sentences N]`

Sentences of a CoNLL file as texts; the pipeline's `aggregation_strategy="first"` reads a word off its first piece, as
nerbert does, but its words are the tokenizer's, and it splits no sentences. So sentences are counted apart where both
have the same words and one sentence. Both compute in fp32. The last line is JSON.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from nerbert import Tagger
from nerbert.data.splits import read_data


def main() -> None:
    """Compare, and print counts."""
    from transformers import pipeline

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sentences", type=int, default=0)
    options = parser.parse_args()
    texts = [each.text for each in read_data(options.file).train][: options.sentences or None]
    pipe = pipeline("token-classification", model=str(options.model), aggregation_strategy="first", device="cpu")
    tagger = Tagger.load(options.model, backend="torch", precision="fp32", decoding="greedy", device="cpu")
    counts = Counter[str]()
    for text, spans in zip(texts, tagger.tag_many(texts), strict=True):
        theirs = {(each["start"], each["end"], each["entity_group"]) for each in pipe(text)}
        ours = {(span.start, span.end, span.type) for span in spans}
        kind = "same words" if _same_words(pipe, tagger, text) else "other words"
        counts.update({f"{kind}: sentences": 1, f"{kind}: differ": ours != theirs})
        counts.update({"entities of the pipeline": len(theirs), "of nerbert": len(ours), "of both": len(ours & theirs)})
    for name, count in counts.items():
        print(f"{name}: {count:,}")
    print(json.dumps(counts))


def _same_words(pipe: object, tagger: Tagger, text: str) -> bool:
    """Whether both cut a text into the same words, and nerbert sees one sentence in it."""
    backend = pipe.tokenizer.backend_tokenizer  # type: ignore[attr-defined]
    theirs = tuple(place for _, place in backend.pre_tokenizer.pre_tokenize_str(text))
    sentences = list(tagger.sentences(text))
    return len(sentences) == 1 and sentences[0][0] == 0 and sentences[0][1].words == theirs


if __name__ == "__main__":
    main()
