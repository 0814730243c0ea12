"""Code shared by every training command."""
