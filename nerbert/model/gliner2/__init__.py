"""GLiNER2's models (Zaratiana et al. 2025, arXiv 2507.18546), from folders of the package `gliner2`: entities alone."""
