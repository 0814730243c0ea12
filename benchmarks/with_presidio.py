"""What a tagger costs as Presidio's recognizer, text by text: `Tagger.tag`, the recognizer, the engine around it.

`python benchmarks/with_presidio.py TAGGER TEST.conll [--labels person,city] [--sentences 300]`. The three take turns
with the same texts, with one thread; the last line is JSON with the median of five rounds, in milliseconds of CPU time
a text. The engine has spaCy's blank tokenizer and no other recognizer.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import spacy
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from nerbert.formats.examples import read_examples
from nerbert.integrations.presidio import NerbertRecognizer
from nerbert.tagger.tagger import Tagger

ROUNDS = 5


class BlankEngine(SpacyNlpEngine):
    """spaCy's tokenizer alone."""

    def load(self) -> None:
        """Make it."""
        self.nlp = {"en": spacy.blank("en")}


def main() -> None:
    """Time all three; print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tagger")
    parser.add_argument("file", type=Path)
    parser.add_argument("--labels", default="")
    parser.add_argument("--sentences", type=int, default=300)
    options = parser.parse_args()
    labels = options.labels.split(",") if options.labels else []
    texts = [each.text for each in read_examples(options.file)[: options.sentences]]
    loaded = Tagger.load(options.tagger, threads=1)
    tagger = loaded.with_labels(labels) if labels else loaded
    recognizer = NerbertRecognizer(options.tagger, labels, threads=1)
    engine = AnalyzerEngine(RecognizerRegistry([recognizer]), BlankEngine())
    sides: dict[str, Callable[[str], object]] = {
        "Tagger.tag": tagger.tag,
        "recognizer": recognizer.analyze,
        "engine": lambda text: engine.analyze(text, "en"),
    }
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS + 1):  # the first warms up
        for name, run in sides.items():
            started = time.process_time()
            for text in texts:
                run(text)
            spent[name].append((time.process_time() - started) * 1000 / len(texts))
    milliseconds = {name: round(median(each[1:]), 3) for name, each in spent.items()}
    print(json.dumps({"texts": len(texts), "milliseconds": milliseconds}))


if __name__ == "__main__":
    main()
