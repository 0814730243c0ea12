"""Data sets that the tests make themselves."""

from tests.data.conftest import make, root

__all__ = ["make", "root"]
