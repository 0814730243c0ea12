"""The version of nerbert, and its addresses."""

__version__ = "0.1.0"
HOMEPAGE = "https://github.com/nerbert/nerbert"
DOCS = f"{HOMEPAGE}/blob/main/docs"
"""The documentation's address; the package doesn't contain it."""
