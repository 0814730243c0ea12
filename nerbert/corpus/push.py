"""Push a corpus to the hub as a data set: its sentences, its manifest, and its card, which is the data set's page."""

from pathlib import Path
from typing import Any

from nerbert.corpus.shards import checked_shards, read_manifest
from nerbert.errors import InputError
from nerbert.hub import push_folder

_CARD = "README.md"
_ALSO = ("manifest.json", "dropped.jsonl")


def push_corpus(corpus: Path, repo_id: str, **how: Any) -> str:
    """Upload what a training and `load_dataset` read as one commit, and return the commit's address.

    `how` are `private`, `token`, `branch` and options of huggingface_hub's `upload_folder`. Shards of an older corpus
    are deleted there. Raise InputError for a corpus that is damaged or has no card, and for what the hub refuses.
    """
    shards = [path.relative_to(corpus).as_posix() for path in checked_shards(corpus, read_manifest(corpus))]
    if not (corpus / _CARD).is_file():
        raise InputError(f"{corpus}: has no card ({_CARD}); build the corpus again")
    return push_folder(
        corpus, repo_id, repo_type="dataset", allow_patterns=[_CARD, *_ALSO, *shards],
        delete_patterns=["sentences/*"], **{"commit_message": "Upload corpus", **how},
    )  # fmt: skip
