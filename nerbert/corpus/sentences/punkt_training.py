"""Trains Punkt on clean text of ours, and keeps what it learnt as JSON.

The text is the corpus's own, so that the parameters fit its abbreviations, and our lists are added. The price: they are
not the paper's, which were trained on newspapers, and another corpus makes other parameters.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from nerbert.artifacts import check_free
from nerbert.corpus.parquet_tables import read_batches
from nerbert.corpus.sentences.punkt import PunktModel, listed_abbreviations, save_punkt
from nerbert.corpus.shards import read_manifest, shard_paths
from nerbert.errors import InputError

_CHUNK = 4_000_000
"""Characters that Punkt learns from at once: its counts want many, its tokens take some 60 bytes a character."""


def train_punkt(texts: Iterable[str], language: str) -> PunktModel:
    """Learn from clean texts whose paragraphs are lines; our abbreviations of the language are added."""
    from nltk.tokenize.punkt import PunktTrainer

    trainer = PunktTrainer()
    for chunk in _chunks(texts):
        trainer.train(chunk, finalize=False)
    learnt = trainer.get_params()
    return PunktModel(
        frozenset(learnt.abbrev_types) | listed_abbreviations(language),
        frozenset(learnt.collocations),
        frozenset(learnt.sent_starters),
        tuple(sorted((word, bits) for word, bits in learnt.ortho_context.items() if bits)),
    )


def train_on_corpus(corpus: Path, output: Path, *, characters: int = 50_000_000, overwrite: bool = False) -> PunktModel:
    """Learn from the first `characters` of a built corpus's `pages/` and write `output`, a JSON file."""
    if not (overwrite and output.is_file()):
        check_free(output, overwrite=False)
    language = str(read_manifest(corpus)["language"])
    model = train_punkt(_pages(corpus, characters), language)
    save_punkt(model, output)
    return model


def _chunks(texts: Iterable[str]) -> Iterator[str]:
    """Texts put together, lines as paragraphs, some millions of characters at once."""
    gathered: list[str] = []
    size = 0
    for text in texts:
        gathered.append(text.replace("\n", "\n\n"))
        size += len(text)
        if size >= _CHUNK:
            yield "\n\n".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield "\n\n".join(gathered)


def _pages(corpus: Path, characters: int) -> Iterator[str]:
    """The sentences of a corpus as texts; those with an end mark are joined, so that old borders teach nothing."""
    paths = shard_paths(corpus / "pages")
    if not paths:
        raise InputError(f"{corpus}: has no pages/part-*.parquet to learn from; build the corpus again")
    for path in paths:
        for batch in read_batches(path, ["text"]):
            sentences = batch.column("text").to_pylist()
            yield "".join(text + (" " if text[-1:] in ".!?" else "\n") for text in sentences)
            characters -= sum(map(len, sentences))
            if characters <= 0:
                return
