"""Corpus → encoder. Needs the extra `train`, and says so when it is not there."""

from nerbert.errors import need

need("train", "torch", "transformers", "tokenizers")
