"""Fixtures for tests of the papers' systems: those of the encoder's tests."""

from tests.encoder.conftest import corpus, few, one_thread, settings

__all__ = ["corpus", "few", "one_thread", "settings"]
