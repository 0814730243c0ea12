"""Typing with clusters of entities (CoFEE, Xue et al. 2020)."""
