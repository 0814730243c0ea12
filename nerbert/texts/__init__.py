"""Texts to tag: the files they are read from, and the kinds of these files."""
