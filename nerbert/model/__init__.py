"""What every model shares: loading, subwords, windows, heads, decoding."""
