"""Files of a benchmark's tables."""
