"""The hub: whether a name can be a model there, a local folder of its files, and folders pushed to it.

A name is resolved once, here, so no loader of `transformers` asks the hub.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, nearest, need, refused

_NAME = re.compile(r"(?!.*(--|\.\.|\.git$))(?=.{1,96}$)\w([\w.-]*\w)?(/\w([\w.-]*\w)?)?", re.ASCII)
_ALIKE = 0.75


def is_hub_name(name: str) -> bool:
    """Return whether a model on the hub may have a name."""
    return _NAME.fullmatch(name) is not None


def check_hub_name(name: str, built_in: Iterable[str]) -> None:
    """Raise InputError for what can't be a model on the hub, or is, without an owner, like one of `own`."""
    built_in = list(built_in)
    like = "" if "/" in name else nearest(name[:96], built_in, _ALIKE)
    if like or not is_hub_name(name):
        remedy = f"; give a model's folder or its name on the hub, or one of {', '.join(built_in)}"
        raise InputError(f"{name:.200}: no such folder{like or remedy}")


def download(name: str, files: Iterable[str], **options: Any) -> Path:
    """Return the local copy of a model on the hub, with the files of these patterns; raise InputError without one.

    `how` goes to `huggingface_hub.snapshot_download`, which uses an earlier download if the hub can't be reached.
    """
    need("train", "huggingface_hub")
    from huggingface_hub import snapshot_download

    remedy = "check the name and the network, or give a model's folder (`embedded` is a small encoder in the package)"
    with refused(f"{name}: no such folder, and not available from the hub", remedy=remedy):
        return Path(snapshot_download(name, allow_patterns=list(files), **options))


@lru_cache
def download_once(name: str, files: tuple[str, ...], **options: Any) -> str:
    """Return the local copy of a model on the hub; the hub is asked once in a process."""
    return str(download(name, files, **options))


def push_folder(folder: Path, repo_id: str, *, token: str | None = None, private: bool | None = None,
                repo_type: str = "model", branch: str | None = None, **options: Any) -> str:  # fmt: skip
    """Upload a folder to a repository of the hub as one commit, and return the commit's address.

    A missing repository is made, `private` or not; `how` are options of huggingface_hub's `upload_folder`. Raise
    InputError for what the hub refuses.
    """
    need("train", "huggingface_hub")
    from huggingface_hub import HfApi

    with refused(f"{repo_id}: can't be pushed to the hub"):
        api = HfApi(token=token)
        name = api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True).repo_id
        return str(api.upload_folder(repo_id=name, repo_type=repo_type, folder_path=folder, revision=branch, **options))
