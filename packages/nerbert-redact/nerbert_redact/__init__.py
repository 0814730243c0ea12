"""`nerbert redact`: replace the entities of texts, and restore them."""

from typing import TYPE_CHECKING, Any

from nerbert.process import check_package

if TYPE_CHECKING:
    from nerbert_redact.job import redact_texts, undo_redaction

check_package("nerbert-redact")
__all__ = ["redact_texts", "undo_redaction"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nerbert_redact' has no attribute {name!r}")
    from nerbert_redact import job

    return getattr(job, name)
