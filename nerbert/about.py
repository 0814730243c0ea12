"""The version of nerbert, and its URLs."""

__version__ = "0.1.0"
HOMEPAGE = "https://github.com/nerbert/nerbert"
DOCS = f"{HOMEPAGE}/blob/main/docs"
"""The documentation's URL; the package doesn't contain the documentation."""
