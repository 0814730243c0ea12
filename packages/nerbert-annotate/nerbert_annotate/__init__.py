"""`nerbert annotate`: label texts with open types by a language model."""

from typing import TYPE_CHECKING, Any

from nerbert.process import check_package

if TYPE_CHECKING:
    from nerbert_annotate.annotate import annotate_texts

check_package("nerbert-annotate")

from nerbert_annotate.settings import AnnotateSettings  # noqa: E402  (after the check of versions)

__all__ = ["AnnotateSettings", "annotate_texts"]


def __getattr__(name: str) -> Any:
    if name != "annotate_texts":
        raise AttributeError(f"module 'nerbert_annotate' has no attribute {name!r}")
    from nerbert_annotate.annotate import annotate_texts

    return annotate_texts
