"""Systems × data × settings × seeds → cells, cached one by one → tables."""
