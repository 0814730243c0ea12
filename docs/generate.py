"""Writes docs/settings.md from the settings' docstrings: `python docs/generate.py`. A test fails when it is stale."""

from pathlib import Path

from nerbert.config import manual
from nerbert.corpus.settings import CorpusSettings
from nerbert.encoder.settings import PretrainSettings
from nerbert.finetuning.settings import FinetuneSettings

HEAD = """# Settings

Every setting can stand in a TOML file or be given as `--set name=value`. Unknown names are refused, and the nearest
right one is named. *Source* says where a default comes from: a section of the NER-BERT paper (arXiv 2112.00405), or
*ours*.

This page is made from the code by `python docs/generate.py`.

"""


def settings_page() -> str:
    """The text of docs/settings.md."""
    parts = [
        manual("`nerbert corpus build`", CorpusSettings),
        manual("`nerbert pretrain`", PretrainSettings),
        manual("`nerbert finetune`", FinetuneSettings),
    ]
    return HEAD + "\n".join(parts)


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(settings_page(), encoding="utf-8")
