"""The quickstart: two encoders compared on a sample wiki and domain that ship with the package, in two minutes."""
