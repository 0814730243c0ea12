"""`nerbert annotate`: label texts with open types by a language model."""
