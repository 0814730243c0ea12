"""A corpus for people: one HTML page, the same as JSON, and the data card in the corpus's folder."""
