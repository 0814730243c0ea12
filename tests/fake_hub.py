"""A hub without a network: repositories are folders, and calls are noted."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]


class FakeHub:
    """The calls that taggers and corpora make; repositories are folders."""

    def __init__(self, place: Path) -> None:
        self.place, self.calls = place, list[tuple[str, dict[str, Any]]]()

    def snapshot_download(self, name: str, **how: Any) -> str:
        self.calls.append(("snapshot_download", {"name": name, **how}))
        if not (self.place / name).is_dir():
            raise ConnectionError("404: no such repository\nsee above")
        return str(self.place / name)

    def api(self, token: str | None = None) -> "FakeHub":
        self.calls.append(("HfApi", {"token": token}))
        return self

    def create_repo(self, name: str, **how: Any) -> SimpleNamespace:
        self.calls.append(("create_repo", {"name": name, **how}))
        return SimpleNamespace(repo_id=name if "/" in name else f"me/{name}")

    def upload_folder(self, *, repo_id: str, folder_path: Path, **how: Any) -> str:
        self.calls.append(("upload_folder", {"repo_id": repo_id, **how}))
        files = [each.relative_to(folder_path).as_posix() for each in folder_path.rglob("*") if each.is_file()]
        for name in filter_repo_objects(files, allow_patterns=how.get("allow_patterns")):
            (self.place / repo_id / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder_path / name, self.place / repo_id / name)
        return f"https://hub/{repo_id}/commit/1"
