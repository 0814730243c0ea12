"""Export a corpus to CoNLL or JSON lines, in its order, or push it to the hub as a data set with its card as the page.

CoNLL has no standard comments, so only JSON lines contain the attribution. A pipe gets each sentence immediately.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from nerbert.artifacts import check_free, publish
from nerbert.corpus.shards import checked_shards, read_manifest, read_sentences
from nerbert.errors import InputError, SettingsError, at, unknown
from nerbert.formats.conll import conll_block
from nerbert.hub import push_folder
from nerbert.labels import sentence_example
from nerbert.records import Sentence
from nerbert.schema import json_line
from nerbert.terminal import standard_output, tell

PIPE = "-"


@contextmanager
def _open_output(output: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    if str(output) == PIPE:
        with standard_output() as stream:
            yield stream
        return
    check_free(output, overwrite=overwrite, file=True)
    with publish(output) as draft, draft.open("wb") as file:
        yield file


def export_corpus(
    corpus: Path, output: Path, format_: str, split: str = "", copies: bool = False, *, overwrite: bool = False
) -> int:
    """Write the sentences of a corpus, each once, or with `copies` as often as drawn, and return their number."""
    text_of = _TEXT_OF.get(format_)
    if text_of is None:
        raise SettingsError(f"--format {format_!r}{unknown(format_, _TEXT_OF)}")
    manifest = read_manifest(corpus)
    splits = manifest["splits"]
    if split and split not in splits:
        raise InputError(f"{corpus}: has no split {split!r}{unknown(split, splits)}, or left out for all")
    written = 0
    with _open_output(output, overwrite=overwrite) as stream:
        for sentence in read_sentences(corpus, split or None):
            times = sentence.copies if copies else 1
            with at(sentence.id):
                stream.write(text_of(sentence).encode() * times)
            written += times
    # CoNLL has no column for stretches that may be names
    if format_ == "conll" and (stretches := sum(manifest.get("unknown", {}).values())):
        tell(f"words of {stretches:,} stretches that may be names are O there; JSON lines have the column unknown")
    return written


_TEXT_OF: dict[str, Callable[[Sentence], str]] = {
    "conll": lambda sentence: conll_block(sentence_example(sentence)),
    "jsonl": lambda sentence: json_line({"id": sentence.id} | asdict(sentence)) + "\n",
}


_CARD = "README.md"
_ALSO = ("manifest.json", "dropped.jsonl")


def push_corpus(corpus: Path, repo_id: str, **options: Any) -> str:
    """Upload the files that training and `load_dataset` read, in one commit, and return the commit's URL.

    `options` are `private`, `token`, `branch` and those of huggingface_hub's `upload_folder`. Shards of an older corpus
    in the repository are deleted. Raise InputError if the corpus is damaged or has no card, or the hub refuses it.
    """
    shards = [path.relative_to(corpus).as_posix() for path in checked_shards(corpus, read_manifest(corpus))]
    if not (corpus / _CARD).is_file():
        raise InputError(f"{corpus}: has no card ({_CARD}); build the corpus again")
    return push_folder(
        corpus,
        repo_id,
        repo_type="dataset",
        allow_patterns=[_CARD, *_ALSO, *shards],
        delete_patterns=["sentences/*"],
        **{"commit_message": "Upload corpus", **options},
    )
