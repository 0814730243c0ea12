"""spaCy's small English NER as a process to be measured: the shape of en_core_web_sm's, trained on the sentences of a
CoNLL file from nothing, as `spacy init config` and `spacy train` do it for a CPU.

`python benchmarks/with_spacy.py FOLDER TRAIN.conll --train --dev DEV.conll [--seed 1]` trains and saves;
`python benchmarks/with_spacy.py FOLDER TEST.conll [--sentences N] [--repeat 1] [--batch-size 1000]` tags as the sides
of run_tagging.py do: sentences as texts, entities as characters, JSON in the last line.

Nothing of spaCy's settings is changed: hashed embeddings of the normal form, prefix, suffix and shape (96 wide, no
vectors), a CNN of four layers, transition-based NER. Its training ends, and keeps a model, by what dev.conll says;
nerbert's fine-tuning looks at no dev. Timed is `nlp.pipe` over the texts, with its own tokenizer and with reading the
entities off; loading and a first few texts aren't. `f1` is of characters in the texts, `f1_words` of the CoNLL file's
own words, as `nerbert evaluate` scores.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import spacy
from spacy.cli.init_config import init_config
from spacy.cli.train import train
from spacy.tokens import Doc, DocBin, Span

from nerbert.formats.examples import read_examples
from nerbert.labels import word_spans
from nerbert.metrics.score import score_spans
from nerbert.records import Example

Spans = list[tuple[int, int, str]]
WARM = 32


def main() -> None:
    """Train or tag; the last line is JSON."""
    options = _options()
    print(json.dumps(fit(options) if options.train else tag(options)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--dev", type=Path, help="CoNLL file that chooses when training ends, and what is kept")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sentences", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=1, help="how often the sentences are tagged in a row")
    parser.add_argument("--batch-size", type=int, default=1000, help="texts; spaCy's own default")
    options = parser.parse_args()
    if options.train and not options.dev:
        parser.error("--train needs --dev")
    return options


def fit(options: argparse.Namespace) -> dict[str, Any]:
    """Train on the file's sentences and save the model that was best on dev."""
    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency", gpu=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = {}
        for split, file in (("train", options.file), ("dev", options.dev)):
            paths[f"paths.{split}"] = str(folder / f"{split}.spacy")
            DocBin(docs=_gold_docs(read_examples(file))).to_disk(paths[f"paths.{split}"])
        config.to_disk(folder / "config.cfg")
        cpu, wall = time.process_time(), time.monotonic()
        train(folder / "config.cfg", folder / "out", overrides={**paths, "system.seed": options.seed})
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        nlp = spacy.load(folder / "out" / "model-best")
        nlp.to_disk(options.model)
    return {"training_cpu_seconds": cpu, "training_wall_seconds": wall, "dev_f1": nlp.meta["performance"]["ents_f"]}


def tag(options: argparse.Namespace) -> dict[str, Any]:
    """Tag the file's sentences, timed and scored."""
    examples = read_examples(options.file)[: options.sentences or None]
    texts = [example.text for example in examples]
    nlp = spacy.load(options.model)
    list(_entities(nlp, texts[:WARM], options.batch_size))
    found: list[Spans] = []
    early = 0
    cpu, wall = time.process_time(), time.monotonic()
    for number, entities in enumerate(
        _entities(nlp, chain.from_iterable([texts] * options.repeat), options.batch_size)
    ):
        if number < len(texts):
            found.append(entities)
        if number == len(texts) * options.repeat // 10:
            early = _peak()
    spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.monotonic() - wall}
    peak = _peak()
    by_words = [
        [(each.start, each.end, each.label_) for each in doc.ents] for doc in nlp.pipe(_docs(nlp.vocab, examples))
    ]
    characters = [[(span.start, span.end, span.type) for span in example.spans] for example in examples]
    return {
        "words": options.repeat * sum(len(example.words) for example in examples),
        **spent,
        "entities": sum(map(len, found)),
        "f1": score_spans(characters, found).f1,
        "f1_words": score_spans(map(word_spans, examples), by_words).f1,
        "peak_bytes": peak,
        "peak_early_bytes": early,
    }


def _entities(nlp: Any, texts: Iterable[str], batch_size: int) -> Iterator[Spans]:
    """Character spans of each text's entities."""
    for doc in nlp.pipe(texts, batch_size=batch_size):
        yield [(each.start_char, each.end_char, each.label_) for each in doc.ents]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _docs(vocab: Any, examples: Sequence[Example]) -> Iterator[Doc]:
    """The sentences with the file's own words."""
    for example in examples:
        yield Doc(vocab, words=list(example.tokens))


def _gold_docs(examples: Sequence[Example]) -> Iterator[Doc]:
    """The same, with the file's entities."""
    for example, doc in zip(examples, _docs(spacy.blank("en").vocab, examples), strict=True):
        doc.set_ents([Span(doc, first, last, label=type_) for first, last, type_ in word_spans(example)])
        yield doc


if __name__ == "__main__":
    main()
