"""The other systems of the papers that nerbert reproduces: CDLM, CoFEE, and the pages nearest to a domain for DAPT."""

from nerbert.process import check_package

check_package("nerbert-papers")
