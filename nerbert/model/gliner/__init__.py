"""Models of `gliner` (Zaratiana et al. 2024, arXiv 2311.08526) and `gliner2` (2025, arXiv 2507.18546), for entities."""
