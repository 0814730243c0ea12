"""The quickstart: every stage on a sample wiki and a sample domain that ship with the package, in two minutes.

Two encoders start from the same small one, read the same sentences for the same steps, and are fine-tuned on the same
30 sentences: one guessed masked words in pre-training, the other learned the types of links. Every number is computed,
and the one that is ahead is named.
"""
