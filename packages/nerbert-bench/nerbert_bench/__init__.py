"""Benchmarks: systems × data × settings × seeds → cells, cached one by one → tables; checks and downloads of data."""

from nerbert.process import check_package

check_package("nerbert-bench")
