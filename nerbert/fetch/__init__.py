"""Public files from their addresses into a folder: resumed, checked, never of two versions."""
