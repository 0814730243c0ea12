"""What an encoder can be trained for: one file an objective."""
