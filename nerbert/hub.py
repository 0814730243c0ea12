"""The hub: check the names of its models, download models, and push folders.

Only this module resolves a name, and only once; loaders of `transformers` get a local folder.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, nearest, need, refused

_NAME = re.compile(r"(?!.*(--|\.\.|\.git$))(?=.{1,96}$)\w([\w.-]*\w)?(/\w([\w.-]*\w)?)?", re.ASCII)
_CUTOFF = 0.75


def is_hub_name(name: str) -> bool:
    """Return whether a name is valid for a model on the hub."""
    return _NAME.fullmatch(name) is not None


def check_hub_name(name: str, built_in: Iterable[str]) -> None:
    """Raise InputError for an invalid name, or for one without an owner that resembles a name in `built_in`."""
    built_in = list(built_in)
    # "minlm" is a mistyped built-in name, which the hub might answer with a stranger's model.
    like = "" if "/" in name else nearest(name[:96], built_in, _CUTOFF)
    if like or not is_hub_name(name):
        remedy = f"; give a model's folder or its name on the hub, or one of {', '.join(built_in)}"
        raise InputError(f"{name:.200}: no such folder{like or remedy}")


def download(name: str, files: Iterable[str], **options: Any) -> Path:
    """Return the local copy of a model on the hub, with the files of these patterns; raise InputError on failure.

    `options` go to `huggingface_hub.snapshot_download`, which uses an earlier download if the hub can't be reached.
    """
    need("train", "huggingface_hub")
    from huggingface_hub import snapshot_download

    remedy = "check the name and the network, or give a model's folder (`embedded` is a small encoder in the package)"
    with refused(f"{name}: no such folder, and not available from the hub", remedy=remedy):
        return Path(snapshot_download(name, allow_patterns=list(files), **options))


download_once = lru_cache(download)
"""Returns the local copy of a model on the hub; each process asks the hub only once."""


def push_folder(
    folder: Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    repo_type: str = "model",
    branch: str | None = None,
    **options: Any,
) -> str:
    """Upload a folder to a repository of the hub as one commit, and return the commit's URL.

    A missing repository is created, `private` or not; `options` are those of huggingface_hub's `upload_folder`. Raise
    InputError if the hub refuses the upload.
    """
    need("train", "huggingface_hub")
    from huggingface_hub import HfApi

    with refused(f"{repo_id}: can't be pushed to the hub"):
        api = HfApi(token=token)
        # The hub completes a name without an owner, and the upload needs the whole one.
        name = api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True).repo_id
        return str(api.upload_folder(repo_id=name, repo_type=repo_type, folder_path=folder, revision=branch, **options))
