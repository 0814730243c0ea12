"""The quickstart: every stage on a sample wiki and a sample domain that ship with the package, in two minutes.

Two encoders, one of masked words and one of links' types, are compared on the same 30 sentences.
"""
