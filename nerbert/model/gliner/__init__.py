"""GLiNER's models (Zaratiana et al. 2024, arXiv 2311.08526), from folders of the package `gliner`."""
