"""Files in, tagged files out: what `nerbert tag` does."""
