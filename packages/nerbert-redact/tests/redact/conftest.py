"""A tagger without a model."""

from tests.tagger.jobs.conftest import capitals

__all__ = ["capitals"]
