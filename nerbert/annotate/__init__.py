"""Texts in, open-type labels of a language model out: what `nerbert annotate` does."""
