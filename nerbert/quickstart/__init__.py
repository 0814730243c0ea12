"""The three-minute tour: the whole road on a sample wiki and a sample domain that ship with the package.

Two encoders start from the same small one, see the same sentences for the same steps, and are fine-tuned on the same 30
sentences: one learnt masked words on the way, the other the types of links. Every number is computed, and whichever is
ahead is said to be.
"""

from nerbert.quickstart.tour import run_quickstart

__all__ = ["run_quickstart"]
