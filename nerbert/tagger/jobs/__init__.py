"""Files in, tagged files out: the work of `nerbert tag`."""
