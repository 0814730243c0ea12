"""`nerbert label`: label sentences in the browser while a tagger learns from them."""

from typing import TYPE_CHECKING, Any

from nerbert.process import check_package

if TYPE_CHECKING:
    from nerbert_label.serving import serve_labelling

check_package("nerbert-label")
__all__ = ["serve_labelling"]


def __getattr__(name: str) -> Any:
    if name != "serve_labelling":
        raise AttributeError(f"module 'nerbert_label' has no attribute {name!r}")
    from nerbert_label.serving import serve_labelling

    return serve_labelling
