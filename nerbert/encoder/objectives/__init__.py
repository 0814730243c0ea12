"""Training objectives of encoders: one file each."""
