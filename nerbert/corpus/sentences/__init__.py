"""Clean text → sentences."""
